//! The SQL of the queue: one row for each image still in work, oldest first.

use rusqlite::{Connection, OptionalExtension, Result, params};

use crate::Job;
use crate::images::{damaged, unsigned};

/// Puts an image at the end of the queue.
pub(crate) fn enqueue(conn: &Connection, seq: i64) -> Result<()> {
    conn.prepare_cached("INSERT INTO jobs (image_seq, state, attempts) VALUES (?1, 'queued', 0)")?
        .execute([seq])?;
    Ok(())
}

/// Takes the oldest image that waits.
pub(crate) fn claim(conn: &Connection) -> Result<Option<Job>> {
    conn.prepare_cached(
        "UPDATE jobs SET state = 'running', attempts = attempts + 1
         WHERE image_seq = (SELECT image_seq FROM jobs WHERE state = 'queued' ORDER BY image_seq LIMIT 1)
         RETURNING image_seq, (SELECT id FROM images WHERE seq = image_seq), attempts",
    )?
    .query_row([], |row| {
        let id: String = row.get(1)?;
        Ok(Job {
            seq: row.get(0)?,
            id: id.parse().map_err(damaged)?,
            attempt: row.get(2)?,
        })
    })
    .optional()
}

/// Whether the job is still its holder's.
pub(crate) fn is_held(conn: &Connection, job: &Job) -> Result<bool> {
    conn.prepare_cached(
        "SELECT 1 FROM jobs WHERE image_seq = ?1 AND attempts = ?2 AND state = 'running'",
    )?
    .exists(params![job.seq, job.attempt])
}

/// Ends the job; `false` if it is no longer its holder's.
pub(crate) fn finish(conn: &Connection, job: &Job) -> Result<bool> {
    conn.prepare_cached(
        "DELETE FROM jobs WHERE image_seq = ?1 AND attempts = ?2 AND state = 'running'",
    )?
    .execute(params![job.seq, job.attempt])
    .map(|ended| ended == 1)
}

/// Lets the image wait again, as if it had not been claimed; `false` if the job is no longer its holder's.
pub(crate) fn release(conn: &Connection, job: &Job) -> Result<bool> {
    conn.prepare_cached(
        "UPDATE jobs SET state = 'queued', attempts = attempts - 1
         WHERE image_seq = ?1 AND attempts = ?2 AND state = 'running'",
    )?
    .execute(params![job.seq, job.attempt])
    .map(|released| released == 1)
}

/// The number of images in work, claimed or not.
pub(crate) fn count(conn: &Connection) -> Result<u64> {
    let count = conn
        .prepare_cached("SELECT count(*) FROM jobs")?
        .query_row([], |row| row.get(0))?;
    unsigned(count)
}

/// Lets all claimed images wait again, except those that have been claimed `attempts` times: their jobs end, and
/// their numbers are returned.
pub(crate) fn requeue_running(conn: &Connection, attempts: u32) -> Result<Vec<i64>> {
    let given_up = conn
        .prepare_cached(
            "DELETE FROM jobs WHERE state = 'running' AND attempts >= ?1 RETURNING image_seq",
        )?
        .query_map([attempts], |row| row.get(0))?
        .collect::<Result<_>>()?;
    conn.prepare_cached("UPDATE jobs SET state = 'queued' WHERE state = 'running'")?
        .execute([])?;
    Ok(given_up)
}
