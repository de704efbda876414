//! The time by which leases run.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

/// A clock that never goes back and never jumps: a correction of the system's time ends no lease.
///
/// Tests put one of their own in its place, so that leases end without waiting.
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicI64, Ordering}};
/// use pipeline_store::{Clock, StoreConfig};
///
/// let seconds = Arc::new(AtomicI64::new(0));
/// let hand = Arc::clone(&seconds);
/// let clock = Clock::new(move || jiff::Timestamp::constant(hand.load(Ordering::Relaxed), 0));
/// let config = StoreConfig { clock: clock.clone(), ..StoreConfig::default() };
/// seconds.store(61, Ordering::Relaxed); // a minute passes
/// assert_eq!(clock.now().as_second(), 61);
/// # drop(config);
/// ```
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that shows what `now` returns.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time on this clock.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl Default for Clock {
    /// The system's time as of this call, and from there on as many seconds as really pass.
    fn default() -> Self {
        let (start, began) = (Timestamp::now(), Instant::now());
        Self::new(move || start.checked_add(began.elapsed()).unwrap_or(Timestamp::MAX))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}
