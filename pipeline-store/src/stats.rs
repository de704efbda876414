//! The SQL of the statistics.

use rusqlite::{Connection, Result};

use crate::Stats;
use crate::images::unsigned;

/// Counts and timings over all images.
pub(crate) fn get(conn: &Connection) -> Result<Stats> {
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
        })
    })
}
