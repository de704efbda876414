//! The calls for whoever tells others about the ends of work.

use jiff::Timestamp;

use super::{Inner, Store};
use crate::{Message, Result, outbox};

impl Store {
    /// The message to `receiver` whose turn it is, or will be next; `None` if none waits.
    ///
    /// It stays in the outbox until [`Store::message_ended`], so it is delivered once or, if the process ends in between,
    /// more than once.
    ///
    /// ```
    /// # use pipeline_store::{Outbox, Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let outbox = Outbox { receivers: vec!["archive".into()], ..Outbox::default() };
    /// # let store = Store::open(folder.path(), &StoreConfig { outbox, ..StoreConfig::default() })?;
    /// # store.accept(store.begin_upload()?, "cat.jpg")?;
    /// # let job = store.claim("worker-1")?.expect("one image waits");
    /// # store.fail(&job, "corrupt", "it is empty", std::time::Duration::ZERO)?;
    /// while let Some(message) = store.next_message("archive")? {
    ///     println!("picture {} is done", message.image);
    ///     store.message_ended(&message)?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn next_message(&self, receiver: &str) -> Result<Option<Message>> {
        let db = &self.inner.db;
        db.read("read the outbox", |tx| outbox::next(tx, receiver))
    }

    /// Takes a message out of the outbox: it is delivered, or given up. A power failure may bring it back.
    ///
    /// ```
    /// # use pipeline_store::{Outbox, Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let outbox = Outbox { receivers: vec!["archive".into()], ..Outbox::default() };
    /// # let store = Store::open(folder.path(), &StoreConfig { outbox, ..StoreConfig::default() })?;
    /// # store.accept(store.begin_upload()?, "cat.jpg")?;
    /// # let job = store.claim("worker-1")?.expect("one image waits");
    /// # store.fail(&job, "corrupt", "it is empty", std::time::Duration::ZERO)?;
    /// let message = store.next_message("archive")?.expect("one message waits");
    /// store.message_ended(&message)?;
    /// assert!(store.next_message("archive")?.is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the database cannot be written.
    pub fn message_ended(&self, message: &Message) -> Result<()> {
        let db = &self.inner.db;
        db.write_early("take a message out", |tx| outbox::remove(tx, message))
    }

    /// Counts an attempt to deliver a message that failed, and puts the next one off until `due` on the store's clock.
    ///
    /// ```
    /// # use pipeline_store::{Outbox, Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let outbox = Outbox { receivers: vec!["archive".into()], ..Outbox::default() };
    /// # let store = Store::open(folder.path(), &StoreConfig { outbox, ..StoreConfig::default() })?;
    /// # store.accept(store.begin_upload()?, "cat.jpg")?;
    /// # let job = store.claim("worker-1")?.expect("one image waits");
    /// # store.fail(&job, "corrupt", "it is empty", std::time::Duration::ZERO)?;
    /// let message = store.next_message("archive")?.expect("one message waits");
    /// let later = message.due_at + std::time::Duration::from_secs(5);
    /// store.postpone_message(&message, later)?;
    /// let again = store.next_message("archive")?.expect("it still waits");
    /// assert_eq!((again.attempts, again.due_at), (1, later));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the database cannot be written.
    pub fn postpone_message(&self, message: &Message, due: Timestamp) -> Result<()> {
        let db = &self.inner.db;
        db.write_early("put a message off", |tx| outbox::postpone(tx, message, due))
    }

    /// Drops messages about work that ended at `before` or earlier, whoever they are for, and all but the newest `keep`
    /// to `receiver`. Returns how many there were. Whoever delivers messages calls this now and then.
    ///
    /// ```
    /// # use pipeline_store::{Outbox, Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let outbox = Outbox { receivers: vec!["archive".into()], ..Outbox::default() };
    /// # let store = Store::open(folder.path(), &StoreConfig { outbox, ..StoreConfig::default() })?;
    /// # store.accept(store.begin_upload()?, "cat.jpg")?;
    /// # let job = store.claim("worker-1")?.expect("one image waits");
    /// # store.fail(&job, "corrupt", "it is empty", std::time::Duration::ZERO)?;
    /// let yesterday = jiff::Timestamp::now() - std::time::Duration::from_secs(24 * 60 * 60);
    /// assert_eq!(store.trim_outbox("archive", yesterday, 10_000)?, 0);
    /// assert_eq!(store.trim_outbox("archive", yesterday, 0)?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the database cannot be written.
    pub fn trim_outbox(&self, receiver: &str, before: Timestamp, keep: u32) -> Result<usize> {
        const OP: &str = "trim the outbox";
        let db = &self.inner.db;
        // Most of the time there is nothing to do, and nothing to wait for the writer for.
        if db.read(OP, |tx| outbox::is_empty(tx))? {
            return Ok(0);
        }
        db.write_early(OP, |tx| outbox::trim(tx, receiver, before, keep))
    }

    /// How many messages wait for the receivers of [`StoreConfig::outbox`](crate::StoreConfig::outbox).
    ///
    /// ```
    /// # use pipeline_store::{Outbox, Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let outbox = Outbox { receivers: vec!["archive".into()], ..Outbox::default() };
    /// # let store = Store::open(folder.path(), &StoreConfig { outbox, ..StoreConfig::default() })?;
    /// # store.accept(store.begin_upload()?, "cat.jpg")?;
    /// # let job = store.claim("worker-1")?.expect("one image waits");
    /// # store.fail(&job, "corrupt", "it is empty", std::time::Duration::ZERO)?;
    /// assert_eq!(store.outbox_len()?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn outbox_len(&self) -> Result<u64> {
        let Inner { db, outbox, .. } = &*self.inner;
        if outbox.receivers.is_empty() {
            return Ok(0);
        }
        db.read("count messages", |tx| {
            let counts = outbox.receivers.iter().map(|name| outbox::count(tx, name));
            counts.sum()
        })
    }
}
