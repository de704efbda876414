//! The SQL of the queue: one row for each image still in work, oldest first.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Result, params};

use crate::Job;
use crate::read::{damaged, unsigned};

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

/// Takes the oldest image that waits, new ones first.
pub(crate) fn claim(
    conn: &Connection,
    worker: &str,
    lease_until: Timestamp,
) -> Result<Option<Job>> {
    conn.prepare_cached(
        "UPDATE jobs SET state = 'running', attempts = attempts + 1, claims = claims + 1, worker = ?1, lease_until = ?2
         WHERE image_seq = (SELECT image_seq FROM jobs WHERE state = 'queued' ORDER BY again, image_seq LIMIT 1)
         RETURNING image_seq, (SELECT id FROM images WHERE seq = image_seq), attempts, claims, again",
    )?
    .query_row(params![worker, lease_until.as_millisecond()], |row| {
        let id: String = row.get(1)?;
        Ok(Job {
            seq: row.get(0)?,
            id: id.parse().map_err(damaged)?,
            attempt: row.get(2)?,
            claim: row.get(3)?,
            again: row.get(4)?,
        })
    })
    .optional()
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

/// How many leases run out at `now` or earlier, or how many there are.
pub(crate) fn ending(conn: &Connection, now: Option<Timestamp>) -> Result<u64> {
    let now = now.map_or(i64::MAX, Timestamp::as_millisecond);
    let count = conn
        .prepare_cached("SELECT count(*) FROM jobs WHERE state = 'running' AND lease_until <= ?1")?
        .query_row([now], |row| row.get(0))?;
    unsigned(count)
}

/// What became of claimed images whose workers are gone.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The numbers of those that had their last attempt, and of their last claims. Their jobs are gone.
    pub(crate) given_up: Vec<(i64, u32)>,
    /// How many wait again.
    pub(crate) waiting: usize,
}

/// Ends the leases that run out at `now` or earlier, or all of them: the images wait again, except those that have been
/// claimed `attempts` times.
pub(crate) fn end_leases(
    conn: &Connection,
    now: Option<Timestamp>,
    attempts: u32,
) -> Result<Ended> {
    let now = now.map_or(i64::MAX, Timestamp::as_millisecond);
    let given_up = conn
        .prepare_cached(
            "DELETE FROM jobs WHERE state = 'running' AND lease_until <= ?1 AND attempts >= ?2
             RETURNING image_seq, claims",
        )?
        .query_map(params![now, attempts], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_>>()?;
    let waiting = conn
        .prepare_cached(
            "UPDATE jobs SET state = 'queued', worker = NULL, lease_until = NULL
             WHERE state = 'running' AND lease_until <= ?1",
        )?
        .execute([now])?;
    Ok(Ended { given_up, waiting })
}
