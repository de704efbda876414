//! The SQL of captions: every one that an image ever had, and which of them holds.

use jiff::Timestamp;
use pipeline_core::Caption;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use crate::read::timestamp;
use crate::{CaptionRecord, CaptionSource, CaptionerId};

/// What [`record`] reads, of the table `captions`.
pub(crate) const COLUMNS: &str = "captions.text, captions.source, captions.model, captions.weights_sha256, \
                                  captions.settings, captions.score, captions.warning, \
                                  captions.created_at AS written_at";

/// Stores what a model wrote. It holds from now on, unless a person's text does.
pub(crate) fn add_model(conn: &Connection, image: i64, caption: &Caption) -> Result<()> {
    let seq: i64 = conn
        .prepare_cached(
            "INSERT INTO captions (image_seq, text, source, model, weights_sha256, settings, score, warning, created_at)
             VALUES (?1, ?2, 'model', ?3, ?4, ?5, ?6, ?7, ?8) RETURNING seq",
        )?
        .query_row(
            params![
                image,
                caption.text,
                caption.model,
                caption.weights_sha256,
                caption.settings,
                // A score that is no number is none.
                caption.score.filter(|score| score.is_finite()),
                caption.warning.map(|warning| warning.code()),
                Timestamp::now().as_millisecond(),
            ],
            |row| row.get(0),
        )?;
    conn.prepare_cached(
        "UPDATE images SET caption_seq = ?2 WHERE seq = ?1
         AND NOT EXISTS (SELECT 1 FROM captions WHERE captions.seq = caption_seq AND source = 'human')",
    )?
    .execute([image, seq])?;
    Ok(())
}

/// Stores what a person wrote, and lets it hold.
pub(crate) fn add_human(conn: &Connection, image: i64, text: &str) -> Result<()> {
    let seq: i64 = conn
        .prepare_cached(
            "INSERT INTO captions (image_seq, text, source, created_at) VALUES (?1, ?2, 'human', ?3) RETURNING seq",
        )?
        .query_row(params![image, text, Timestamp::now().as_millisecond()], |row| row.get(0))?;
    conn.prepare_cached("UPDATE images SET caption_seq = ?2 WHERE seq = ?1")?
        .execute([image, seq])?;
    Ok(())
}

/// Lets the newest caption by a model hold, if there is one.
pub(crate) fn drop_human(conn: &Connection, image: i64) -> Result<()> {
    conn.prepare_cached(
        "UPDATE images SET caption_seq = (SELECT max(seq) FROM captions WHERE image_seq = ?1 AND source = 'model')
         WHERE seq = ?1",
    )?
    .execute([image])?;
    Ok(())
}

/// All captions of an image, newest first.
pub(crate) fn all(conn: &Connection, image: i64) -> Result<Vec<CaptionRecord>> {
    conn.prepare_cached(&format!(
        "SELECT {COLUMNS}, captions.seq IS caption_seq AS is_current
         FROM captions JOIN images ON images.seq = image_seq
         WHERE image_seq = ?1 ORDER BY captions.seq DESC"
    ))?
    .query_map([image], |row| record(row, row.get("is_current")?))?
    .collect()
}

/// The newest caption by a model, if it is by exactly this one.
pub(crate) fn by(
    conn: &Connection,
    image: i64,
    captioner: &CaptionerId,
) -> Result<Option<CaptionRecord>> {
    let newest = conn
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM captions WHERE image_seq = ?1 AND source = 'model' ORDER BY seq DESC LIMIT 1"
        ))?
        .query_row([image], |row| record(row, false))
        .optional()?;
    Ok(newest.filter(|caption| {
        caption.model.as_ref() == Some(&captioner.model)
            && caption.weights_sha256.as_ref() == Some(&captioner.weights_sha256)
            && caption.settings == captioner.settings
    }))
}

/// A caption out of [`COLUMNS`].
pub(crate) fn record(row: &Row<'_>, is_current: bool) -> Result<CaptionRecord> {
    let source: String = row.get("source")?;
    Ok(CaptionRecord {
        text: row.get("text")?,
        // The table's CHECK allows these two only.
        source: match source.as_str() {
            "human" => CaptionSource::Human,
            _ => CaptionSource::Model,
        },
        model: row.get("model")?,
        weights_sha256: row.get("weights_sha256")?,
        settings: row.get("settings")?,
        score: row.get("score")?,
        warning: row.get("warning")?,
        created_at: timestamp(row.get("written_at")?)?,
        is_current,
    })
}
