//! The SQL of stages, and what follows from it about those that have no row.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, Result, params};

use crate::model::{StageName, StageRecord, StageState, Stages};
use crate::read::timestamp;
use crate::{ImageState, Job};

/// Stores that a stage has ended, unless that is known; `took` is `None` where it is not known.
pub(crate) fn finish(
    conn: &Connection,
    job: &Job,
    stage: StageName,
    took: Option<Duration>,
    error_code: Option<&str>,
) -> Result<()> {
    conn.prepare_cached(
        "INSERT OR IGNORE INTO stages (image_seq, stage, error_code, duration_ms, attempts, finished_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        job.seq,
        stage.as_str(),
        error_code,
        took.map(|took| took.as_secs_f64() * 1e3),
        job.attempt,
        Timestamp::now().as_millisecond(),
    ])?;
    Ok(())
}

/// Whether what a stage found is stored.
pub(crate) fn is_done(conn: &Connection, image: i64, stage: StageName) -> Result<bool> {
    conn.prepare_cached(
        "SELECT 1 FROM stages WHERE image_seq = ?1 AND stage = ?2 AND error_code IS NULL",
    )?
    .exists(params![image, stage.as_str()])
}

/// The stages that have ended, of each of the images of the JSON array `images`.
pub(crate) fn ended(conn: &Connection, images: &str) -> Result<HashMap<i64, Ended>> {
    let mut found: HashMap<i64, Ended> = HashMap::new();
    let mut select = conn.prepare_cached(
        "SELECT image_seq, stage, error_code, duration_ms, attempts, finished_at FROM stages
         WHERE image_seq IN (SELECT value FROM json_each(?1))",
    )?;
    let mut rows = select.query([images])?;
    while let Some(row) = rows.next()? {
        let stage: String = row.get("stage")?;
        let error_code: Option<String> = row.get("error_code")?;
        let took_ms: Option<f64> = row.get("duration_ms")?;
        let record = StageRecord {
            state: match error_code {
                Some(_) => StageState::Failed,
                None => StageState::Success,
            },
            took: took_ms.and_then(|ms| Duration::try_from_secs_f64(ms / 1e3).ok()),
            attempts: row.get("attempts")?,
            finished_at: Some(timestamp(row.get("finished_at")?)?),
            error_code,
        };
        found
            .entry(row.get("image_seq")?)
            .or_default()
            .insert(stage, record);
    }
    Ok(found)
}

/// Stages that have ended, by their names.
pub(crate) type Ended = HashMap<String, StageRecord>;

/// The job of an image in work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InWork {
    pub(crate) is_running: bool,
    pub(crate) attempts: u32,
}

/// All stages of an image. The first that has not ended is the one in work, or the one that failed; nothing comes after a
/// failure.
pub(crate) fn of(mut ended: Ended, state: &ImageState, job: Option<InWork>) -> Stages {
    let mut is_first = true;
    let mut next = |stage: StageName| {
        if let Some(known) = ended.remove(stage.as_str()) {
            is_first &= known.state != StageState::Failed;
            return known;
        }
        let is_first = std::mem::take(&mut is_first);
        let open = |state, attempts| StageRecord {
            state,
            took: None,
            attempts,
            finished_at: None,
            error_code: None,
        };
        match (state, job) {
            (ImageState::Processing, Some(job)) if job.is_running && is_first => {
                open(StageState::Running, job.attempts)
            }
            (ImageState::Processing, job) => {
                // An attempt that is under way has not come this far.
                let attempts = job.map_or(0, |job| job.attempts - u32::from(job.is_running));
                open(StageState::Waiting, attempts)
            }
            (
                ImageState::Failed {
                    processed_at, code, ..
                },
                _,
            ) if is_first => StageRecord {
                finished_at: Some(*processed_at),
                error_code: Some(code.clone()),
                ..open(StageState::Failed, 1)
            },
            _ => open(StageState::Skipped, 0),
        }
    };
    let [metadata, thumbnails, caption] = StageName::ALL.map(&mut next);
    Stages {
        metadata,
        thumbnails,
        caption,
    }
}
