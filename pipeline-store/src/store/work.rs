//! The calls for those who do the work: take an image from the queue, and end the job one way or another.

use std::time::Duration;

use jiff::Timestamp;
use pipeline_core::Source;
use rusqlite::Transaction;
use sha2::{Digest, Sha256};

use super::{Inner, MAX_ATTEMPTS, Store};
use crate::fail_point::fail_point;
use crate::{Error, Job, Outcome, Result, StageName, images, jobs, outbox, stages};

impl Store {
    /// Puts off the end of a job's lease.
    ///
    /// ```
    /// # use pipeline_store::{Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// # let id = store.accept(store.begin_upload()?, "cat.jpg")?;
    /// let job = store.claim("worker-1")?.expect("one image waits");
    /// store.renew(&job)?; // now and then, while the work goes on
    /// store.delete(id)?;
    /// assert_eq!(store.renew(&job).unwrap_err().code(), "job-lost"); // time to stop
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::JobLost`] if the job is no longer the caller's.
    pub fn renew(&self, job: &Job) -> Result<()> {
        let until = self.lease_end();
        let renewed = self
            .inner
            .db
            .write("renew a lease", |tx| jobs::renew(tx, job, until))?;
        held(renewed, job)
    }

    /// Whether the job is still the caller's.
    ///
    /// ```
    /// # use pipeline_store::{Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// # store.accept(store.begin_upload()?, "cat.jpg")?;
    /// let job = store.claim("worker-1")?.expect("one image waits");
    /// assert!(store.is_held(&job)?);
    /// store.release(&job)?;
    /// assert!(!store.is_held(&job)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn is_held(&self, job: &Job) -> Result<bool> {
        self.inner
            .db
            .read("look at a job", |tx| jobs::is_held(tx, job))
    }

    pub(super) fn lease_end(&self) -> Timestamp {
        let Inner { lease, clock, .. } = &*self.inner;
        clock.now().checked_add(*lease).unwrap_or(Timestamp::MAX)
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
    /// Thumbnails that were kept before ([`Store::keep_thumbnails`]) stay, and those of `outcome` are not looked at. The
    /// time of the work is `took` and what others had spent on it before ([`Job::spent`]).
    ///
    /// # Errors
    /// [`Error::JobLost`] if the job is no longer the caller's; nothing is stored then. After a retryable error the
    /// job is still the caller's.
    pub fn complete(&self, job: &Job, outcome: &Outcome<'_>, took: Duration) -> Result<()> {
        const OP: &str = "store a result";
        let Inner {
            db,
            blobs,
            outbox,
            clock,
            ..
        } = &*self.inner;
        let (held, kept) = db.read(OP, |tx| {
            let kept = stages::is_done(tx, job.seq, StageName::Thumbnails)?;
            Ok((jobs::is_held(tx, job)?, kept))
        })?;
        self::held(held, job)?;
        let thumbnails = if kept { &[] } else { outcome.thumbnails };
        let doubt = blobs.doubt(job.id)?;
        let stored = blobs.put_thumbnails(job, thumbnails).and_then(|files| {
            fail_point("completing").ok();
            let held = db.write(OP, |tx| {
                let held = jobs::finish(tx, job)?;
                if held {
                    images::add_thumbnails(tx, job.seq, thumbnails, &files)?;
                    finish(tx, job, outcome, job.spent + took)?;
                    outbox::add(tx, outbox, job.seq, true, clock.now())?;
                }
                Ok(held)
            })?;
            self::held(held, job)
        });
        fail_point("completed").ok();
        if stored.is_err() {
            // Nobody else knows of these files: whoever holds the job now has others.
            blobs.take_back_thumbnails(job, thumbnails.len(), doubt);
        }
        stored
    }

    /// Stores that the work on an image failed, and why, and ends the job. `code` is for programs, `message` for people.
    ///
    /// ```
    /// use std::time::Duration;
    /// use pipeline_store::ImageState;
    /// # use pipeline_store::{Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// # let id = store.accept(store.begin_upload()?, "cat.jpg")?;
    ///
    /// let job = store.claim("worker-1")?.expect("one image waits");
    /// store.fail(&job, "unknown-format", "not a JPEG or PNG file", Duration::from_millis(1))?;
    /// let image = store.image(id)?.expect("it is there");
    /// assert!(matches!(image.state, ImageState::Failed { code, .. } if code == "unknown-format"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Store::complete`].
    pub fn fail(&self, job: &Job, code: &str, message: &str, took: Duration) -> Result<()> {
        let Inner {
            db, outbox, clock, ..
        } = &*self.inner;
        let ended = db.write("store a failure", |tx| {
            let held = jobs::finish(tx, job)?;
            if held {
                let took = Some(job.spent + took);
                images::fail(tx, job.seq, job.claim, code, message, took)?;
                outbox::add(tx, outbox, job.seq, false, clock.now())?;
            }
            Ok(held)
        })?;
        held(ended, job)
    }

    /// Ends an attempt that came to no end, such as one that took too long. The image waits again at its old place, and
    /// this returns `true`; or it fails with `code` and `message`, as [`Store::fail`] does, if no attempt is left.
    ///
    /// ```
    /// use std::time::Duration;
    /// # use pipeline_store::{Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// # store.accept(store.begin_upload()?, "cat.jpg")?;
    ///
    /// let took = Duration::from_secs(120);
    /// let job = store.claim("worker-1")?.expect("one image waits");
    /// assert!(store.retry(&job, "deadline-exceeded", "it took too long", took)?); // waits again
    /// let job = store.claim("worker-1")?.expect("it waits");
    /// assert_eq!(job.attempt(), 2);
    /// assert!(!store.retry(&job, "deadline-exceeded", "it took too long", took)?); // has failed
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Store::complete`].
    pub fn retry(&self, job: &Job, code: &str, message: &str, took: Duration) -> Result<bool> {
        let again = job.attempt < MAX_ATTEMPTS;
        if again {
            self.let_wait(job, true)?;
        } else {
            self.fail(job, code, message, took)?;
        }
        Ok(again)
    }

    /// Hands an image back unfinished: it waits again at its old place, and the attempt does not count.
    ///
    /// ```
    /// # use pipeline_store::{Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// # store.accept(store.begin_upload()?, "cat.jpg")?;
    /// let job = store.claim("worker-1")?.expect("one image waits");
    /// store.release(&job)?; // such as when the process is about to end
    /// let again = store.claim("worker-2")?.expect("it waits again");
    /// assert_eq!(again.attempt(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Store::complete`].
    pub fn release(&self, job: &Job) -> Result<()> {
        self.let_wait(job, false)
    }

    fn let_wait(&self, job: &Job, counts: bool) -> Result<()> {
        let released = self
            .inner
            .db
            .write("release a job", |tx| jobs::release(tx, job, counts))?;
        held(released, job)
    }

    /// The number of images in work, claimed or not.
    ///
    /// ```
    /// # use pipeline_store::{Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// store.accept(store.begin_upload()?, "cat.jpg")?;
    /// assert_eq!(store.queue_len()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn queue_len(&self) -> Result<u64> {
        self.inner.db.read("count jobs", |tx| jobs::count(tx))
    }

    /// The number of uploads in work, claimed or not: [`Store::queue_len`] without the images that are done again.
    ///
    /// ```
    /// # use pipeline_store::{Store, StoreConfig};
    /// # use std::time::Duration;
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// # let id = store.accept(store.begin_upload()?, "cat.jpg")?;
    /// # let job = store.claim("worker-1")?.expect("one image waits");
    /// # store.fail(&job, "unknown-format", "not a picture", Duration::ZERO)?;
    /// store.reprocess(id)?;
    /// assert_eq!((store.queue_len()?, store.uploads_in_work()?), (1, 0)); // it is no new upload
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn uploads_in_work(&self) -> Result<u64> {
        self.inner.db.read("count jobs", |tx| jobs::count_new(tx))
    }

    /// When the oldest upload in work was accepted, if there is one.
    ///
    /// ```
    /// # use pipeline_store::{Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// let id = store.accept(store.begin_upload()?, "cat.jpg")?;
    /// let accepted = store.image(id)?.map(|image| image.created_at);
    /// assert_eq!(store.oldest_unfinished()?, accepted); // for an alarm when work does not get done
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn oldest_unfinished(&self) -> Result<Option<Timestamp>> {
        let op = "find the oldest job";
        self.inner.db.read(op, |tx| images::oldest_unfinished(tx))
    }
}

/// Stores all of a result but the thumbnails.
fn finish(
    tx: &Transaction<'_>,
    job: &Job,
    outcome: &Outcome<'_>,
    took: Duration,
) -> rusqlite::Result<()> {
    images::set_metadata(tx, job.seq, outcome.metadata)?;
    let (caption, why_not) = (outcome.caption, outcome.caption_error);
    images::succeed(tx, job.seq, job.claim, caption, why_not, took)?;
    for stage in [StageName::Metadata, StageName::Thumbnails] {
        stages::finish(tx, job, stage, None, None)?;
    }
    match (caption, why_not) {
        (Some(_), _) => stages::finish(tx, job, StageName::Caption, None, None),
        (None, Some(_)) => {
            stages::finish(tx, job, StageName::Caption, None, Some("caption-failed"))
        }
        (None, None) => Ok(()),
    }
}

pub(super) fn held(held: bool, job: &Job) -> Result<()> {
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
    use std::path::Path;
    use std::thread;

    use pipeline_core::Thumbnail;
    use tempfile::TempDir;

    use super::*;
    use crate::turns::{self, Turn};
    use crate::{ImageId, StoreConfig};

    /// A store with one image, which is claimed.
    fn claimed() -> (TempDir, Store, ImageId, Job) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &StoreConfig::default()).unwrap();
        let mut upload = store.begin_upload().unwrap();
        upload.write_all(b"bytes").unwrap();
        let id = store.accept(upload, "cat.jpg").unwrap();
        let job = store.claim("worker").unwrap().unwrap();
        (dir, store, id, job)
    }

    fn thumbnails(jpeg: &'static [u8]) -> [Thumbnail; 1] {
        [Thumbnail {
            name: "small".into(),
            width: 1,
            height: 1,
            jpeg: jpeg.into(),
        }]
    }

    /// Completes `job`, and lets `meanwhile` run after the files are there and before the result is.
    fn complete_and(
        store: &Store,
        job: &Job,
        meanwhile: impl FnOnce(&rusqlite::Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<()> {
        let metadata = serde_json::from_str(
            r#"{"width": 1, "height": 1, "format": "png", "size_bytes": 5, "orientation": 1}"#,
        )
        .unwrap();
        let thumbnails = thumbnails(b"by the first");
        let outcome = Outcome {
            metadata: &metadata,
            thumbnails: &thumbnails,
            caption: None,
            caption_error: None,
        };
        let folder = store.inner.blobs.thumbnail(job.id, "");
        thread::scope(|scope| {
            let work = |tx: &rusqlite::Transaction<'_>| {
                let completing = scope.spawn(|| store.complete(job, &outcome, Duration::ZERO));
                // The files are there, and the other thread waits for this transaction to end.
                while names(&folder).is_empty() && !completing.is_finished() {
                    thread::yield_now();
                }
                meanwhile(tx)?;
                Ok(completing)
            };
            let completing = store.inner.db.write("meanwhile", work).unwrap();
            completing.join().unwrap()
        })
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten();
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
        entries
            .map(|entry| name(entry).into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_deletion_that_overtakes_the_result_leaves_no_thumbnails() {
        let (dir, store, id, job) = claimed();
        let completed = complete_and(&store, &job, |tx| images::delete(tx, id).map(drop));
        assert!(matches!(completed, Err(Error::JobLost { .. })));
        let folder = store.inner.blobs.thumbnail(id, "");
        assert!(!folder.exists());
        assert!(names(&dir.path().join("tmp")).is_empty());
    }

    #[test]
    fn a_lease_that_ends_before_the_result_is_there_leaves_the_files_of_the_next_worker_alone() {
        let (dir, store, id, first) = claimed();
        let completed = complete_and(&store, &first, |tx| {
            jobs::expire(tx, Timestamp::MAX, MAX_ATTEMPTS)?;
            let until = store.lease_end();
            let second = turns::claim(tx, "second", Turn::Quick, Timestamp::MAX, until)?.unwrap();
            let files = store
                .inner
                .blobs
                .put_thumbnails(&second, &thumbnails(b"by the second"));
            files.unwrap();
            Ok(())
        });
        assert!(matches!(completed, Err(Error::JobLost { .. })));
        let folder = store.inner.blobs.thumbnail(id, "");
        assert_eq!(names(&folder), ["2-0.jpg"]);
        assert_eq!(fs::read(folder.join("2-0.jpg")).unwrap(), b"by the second");
        assert!(names(&dir.path().join("tmp")).is_empty());
    }
}
