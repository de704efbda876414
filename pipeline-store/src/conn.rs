//! The connections: one that writes, a few that read.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, ffi};

use crate::{Error, Result, StoreConfig, schema};

const OPEN: &str = "open the database";

/// An open database.
pub(crate) struct Database {
    path: PathBuf,
    // Before the writer, since fields are dropped in order: the last connection to close folds the WAL into the
    // database and removes it, which a connection that only reads cannot do.
    readers: Readers,
    writer: Mutex<Connection>,
    busy_timeout: Duration,
    commits: AtomicU64,
}

impl Database {
    /// Opens the database, creates it where there is none, and brings it up to date.
    pub(crate) fn open(path: &Path, config: &StoreConfig) -> Result<Self> {
        let failed = |error| Error::sqlite(OPEN, path, error);
        refuse_damage(path, config.busy_timeout)?;

        // The writer comes first and alone: it creates the file, and no other connection of this process is there to
        // meet it while the journal mode changes. A mutex of SQLite's own would only double ours.
        let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut writer = Connection::open_with_flags(
            path,
            flags | OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        )
        .map_err(failed)?;
        schema::set_up_writer(&writer, config.busy_timeout).map_err(failed)?;
        schema::migrate(&mut writer, path)?;

        let idle = (0..config.readers.get())
            .map(|_| {
                let flags = flags | OpenFlags::SQLITE_OPEN_READ_ONLY;
                let reader = Connection::open_with_flags(path, flags)?;
                schema::set_up_reader(&reader, config.busy_timeout)?;
                Ok(reader)
            })
            .collect::<rusqlite::Result<_>>()
            .map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            readers: Readers {
                idle: Mutex::new(idle),
                returned: Condvar::new(),
            },
            writer: Mutex::new(writer),
            busy_timeout: config.busy_timeout,
            commits: AtomicU64::default(),
        })
    }

    /// Waits for the connection that writes.
    pub(crate) fn writer(&self) -> Writer<'_> {
        let since = Instant::now();
        Writer {
            connection: lock(&self.writer),
            database: self,
            since,
        }
    }

    /// Runs `work` in a transaction that is durable when this returns `Ok`, and leaves no trace otherwise.
    pub(crate) fn write<T>(
        &self,
        op: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let written = self.writer().transaction(work);
        written.map_err(|error| self.sorted(op, error))
    }

    /// Like [`Database::write`], without the wait for the disk: it survives the end of the process, but a power failure
    /// only once a later [`Database::write`] has returned. For what can be had again.
    pub(crate) fn write_early<T>(
        &self,
        op: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let written = self.writer().transaction_with("normal", work);
        written.map_err(|error| self.sorted(op, error))
    }

    /// Takes the lock of those who write, within `patience`, and lets go of it. It need not have it if somebody here
    /// writes meanwhile: under load there may be no gap for one more.
    ///
    /// Over a connection of its own: the one that writes may be what hangs.
    pub(crate) fn probe(&self, patience: Duration) -> Result<()> {
        let before = self.commits();
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let probe = || {
            let connection = Connection::open_with_flags(&self.path, flags)?;
            connection.busy_timeout(patience)?;
            #[cfg(feature = "fail-points")]
            crate::fail_point::database()?;
            connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK")
        };
        match probe().map_err(|error| self.sorted("try the database", error)) {
            Err(Error::Busy { .. }) if self.commits() != before => Ok(()),
            result => result,
        }
    }

    /// How long a call waits for what somebody else has in hand.
    pub(crate) fn busy_timeout(&self) -> Duration {
        self.busy_timeout
    }

    /// That something else than a lock of SQLite's was waited for in vain.
    pub(crate) fn busy(&self, op: &'static str, what: &str) -> Error {
        let busy = ffi::Error::new(ffi::SQLITE_BUSY);
        self.sorted(
            op,
            rusqlite::Error::SqliteFailure(busy, Some(what.to_owned())),
        )
    }

    /// What SQLite said, as an error of this crate.
    pub(crate) fn sorted(&self, op: &'static str, error: rusqlite::Error) -> Error {
        Error::sqlite(op, &self.path, error)
    }

    /// How many transactions were committed.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }

    /// Runs `work` on one snapshot of the database.
    pub(crate) fn read<T>(
        &self,
        op: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T> {
        self.readers
            .with(|reader| work(&reader.transaction()?))
            .map_err(|error| self.sorted(op, error))
    }
}

/// Refuses a database that SQLite finds damaged, before anything is written to it. This reads all of it: half a second with
/// 100,000 images.
///
/// Over a connection that only reads, since the last one to close that may write would fold the WAL into the database.
fn refuse_damage(path: &Path, busy_timeout: Duration) -> Result<()> {
    if !path.is_file() {
        return Ok(());
    }
    let failed = |error| Error::sqlite(OPEN, path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let reader = Connection::open_with_flags(path, flags).map_err(failed)?;
    schema::set_up_reader(&reader, busy_timeout).map_err(failed)?;
    // What a newer release has written may be more than this SQLite understands.
    schema::check_version(&reader, path)?;
    let found: String = reader
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(failed)?;
    match &*found {
        "ok" => Ok(()),
        damage => Err(Error::corrupt(OPEN, path, damage)),
    }
}

/// The connection that writes, lent to one thread.
pub(crate) struct Writer<'a> {
    connection: MutexGuard<'a, Connection>,
    database: &'a Database,
    since: Instant,
}

impl Writer<'_> {
    /// Runs `work` in a transaction that is durable when this returns `Ok`, and leaves no trace otherwise.
    pub(crate) fn transaction<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        self.transaction_with("full", work)
    }

    fn transaction_with<T>(
        &mut self,
        synchronous: &str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        // Said each time, so that no failure in between can leave another setting behind.
        self.connection
            .pragma_update(None, "synchronous", synchronous)?;
        // The wait for this connection counts: with another program's lock on the database, callers would otherwise
        // wait for one time-out after the other.
        let left = self
            .database
            .busy_timeout
            .saturating_sub(self.since.elapsed());
        self.connection.busy_timeout(left)?;
        #[cfg(feature = "fail-points")]
        crate::fail_point::database()?;
        // Immediate: a transaction that starts by reading cannot wait for the lock when it comes to write.
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        self.database.commits.fetch_add(1, Ordering::SeqCst);
        Ok(done)
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Connections for reading that nobody uses at the moment.
struct Readers {
    idle: Mutex<Vec<Connection>>,
    returned: Condvar,
}

impl Readers {
    /// Lends a connection to `work`; waits while all are out.
    fn with<T>(&self, work: impl FnOnce(&mut Connection) -> T) -> T {
        let mut idle = self
            .returned
            .wait_while(lock(&self.idle), |idle| idle.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        let connection = idle.pop();
        drop(idle);
        let mut loan = Loan {
            connection,
            readers: self,
        };
        work(
            loan.connection
                .as_mut()
                .expect("the wait ended with a connection to take"),
        )
    }
}

/// Gives the connection back when dropped, so that a panic does not make the pool smaller.
struct Loan<'a> {
    connection: Option<Connection>,
    readers: &'a Readers,
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        lock(&self.readers.idle).extend(self.connection.take());
        self.readers.returned.notify_one();
    }
}

/// Locks, whether or not a thread panicked under the lock: an open transaction is rolled back as the panic passes, so
/// what the lock guards is sound.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the transaction that does the work: what a new connection is set to says nothing about it.
    #[test]
    fn what_is_written_is_durable_when_the_call_returns() {
        const FULL: i64 = 2;
        const NORMAL: i64 = 1;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipeline.sqlite");
        let db = Database::open(&path, &StoreConfig::default()).unwrap();
        let setting = |tx: &Transaction<'_>, name: &str| {
            tx.pragma_query_value(None, name, |row| row.get::<_, i64>(0))
        };
        // A call that may be lost leaves nothing behind for those that may not.
        for _ in 0..2 {
            let full = db.write("look", |tx| setting(tx, "synchronous")).unwrap();
            assert_eq!(full, FULL);
            let mut writer = db.writer();
            let shared = writer.transaction(|tx| setting(tx, "synchronous")).unwrap();
            assert_eq!(shared, FULL, "that of uploads that share a commit");
            drop(writer);
            let early = db.write_early("look", |tx| setting(tx, "synchronous"));
            assert_eq!(early.unwrap(), NORMAL);
        }
        let links = db.write("look", |tx| setting(tx, "foreign_keys")).unwrap();
        assert_eq!(links, 1);
        let journal = db.write("look", |tx| {
            tx.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0))
        });
        assert_eq!(journal.unwrap(), "wal");
    }
}
