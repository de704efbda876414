//! What goes into a store and what comes out. No SQL, no files.

mod caption;
mod filter;
mod job;
mod message;
mod stage;

use std::num::NonZeroUsize;
use std::time::Duration;

use jiff::Timestamp;
use pipeline_core::{Caption, Metadata, Thumbnail};

use crate::{Cursor, ImageId};

pub use caption::{CaptionRecord, CaptionSource, CaptionerId};
pub(crate) use filter::hash_of;
pub use filter::{Filter, Reprocessed, Similar, Status};
pub use job::{Job, TakenBack};
pub use message::Message;
pub use stage::{MinuteStats, StageName, StageRecord, StageState, StageStats, Stages};

/// An image as the store knows it.
///
/// ```
/// use pipeline_store::{Page, Store, StoreConfig};
///
/// # let folder = tempfile::tempdir()?;
/// let store = Store::open(folder.path(), &StoreConfig::default())?;
/// # store.accept(store.begin_upload()?, "cat.jpg")?;
/// for image in store.list(&Page::default())?.images {
///     println!("{} {} {} bytes", image.id, image.original_name, image.size_bytes);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ImageRecord {
    /// The public name.
    pub id: ImageId,
    /// The file name that the sender gave, unchanged. Never a path.
    pub original_name: String,
    /// The size of the original, in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the original.
    pub sha256: [u8; 32],
    /// When the original was accepted, to the millisecond.
    pub created_at: Timestamp,
    /// How far the work is.
    pub state: ImageState,
    /// How far it is, stage by stage.
    pub stages: Stages,
    /// What is there while the work goes on; `None` once it has ended.
    pub partial: Option<Partial>,
    /// The caption that holds, with where it comes from. It may be older than the last work on the image.
    pub caption: Option<CaptionRecord>,
}

/// What was found out about an image that is still in work.
///
/// ```
/// # use pipeline_store::{Store, StoreConfig};
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), &StoreConfig::default())?;
/// # let id = store.accept(store.begin_upload()?, "cat.jpg")?;
/// let image = store.image(id)?.expect("it is there");
/// if let Some(partial) = image.partial {
///     assert!(partial.metadata.is_none() && partial.thumbnails.is_empty()); // nothing yet
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Partial {
    /// Facts from the header, and the fingerprint once there are thumbnails.
    pub metadata: Option<Metadata>,
    /// The thumbnails, in the order in which they were made; empty before they are.
    pub thumbnails: Vec<ThumbnailInfo>,
}

/// How far the work on an image is.
///
/// ```
/// use pipeline_store::ImageState;
///
/// fn words(state: &ImageState) -> String {
///     match state {
///         ImageState::Processing => "in work".to_owned(),
///         ImageState::Success { metadata, .. } => format!("{} × {}", metadata.width, metadata.height),
///         ImageState::Failed { message, .. } => message.clone(),
///     }
/// }
///
/// assert_eq!(words(&ImageState::Processing), "in work");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum ImageState {
    /// Waiting, or being worked on.
    Processing,
    /// Done.
    Success {
        /// When the work ended, to the millisecond.
        processed_at: Timestamp,
        /// How long the work took, in whole milliseconds.
        took: Duration,
        /// Facts from the header.
        metadata: Metadata,
        /// The thumbnails, in the order in which they were made.
        thumbnails: Vec<ThumbnailInfo>,
        /// The caption and the model that wrote it, if there is one; "human" for a person.
        caption: Option<Caption>,
        /// Why there is no caption, if one was wanted.
        caption_error: Option<String>,
    },
    /// Given up.
    Failed {
        /// When the work ended, to the millisecond.
        processed_at: Timestamp,
        /// How long the work took, in whole milliseconds; zero where the process ended before it could tell.
        took: Duration,
        /// A stable code for programs.
        code: String,
        /// The reason, for a person.
        message: String,
    },
}

/// A stored thumbnail.
///
/// ```
/// use pipeline_store::{ImageRecord, ImageState};
///
/// /// Width and height of a thumbnail, for the page that shows it.
/// fn size_of(image: &ImageRecord, name: &str) -> Option<(u32, u32)> {
///     let ImageState::Success { thumbnails, .. } = &image.state else { return None };
///     let info = thumbnails.iter().find(|info| info.name == name)?;
///     Some((info.width, info.height))
/// }
/// # let folder = tempfile::tempdir()?;
/// # let store = pipeline_store::Store::open(folder.path(), &Default::default())?;
/// # let id = store.accept(store.begin_upload()?, "cat.jpg")?;
/// # assert_eq!(size_of(&store.image(id)?.expect("it is there"), "small"), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThumbnailInfo {
    /// [`Thumbnail::name`](pipeline_core::Thumbnail::name).
    pub name: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The size of the JPEG file, in bytes.
    pub size_bytes: u64,
}

/// The part of the list that is wanted; the default is all of it.
///
/// ```
/// use std::num::NonZeroUsize;
/// use pipeline_store::Page;
/// # use pipeline_store::{Store, StoreConfig};
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), &StoreConfig::default())?;
/// # for name in ["a.jpg", "b.jpg", "c.jpg"] {
/// #     store.accept(store.begin_upload()?, name)?;
/// # }
///
/// let mut page = Page { limit: NonZeroUsize::new(2), after: None };
/// let first = store.list(&page)?;
/// page.after = first.next;
/// let second = store.list(&page)?;
/// assert_eq!((first.images.len(), second.images.len()), (2, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Page {
    /// How many images at the most; `None` for all.
    pub limit: Option<NonZeroUsize>,
    /// [`Listing::next`] of the page before; `None` for the first page.
    pub after: Option<Cursor>,
}

/// A part of the list of images, as of one moment.
///
/// ```
/// use pipeline_store::{Page, Store, StoreConfig};
///
/// # let folder = tempfile::tempdir()?;
/// let store = Store::open(folder.path(), &StoreConfig::default())?;
/// let listing = store.list(&Page::default())?;
/// println!("{} of {}", listing.images.len(), listing.total);
/// assert!(listing.next.is_none()); // the last page
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Listing {
    /// The images, newest first.
    pub images: Vec<ImageRecord>,
    /// Where the next page starts; `None` on the last page.
    pub next: Option<Cursor>,
    /// The number of images that the filter holds for, whatever the page.
    pub total: u64,
}

/// Counts and timings over all images, as of one moment.
///
/// ```
/// use pipeline_store::{StageName, Store, StoreConfig};
///
/// # let folder = tempfile::tempdir()?;
/// let store = Store::open(folder.path(), &StoreConfig::default())?;
/// let stats = store.stats()?;
/// println!("{} of {} done", stats.succeeded + stats.failed, stats.total);
/// for (name, stage) in StageName::ALL.iter().zip(&stats.stages) {
///     println!("{}: {:?} ms", name.as_str(), stage.mean_ms);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// All images, those still in work included.
    pub total: u64,
    /// Images with a result.
    pub succeeded: u64,
    /// Images that were given up.
    pub failed: u64,
    /// The mean time of the images that succeeded or failed, in seconds, not rounded; `None` before the first.
    /// Images whose time is not known, because the process ended during the work, are left out.
    pub average_processing: Option<f64>,
    /// The stages' own times, in the order of [`StageName::ALL`].
    pub stages: [StageStats; 3],
    /// The last 60 minutes, the present one last.
    pub recent: Vec<MinuteStats>,
}

/// What the work on an image gave.
///
/// ```
/// use pipeline_core::{Analysis, Error};
/// use pipeline_store::Outcome;
///
/// /// What the stock pipeline gave, in the form in which `Store::complete` takes it.
/// fn outcome<'a>(analysis: &'a Analysis, why_not: &'a mut String) -> Outcome<'a> {
///     let failed = analysis.caption.as_ref().and_then(|caption| caption.as_ref().err());
///     *why_not = failed.map(Error::report).unwrap_or_default();
///     Outcome {
///         metadata: &analysis.metadata,
///         thumbnails: &analysis.thumbnails,
///         caption: analysis.caption.as_ref().and_then(|caption| caption.as_ref().ok()),
///         caption_error: failed.is_some().then_some(why_not),
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Outcome<'a> {
    /// Facts from the header.
    pub metadata: &'a Metadata,
    /// The thumbnails; their names differ.
    pub thumbnails: &'a [Thumbnail],
    /// The caption, if there is one.
    pub caption: Option<&'a Caption>,
    /// Why there is no caption, if one was wanted.
    pub caption_error: Option<&'a str>,
}
