//! The store: rows and files kept in step.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use pipeline_core::Source;

use crate::blobs::{Blobs, create_folder, sync_folder};
use crate::conn::Database;
use crate::images::NewImage;
use crate::upload::Received;
use crate::{
    Error, ImageId, ImageRecord, Job, Listing, Outcome, Page, Result, Stats, StoreConfig, Upload,
    images, jobs, stats,
};

/// An image whose work was cut off this often is given up: it may be what ends the process.
const MAX_INTERRUPTIONS: u32 = 2;

/// A folder with a database, originals and thumbnails. Clones share it.
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
    // Last, since fields are dropped in order: the folder is free when the database is closed.
    _lock: File,
}

impl Store {
    /// Opens the folder `dir` for this process alone; creates what is missing and brings the database up to date.
    ///
    /// What a process that ended in the middle has left is put in order: temporary files go, and images that were
    /// being worked on wait again, or fail with the code `interrupted` if that has now happened to them twice.
    ///
    /// # Errors
    /// [`Error::Open`] if the folder cannot be used, [`Error::InUse`] if another process uses it, [`Error::TooNew`]
    /// if a newer release wrote it, [`Error::Corrupt`] if the database is damaged, or gone though originals are there.
    pub fn open(dir: &Path, config: &StoreConfig) -> Result<Self> {
        create_folder(dir).map_err(|e| Error::open(dir, e))?;
        let lock = lock_folder(dir)?;
        let blobs = Blobs::new(dir);
        let path = dir.join("pipeline.sqlite");
        // SQLite takes an empty file for a new database. Here that would bury the images that are there.
        let is_new = fs::metadata(&path).map_or(true, |file| file.len() == 0);
        if is_new && blobs.has_originals() {
            let missing = "originals are there, but the database is missing or empty";
            return Err(Error::corrupt("open the database", &path, missing));
        }
        let db = Database::open(&path, config)?;
        blobs
            .create()
            .and_then(|()| sync_folder(dir))
            .map_err(|e| Error::open(dir, e))?;
        let store = Self {
            inner: Arc::new(Inner {
                db,
                blobs,
                _lock: lock,
            }),
        };
        store.recover()?;
        Ok(store)
    }

    fn recover(&self) -> Result<()> {
        const OP: &str = "recover interrupted work";
        let Inner { db, blobs, .. } = &*self.inner;
        blobs.sweep(|id| db.read(OP, |tx| images::exists(tx, id)))?;
        db.write(OP, |tx| {
            for seq in jobs::requeue_running(tx, MAX_INTERRUPTIONS)? {
                let message = "the work on this picture was interrupted repeatedly";
                images::fail(tx, seq, "interrupted", message, None)?;
            }
            Ok(())
        })
    }

    /// Begins to receive a file.
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Io`] if no file can be created.
    pub fn begin_upload(&self) -> Result<Upload> {
        self.inner.blobs.temporary().map(Upload::new)
    }

    /// Stores a received file as a new image and queues it. `Ok` means that both survive a power failure; an error,
    /// that nothing was stored. `original_name` is kept as it is.
    ///
    /// # Errors
    /// [`Error::Full`] and [`Error::Busy`] if trying again later may help; [`Error::Io`] or [`Error::Sqlite`] if not.
    pub fn accept(&self, upload: Upload, original_name: &str) -> Result<ImageId> {
        let Inner { db, blobs, .. } = &*self.inner;
        let Received {
            file,
            sha256,
            size_bytes,
        } = upload.finish();
        let id = ImageId::random();
        let image = NewImage {
            id,
            original_name,
            size_bytes,
            sha256,
        };
        let doubt = blobs.doubt(id)?;
        // The file first: a row must never name a file that may not be there.
        let stored = blobs.put_original(id, file).and_then(|()| {
            db.write("store the upload", |tx| {
                let seq = images::insert(tx, &image)?;
                jobs::enqueue(tx, seq)
            })
        });
        match stored {
            Ok(()) => Ok(id),
            Err(error) => {
                blobs.undo(id, doubt);
                Err(error)
            }
        }
    }

    /// One image, or `None` if there is none of that name.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn image(&self, id: ImageId) -> Result<Option<ImageRecord>> {
        self.inner
            .db
            .read("read an image", |tx| images::get(tx, id))
    }

    /// Images, newest first.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn list(&self, page: &Page) -> Result<Listing> {
        self.inner
            .db
            .read("list images", |tx| images::list(tx, page))
    }

    /// The file of a thumbnail, or `None` if there is no such image, thumbnail or file.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn thumbnail(&self, id: ImageId, name: &str) -> Result<Option<PathBuf>> {
        let Inner { db, blobs, .. } = &*self.inner;
        let position = db.read("find a thumbnail", |tx| {
            images::thumbnail_position(tx, id, name)
        })?;
        Ok(position
            .map(|position| blobs.thumbnail(id, position))
            .filter(|path| path.is_file()))
    }

    /// Counts and timings over all images.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn stats(&self) -> Result<Stats> {
        self.inner.db.read("count images", |tx| stats::get(tx))
    }

    /// Removes an image: its row, its result, its job and its files. `false` if there is none of that name.
    ///
    /// # Errors
    /// If the row cannot be removed, or if a file cannot; then the row is gone, and the next [`Store::open`] removes
    /// the file.
    pub fn delete(&self, id: ImageId) -> Result<bool> {
        const OP: &str = "delete an image";
        let Inner { db, blobs, .. } = &*self.inner;
        if !db.read(OP, |tx| images::exists(tx, id))? {
            return Ok(false);
        }
        // A deleted picture must not stay on the disk because the process ended between the two steps.
        let doubt = blobs.doubt(id)?;
        blobs.sync_doubts()?;
        let deleted = db.write(OP, |tx| images::delete(tx, id))?;
        if let Err(error) = blobs.remove(id) {
            doubt.keep();
            return Err(error);
        }
        Ok(deleted)
    }

    /// Claims the oldest image that waits; `None` if none does.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub fn claim(&self) -> Result<Option<Job>> {
        self.inner.db.write("claim a job", |tx| jobs::claim(tx))
    }

    /// Reads the original of a claimed image into memory.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read.
    pub fn original(&self, job: &Job) -> Result<Source> {
        self.inner.blobs.read_original(job.id).map(Source::from)
    }

    /// Stores the result of a job and ends it. `Ok` means that the result survives a power failure.
    ///
    /// # Errors
    /// [`Error::JobLost`] if the job is no longer the caller's; nothing is stored then. After a retryable error the
    /// job is still the caller's.
    pub fn complete(&self, job: &Job, outcome: &Outcome<'_>, took: Duration) -> Result<()> {
        const OP: &str = "store a result";
        let Inner { db, blobs, .. } = &*self.inner;
        // Whoever holds the job now may have stored thumbnails that must not be replaced.
        if !db.read(OP, |tx| jobs::is_held(tx, job))? {
            return Err(Error::JobLost { id: job.id });
        }
        let doubt = blobs.doubt(job.id)?;
        blobs.put_thumbnails(job.id, outcome.thumbnails)?;
        let stored = db.write(OP, |tx| {
            if jobs::finish(tx, job)? {
                images::succeed(tx, job.seq, outcome, took)?;
                return Ok(true);
            }
            Ok(false)
        })?;
        if stored {
            return Ok(());
        }
        // Deleted while the thumbnails were on their way.
        if !db.read(OP, |tx| images::exists(tx, job.id))? {
            blobs.undo(job.id, doubt);
        }
        Err(Error::JobLost { id: job.id })
    }

    /// Stores that the work on an image failed, and why, and ends the job. `code` is for programs, `message` for people.
    ///
    /// # Errors
    /// As [`Store::complete`].
    pub fn fail(&self, job: &Job, code: &str, message: &str, took: Duration) -> Result<()> {
        let ended = self.inner.db.write("store a failure", |tx| {
            let held = jobs::finish(tx, job)?;
            if held {
                images::fail(tx, job.seq, code, message, Some(took))?;
            }
            Ok(held)
        })?;
        held(ended, job)
    }

    /// Hands an image back unfinished: it waits again at its old place, and the attempt does not count.
    ///
    /// # Errors
    /// As [`Store::complete`].
    pub fn release(&self, job: &Job) -> Result<()> {
        let released = self
            .inner
            .db
            .write("release a job", |tx| jobs::release(tx, job))?;
        held(released, job)
    }

    /// The number of images in work, claimed or not.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn queue_len(&self) -> Result<u64> {
        self.inner.db.read("count jobs", |tx| jobs::count(tx))
    }
}

fn held(held: bool, job: &Job) -> Result<()> {
    if held {
        Ok(())
    } else {
        Err(Error::JobLost { id: job.id })
    }
}

/// Keeps other processes out for as long as the file is open; the system ends the lock with the process.
fn lock_folder(dir: &Path) -> Result<File> {
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
        Err(TryLockError::Error(e)) => Err(Error::open(dir, io::Error::from(e))),
    }
}
