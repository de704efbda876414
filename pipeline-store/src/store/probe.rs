//! Whether an upload would find what it needs, without one.

use std::io::Write;
use std::time::Duration;

use super::{Inner, Store};
use crate::{Error, Result};

impl Store {
    /// Whether files can be written: writes one, and removes it.
    ///
    /// ```
    /// # use pipeline_store::{Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// store.probe_files()?; // now and then, to notice what would befall the next upload
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Store::begin_upload`] and of writing to it.
    pub fn probe_files(&self) -> Result<()> {
        let mut upload = self.begin_upload()?;
        upload.write_all(b"?").map_err(Error::upload)
    }

    /// Whether the database can be written to: takes its lock within `patience`, and lets go of it. Nothing is written.
    ///
    /// ```
    /// use std::time::Duration;
    /// # use pipeline_store::{Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// let store = Store::open(folder.path(), &StoreConfig::default())?;
    /// store.probe_database(Duration::from_secs(1))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Busy`] if somebody holds the lock for longer; those of any call that writes.
    pub fn probe_database(&self, patience: Duration) -> Result<()> {
        let Inner { db, .. } = &*self.inner;
        db.probe(patience)
    }
}
