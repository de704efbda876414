//! The SQL of images, their results and their thumbnails.

use std::collections::{HashMap, HashSet};
use std::error::Error as StdError;
use std::time::Duration;

use jiff::Timestamp;
use pipeline_core::Caption;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Params, Result, Row, params};

use crate::{Cursor, ImageId, ImageRecord, ImageState, Listing, Outcome, Page, ThumbnailInfo};

/// An image that has just been received.
#[derive(Debug)]
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
         VALUES (?1, ?2, ?3, ?4, ?5, 'processing')",
    )?
    .insert(params![
        image.id.to_string(),
        image.original_name,
        signed(image.size_bytes),
        image.sha256,
        Timestamp::now().as_millisecond(),
    ])
}

/// Whether there is such an image.
pub(crate) fn exists(conn: &Connection, id: ImageId) -> Result<bool> {
    conn.prepare_cached("SELECT 1 FROM images WHERE id = ?1")?
        .exists([id.to_string()])
}

/// When the oldest image in work was accepted.
pub(crate) fn oldest_unfinished(conn: &Connection) -> Result<Option<Timestamp>> {
    conn.prepare_cached(
        "SELECT created_at FROM images WHERE seq = (SELECT min(image_seq) FROM jobs)",
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

/// Removes an image with its thumbnails and its job; `false` if there was none.
pub(crate) fn delete(conn: &Connection, id: ImageId) -> Result<bool> {
    conn.prepare_cached("DELETE FROM images WHERE id = ?1")?
        .execute([id.to_string()])
        .map(|removed| removed == 1)
}

/// Stores a result; `files` are the names of the thumbnails' files.
pub(crate) fn succeed(
    conn: &Connection,
    seq: i64,
    outcome: &Outcome<'_>,
    files: &[String],
    took: Duration,
) -> Result<()> {
    let metadata = serde_json::to_string(outcome.metadata)
        .map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
    conn.prepare_cached(
        "UPDATE images SET state = 'success', processed_at = ?2, took_ms = ?3, metadata = ?4,
                           caption = ?5, caption_model = ?6, caption_error = ?7
         WHERE seq = ?1",
    )?
    .execute(params![
        seq,
        Timestamp::now().as_millisecond(),
        millis(took),
        metadata,
        outcome.caption.map(|caption| &caption.text),
        outcome.caption.map(|caption| &caption.model),
        outcome.caption_error,
    ])?;
    let mut insert = conn.prepare_cached(
        "INSERT INTO thumbnails (image_seq, position, name, width, height, size_bytes, file)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for (position, (thumbnail, file)) in outcome.thumbnails.iter().zip(files).enumerate() {
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

/// Stores a failure; `took` is `None` where it is not known.
pub(crate) fn fail(
    conn: &Connection,
    seq: i64,
    code: &str,
    message: &str,
    took: Option<Duration>,
) -> Result<()> {
    conn.prepare_cached(
        "UPDATE images SET state = 'failed', processed_at = ?2, took_ms = ?3, error_code = ?4, error_message = ?5
         WHERE seq = ?1",
    )?
    .execute(params![
        seq,
        Timestamp::now().as_millisecond(),
        took.map(millis),
        code,
        message,
    ])?;
    Ok(())
}

/// One image.
pub(crate) fn get(conn: &Connection, id: ImageId) -> Result<Option<ImageRecord>> {
    let images = select(conn, "WHERE id = ?1", [id.to_string()])?;
    Ok(images.into_iter().next().map(|(_, image)| image))
}

/// One page of images; call it on one snapshot.
pub(crate) fn list(conn: &Connection, page: &Page) -> Result<Listing> {
    // One more than asked for tells whether there is a next page. SQLite takes -1 as no limit.
    let limit = page.limit.map(|limit| limit.get());
    let fetch = limit.map_or(-1, |limit| signed(limit as u64).saturating_add(1));
    let before = page.after.map_or(i64::MAX, |Cursor(seq)| seq);
    let mut images = select(
        conn,
        "WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2",
        [before, fetch],
    )?;
    let mut next = None;
    if let Some(limit) = limit
        && images.len() > limit
    {
        images.truncate(limit);
        next = images.last().map(|(seq, _)| Cursor(*seq));
    }
    let total: i64 = conn
        .prepare_cached("SELECT count(*) FROM images")?
        .query_row([], |row| row.get(0))?;
    Ok(Listing {
        images: images.into_iter().map(|(_, image)| image).collect(),
        next,
        total: unsigned(total)?,
    })
}

/// The file of a thumbnail, in the folder of its image.
pub(crate) fn thumbnail_file(conn: &Connection, id: ImageId, name: &str) -> Result<Option<String>> {
    conn.prepare_cached(
        "SELECT file FROM thumbnails JOIN images ON seq = image_seq WHERE id = ?1 AND name = ?2",
    )?
    .query_row([&id.to_string(), name], |row| row.get(0))
    .optional()
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

/// The images that `clause` chooses, complete, with their numbers.
fn select(conn: &Connection, clause: &str, params: impl Params) -> Result<Vec<(i64, ImageRecord)>> {
    let mut images: Vec<(i64, ImageRecord)> = conn
        .prepare_cached(&format!(
            "SELECT seq, id, original_name, size_bytes, sha256, created_at, state, processed_at, took_ms, metadata,
                    caption, caption_model, caption_error, error_code, error_message
             FROM images {clause}"
        ))?
        .query_map(params, |row| Ok((row.get("seq")?, record(row)?)))?
        .collect::<Result<_>>()?;
    let newest = images.iter().map(|(seq, _)| *seq).max();
    let oldest = images.iter().map(|(seq, _)| *seq).min();
    let mut thumbnails: HashMap<i64, Vec<ThumbnailInfo>> = HashMap::new();
    let mut select = conn.prepare_cached(
        "SELECT image_seq, name, width, height, size_bytes FROM thumbnails
         WHERE image_seq BETWEEN ?1 AND ?2 ORDER BY image_seq, position",
    )?;
    let mut rows = select.query([oldest, newest])?;
    while let Some(row) = rows.next()? {
        thumbnails
            .entry(row.get("image_seq")?)
            .or_default()
            .push(ThumbnailInfo {
                name: row.get("name")?,
                width: row.get("width")?,
                height: row.get("height")?,
                size_bytes: unsigned(row.get("size_bytes")?)?,
            });
    }
    for (seq, image) in &mut images {
        if let ImageState::Success { thumbnails: of, .. } = &mut image.state {
            *of = thumbnails.remove(seq).unwrap_or_default();
        }
    }
    Ok(images)
}

/// An image without its thumbnails.
fn record(row: &Row<'_>) -> Result<ImageRecord> {
    let id: String = row.get("id")?;
    let state: String = row.get("state")?;
    Ok(ImageRecord {
        id: id.parse().map_err(damaged)?,
        original_name: row.get("original_name")?,
        size_bytes: unsigned(row.get("size_bytes")?)?,
        sha256: row.get("sha256")?,
        created_at: timestamp(row.get("created_at")?)?,
        // The table's CHECKs allow these three only.
        state: match state.as_str() {
            "processing" => ImageState::Processing,
            "success" => succeeded(row)?,
            _ => failed(row)?,
        },
    })
}

fn succeeded(row: &Row<'_>) -> Result<ImageState> {
    let metadata: String = row.get("metadata")?;
    let caption: Option<String> = row.get("caption")?;
    let model: Option<String> = row.get("caption_model")?;
    Ok(ImageState::Success {
        processed_at: timestamp(row.get("processed_at")?)?,
        took: took(row)?,
        metadata: serde_json::from_str(&metadata).map_err(damaged)?,
        thumbnails: Vec::new(),
        caption: caption
            .zip(model)
            .map(|(text, model)| Caption::new(text, model)),
        caption_error: row.get("caption_error")?,
    })
}

fn failed(row: &Row<'_>) -> Result<ImageState> {
    Ok(ImageState::Failed {
        processed_at: timestamp(row.get("processed_at")?)?,
        took: took(row)?,
        code: row.get("error_code")?,
        message: row.get("error_message")?,
    })
}

fn took(row: &Row<'_>) -> Result<Duration> {
    let millis: Option<i64> = row.get("took_ms")?;
    unsigned(millis.unwrap_or(0)).map(Duration::from_millis)
}

fn timestamp(millis: i64) -> Result<Timestamp> {
    Timestamp::from_millisecond(millis).map_err(damaged)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// SQLite's integers are signed; nothing that is counted here comes near their end.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(value: i64) -> Result<u64> {
    u64::try_from(value).map_err(damaged)
}

/// A value that this crate did not write.
pub(crate) fn damaged(error: impl StdError + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
}
