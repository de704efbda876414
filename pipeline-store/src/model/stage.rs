//! The three parts of the work on an image, one after the other.

use std::time::Duration;

use jiff::Timestamp;

/// A part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StageName {
    /// Reading the header.
    Metadata,
    /// Decoding the pixels, making thumbnails and a fingerprint of them.
    Thumbnails,
    /// Writing the caption.
    Caption,
}

impl StageName {
    /// In the order of the work.
    pub const ALL: [Self; 3] = [Self::Metadata, Self::Thumbnails, Self::Caption];

    /// As it is written in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Thumbnails => "thumbnails",
            Self::Caption => "caption",
        }
    }
}

/// Where a stage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StageState {
    /// Others come first.
    Waiting,
    /// A worker has it in hand.
    Running,
    /// What it found is stored.
    Success,
    /// It found nothing.
    Failed,
    /// It was not begun, and never will be.
    Skipped,
}

/// How far one stage of the work on an image is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StageRecord {
    /// Where it is.
    pub state: StageState,
    /// How long it took, if that is known.
    pub took: Option<Duration>,
    /// The attempts at the image that came to this stage.
    pub attempts: u32,
    /// When it ended, to the millisecond.
    pub finished_at: Option<Timestamp>,
    /// A stable code for why it failed.
    pub error_code: Option<String>,
}

/// How far the work on an image is, stage by stage.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Stages {
    /// Reading the header.
    pub metadata: StageRecord,
    /// Thumbnails and fingerprint.
    pub thumbnails: StageRecord,
    /// The caption.
    pub caption: StageRecord,
}

/// What the runs of one stage took.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct StageStats {
    /// Successful runs whose time is known.
    pub count: u64,
    /// Their mean time in milliseconds; `None` before the first.
    pub mean_ms: Option<f64>,
}

/// What was done in one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MinuteStats {
    /// Its beginning.
    pub minute: Timestamp,
    /// Images that succeeded.
    pub done: u64,
    /// Images that failed.
    pub failed: u64,
}
