//! Putting in order what no call has in hand: leases that ran out, and files that no row names.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;

use super::{Inner, MAX_ATTEMPTS, Store};
use crate::{ImageId, Result, TakenBack, images, jobs, outbox, turns};

impl Store {
    /// Takes images from workers whose leases have run out: they wait again at their old places, or fail with the code
    /// `worker-hung` if that, or an end of the process, has now happened to them twice.
    ///
    /// Whoever claims images calls this now and then.
    ///
    /// ```
    /// use std::time::Duration;
    /// use pipeline_store::{Store, StoreConfig};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// // Leases that end at once stand for a worker that hangs.
    /// let config = StoreConfig { lease: Duration::ZERO, ..StoreConfig::default() };
    /// let store = Store::open(folder.path(), &config)?;
    /// let id = store.accept(store.begin_upload()?, "cat.jpg")?;
    /// let job = store.claim("worker-1")?.expect("one image waits");
    /// assert_eq!(store.expire_leases()?.waiting, [id]);
    /// assert!(!store.is_held(&job)? && store.claim("worker-2")?.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the database cannot be written.
    pub fn expire_leases(&self) -> Result<TakenBack> {
        let now = self.inner.clock.now();
        let message = "the work on this picture hung repeatedly";
        self.take_back(Some(now), "worker-hung", message, |tx| {
            jobs::expire(tx, now, MAX_ATTEMPTS)
        })
    }

    /// Takes all images from the workers of a process that has ended. Those that were put off are tried at once: what
    /// stood in the way may be the reason why it was started anew.
    pub(super) fn take_back_interrupted(&self) -> Result<TakenBack> {
        let message = "the work on this picture was interrupted repeatedly";
        let taken = self.take_back(None, "interrupted", message, |tx| {
            jobs::interrupt(tx, MAX_ATTEMPTS)
        })?;
        if self.next_due()?.is_some() {
            let op = "queue images that were put off";
            self.inner.db.write(op, |tx| turns::forget_due(tx))?;
        }
        Ok(taken)
    }

    /// Ends the leases that run out at `now` or earlier, or all of them, by `end`.
    fn take_back(
        &self,
        now: Option<Timestamp>,
        code: &str,
        message: &str,
        end: impl FnOnce(&Connection) -> rusqlite::Result<jobs::Ended>,
    ) -> Result<TakenBack> {
        const OP: &str = "take back interrupted work";
        let Inner {
            db, outbox, clock, ..
        } = &*self.inner;
        // Most of the time there is nothing to do, and nothing to wait for the writer for.
        if !db.read(OP, |tx| jobs::is_any_ending(tx, now))? {
            return Ok(TakenBack::default());
        }
        db.write(OP, |tx| {
            let ended = end(tx)?;
            let mut taken = TakenBack::default();
            for (seq, claim) in ended.given_up {
                images::fail(tx, seq, claim, code, message, None)?;
                outbox::add(tx, outbox, seq, false, clock.now())?;
                taken.failed.extend(images::id(tx, seq)?);
            }
            for seq in ended.waiting {
                taken.waiting.extend(images::id(tx, seq)?);
            }
            Ok(taken)
        })
    }

    /// Removes files that no row names and no call has in hand, `age` old or older: those of the images whose ids begin
    /// with the byte `part`, and with part 0 also what lies in the folder for temporary files. Uploads that failed when
    /// their rows could not be removed go, too, whatever the part. Returns how many there were.
    ///
    /// A 256th of the store at a time, so that a large one is gone through without holding anything up. Call it for one
    /// part after the other, now and then.
    ///
    /// ```
    /// use std::time::Duration;
    /// # use pipeline_store::{Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    ///
    /// // In a thread of its own, one part now and then.
    /// for part in 0..=u8::MAX {
    ///     assert_eq!(store.sweep(part, Duration::from_secs(3_600))?, 0);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If a folder or the database cannot be read, or a file cannot be removed; the others are removed all the same.
    pub fn sweep(&self, part: u8, age: Duration) -> Result<usize> {
        let taken_back = self.take_back_stuck();
        let cleared = match part {
            0 => self.clear_temporaries(age),
            _ => Ok(0),
        };
        Ok(self.remove_orphans(part, age)? + cleared? + taken_back?)
    }

    fn remove_orphans(&self, part: u8, age: Duration) -> Result<usize> {
        let Inner { db, blobs, .. } = &*self.inner;
        let found = blobs.found(part)?;
        if found.is_empty() {
            return Ok(0);
        }
        let rows = db.read("look for orphans", |tx| {
            images::files(tx, &format!("{part:02x}"))
        })?;
        let orphans = found
            .iter()
            .filter(|file| file.is_orphan(&rows) && file.is_older(age));
        all(orphans, |orphan| blobs.remove_orphan(orphan))
    }

    /// Removes temporary files, and the files of images that a process had in hand when it ended.
    pub(super) fn clear_temporaries(&self, age: Duration) -> Result<usize> {
        let Inner { db, blobs, .. } = &*self.inner;
        let row = |id: ImageId| {
            db.read("look for orphans", |tx| {
                images::files(tx, &id.to_string()).map(|mut rows| rows.remove(&id))
            })
        };
        all(&blobs.left(age)?, |left| blobs.clear(left, row))
    }
}

/// Does `work` for every item, whatever becomes of the others, and counts them.
fn all<T>(items: impl IntoIterator<Item = T>, work: impl Fn(T) -> Result<()>) -> Result<usize> {
    let (mut count, mut result) = (0, Ok(()));
    for item in items {
        count += 1;
        result = result.and(work(item));
    }
    result.map(|()| count)
}
