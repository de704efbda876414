//! The SQL of uploads that may be sent a second time.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Result, params};

use crate::ImageId;
use crate::read::{damaged, millis};

/// How long a key is remembered.
const AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// What is known of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing, or too long ago, or its image is gone.
    New,
    /// The same bytes came with it, and became this image.
    Same(ImageId),
    /// Other bytes came with it.
    Other,
}

/// Looks a key up. One whose image is deleted, or has lost its file, answers no sender: it has what is missing.
pub(crate) fn look_up(conn: &Connection, key: &str, sha256: &[u8; 32]) -> Result<Known> {
    let found = conn
        .prepare_cached(
            "SELECT upload_keys.sha256, id FROM upload_keys JOIN images ON id = image_id
             WHERE key = ?1 AND upload_keys.created_at > ?2 AND error_code IS NOT 'original-lost'",
        )?
        .query_row(params![key, oldest()], |row| {
            Ok((row.get::<_, [u8; 32]>(0)?, row.get::<_, String>(1)?))
        })
        .optional()?;
    Ok(match found {
        None => Known::New,
        Some((digest, id)) if digest == *sha256 => Known::Same(id.parse().map_err(damaged)?),
        Some(_) => Known::Other,
    })
}

/// Remembers a key, and forgets those that are too old.
pub(crate) fn remember(conn: &Connection, key: &str, sha256: &[u8; 32], id: ImageId) -> Result<()> {
    conn.prepare_cached("DELETE FROM upload_keys WHERE created_at <= ?1")?
        .execute([oldest()])?;
    conn.prepare_cached(
        "INSERT OR REPLACE INTO upload_keys (key, sha256, image_id, created_at) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![
        key,
        sha256,
        id.to_string(),
        Timestamp::now().as_millisecond()
    ])?;
    Ok(())
}

fn oldest() -> i64 {
    Timestamp::now()
        .as_millisecond()
        .saturating_sub(millis(AGE))
}
