//! The SQL of the doctor: what rows should be like, and how to put an image back to work.

use rusqlite::{Connection, OptionalExtension, Result};

use crate::read::unsigned;
use crate::{ImageId, images, jobs};

/// What the doctor looks at in an image's row.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) seq: i64,
    pub(crate) id: String,
    pub(crate) in_work: bool,
    pub(crate) has_job: bool,
    pub(crate) size_bytes: u64,
}

/// What the doctor looks at in a thumbnail's row.
#[derive(Debug)]
pub(crate) struct ThumbnailRow {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) size_bytes: u64,
}

/// What SQLite finds wrong with the file or with the links between rows; 20 lines at the most.
pub(crate) fn integrity(conn: &Connection) -> Result<Vec<String>> {
    let mut lines: Vec<String> = conn
        .prepare("PRAGMA integrity_check(20)")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_>>()?;
    lines.retain(|line| line != "ok");
    let dangling = conn
        .prepare("PRAGMA foreign_key_check")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<Vec<String>>>()?;
    lines.extend(
        dangling
            .into_iter()
            .take(20)
            .map(|table| format!("a row of `{table}` belongs to no image")),
    );
    Ok(lines)
}

/// All images, in the order of their ids.
pub(crate) fn rows(conn: &Connection) -> Result<Vec<Row>> {
    conn.prepare(
        "SELECT seq, id, images.state = 'processing', image_seq IS NOT NULL, size_bytes
         FROM images LEFT JOIN jobs ON image_seq = seq ORDER BY id",
    )?
    .query_map([], |row| {
        Ok(Row {
            seq: row.get(0)?,
            id: row.get(1)?,
            in_work: row.get(2)?,
            has_job: row.get(3)?,
            size_bytes: unsigned(row.get(4)?)?,
        })
    })?
    .collect()
}

/// The thumbnails of an image.
pub(crate) fn thumbnails(conn: &Connection, seq: i64) -> Result<Vec<ThumbnailRow>> {
    conn.prepare_cached("SELECT name, file, size_bytes FROM thumbnails WHERE image_seq = ?1")?
        .query_map([seq], |row| {
            Ok(ThumbnailRow {
                name: row.get(0)?,
                file: row.get(1)?,
                size_bytes: unsigned(row.get(2)?)?,
            })
        })?
        .collect()
}

/// The number of an image's row.
pub(crate) fn seq(conn: &Connection, id: ImageId) -> Result<Option<i64>> {
    conn.query_row(
        "SELECT seq FROM images WHERE id = ?1",
        [id.to_string()],
        |row| row.get(0),
    )
    .optional()
}

/// The size of what was received, in bytes.
pub(crate) fn size(conn: &Connection, id: ImageId) -> Result<Option<u64>> {
    let select = "SELECT size_bytes FROM images WHERE id = ?1";
    conn.query_row(select, [id.to_string()], |row| unsigned(row.get(0)?))
        .optional()
}

/// Whether an image has no result yet.
pub(crate) fn is_in_work(conn: &Connection, seq: i64) -> Result<bool> {
    let select = "SELECT state = 'processing' FROM images WHERE seq = ?1";
    conn.query_row(select, [seq], |row| row.get(0))
}

/// Takes the result of an image away and queues it.
pub(crate) fn put_back_to_work(conn: &Connection, seq: i64) -> Result<()> {
    images::reopen(conn, seq)?;
    jobs::enqueue_again(conn, seq, false)
}

/// Removes the job of an image that has its result.
pub(crate) fn remove_job(conn: &Connection, seq: i64) -> Result<()> {
    conn.execute("DELETE FROM jobs WHERE image_seq = ?1", [seq])?;
    Ok(())
}
