//! The three parts of the work on an image, one after the other.

use std::time::Duration;

use jiff::Timestamp;

/// A part of the work.
///
/// ```
/// use pipeline_store::StageName;
///
/// let names = StageName::ALL.map(StageName::as_str);
/// assert_eq!(names, ["metadata", "thumbnails", "caption"]); // in the order of the work
/// ```
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
///
/// ```
/// use pipeline_store::StageState;
/// # use pipeline_store::{Store, StoreConfig};
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), &StoreConfig::default())?;
///
/// let id = store.accept(store.begin_upload()?, "cat.jpg")?;
/// let stages = store.image(id)?.expect("it is there").stages;
/// assert_eq!(stages.caption.state, StageState::Waiting); // nobody has claimed it
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
///
/// ```
/// use pipeline_store::{StageRecord, StageState};
///
/// fn words(stage: &StageRecord) -> String {
///     match (stage.state, &stage.error_code, stage.took) {
///         (StageState::Failed, Some(code), _) => format!("failed: {code}"),
///         (StageState::Success, _, Some(took)) => format!("done in {took:?}"),
///         _ => format!("after {} attempts not there yet", stage.attempts),
///     }
/// }
/// # let folder = tempfile::tempdir()?;
/// # let store = pipeline_store::Store::open(folder.path(), &Default::default())?;
/// # let id = store.accept(store.begin_upload()?, "cat.jpg")?;
/// # assert!(words(&store.image(id)?.expect("it is there").stages.caption).ends_with("yet"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
///
/// ```
/// use pipeline_store::{ImageRecord, StageState};
///
/// /// Whether the thumbnails can be shown, though the caption is still being written.
/// fn can_be_shown(image: &ImageRecord) -> bool {
///     image.stages.thumbnails.state == StageState::Success
/// }
/// # let folder = tempfile::tempdir()?;
/// # let store = pipeline_store::Store::open(folder.path(), &Default::default())?;
/// # let id = store.accept(store.begin_upload()?, "cat.jpg")?;
/// # assert!(!can_be_shown(&store.image(id)?.expect("it is there")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
///
/// ```
/// use pipeline_store::{Store, StoreConfig};
///
/// # let folder = tempfile::tempdir()?;
/// let store = Store::open(folder.path(), &StoreConfig::default())?;
/// let [metadata, _thumbnails, _caption] = store.stats()?.stages;
/// assert_eq!((metadata.count, metadata.mean_ms), (0, None)); // nothing was done yet
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct StageStats {
    /// Successful runs whose time is known.
    pub count: u64,
    /// Their mean time in milliseconds; `None` before the first.
    pub mean_ms: Option<f64>,
}

/// What was done in one minute.
///
/// ```
/// use pipeline_store::{Store, StoreConfig};
///
/// # let folder = tempfile::tempdir()?;
/// let store = Store::open(folder.path(), &StoreConfig::default())?;
/// let recent = store.stats()?.recent; // 60 minutes, the present one last
/// let done: u64 = recent.iter().map(|minute| minute.done + minute.failed).sum();
/// assert_eq!((recent.len(), done), (60, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
