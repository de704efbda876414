//! The right to work on an image, and its end.

use std::time::Duration;

use crate::ImageId;

/// The right to work on one image, given by [`Store::claim`](crate::Store::claim).
///
/// It is worth something until its lease has ended and [`Store::expire_leases`](crate::Store::expire_leases) has given
/// the image to others. Dropping it does not hand the image back: that takes
/// [`Store::release`](crate::Store::release), the end of the lease, or the next [`Store::open`](crate::Store::open).
///
/// ```
/// # use pipeline_store::{Store, StoreConfig};
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), &StoreConfig::default())?;
/// # store.accept(store.begin_upload()?, "cat.jpg")?;
/// while let Some(job) = store.claim("worker-1")? {
///     println!("{}, attempt {}", job.image_id(), job.attempt());
///     let source = store.original(&job)?;
/// #   let took = std::time::Duration::ZERO;
///     // ... and then `Store::complete`, or:
///     store.fail(&job, "unknown-format", &format!("{} bytes", source.bytes().len()), took)?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use = "the image stays claimed until the job is completed, failed or released"]
pub struct Job {
    pub(crate) seq: i64,
    pub(crate) id: ImageId,
    pub(crate) attempt: u32,
    pub(crate) claim: u32,
    pub(crate) again: bool,
    pub(crate) prepared: bool,
    pub(crate) spent: Duration,
    pub(crate) put_off: Duration,
}

impl Job {
    /// The image to work on.
    pub fn image_id(&self) -> ImageId {
        self.id
    }

    /// Which attempt this is, from 1. Attempts that were released do not count.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether metadata and thumbnails are stored by now, so that only the caption is left; see
    /// [`Store::kept`](crate::Store::kept).
    ///
    /// ```
    /// # use pipeline_store::{Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// # store.accept(store.begin_upload()?, "cat.jpg")?;
    /// let job = store.claim("worker-1")?.expect("one image waits");
    /// assert!(!job.is_prepared()); // nobody has worked on it before
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_prepared(&self) -> bool {
        self.prepared
    }

    /// How long others have worked on the image until they put it back ([`Store::make_way`](crate::Store::make_way)). It
    /// is added to the time that the rest takes when the result is stored.
    ///
    /// ```
    /// use std::time::Duration;
    /// # use pipeline_store::{Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// # store.accept(store.begin_upload()?, "cat.jpg")?;
    ///
    /// let job = store.claim("worker-1")?.expect("one image waits");
    /// assert_eq!(job.spent(), Duration::ZERO); // nobody has worked on it before
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spent(&self) -> Duration {
        self.spent
    }
}

/// Images whose workers are gone, and what became of them.
///
/// ```
/// use pipeline_store::{Store, StoreConfig};
///
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), &StoreConfig::default())?;
/// let taken = store.expire_leases()?;
/// for id in taken.waiting.iter().chain(&taken.failed) {
///     println!("{id} has lost its worker");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TakenBack {
    /// They wait again.
    pub waiting: Vec<ImageId>,
    /// They had their last attempt, and have failed.
    pub failed: Vec<ImageId>,
}
