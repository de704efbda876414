//! What happens to pictures, told to whoever listens: the last events with rising ids, and a wake-up for each.
//!
//! Publishing never waits for a listener. One that is slow, or was away for too long, is told that it has missed something
//! and has to look at everything anew; so memory stays bounded whatever listeners do.

mod bell;
mod follower;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use pipeline_store::ImageId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

pub(crate) use bell::Bell;
pub(crate) use follower::{Follower, News};

/// How many events are kept for listeners who come back.
const KEPT: usize = 4096;

/// Something that happened to a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event {
    /// Rises from event to event, and from one start of the server to the next.
    pub(crate) id: u64,
    pub(crate) image: ImageId,
    pub(crate) what: What,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// It was uploaded.
    Accepted,
    /// A worker has taken it.
    Claimed,
    /// A stage has worked on it, with or without success.
    Stage { name: &'static str, took: Duration },
    /// The work has ended.
    Done { success: bool },
    /// It is another than it was: it waits again, or has another caption.
    Changed,
    /// It is gone.
    Deleted,
}

impl What {
    /// Whether nobody works on the picture from here on.
    pub(crate) fn is_end(self) -> bool {
        matches!(self, Self::Done { .. } | Self::Deleted)
    }
}

/// The events of one application.
#[derive(Debug)]
pub(crate) struct Events {
    ring: Mutex<Ring>,
    signal: watch::Sender<Signal>,
    streams: Arc<Semaphore>,
    ends: Bell,
}

/// The last events. Their ids are consecutive and end with `newest`.
#[derive(Debug)]
struct Ring {
    newest: u64,
    kept: VecDeque<Event>,
}

/// What wakes those who sleep.
#[derive(Debug, Clone, Copy, Default)]
struct Signal {
    newest: u64,
    closed: bool,
}

impl Events {
    /// With room for `streams` listeners that stay.
    pub(crate) fn new(streams: usize) -> Self {
        // Microseconds since 1970, so that ids of this start lie above those of all before. They stay exact in JSON.
        let newest = u64::try_from(Timestamp::now().as_microsecond()).unwrap_or(0);
        Self {
            ring: Mutex::new(Ring {
                newest,
                kept: VecDeque::with_capacity(KEPT),
            }),
            signal: watch::Sender::new(Signal {
                newest,
                closed: false,
            }),
            streams: Arc::new(Semaphore::new(streams.min(Semaphore::MAX_PERMITS))),
            ends: Bell::default(),
        }
    }

    /// Tells everybody.
    pub(crate) fn publish(&self, image: ImageId, what: What) {
        let mut ring = self.ring();
        let id = ring.newest + 1;
        ring.newest = id;
        if ring.kept.len() == KEPT {
            ring.kept.pop_front();
        }
        ring.kept.push_back(Event { id, image, what });
        self.wake(id);
        drop(ring);
        if matches!(what, What::Done { .. }) {
            self.ends.ring();
        }
    }

    /// Tells everybody to look at everything anew: something happened, and it is not known to which pictures.
    pub(crate) fn forget(&self) {
        let mut ring = self.ring();
        ring.newest += 1;
        ring.kept.clear();
        self.wake(ring.newest);
        drop(ring);
        self.ends.ring();
    }

    /// Rings when work has ended.
    pub(crate) fn ends(&self) -> &Bell {
        &self.ends
    }

    /// Called with the ring locked, so that what sleepers see never goes backwards.
    fn wake(&self, newest: u64) {
        self.signal.send_modify(|signal| signal.newest = newest);
    }

    /// Listens to what happens from now on, or after the event `after`; to one picture alone, or to all.
    pub(crate) fn follow(self: &Arc<Self>, after: Option<u64>, image: Option<ImageId>) -> Follower {
        let after = after.unwrap_or_else(|| self.ring().newest);
        Follower::new(self, after, image)
    }

    /// A place for a listener that stays, or `None` if there are too many.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.streams).try_acquire_owned().ok()
    }

    /// Sends all listeners home, those included who are still to come.
    pub(crate) fn close(&self) {
        self.signal.send_modify(|signal| signal.closed = true);
        self.ends.take_down();
    }

    /// The ring is whole after any panic.
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
