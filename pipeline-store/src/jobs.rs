//! The SQL of the queue: one row for each image still in work. Whose turn it is, `turns` says.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, Result, params};

use crate::Job;
use crate::read::{millis, unsigned};

/// Puts an image at the end of the queue.
pub(crate) fn enqueue(conn: &Connection, seq: i64) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO jobs (image_seq, state, attempts, claims) VALUES (?1, 'queued', 0, 0)",
    )?
    .execute([seq])?;
    Ok(())
}

/// Queues an image that has had its result, at its old place or behind all uploads; its last holder's number is not given
/// again.
pub(crate) fn enqueue_again(conn: &Connection, seq: i64, behind: bool) -> Result<()> {
    conn.prepare_cached(
        "INSERT OR IGNORE INTO jobs (image_seq, state, attempts, claims, again)
         SELECT seq, 'queued', 0, claims, ?2 FROM images WHERE seq = ?1",
    )?
    .execute(params![seq, behind])?;
    Ok(())
}

/// Whether the job is still its holder's.
pub(crate) fn is_held(conn: &Connection, job: &Job) -> Result<bool> {
    conn.prepare_cached(
        "SELECT 1 FROM jobs WHERE image_seq = ?1 AND claims = ?2 AND state = 'running'",
    )?
    .exists(params![job.seq, job.claim])
}

/// Puts off the end of the lease; `false` if the job is no longer its holder's.
pub(crate) fn renew(conn: &Connection, job: &Job, lease_until: Timestamp) -> Result<bool> {
    conn.prepare_cached(
        "UPDATE jobs SET lease_until = ?3 WHERE image_seq = ?1 AND claims = ?2 AND state = 'running'",
    )?
    .execute(params![job.seq, job.claim, lease_until.as_millisecond()])
    .map(|renewed| renewed == 1)
}

/// Ends the job; `false` if it is no longer its holder's.
pub(crate) fn finish(conn: &Connection, job: &Job) -> Result<bool> {
    conn.prepare_cached(
        "DELETE FROM jobs WHERE image_seq = ?1 AND claims = ?2 AND state = 'running'",
    )?
    .execute(params![job.seq, job.claim])
    .map(|ended| ended == 1)
}

/// Lets the image wait again; `false` if the job is no longer its holder's. `counts` says whether the claim was an
/// attempt.
pub(crate) fn release(conn: &Connection, job: &Job, counts: bool) -> Result<bool> {
    conn.prepare_cached(
        "UPDATE jobs SET state = 'queued', attempts = attempts - ?3, worker = NULL, lease_until = NULL
         WHERE image_seq = ?1 AND claims = ?2 AND state = 'running'",
    )?
    .execute(params![job.seq, job.claim, i64::from(!counts)])
    .map(|released| released == 1)
}

/// Lets the image wait for its caption; `took` is what its holder has spent on the rest. `false` if the job is no longer
/// its holder's. The claim was no attempt.
pub(crate) fn put_back(conn: &Connection, job: &Job, took: Duration) -> Result<bool> {
    conn.prepare_cached(
        "UPDATE jobs SET state = 'queued', attempts = attempts - 1, worker = NULL, lease_until = NULL,
                         spent_ms = spent_ms + ?3
         WHERE image_seq = ?1 AND claims = ?2 AND state = 'running'",
    )?
    .execute(params![job.seq, job.claim, millis(took)])
    .map(|released| released == 1)
}

/// Lets the image wait until `due`, `pause` from now; `false` if the job is no longer its holder's. The claim was no
/// attempt.
pub(crate) fn put_off(
    conn: &Connection,
    job: &Job,
    pause: Duration,
    due: Timestamp,
) -> Result<bool> {
    conn.prepare_cached(
        "UPDATE jobs SET state = 'queued', attempts = attempts - 1, worker = NULL, lease_until = NULL,
                         put_off_ms = put_off_ms + ?3, due_at = ?4
         WHERE image_seq = ?1 AND claims = ?2 AND state = 'running'",
    )?
    .execute(params![job.seq, job.claim, millis(pause), due.as_millisecond()])
    .map(|released| released == 1)
}

/// Notes that nothing but the caption is left to do.
pub(crate) fn set_prepared(conn: &Connection, job: &Job) -> Result<()> {
    conn.prepare_cached("UPDATE jobs SET prepared = 1 WHERE image_seq = ?1")?
        .execute([job.seq])?;
    Ok(())
}

/// The number of images in work, claimed or not.
pub(crate) fn count(conn: &Connection) -> Result<u64> {
    let count = conn
        .prepare_cached("SELECT count(*) FROM jobs")?
        .query_row([], |row| row.get(0))?;
    unsigned(count)
}

/// The number of uploads in work, claimed or not. Images that are done again are not meant.
pub(crate) fn count_new(conn: &Connection) -> Result<u64> {
    let count = conn
        .prepare_cached("SELECT count(*) FROM jobs WHERE again = 0")?
        .query_row([], |row| row.get(0))?;
    unsigned(count)
}

/// Whether a lease runs out at `now` or earlier, or whether there is any.
pub(crate) fn is_any_ending(conn: &Connection, now: Option<Timestamp>) -> Result<bool> {
    let now = now.map_or(i64::MAX, Timestamp::as_millisecond);
    conn.prepare_cached("SELECT 1 FROM jobs WHERE state = 'running' AND lease_until <= ?1")?
        .exists([now])
}

/// What became of claimed images whose workers are gone.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The numbers of those that had their last attempt, and of their last claims. Their jobs are gone.
    pub(crate) given_up: Vec<(i64, u32)>,
    /// The numbers of those that wait again.
    pub(crate) waiting: Vec<i64>,
}

/// Ends the leases that run out at `now` or earlier: the images wait again, except those that have been claimed `attempts`
/// times.
pub(crate) fn expire(conn: &Connection, now: Timestamp, attempts: u32) -> Result<Ended> {
    let given_up = give_up(conn, now.as_millisecond(), attempts)?;
    let waiting = conn
        .prepare_cached(
            "UPDATE jobs SET state = 'queued', worker = NULL, lease_until = NULL
             WHERE state = 'running' AND lease_until <= ?1 RETURNING image_seq",
        )?
        .query_map([now.as_millisecond()], |row| row.get(0))?
        .collect::<Result<_>>()?;
    Ok(Ended { given_up, waiting })
}

/// Ends all leases after the end of the process. One image that was alone in work is given up if it has been claimed
/// `attempts` times. All others may be innocent, and are under suspicion from now on.
pub(crate) fn interrupt(conn: &Connection, attempts: u32) -> Result<Ended> {
    let running: u32 = conn
        .prepare_cached("SELECT count(*) FROM jobs WHERE state = 'running'")?
        .query_row([], |row| row.get(0))?;
    let given_up = match running {
        1 => give_up(conn, i64::MAX, attempts)?,
        _ => Vec::new(),
    };
    let waiting = conn
        .prepare_cached(
            "UPDATE jobs SET state = 'queued', worker = NULL, lease_until = NULL, suspect = 1
             WHERE state = 'running' RETURNING image_seq",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_>>()?;
    Ok(Ended { given_up, waiting })
}

/// Takes those out whose leases run out at `now` or earlier and that have been claimed `attempts` times.
fn give_up(conn: &Connection, now: i64, attempts: u32) -> Result<Vec<(i64, u32)>> {
    conn.prepare_cached(
        "DELETE FROM jobs WHERE state = 'running' AND lease_until <= ?1 AND attempts >= ?2
         RETURNING image_seq, claims",
    )?
    .query_map(params![now, attempts], |row| Ok((row.get(0)?, row.get(1)?)))?
    .collect()
}
