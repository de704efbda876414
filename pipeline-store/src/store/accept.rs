//! Taking uploads in: a file and its row become durable together, or neither stays.

use super::unsettled::State;
use super::{Inner, Store};
use crate::beside::beside;
use crate::fail_point::fail_point;
use crate::images::NewImage;
use crate::keys::Known;
use crate::upload::Received;
use crate::{Error, ImageId, Result, Upload, images};

const OP: &str = "store the upload";

impl Store {
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
        self.accept_once(upload, original_name, None)
    }

    /// Like [`Store::accept`] for a sender that may send the same file twice, not knowing whether it came through: within
    /// 24 hours, the same `key` with the same bytes is the image that is there already. If that one is not on the disk
    /// yet, this waits for it, as long as for a locked database. A key whose image is deleted, or has lost its file, is
    /// free again.
    ///
    /// ```
    /// use std::io::Write;
    /// # use pipeline_store::{Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    ///
    /// let send = |bytes| -> Result<_, pipeline_store::Error> {
    ///     let mut upload = store.begin_upload()?;
    ///     upload.write_all(bytes).map_err(pipeline_store::Error::upload)?;
    ///     store.accept_once(upload, "cat.jpg", Some("key-1"))
    /// };
    /// assert_eq!(send(b"a picture")?, send(b"a picture")?); // one image
    /// assert_eq!(send(b"another").unwrap_err().code(), "idempotency-key-reused");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::KeyReused`] if the key came with other bytes before, [`Error::Busy`] if its image is still not on the disk;
    /// else as [`Store::accept`].
    pub fn accept_once(
        &self,
        upload: Upload,
        original_name: &str,
        key: Option<&str>,
    ) -> Result<ImageId> {
        let Inner {
            blobs, unsettled, ..
        } = &*self.inner;
        let Received {
            file,
            sha256,
            size_bytes,
        } = upload.finish();
        let id = ImageId::random();
        let image = NewImage {
            id,
            original_name: original_name.to_owned(),
            size_bytes,
            sha256,
        };
        let doubt = blobs.doubt(id)?;
        let result = blobs
            .place_original(id, file)
            .and_then(|()| self.store_once(&image, key));
        if let Ok(Known::New) = result {
            fail_point("committed").ok();
            return Ok(id);
        }
        match unsettled.state(id) {
            // The row is there, so its file has to stay. The note tells the next start that it may not be on the disk.
            Some(_) => doubt.keep(),
            None => blobs.undo(id, doubt),
        }
        match result? {
            Known::Same(first) => Ok(first),
            _ => Err(Error::KeyReused),
        }
    }

    /// Stores an upload, unless its key came before with one that stays.
    fn store_once(&self, image: &NewImage, key: Option<&str>) -> Result<Known> {
        loop {
            match self.store_upload(image, key)? {
                Known::Same(first) if !self.has_stayed(first)? => {}
                known => return Ok(known),
            }
        }
    }

    /// Makes the file and the row durable, both at once: each is a wait for the disk, and the sender waits for both.
    ///
    /// A power failure in between may leave a row whose file is damaged. Its sender has had no answer, and
    /// [`Store::original`] compares the digest.
    pub(super) fn store_upload(&self, image: &NewImage, key: Option<&str>) -> Result<Known> {
        let Inner {
            db,
            blobs,
            intake,
            unsettled,
            ..
        } = &*self.inner;
        let id = image.id;
        // Before the row is there for others to find.
        unsettled.enter(id);
        let (synced, stored) = beside(
            || blobs.sync_original(id),
            || intake.store(db, image.clone(), key),
        );
        match (synced, stored) {
            (Err(error), Ok(Known::New)) => {
                match db.write("take back the upload", |tx| images::delete(tx, id)) {
                    Ok(_) => unsettled.settle(id),
                    Err(_) => unsettled.set_stuck(id),
                }
                Err(error)
            }
            (synced, stored) => {
                unsettled.settle(id);
                stored.and_then(|known| synced.map(|()| known))
            }
        }
    }

    /// Waits for the end of the upload `first`, which came with the same key; `false` if it was taken back or deleted.
    fn has_stayed(&self, first: ImageId) -> Result<bool> {
        let Inner { db, unsettled, .. } = &*self.inner;
        match unsettled.wait(first, db.busy_timeout()) {
            None => {}
            Some(State::Stuck) => self.take_back_upload(first)?,
            Some(State::Syncing) => return Err(db.busy(OP, "the same upload is underway")),
        }
        db.read(OP, |tx| images::exists(tx, first))
    }

    /// Takes back the uploads that could not be taken back when they failed. Returns how many there were.
    pub(super) fn take_back_stuck(&self) -> Result<usize> {
        let stuck = self.inner.unsettled.stuck();
        for id in &stuck {
            self.take_back_upload(*id)?;
        }
        Ok(stuck.len())
    }

    fn take_back_upload(&self, id: ImageId) -> Result<()> {
        self.delete(id)?;
        // Its sender may have deleted it before.
        self.inner.unsettled.settle(id);
        Ok(())
    }
}
