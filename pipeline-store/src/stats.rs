//! The SQL of the statistics.

use jiff::Timestamp;
use rusqlite::{Connection, Result};

use crate::read::{timestamp, unsigned};
use crate::{MinuteStats, StageName, StageStats, Stats};

const MINUTE_MS: i64 = 60_000;
const RECENT_MINUTES: i64 = 60;

/// Counts and timings over all images; `now` says which minutes are recent.
pub(crate) fn get(conn: &Connection, now: Timestamp) -> Result<Stats> {
    let mut stats = totals(conn)?;
    for (stage, name) in stats.stages.iter_mut().zip(StageName::ALL) {
        *stage = stage_stats(conn, name)?;
    }
    stats.recent = recent(conn, now)?;
    Ok(stats)
}

fn totals(conn: &Connection) -> Result<Stats> {
    conn.prepare_cached(
        "SELECT count(*),
                count(*) FILTER (WHERE state = 'success'),
                count(*) FILTER (WHERE state = 'failed'),
                count(took_ms),
                coalesce(sum(took_ms), 0)
         FROM images",
    )?
    .query_row([], |row| {
        let timed = unsigned(row.get(3)?)?;
        let sum_ms = unsigned(row.get(4)?)?;
        Ok(Stats {
            total: unsigned(row.get(0)?)?,
            succeeded: unsigned(row.get(1)?)?,
            failed: unsigned(row.get(2)?)?,
            // One division, so one rounding: 420 ms over one image are 0.42 s and not 0.42000000000000004.
            average_processing: (timed > 0).then(|| sum_ms as f64 / (timed as f64 * 1_000.0)),
            ..Stats::default()
        })
    })
}

fn stage_stats(conn: &Connection, stage: StageName) -> Result<StageStats> {
    conn.prepare_cached(
        "SELECT count(duration_ms), avg(duration_ms) FROM stages WHERE stage = ?1 AND error_code IS NULL",
    )?
    .query_row([stage.as_str()], |row| {
        Ok(StageStats {
            count: unsigned(row.get(0)?)?,
            mean_ms: row.get(1)?,
        })
    })
}

fn recent(conn: &Connection, now: Timestamp) -> Result<Vec<MinuteStats>> {
    let last = now.as_millisecond().div_euclid(MINUTE_MS);
    let first = last - RECENT_MINUTES + 1;
    let mut minutes = (first..=last)
        .map(|minute| {
            Ok(MinuteStats {
                minute: timestamp(minute * MINUTE_MS)?,
                done: 0,
                failed: 0,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let mut select = conn.prepare_cached(
        "SELECT processed_at / ?2, count(*) FILTER (WHERE state = 'success'), count(*) FILTER (WHERE state = 'failed')
         FROM images INDEXED BY images_by_end WHERE processed_at IS NOT NULL AND processed_at >= ?1 GROUP BY 1",
    )?;
    let mut rows = select.query([first * MINUTE_MS, MINUTE_MS])?;
    while let Some(row) = rows.next()? {
        let at: i64 = row.get(0)?;
        // A clock that was set back leaves images from minutes to come.
        let Some(minute) = usize::try_from(at - first)
            .ok()
            .and_then(|index| minutes.get_mut(index))
        else {
            continue;
        };
        minute.done = unsigned(row.get(1)?)?;
        minute.failed = unsigned(row.get(2)?)?;
    }
    Ok(minutes)
}
