//! The SQL that changes images, their results and their thumbnails.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use pipeline_core::{Caption, Metadata, Thumbnail};
use rusqlite::{Connection, OptionalExtension, Result, params};

use crate::read::{damaged, millis, signed, timestamp};
use crate::{ImageId, captions};

/// An image that has just been received.
#[derive(Debug, Clone)]
pub(crate) struct NewImage {
    pub(crate) id: ImageId,
    pub(crate) original_name: String,
    pub(crate) size_bytes: u64,
    pub(crate) sha256: [u8; 32],
}

/// Adds an image in work and returns its number.
pub(crate) fn insert(conn: &Connection, image: &NewImage) -> Result<i64> {
    conn.prepare_cached(
        "INSERT INTO images (id, original_name, size_bytes, sha256, created_at, state)
         VALUES (?1, ?2, ?3, ?4, ?5, 'processing') RETURNING seq",
    )?
    .query_row(
        params![
            image.id.to_string(),
            image.original_name,
            signed(image.size_bytes),
            image.sha256,
            Timestamp::now().as_millisecond(),
        ],
        |row| row.get(0),
    )
}

/// Whether there is such an image.
pub(crate) fn exists(conn: &Connection, id: ImageId) -> Result<bool> {
    conn.prepare_cached("SELECT 1 FROM images WHERE id = ?1")?
        .exists([id.to_string()])
}

/// The number of an image, and whether it is in work.
pub(crate) fn find(conn: &Connection, id: ImageId) -> Result<Option<(i64, bool)>> {
    conn.prepare_cached("SELECT seq, state = 'processing' FROM images WHERE id = ?1")?
        .query_row([id.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// When the oldest upload in work was accepted. Images that are done again are not meant.
pub(crate) fn oldest_unfinished(conn: &Connection) -> Result<Option<Timestamp>> {
    conn.prepare_cached(
        "SELECT created_at FROM images WHERE seq = (SELECT min(image_seq) FROM jobs WHERE again = 0)",
    )?
    .query_row([], |row| timestamp(row.get(0)?))
    .optional()
}

/// The digest of what was received, if there is such an image.
pub(crate) fn sha256(conn: &Connection, id: ImageId) -> Result<Option<[u8; 32]>> {
    conn.prepare_cached("SELECT sha256 FROM images WHERE id = ?1")?
        .query_row([id.to_string()], |row| row.get(0))
        .optional()
}

/// Removes an image with all that belongs to it; `false` if there was none.
pub(crate) fn delete(conn: &Connection, id: ImageId) -> Result<bool> {
    conn.prepare_cached("DELETE FROM images WHERE id = ?1")?
        .execute([id.to_string()])
        .map(|removed| removed == 1)
}

/// Stores what was found out about an image, whatever its state.
pub(crate) fn set_metadata(conn: &Connection, seq: i64, metadata: &Metadata) -> Result<()> {
    let metadata = serde_json::to_string(metadata)
        .map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
    conn.prepare_cached("UPDATE images SET metadata = ?2 WHERE seq = ?1")?
        .execute(params![seq, metadata])?;
    Ok(())
}

/// Stores thumbnails; `files` are the names of their files.
pub(crate) fn add_thumbnails(
    conn: &Connection,
    seq: i64,
    thumbnails: &[Thumbnail],
    files: &[String],
) -> Result<()> {
    let mut insert = conn.prepare_cached(
        "INSERT INTO thumbnails (image_seq, position, name, width, height, size_bytes, file)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for (position, (thumbnail, file)) in thumbnails.iter().zip(files).enumerate() {
        insert.execute(params![
            seq,
            signed(position as u64),
            thumbnail.name,
            thumbnail.width,
            thumbnail.height,
            signed(thumbnail.jpeg.len() as u64),
            file,
        ])?;
    }
    Ok(())
}

/// Stores that an image is done; its metadata is there by now. `claim` is the number of its last holder.
pub(crate) fn succeed(
    conn: &Connection,
    seq: i64,
    claim: u32,
    caption: Option<&Caption>,
    caption_error: Option<&str>,
    took: Duration,
) -> Result<()> {
    conn.prepare_cached(
        "UPDATE images SET state = 'success', processed_at = ?2, took_ms = ?3, caption_error = ?4, claims = ?5
         WHERE seq = ?1",
    )?
    .execute(params![
        seq,
        Timestamp::now().as_millisecond(),
        millis(took),
        caption_error,
        claim,
    ])?;
    if let Some(caption) = caption {
        captions::add_model(conn, seq, caption)?;
    }
    Ok(())
}

/// Stores a failure; `took` is `None` where it is not known.
pub(crate) fn fail(
    conn: &Connection,
    seq: i64,
    claim: u32,
    code: &str,
    message: &str,
    took: Option<Duration>,
) -> Result<()> {
    conn.prepare_cached(
        "UPDATE images SET state = 'failed', processed_at = ?2, took_ms = ?3, error_code = ?4, error_message = ?5,
                           claims = max(claims, ?6)
         WHERE seq = ?1",
    )?
    .execute(params![
        seq,
        Timestamp::now().as_millisecond(),
        took.map(millis),
        code,
        message,
        claim,
    ])?;
    Ok(())
}

/// Takes the result of an image away, except for its captions. The files of its thumbnails are left to the caller.
pub(crate) fn reopen(conn: &Connection, seq: i64) -> Result<()> {
    for clear in [
        "DELETE FROM thumbnails WHERE image_seq = ?1",
        "DELETE FROM stages WHERE image_seq = ?1",
        "UPDATE images SET state = 'processing', processed_at = NULL, took_ms = NULL, metadata = NULL,
                           caption_error = NULL, error_code = NULL, error_message = NULL
         WHERE seq = ?1",
    ] {
        conn.prepare_cached(clear)?.execute([seq])?;
    }
    Ok(())
}

/// The file of a thumbnail, in the folder of its image.
pub(crate) fn thumbnail_file(conn: &Connection, id: ImageId, name: &str) -> Result<Option<String>> {
    conn.prepare_cached(
        "SELECT file FROM thumbnails JOIN images ON seq = image_seq WHERE id = ?1 AND name = ?2",
    )?
    .query_row([&id.to_string(), name], |row| row.get(0))
    .optional()
}

/// The files of an image's thumbnails, in their order.
pub(crate) fn thumbnail_files(conn: &Connection, seq: i64) -> Result<Vec<String>> {
    conn.prepare_cached("SELECT file FROM thumbnails WHERE image_seq = ?1 ORDER BY position")?
        .query_map([seq], |row| row.get(0))?
        .collect()
}

/// The id of an image.
pub(crate) fn id(conn: &Connection, seq: i64) -> Result<Option<ImageId>> {
    conn.prepare_cached("SELECT id FROM images WHERE seq = ?1")?
        .query_row([seq], |row| row.get::<_, String>(0))
        .optional()?
        .map(|id| id.parse().map_err(damaged))
        .transpose()
}

/// Other images of the same bytes that are done, newest first.
pub(crate) fn twins(conn: &Connection, seq: i64) -> Result<Vec<(i64, ImageId)>> {
    let rows: Vec<(i64, String)> = conn
        .prepare_cached(
            "SELECT seq, id FROM images
             WHERE sha256 = (SELECT sha256 FROM images WHERE seq = ?1) AND seq != ?1 AND state = 'success'
             ORDER BY seq DESC LIMIT 8",
        )?
        .query_map([seq], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_>>()?;
    let parse = |(seq, id): (i64, String)| Ok((seq, id.parse().map_err(damaged)?));
    rows.into_iter().map(parse).collect()
}

/// The images whose ids begin with `prefix`, in lower case, and the files of their thumbnails.
pub(crate) fn files(conn: &Connection, prefix: &str) -> Result<HashMap<ImageId, HashSet<String>>> {
    let mut found: HashMap<ImageId, HashSet<String>> = HashMap::new();
    let mut select = conn.prepare_cached(
        "SELECT id, file FROM images LEFT JOIN thumbnails ON image_seq = seq WHERE id BETWEEN ?1 AND ?1 || 'g'",
    )?;
    let mut rows = select.query([prefix])?;
    while let Some(row) = rows.next()? {
        let id: String = row.get(0)?;
        let file: Option<String> = row.get(1)?;
        // An id that this crate did not write names no file of its own.
        if let Ok(id) = id.parse() {
            found.entry(id).or_default().extend(file);
        }
    }
    Ok(found)
}
