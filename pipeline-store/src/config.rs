//! Settings of a store.

use std::num::NonZeroUsize;
use std::time::Duration;

/// How a [`Store`](crate::Store) uses its database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// How long a call waits for a database that another program has locked before it gives
    /// [`Error::Busy`](crate::Error::Busy); 5 s unless set.
    pub busy_timeout: Duration,
    /// Connections for reading, which is how many reads run at once; 4 unless set.
    pub readers: NonZeroUsize,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            busy_timeout: Duration::from_secs(5),
            readers: NonZeroUsize::new(4).expect("4 is not 0"),
        }
    }
}
