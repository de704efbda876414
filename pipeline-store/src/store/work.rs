//! The calls for those who do the work: take an image from the queue, and end the job one way or another.

use std::time::Duration;

use jiff::Timestamp;
use pipeline_core::Source;
use sha2::{Digest, Sha256};

use super::{Inner, Store};
use crate::{Error, Job, Outcome, Result, images, jobs};

impl Store {
    /// Claims the oldest image that waits; `None` if none does.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub fn claim(&self) -> Result<Option<Job>> {
        self.inner.db.write("claim a job", |tx| jobs::claim(tx))
    }

    /// Reads the original of a claimed image into memory, and makes sure that it is what was received.
    ///
    /// # Errors
    /// [`Error::OriginalLost`] if the file is gone or damaged, [`Error::JobLost`] if the image is deleted,
    /// [`Error::Io`] if the file cannot be read.
    pub fn original(&self, job: &Job) -> Result<Source> {
        let Inner { db, blobs, .. } = &*self.inner;
        let bytes = blobs.read_original(job.id)?;
        let received = db.read("read an image", |tx| images::sha256(tx, job.id))?;
        match (received, bytes) {
            (None, _) => Err(Error::JobLost { id: job.id }),
            (Some(received), Some(bytes)) if Sha256::digest(&bytes)[..] == received => {
                Ok(Source::from(bytes))
            }
            (Some(_), _) => Err(Error::OriginalLost { id: job.id }),
        }
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

    /// When the oldest image in work was accepted, if there is one.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn oldest_unfinished(&self) -> Result<Option<Timestamp>> {
        let op = "find the oldest job";
        self.inner.db.read(op, |tx| images::oldest_unfinished(tx))
    }
}

fn held(held: bool, job: &Job) -> Result<()> {
    if held {
        Ok(())
    } else {
        Err(Error::JobLost { id: job.id })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::thread;

    use super::*;
    use crate::StoreConfig;

    #[test]
    fn a_deletion_that_overtakes_the_result_leaves_no_thumbnails() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &StoreConfig::default()).unwrap();
        let mut upload = store.begin_upload().unwrap();
        upload.write_all(b"bytes").unwrap();
        let id = store.accept(upload, "cat.jpg").unwrap();
        let job = store.claim().unwrap().unwrap();
        let metadata = serde_json::from_str(
            r#"{"width": 1, "height": 1, "format": "png", "size_bytes": 5, "orientation": 1}"#,
        )
        .unwrap();
        let outcome = Outcome {
            metadata: &metadata,
            thumbnails: &[],
            caption: None,
            caption_error: None,
        };
        let thumbnails = store.inner.blobs.thumbnail(id, 0);
        let thumbnails = thumbnails.parent().unwrap();

        let completed = thread::scope(|scope| {
            let delete = |tx: &rusqlite::Transaction<'_>| {
                let completing = scope.spawn(|| store.complete(&job, &outcome, Duration::ZERO));
                // The files are there, and the other thread waits for this transaction to end.
                while !thumbnails.exists() && !completing.is_finished() {
                    thread::yield_now();
                }
                assert!(images::delete(tx, id)?);
                Ok(completing)
            };
            let completing = store.inner.db.write("delete an image", delete).unwrap();
            completing.join().unwrap()
        });
        assert!(matches!(completed, Err(Error::JobLost { .. })));
        assert!(!thumbnails.exists());
        assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    }
}
