//! The SQL of turns: who is worked on next, and who has to wait for others.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Result, params};

use crate::Job;
use crate::read::{damaged, duration, timestamp};

/// What a worker wants to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// What is quick: metadata and thumbnails.
    Quick,
    /// A caption.
    Caption,
}

impl Turn {
    /// The values of `again` and `prepared`, in the order in which images are taken. What is done again comes after all
    /// that is new.
    fn order(self) -> [(bool, bool); 4] {
        let (first, second) = match self {
            Self::Quick => (false, true),
            Self::Caption => (true, false),
        };
        [
            (false, first),
            (false, second),
            (true, first),
            (true, second),
        ]
    }
}

/// Takes the image whose turn it is. One that was in work when the process ended is taken when no other is, and no other
/// is taken meanwhile: if the process ends again, it is known because of whom.
pub(crate) fn claim(
    conn: &Connection,
    worker: &str,
    turn: Turn,
    now: Timestamp,
    lease_until: Timestamp,
) -> Result<Option<Job>> {
    let (any_running, suspect_running) = running(conn)?;
    if suspect_running {
        return Ok(None);
    }
    match next(conn, turn, now)? {
        Some((seq, suspect)) if !(suspect && any_running) => {
            take(conn, seq, worker, lease_until).map(Some)
        }
        _ => Ok(None),
    }
}

/// Whether any image is in work, and whether it is one that has to be alone.
fn running(conn: &Connection) -> Result<(bool, bool)> {
    conn.prepare_cached(
        "SELECT count(*) > 0, coalesce(max(suspect), 0) FROM jobs WHERE state = 'running'",
    )?
    .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// The number of the image whose turn it is, and whether it has to be alone.
fn next(conn: &Connection, turn: Turn, now: Timestamp) -> Result<Option<(i64, bool)>> {
    let mut select = conn.prepare_cached(
        "SELECT image_seq, suspect FROM jobs
         WHERE state = 'queued' AND again = ?1 AND prepared = ?2 AND due_at <= ?3 ORDER BY image_seq LIMIT 1",
    )?;
    for (again, prepared) in turn.order() {
        let found = select
            .query_row(params![again, prepared, now.as_millisecond()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn take(conn: &Connection, seq: i64, worker: &str, lease_until: Timestamp) -> Result<Job> {
    conn.prepare_cached(
        "UPDATE jobs SET state = 'running', attempts = attempts + 1, claims = claims + 1, worker = ?2,
                         lease_until = ?3, due_at = 0
         WHERE image_seq = ?1
         RETURNING (SELECT id FROM images WHERE seq = image_seq) AS id, attempts, claims, again, prepared, spent_ms,
                   put_off_ms",
    )?
    .query_row(params![seq, worker, lease_until.as_millisecond()], |row| {
        let id: String = row.get("id")?;
        Ok(Job {
            seq,
            id: id.parse().map_err(damaged)?,
            attempt: row.get("attempts")?,
            claim: row.get("claims")?,
            again: row.get("again")?,
            prepared: row.get("prepared")?,
            spent: duration(row.get("spent_ms")?)?,
            put_off: duration(row.get("put_off_ms")?)?,
        })
    })
}

/// Whether an image waits for its metadata and thumbnails that comes before the caption of this one.
pub(crate) fn is_quick_work_due(conn: &Connection, job: &Job, now: Timestamp) -> Result<bool> {
    let mut select = conn.prepare_cached(
        "SELECT 1 FROM jobs WHERE state = 'queued' AND again = ?1 AND prepared = 0 AND due_at <= ?2",
    )?;
    let mut waits = |again: bool| select.exists(params![again, now.as_millisecond()]);
    Ok(waits(false)? || (job.again && waits(true)?))
}

/// When the next of those images is due that were put off, if any was.
pub(crate) fn next_due(conn: &Connection) -> Result<Option<Timestamp>> {
    let due: Option<i64> = conn
        .prepare_cached("SELECT min(due_at) FROM jobs WHERE due_at > 0")?
        .query_row([], |row| row.get(0))?;
    due.map(timestamp).transpose()
}

/// Nobody is put off any more.
pub(crate) fn forget_due(conn: &Connection) -> Result<()> {
    conn.execute("UPDATE jobs SET due_at = 0 WHERE due_at > 0", [])?;
    Ok(())
}
