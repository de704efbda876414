//! The SQL of messages that wait to be delivered.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Result, params};
use uuid::Uuid;

use crate::read::{damaged, timestamp, unsigned};
use crate::{Message, Outbox};

/// Adds a message to each receiver of `outbox` that wants to know of this end. Part of the transaction that ends the
/// work, so that no end goes untold.
pub(crate) fn add(
    conn: &Connection,
    outbox: &Outbox,
    seq: i64,
    success: bool,
    due: Timestamp,
) -> Result<()> {
    let wanted = match success {
        true => outbox.successes,
        false => outbox.failures,
    };
    if !wanted || outbox.receivers.is_empty() {
        return Ok(());
    }
    let id = format!("msg_{}", Uuid::new_v4().simple());
    let mut insert = conn.prepare_cached(
        "INSERT INTO outbox (receiver, message_id, image_id, success, ended_at, due_at)
         SELECT ?1, ?2, id, ?3, processed_at, ?4 FROM images WHERE seq = ?5",
    )?;
    for receiver in &outbox.receivers {
        insert.execute(params![receiver, id, success, due.as_millisecond(), seq])?;
    }
    Ok(())
}

/// The message to `receiver` whose turn it is.
pub(crate) fn next(conn: &Connection, receiver: &str) -> Result<Option<Message>> {
    conn.prepare_cached(
        "SELECT seq, message_id, image_id, success, ended_at, attempts, due_at FROM outbox
         WHERE receiver = ?1 ORDER BY due_at, seq LIMIT 1",
    )?
    .query_row([receiver], |row| {
        let image: String = row.get(2)?;
        Ok(Message {
            seq: row.get(0)?,
            id: row.get(1)?,
            image: image.parse().map_err(damaged)?,
            success: row.get(3)?,
            ended_at: timestamp(row.get(4)?)?,
            attempts: row.get(5)?,
            due_at: timestamp(row.get(6)?)?,
        })
    })
    .optional()
}

/// Takes a message out.
pub(crate) fn remove(conn: &Connection, message: &Message) -> Result<()> {
    conn.prepare_cached("DELETE FROM outbox WHERE seq = ?1")?
        .execute([message.seq])?;
    Ok(())
}

/// Counts a failed attempt, and puts the next one off until `due`.
pub(crate) fn postpone(conn: &Connection, message: &Message, due: Timestamp) -> Result<()> {
    conn.prepare_cached("UPDATE outbox SET attempts = attempts + 1, due_at = ?2 WHERE seq = ?1")?
        .execute(params![message.seq, due.as_millisecond()])?;
    Ok(())
}

/// How many messages wait for `receiver`.
pub(crate) fn count(conn: &Connection, receiver: &str) -> Result<u64> {
    let count = conn
        .prepare_cached("SELECT count(*) FROM outbox WHERE receiver = ?1")?
        .query_row([receiver], |row| row.get(0))?;
    unsigned(count)
}

/// Whether anything waits for anybody, which includes receivers that are no longer there.
pub(crate) fn is_empty(conn: &Connection) -> Result<bool> {
    conn.prepare_cached("SELECT 1 FROM outbox LIMIT 1")?
        .exists([])
        .map(|any| !any)
}

/// Drops what ended at `before` or earlier, whoever it is for, and all but the newest `keep` messages to `receiver`.
/// Returns how many there were.
pub(crate) fn trim(
    conn: &Connection,
    receiver: &str,
    before: Timestamp,
    keep: u32,
) -> Result<usize> {
    conn.prepare_cached(
        "DELETE FROM outbox WHERE ended_at <= ?2 OR seq IN (
             SELECT seq FROM outbox WHERE receiver = ?1 ORDER BY seq DESC LIMIT -1 OFFSET ?3)",
    )?
    .execute(params![receiver, before.as_millisecond(), keep])
}
