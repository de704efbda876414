//! The store: rows and files kept in step.

mod accept;
mod captions;
mod early;
mod find;
mod mend;
mod outbox;
mod probe;
mod sweep;
#[cfg(test)]
mod tests;
mod turns;
mod unsettled;
mod work;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;

use crate::blobs::{Blobs, create_folder, sync};
use crate::conn::Database;
use crate::fail_point::fail_point;
use crate::intake::Intake;
use crate::{
    Clock, Error, Filter, ImageId, ImageRecord, Listing, Outbox, Page, Result, Stats, StoreConfig,
    TakenBack, images, read, stats,
};
use unsettled::Unsettled;

pub use early::{Kept, Reused};

/// An image whose work came to no end this often is given up: it may be what ends or hangs the process.
const MAX_ATTEMPTS: u32 = 2;

/// SQLite's smallest page, in bytes.
const SMALLEST_DATABASE: u64 = 512;

/// A folder with a database, originals and thumbnails. Clones share it.
///
/// ```
/// use std::io::Write;
/// use pipeline_core::{Cx, ImagePipeline, Pipeline, ThumbnailSpec};
/// use pipeline_store::{Outcome, Store, StoreConfig};
///
/// # let folder = tempfile::tempdir()?;
/// # let jpeg = {
/// #     use pipeline_core::{Decoded, Stage, ThumbnailStage, image::RgbImage};
/// #     let stage = ThumbnailStage::new([ThumbnailSpec::new("cat", 64)]);
/// #     stage.run(&Decoded::from(RgbImage::new(64, 48)), &Cx::none())?.remove(0).jpeg
/// # };
/// let store = Store::open(folder.path(), &StoreConfig::default())?;
/// let mut upload = store.begin_upload()?;
/// upload.write_all(&jpeg)?;
/// let id = store.accept(upload, "cat.jpg")?;
///
/// // A worker, perhaps in another thread.
/// let pipeline = ImagePipeline::builder().thumbnails([ThumbnailSpec::new("small", 32)]).build();
/// let job = store.claim("worker-1")?.expect("one image waits");
/// let started = std::time::Instant::now();
/// let analysis = pipeline.process(&store.original(&job)?, &Cx::none())?;
/// let outcome = Outcome {
///     metadata: &analysis.metadata,
///     thumbnails: &analysis.thumbnails,
///     caption: None,
///     caption_error: None,
/// };
/// store.complete(&job, &outcome, started.elapsed())?;
///
/// // Whoever wants to see it.
/// assert!(store.thumbnail(id, "small")?.is_some_and(|path| path.is_file()));
/// assert!(store.delete(id)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Blocking
/// Every call reads or writes files and may wait for them; call from a thread that may block.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    db: Database,
    blobs: Blobs,
    intake: Intake,
    unsettled: Unsettled,
    lease: Duration,
    patience: Duration,
    clock: Clock,
    outbox: Outbox,
    interrupted: OnceLock<TakenBack>,
    // Last, since fields are dropped in order: the folder is free when the database is closed.
    _lock: File,
}

impl Store {
    /// Opens the folder `dir` for this process alone; creates what is missing and brings the database up to date.
    ///
    /// What a process that ended in the middle has left is put in order: temporary files go, and images that were
    /// being worked on wait again, or fail with the code `interrupted` if that has now happened to them twice.
    ///
    /// ```
    /// use pipeline_store::{Error, Store, StoreConfig};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// // One process, one store; share it by cloning.
    /// let second = Store::open(folder.path(), &StoreConfig::default());
    /// assert!(matches!(second, Err(Error::InUse { .. })));
    /// # drop(store);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Open`] if the folder cannot be used, [`Error::InUse`] if another process uses it, [`Error::TooNew`]
    /// if a newer release wrote it, [`Error::Corrupt`] if the database is damaged, or gone though originals are there.
    pub fn open(dir: &Path, config: &StoreConfig) -> Result<Self> {
        Self::open_folder(dir, config).map_err(|error| error.opening(dir))
    }

    fn open_folder(dir: &Path, config: &StoreConfig) -> Result<Self> {
        create_folder(dir).map_err(|e| Error::open(dir, e))?;
        let lock = lock_folder(dir)?;
        let blobs = Blobs::new(dir);
        let path = dir.join("pipeline.sqlite");
        refuse_remains(&path, &blobs)?;
        let db = Database::open(&path, config)?;
        blobs
            .create()
            .and_then(|()| sync(dir))
            .map_err(|e| Error::open(dir, e))?;
        let store = Self {
            inner: Arc::new(Inner {
                db,
                blobs,
                intake: Intake::default(),
                unsettled: Unsettled::default(),
                lease: config.lease,
                patience: config.patience,
                clock: config.clock.clone(),
                outbox: config.outbox.clone(),
                interrupted: OnceLock::new(),
                _lock: lock,
            }),
        };
        store.recover()?;
        Ok(store)
    }

    fn recover(&self) -> Result<()> {
        self.clear_temporaries(Duration::ZERO)?;
        let taken = self.take_back_interrupted()?;
        self.inner.interrupted.get_or_init(|| taken);
        Ok(())
    }

    /// The images that were in work when the process before this one ended.
    ///
    /// ```
    /// # use pipeline_store::{Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// assert!(store.interrupted().failed.is_empty()); // there was none
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn interrupted(&self) -> &TakenBack {
        self.inner.interrupted.get_or_init(TakenBack::default)
    }

    /// One image, or `None` if there is none of that name.
    ///
    /// ```
    /// # use pipeline_store::{Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// let id = store.accept(store.begin_upload()?, "cat.jpg")?;
    /// let image = store.image(id)?.expect("it was accepted");
    /// assert_eq!(image.original_name, "cat.jpg");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn image(&self, id: ImageId) -> Result<Option<ImageRecord>> {
        self.inner.db.read("read an image", |tx| read::get(tx, id))
    }

    /// Images, newest first.
    ///
    /// ```
    /// use pipeline_store::Page;
    /// # use pipeline_store::{Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    ///
    /// store.accept(store.begin_upload()?, "old.jpg")?;
    /// store.accept(store.begin_upload()?, "new.jpg")?;
    /// let listing = store.list(&Page::default())?;
    /// assert_eq!(listing.images[0].original_name, "new.jpg");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn list(&self, page: &Page) -> Result<Listing> {
        self.find(&Filter::default(), page)
    }

    /// The file of a thumbnail, or `None` if there is no such image, thumbnail or file.
    ///
    /// # Errors
    /// If the database cannot be read, or if it cannot be told whether the file is there.
    pub fn thumbnail(&self, id: ImageId, name: &str) -> Result<Option<PathBuf>> {
        let Inner { db, blobs, .. } = &*self.inner;
        let file = db.read("find a thumbnail", |tx| {
            images::thumbnail_file(tx, id, name)
        })?;
        match file {
            Some(file) => blobs.find_thumbnail(id, &file),
            None => Ok(None),
        }
    }

    /// Counts and timings over all images.
    ///
    /// ```
    /// # use pipeline_store::{Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// store.accept(store.begin_upload()?, "cat.jpg")?;
    /// let stats = store.stats()?;
    /// assert_eq!((stats.total, stats.succeeded, stats.failed), (1, 0, 0));
    /// assert_eq!(stats.average_processing, None); // before the first result
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn stats(&self) -> Result<Stats> {
        let now = Timestamp::now();
        self.inner.db.read("count images", |tx| stats::get(tx, now))
    }

    /// Removes an image: its row, its result, its job and its files. `false` if there is none of that name.
    ///
    /// # Errors
    /// If the row cannot be removed, or if a file cannot; then the row is gone, and the next [`Store::open`] or
    /// [`Store::sweep`] removes the file.
    pub fn delete(&self, id: ImageId) -> Result<bool> {
        const OP: &str = "delete an image";
        let Inner {
            db,
            blobs,
            unsettled,
            ..
        } = &*self.inner;
        if !db.read(OP, |tx| images::exists(tx, id))? {
            return Ok(false);
        }
        // A deleted picture must not stay on the disk because the process ended between the two steps.
        let doubt = blobs.doubt(id)?;
        blobs.sync_doubts()?;
        let deleted = db.write(OP, |tx| images::delete(tx, id))?;
        unsettled.settle(id);
        fail_point("deleted").ok();
        if let Err(error) = blobs.remove(id) {
            doubt.keep();
            return Err(error);
        }
        Ok(deleted)
    }
}

/// SQLite takes a database that is gone or cut short for a new one; here that would bury the images that are there.
pub(crate) fn refuse_remains(database: &Path, blobs: &Blobs) -> Result<()> {
    let what = match fs::metadata(database).map_or(0, |file| file.len()) {
        0 if blobs.has_originals() => "originals are there, but the database is missing or empty",
        1..SMALLEST_DATABASE => "the file is too short",
        _ => return Ok(()),
    };
    Err(Error::corrupt("open the database", database, what))
}

/// Keeps other processes out for as long as the file is open; the system ends the lock with the process.
pub(crate) fn lock_folder(dir: &Path) -> Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(dir.join("lock"))
        .map_err(|e| Error::open(dir, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse {
            path: dir.to_owned(),
        }),
        Err(TryLockError::Error(e)) => Err(Error::open(dir, e)),
    }
}
