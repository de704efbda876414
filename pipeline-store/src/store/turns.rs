//! Whose turn it is: what is quick goes first, and what cannot be worked on at present comes later.

use std::time::Duration;

use jiff::Timestamp;

use super::work::held;
use super::{Inner, Store};
use crate::fail_point::fail_point;
use crate::turns::Turn;
use crate::{Job, Result, jobs, turns};

/// For how long an image is put off at first.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// For how long it is put off at a time, at the most.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

impl Store {
    /// Claims the oldest image that waits, one without thumbnails before those of which only the caption is left, and new
    /// ones before those that are done again; `None` if none does. `worker` says who has it, for people who look into the
    /// database.
    ///
    /// An image that was in work when the process ended is claimed when no other is in work, and no other is claimed
    /// meanwhile, so that none fails because of another.
    ///
    /// The image is the worker's for [`StoreConfig::lease`](crate::StoreConfig::lease), and for as long again after
    /// every [`Store::renew`].
    ///
    /// ```
    /// # use pipeline_store::{Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// let id = store.accept(store.begin_upload()?, "cat.jpg")?;
    /// let job = store.claim("worker-1")?.expect("one image waits");
    /// assert_eq!(job.image_id(), id);
    /// assert!(store.claim("worker-2")?.is_none()); // each image goes to one worker
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the database cannot be written.
    pub fn claim(&self, worker: &str) -> Result<Option<Job>> {
        self.claim_turn(worker, Turn::Quick)
    }

    /// Like [`Store::claim`], but those of which only the caption is left come first. A worker that calls this now and then
    /// sees to it that captions are written however many uploads come.
    ///
    /// ```
    /// # use pipeline_core::{Cx, ImagePipeline, Pipeline, Stage, ThumbnailStage, ThumbnailSpec, Decoded, image::RgbImage};
    /// # use pipeline_store::{Store, StoreConfig};
    /// # use std::{io::Write, time::Duration};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// # let stage = ThumbnailStage::new([ThumbnailSpec::new("cat", 64)]);
    /// # let jpeg = stage.run(&Decoded::from(RgbImage::new(64, 48)), &Cx::none())?.remove(0).jpeg;
    /// # let mut upload = store.begin_upload()?;
    /// # upload.write_all(&jpeg)?;
    /// # let first = store.accept(upload, "cat.jpg")?;
    /// # store.accept(store.begin_upload()?, "dog.jpg")?;
    /// let job = store.claim("worker-1")?.expect("two images wait");
    /// # let found = ImagePipeline::builder().build().process(&store.original(&job)?, &Cx::none())?;
    /// store.keep_thumbnails(&job, &found.metadata, &found.thumbnails, Duration::ZERO)?;
    /// assert!(store.make_way(&job, Duration::ZERO)?); // the other one has none yet
    /// let job = store.claim_for_caption("worker-1")?.expect("two images wait");
    /// assert!(job.image_id() == first && job.is_prepared());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the database cannot be written.
    pub fn claim_for_caption(&self, worker: &str) -> Result<Option<Job>> {
        self.claim_turn(worker, Turn::Caption)
    }

    fn claim_turn(&self, worker: &str, turn: Turn) -> Result<Option<Job>> {
        let (now, until) = (self.inner.clock.now(), self.lease_end());
        let claimed = self.inner.db.write("claim a job", |tx| {
            turns::claim(tx, worker, turn, now, until)
        });
        if let Ok(Some(_)) = claimed {
            fail_point("claimed").ok();
        }
        claimed
    }

    /// Puts an image back whose thumbnails were kept ([`Store::keep_thumbnails`]) if others wait for theirs, and returns
    /// whether that is so. It waits for its caption at its old place, the attempt does not count, and `took`, the time that
    /// was spent on it, is added to that of the caption. Otherwise the job stays the caller's.
    ///
    /// ```
    /// # use pipeline_core::{Cx, ImagePipeline, Pipeline, Stage, ThumbnailStage, ThumbnailSpec, Decoded, image::RgbImage};
    /// # use pipeline_store::{Store, StoreConfig};
    /// # use std::{io::Write, time::Duration};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// # let stage = ThumbnailStage::new([ThumbnailSpec::new("cat", 64)]);
    /// # let jpeg = stage.run(&Decoded::from(RgbImage::new(64, 48)), &Cx::none())?.remove(0).jpeg;
    /// # let mut upload = store.begin_upload()?;
    /// # upload.write_all(&jpeg)?;
    /// # store.accept(upload, "cat.jpg")?;
    /// # let took = Duration::from_millis(30);
    /// let job = store.claim("worker-1")?.expect("one image waits");
    /// # let found = ImagePipeline::builder().build().process(&store.original(&job)?, &Cx::none())?;
    /// store.keep_thumbnails(&job, &found.metadata, &found.thumbnails, took)?;
    /// assert!(!store.make_way(&job, took)?); // nobody waits: go on with the caption
    /// store.accept(store.begin_upload()?, "dog.jpg")?;
    /// assert!(store.make_way(&job, took)?); // the dog comes first
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Store::complete`].
    pub fn make_way(&self, job: &Job, took: Duration) -> Result<bool> {
        const OP: &str = "put an image back";
        let Inner { db, clock, .. } = &*self.inner;
        let now = clock.now();
        // Most of the time nobody waits, and then there is nothing to wait for the writer for.
        if !db.read(OP, |tx| turns::is_quick_work_due(tx, job, now))? {
            return Ok(false);
        }
        fail_point("making-way").ok();
        let released = db.write_early(OP, |tx| jobs::put_back(tx, job, took))?;
        fail_point("made-way").ok();
        held(released, job)?;
        Ok(true)
    }

    /// Puts an image off that cannot be worked on at present, such as because its file cannot be read: others come first,
    /// and the attempt does not count. It is for as long as all times before together, from a second to five minutes, but
    /// for `at_least` so long. Returns `true`; or `false` if it has been put off for [`StoreConfig::patience`](crate::StoreConfig::patience) in all, and has
    /// now failed with `code` and `message`, as by [`Store::fail`].
    ///
    /// ```
    /// use std::time::Duration;
    /// # use pipeline_store::{Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// # store.accept(store.begin_upload()?, "cat.jpg")?;
    /// let job = store.claim("worker-1")?.expect("one image waits");
    /// let least = Duration::from_secs(2); // the worker will not look for work earlier, so that others come first
    /// let why = "cannot read the original";
    /// assert!(store.put_off(&job, least, "store-io-failed", why, Duration::ZERO)?);
    /// assert!(store.claim("worker-1")?.is_none()); // not yet
    /// assert!(store.next_due()?.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Store::complete`].
    pub fn put_off(
        &self,
        job: &Job,
        at_least: Duration,
        code: &str,
        message: &str,
        took: Duration,
    ) -> Result<bool> {
        let Inner {
            db,
            clock,
            patience,
            ..
        } = &*self.inner;
        if job.put_off >= *patience {
            self.fail(job, code, message, took)?;
            return Ok(false);
        }
        let pause = job.put_off.clamp(FIRST_PAUSE, LONGEST_PAUSE).max(at_least);
        let due = clock.now().checked_add(pause).unwrap_or(Timestamp::MAX);
        let released = db.write("put an image off", |tx| jobs::put_off(tx, job, pause, due))?;
        held(released, job)?;
        Ok(true)
    }

    /// When the next of those images is due that were put off ([`Store::put_off`]); `None` if there are none. By the
    /// store's [`Clock`](crate::Clock).
    ///
    /// ```
    /// # use pipeline_store::{Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// if store.claim("worker-1")?.is_none() {
    ///     let until = store.next_due()?; // sleep until then, or until there is an upload
    ///     assert_eq!(until, None);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn next_due(&self) -> Result<Option<Timestamp>> {
        self.inner
            .db
            .read("look for the next job", |tx| turns::next_due(tx))
    }
}
