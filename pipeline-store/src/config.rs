//! Settings of a store.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::Clock;

/// How a [`Store`](crate::Store) uses its database.
///
/// ```
/// use std::time::Duration;
/// use pipeline_store::{Store, StoreConfig};
///
/// # let folder = tempfile::tempdir()?;
/// let config = StoreConfig { lease: Duration::from_secs(300), ..StoreConfig::default() };
/// let store = Store::open(folder.path(), &config)?;
/// # drop(store);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// How long a call waits for a database that another program has locked before it gives
    /// [`Error::Busy`](crate::Error::Busy); 5 s unless set.
    pub busy_timeout: Duration,
    /// Connections for reading, which is how many reads run at once; 4 unless set.
    pub readers: NonZeroUsize,
    /// How long a claimed image is its worker's, from the claim or the last
    /// [`Store::renew`](crate::Store::renew); 60 s unless set.
    pub lease: Duration,
    /// For how long in all an image is put off that cannot be worked on ([`Store::put_off`](crate::Store::put_off)) before
    /// it fails; 24 hours unless set.
    pub patience: Duration,
    /// The clock of the leases; a steady one unless set.
    pub clock: Clock,
    /// Who is told of the ends of work; nobody unless set.
    pub outbox: Outbox,
}

/// Who is told of the ends of work. Messages wait in the store until [`Store::message_ended`](crate::Store::message_ended).
///
/// ```
/// use pipeline_store::{Outbox, Store, StoreConfig};
///
/// # let folder = tempfile::tempdir()?;
/// let outbox = Outbox { receivers: vec!["archive".into()], ..Outbox::default() };
/// let store = Store::open(folder.path(), &StoreConfig { outbox, ..StoreConfig::default() })?;
/// # store.accept(store.begin_upload()?, "cat.jpg")?;
/// # let job = store.claim("worker-1")?.expect("one image waits");
/// # store.fail(&job, "corrupt", "it is empty", std::time::Duration::ZERO)?;
/// assert!(store.next_message("archive")?.is_some_and(|message| !message.success));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbox {
    /// A name for each receiver, the same from one start to the next; none unless set.
    pub receivers: Vec<String>,
    /// Whether they are told of work that succeeded; they are unless set.
    pub successes: bool,
    /// Whether they are told of work that failed; they are unless set.
    pub failures: bool,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            receivers: Vec::new(),
            successes: true,
            failures: true,
        }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            busy_timeout: Duration::from_secs(5),
            readers: NonZeroUsize::new(4).expect("4 is not 0"),
            lease: Duration::from_secs(60),
            patience: Duration::from_secs(24 * 3_600),
            clock: Clock::default(),
            outbox: Outbox::default(),
        }
    }
}
