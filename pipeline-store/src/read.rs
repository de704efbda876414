//! The SQL that reads images, and how rows become records.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::types::{ToSql, Type};
use rusqlite::{Connection, Result, Row, params_from_iter};

use crate::stages::{self, InWork};
use crate::{CaptionRecord, ImageId, ImageRecord, ImageState, Partial, ThumbnailInfo, captions};

/// One image.
pub(crate) fn get(conn: &Connection, id: ImageId) -> Result<Option<ImageRecord>> {
    let images = select(conn, "images", "WHERE id = ?1", &[&id.to_string()])?;
    Ok(images.into_iter().next().map(|(_, image)| image))
}

/// The images that `clause` chooses out of `tables`, complete, with their numbers.
pub(crate) fn select(
    conn: &Connection,
    tables: &str,
    clause: &str,
    params: &[&dyn ToSql],
) -> Result<Vec<(i64, ImageRecord)>> {
    let columns = captions::COLUMNS;
    let rows: Vec<(i64, Found)> = conn
        .prepare_cached(&format!(
            "SELECT images.seq, id, original_name, size_bytes, sha256, images.created_at, images.state, processed_at,
                    took_ms, metadata, caption_error, error_code, error_message,
                    jobs.state AS job_state, jobs.attempts AS job_attempts, {columns}
             FROM {tables} LEFT JOIN captions ON captions.seq = images.caption_seq
                           LEFT JOIN jobs ON jobs.image_seq = images.seq
             {clause}"
        ))?
        .query_map(params_from_iter(params), |row| {
            Ok((row.get("seq")?, found(row)?))
        })?
        .collect::<Result<_>>()?;
    let numbers: Vec<String> = rows.iter().map(|(seq, _)| seq.to_string()).collect();
    let numbers = format!("[{}]", numbers.join(","));
    let mut thumbnails = thumbnails(conn, &numbers)?;
    let mut ended = stages::ended(conn, &numbers)?;
    let complete = |(seq, found): (i64, Found)| {
        let thumbnails = thumbnails.remove(&seq).unwrap_or_default();
        let ended = ended.remove(&seq).unwrap_or_default();
        found
            .complete(thumbnails, ended)
            .map(|record| (seq, record))
    };
    rows.into_iter().map(complete).collect()
}

/// The thumbnails of each of the images of the JSON array `images`.
fn thumbnails(conn: &Connection, images: &str) -> Result<HashMap<i64, Vec<ThumbnailInfo>>> {
    let mut thumbnails: HashMap<i64, Vec<ThumbnailInfo>> = HashMap::new();
    let mut select = conn.prepare_cached(
        "SELECT image_seq, name, width, height, size_bytes FROM thumbnails
         WHERE image_seq IN (SELECT value FROM json_each(?1)) ORDER BY image_seq, position",
    )?;
    let mut rows = select.query([images])?;
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
    Ok(thumbnails)
}

/// An image without what other tables have of it.
struct Found {
    record: ImageRecord,
    metadata: Option<String>,
    job: Option<InWork>,
}

impl Found {
    fn complete(self, mut of: Vec<ThumbnailInfo>, ended: stages::Ended) -> Result<ImageRecord> {
        let Self {
            mut record,
            metadata: text,
            job,
        } = self;
        let parse = |text: &String| serde_json::from_str(text).map_err(damaged);
        match &mut record.state {
            ImageState::Success { thumbnails, .. } => *thumbnails = std::mem::take(&mut of),
            ImageState::Processing => {
                record.partial = Some(Partial {
                    metadata: text.as_ref().map(parse).transpose()?,
                    thumbnails: of,
                });
            }
            ImageState::Failed { .. } => {}
        }
        record.stages = stages::of(ended, &record.state, job);
        Ok(record)
    }
}

fn found(row: &Row<'_>) -> Result<Found> {
    let id: String = row.get("id")?;
    let state: String = row.get("state")?;
    let has_caption = row.get::<_, Option<String>>("source")?.is_some();
    let caption = has_caption
        .then(|| captions::record(row, true))
        .transpose()?;
    let job_state: Option<String> = row.get("job_state")?;
    let job = match job_state {
        Some(state) => Some(InWork {
            is_running: state == "running",
            attempts: row.get("job_attempts")?,
        }),
        None => None,
    };
    // The table's CHECKs allow these three only.
    let state = match state.as_str() {
        "processing" => ImageState::Processing,
        "success" => succeeded(row, caption.as_ref())?,
        _ => failed(row)?,
    };
    Ok(Found {
        record: ImageRecord {
            id: id.parse().map_err(damaged)?,
            original_name: row.get("original_name")?,
            size_bytes: unsigned(row.get("size_bytes")?)?,
            sha256: row.get("sha256")?,
            created_at: timestamp(row.get("created_at")?)?,
            stages: stages::of(stages::Ended::new(), &state, job),
            state,
            partial: None,
            caption,
        },
        metadata: row.get("metadata")?,
        job,
    })
}

fn succeeded(row: &Row<'_>, caption: Option<&CaptionRecord>) -> Result<ImageState> {
    let metadata: String = row.get("metadata")?;
    Ok(ImageState::Success {
        processed_at: timestamp(row.get("processed_at")?)?,
        took: took(row)?,
        metadata: serde_json::from_str(&metadata).map_err(damaged)?,
        thumbnails: Vec::new(),
        caption: caption.map(CaptionRecord::to_caption),
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
    duration(millis.unwrap_or(0))
}

pub(crate) fn duration(millis: i64) -> Result<Duration> {
    unsigned(millis).map(Duration::from_millis)
}

pub(crate) fn timestamp(millis: i64) -> Result<Timestamp> {
    Timestamp::from_millisecond(millis).map_err(damaged)
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// SQLite's integers are signed; nothing that is counted here comes near their end.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(value: i64) -> Result<u64> {
    u64::try_from(value).map_err(damaged)
}

/// A value that this crate did not write.
pub(crate) fn damaged(error: impl StdError + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
}
