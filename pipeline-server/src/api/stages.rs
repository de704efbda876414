//! How far the work on a picture is, stage by stage, and what the stages take in general.

use pipeline_store::{
    MinuteStats, Partial, StageRecord, StageState, StageStats, Stages as StoredStages,
};
use poem_openapi::{Enum, Object};

use super::types::{Early, ImageMetadata, Thumbnails, milliseconds};

/// How far the work is, stage by stage.
#[derive(Debug, Object)]
#[oai(rename = "Stages")]
pub(super) struct StagesBody {
    metadata: MetadataStage,
    thumbnails: ThumbnailsStage,
    caption: StageBody,
}

/// Reading the header.
#[derive(Debug, Object)]
struct MetadataStage {
    #[oai(flatten)]
    stage: StageBody,
    /// What was found, while the picture is still in work.
    #[oai(skip_serializing_if_is_none)]
    result: Option<ImageMetadata>,
}

/// Decoding, thumbnails and fingerprint.
#[derive(Debug, Object)]
struct ThumbnailsStage {
    #[oai(flatten)]
    stage: StageBody,
    /// Where they are, while the picture is still in work.
    #[oai(skip_serializing_if_is_none)]
    result: Option<Thumbnails>,
}

/// One stage of the work.
#[derive(Debug, Object)]
#[oai(rename = "Stage")]
struct StageBody {
    state: StateBody,
    /// How long it took, in milliseconds; null if it has not ended, or if that is not known.
    #[oai(nullable)]
    duration_ms: Option<f64>,
    /// The attempts at the picture that came to this stage.
    attempts: u32,
    /// When it ended, in UTC with milliseconds.
    #[oai(nullable)]
    finished_at: Option<String>,
    /// A stable code for why it failed.
    #[oai(nullable)]
    error_code: Option<String>,
}

/// Where a stage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase", rename = "StageState")]
enum StateBody {
    /// Others come first.
    Waiting,
    /// It is in work.
    Running,
    /// It is done.
    Success,
    /// It found nothing.
    Failed,
    /// It was not begun, and never will be.
    Skipped,
}

impl StagesBody {
    /// `partial` is what there is of a picture in work.
    pub(super) fn new(stages: StoredStages, partial: Option<Partial>, early: &Early<'_>) -> Self {
        let (metadata, thumbnails) = partial
            .map(|found| (found.metadata, found.thumbnails))
            .unwrap_or_default();
        Self {
            metadata: MetadataStage {
                stage: StageBody::new(stages.metadata),
                result: metadata.map(|found| early.metadata(found)),
            },
            thumbnails: ThumbnailsStage {
                stage: StageBody::new(stages.thumbnails),
                result: (!thumbnails.is_empty()).then(|| early.thumbnails(&thumbnails)),
            },
            caption: StageBody::new(stages.caption),
        }
    }
}

impl StageBody {
    fn new(stage: StageRecord) -> Self {
        Self {
            state: match stage.state {
                StageState::Waiting => StateBody::Waiting,
                StageState::Running => StateBody::Running,
                StageState::Success => StateBody::Success,
                StageState::Failed => StateBody::Failed,
                StageState::Skipped => StateBody::Skipped,
            },
            duration_ms: stage.took.map(|took| rounded(took.as_secs_f64() * 1e3)),
            attempts: stage.attempts,
            finished_at: stage.finished_at.map(milliseconds),
            error_code: stage.error_code,
        }
    }
}

/// What the stages take.
#[derive(Debug, Object)]
pub(super) struct StageTimes {
    metadata: StageTime,
    thumbnails: StageTime,
    caption: StageTime,
}

/// What one stage takes.
#[derive(Debug, Object)]
struct StageTime {
    /// Successful runs whose time is known.
    count: u64,
    /// Their mean time in milliseconds; 0 when there are none.
    mean_ms: f64,
}

/// What was done in one minute.
#[derive(Debug, Object)]
pub(super) struct Minute {
    /// Its beginning, in UTC.
    minute: String,
    /// Pictures that succeeded.
    done: u64,
    /// Pictures that failed.
    failed: u64,
}

impl StageTimes {
    /// In the order of the work.
    pub(super) fn new(stages: [StageStats; 3]) -> Self {
        let [metadata, thumbnails, caption] = stages.map(|stage| StageTime {
            count: stage.count,
            mean_ms: rounded(stage.mean_ms.unwrap_or_default()),
        });
        Self {
            metadata,
            thumbnails,
            caption,
        }
    }
}

impl Minute {
    pub(super) fn new(stats: &MinuteStats) -> Self {
        Self {
            minute: stats.minute.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            done: stats.done,
            failed: stats.failed,
        }
    }
}

/// To microseconds: what lies behind is noise.
fn rounded(milliseconds: f64) -> f64 {
    (milliseconds * 1e3).round() / 1e3
}
