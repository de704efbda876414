//! Putting in order what no call has in hand: leases that ran out, and files that no row names.

use std::time::Duration;

use jiff::Timestamp;

use super::{Inner, MAX_ATTEMPTS, Store};
use crate::{Result, images, jobs};

impl Store {
    /// Takes images from workers whose leases have run out: they wait again at their old places, or fail with the code
    /// `worker-hung` if that, or an end of the process, has now happened to them twice. Returns how many there were.
    ///
    /// Whoever claims images calls this now and then.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub fn expire_leases(&self) -> Result<usize> {
        let message = "the work on this picture hung repeatedly";
        self.end_leases(Some(self.inner.clock.now()), "worker-hung", message)
    }

    /// Ends the leases that run out at `now` or earlier, or all of them.
    pub(super) fn end_leases(
        &self,
        now: Option<Timestamp>,
        code: &str,
        message: &str,
    ) -> Result<usize> {
        const OP: &str = "take back interrupted work";
        let Inner { db, .. } = &*self.inner;
        // Most of the time there is nothing to do, and nothing to wait for the writer for.
        if db.read(OP, |tx| jobs::ending(tx, now))? == 0 {
            return Ok(0);
        }
        db.write(OP, |tx| {
            let ended = jobs::end_leases(tx, now, MAX_ATTEMPTS)?;
            for seq in &ended.given_up {
                images::fail(tx, *seq, code, message, None)?;
            }
            Ok(ended.given_up.len() + ended.waiting)
        })
    }

    /// Removes files that no row names and no call has in hand, `age` old or older: everything in the folder for
    /// temporary files, and those of the images whose ids begin with the byte `part`. Returns how many there were.
    ///
    /// A 256th of the store at a time, so that a large one is gone through without holding anything up. Call it for one
    /// part after the other, now and then.
    ///
    /// # Errors
    /// If a folder or the database cannot be read, or a file cannot be removed.
    pub fn sweep(&self, part: u8, age: Duration) -> Result<usize> {
        let Inner { db, blobs, .. } = &*self.inner;
        let cleared = self.clear_temporaries(age)?;
        let found = blobs.found(part)?;
        if found.is_empty() {
            return Ok(cleared);
        }
        let rows = db.read("look for orphans", |tx| {
            images::files(tx, &format!("{part:02x}"))
        })?;
        let mut removed = 0;
        for file in &found {
            if file.is_orphan(&rows) && file.is_older(age) {
                blobs.remove_orphan(file)?;
                removed += 1;
            }
        }
        Ok(cleared + removed)
    }

    /// Removes temporary files, and the files of images that a process had in hand when it ended.
    pub(super) fn clear_temporaries(&self, age: Duration) -> Result<usize> {
        let Inner { db, blobs, .. } = &*self.inner;
        let left = blobs.left(age)?;
        for file in &left {
            blobs.clear(file, |id| {
                db.read("look for orphans", |tx| {
                    images::files(tx, &id.to_string()).map(|mut rows| rows.remove(&id))
                })
            })?;
        }
        Ok(left.len())
    }
}
