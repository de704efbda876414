//! What the doctor does about a problem.

use super::{Inner, Store};
use crate::doctor::Problem;
use crate::{ImageId, Result, checks, images};

const OP: &str = "mend the data folder";

impl Store {
    /// Mends `problem` if that is possible. Leftovers went when the store was opened, and orphans go with the sweep
    /// that follows.
    pub(crate) fn mend(&self, problem: &Problem) -> Result<()> {
        match problem {
            Problem::ThumbnailLost { id, .. } => self.do_again(*id),
            Problem::NotQueued { id } => self.do_again(*id),
            Problem::BadRow { id } => match id.parse() {
                Ok(id) => self.do_again(id),
                Err(_) => Ok(()),
            },
            Problem::OriginalLost { id } => self.give_up_without_original(*id),
            Problem::StillQueued { id } => self.with_row(*id, checks::remove_job),
            Problem::OldVersion { .. }
            | Problem::Damaged { .. }
            | Problem::LeftOver { .. }
            | Problem::Orphan { .. } => Ok(()),
        }
    }

    /// Queues an image whose original is there, whatever its result was.
    fn do_again(&self, id: ImageId) -> Result<()> {
        let Inner { db, blobs, .. } = &*self.inner;
        let size = blobs.original_size(id);
        if size.is_none() || size != db.read(OP, |tx| checks::size(tx, id))? {
            return Ok(());
        }
        self.with_row(id, checks::put_back_to_work)
    }

    /// Fails an image that is in work and cannot be worked on. A result that is there stays.
    fn give_up_without_original(&self, id: ImageId) -> Result<()> {
        self.with_row(id, |tx, seq| {
            if checks::is_in_work(tx, seq)? {
                let message = "the original is gone or damaged";
                images::fail(tx, seq, 0, "original-lost", message, None)?;
                checks::remove_job(tx, seq)?;
            }
            Ok(())
        })
    }

    fn with_row(
        &self,
        id: ImageId,
        change: impl FnOnce(&rusqlite::Connection, i64) -> rusqlite::Result<()>,
    ) -> Result<()> {
        self.inner.db.write(OP, |tx| match checks::seq(tx, id)? {
            Some(seq) => change(tx, seq),
            None => Ok(()),
        })
    }
}
