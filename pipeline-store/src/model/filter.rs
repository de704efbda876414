//! Which images are meant.

use jiff::Timestamp;
use pipeline_core::{Format, PerceptualHash};

use super::ImageRecord;
use super::stage::StageName;

/// Conditions on images; those that are `None` or empty hold for all. The default is every image.
///
/// ```
/// use pipeline_core::Format;
/// use pipeline_store::{Filter, Status};
///
/// // Large photos of cats by one maker's cameras that are done.
/// let filter = Filter {
///     text: Some("cat".into()),
///     status: Some(Status::Success),
///     format: Some(Format::Jpeg),
///     camera: Some("acme".into()),
///     min_bytes: Some(1 << 20),
///     ..Filter::default()
/// };
/// # assert_ne!(filter, Filter::default());
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filter {
    /// Words that the file name and the caption have together, the last one perhaps cut off. Anything can be asked for:
    /// there is no syntax to get wrong.
    pub text: Option<String>,
    /// How far the work is.
    pub status: Option<Status>,
    /// The format of the file.
    pub format: Option<Format>,
    /// A part of the camera's maker and model, in letters of either case.
    pub camera: Option<String>,
    /// Whether there is a caption.
    pub has_caption: Option<bool>,
    /// The size of the file, in bytes, at the least.
    pub min_bytes: Option<u64>,
    /// The size of the file, in bytes, at the most.
    pub max_bytes: Option<u64>,
    /// Accepted then or later.
    pub since: Option<Timestamp>,
    /// Accepted then or earlier.
    pub until: Option<Timestamp>,
    /// The newest caption by a model is by this one.
    pub model: Option<String>,
    /// It is not by this one, or there is none.
    pub model_not: Option<String>,
    /// Stages that have brought nothing.
    pub missing: Vec<StageName>,
}

/// How far the work on an image is, in a word.
///
/// ```
/// use pipeline_store::Status;
///
/// assert_eq!(Status::from_name("failed"), Some(Status::Failed)); // out of a query
/// assert_eq!(Status::Failed.as_str(), "failed");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Waiting, or being worked on.
    Processing,
    /// Done.
    Success,
    /// Given up.
    Failed,
}

impl Status {
    /// As it is written in the database and in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::Success => "success",
            Self::Failed => "failed",
        }
    }

    /// The status of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Processing, Self::Success, Self::Failed]
            .into_iter()
            .find(|status| status.as_str() == name)
    }
}

/// An image that looks like another one.
///
/// ```
/// use pipeline_store::{ImageId, Result, Similar, Store};
///
/// /// The names of pictures that are most likely the same one, resized or saved again.
/// fn copies(store: &Store, id: ImageId) -> Result<Vec<String>> {
///     let name = |similar: Similar| (similar.distance <= 4).then_some(similar.image.original_name);
///     let similar = store.similar(id, 8, 100)?.unwrap_or_default();
///     Ok(similar.into_iter().filter_map(name).collect())
/// }
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), &Default::default())?;
/// # let id = store.accept(store.begin_upload()?, "cat.jpg")?;
/// # assert!(copies(&store, id)?.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Similar {
    /// The bits in which the [`PerceptualHash`]es differ.
    pub distance: u32,
    /// The image.
    pub image: ImageRecord,
}

/// What was found to be worked on again.
///
/// ```
/// use pipeline_store::{Filter, StageName, Store, StoreConfig};
///
/// # let folder = tempfile::tempdir()?;
/// let store = Store::open(folder.path(), &StoreConfig::default())?;
/// let filter = Filter { missing: vec![StageName::Caption], ..Filter::default() };
/// let done = store.reprocess_all(&filter, false)?;
/// println!("{} of {} are in the queue now", done.queued, done.matched);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Reprocessed {
    /// Images that the filter holds for, except those in work.
    pub matched: u64,
    /// Those of them that are in the queue now.
    pub queued: u64,
}

/// The bits of a hash as they are written in the database.
pub(crate) fn hash_of(text: &str) -> Option<PerceptualHash> {
    text.to_owned().try_into().ok()
}
