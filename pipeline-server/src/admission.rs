//! The bound on the queue: an upload takes a place before its first byte is read, or is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pipeline_store::Store;

/// Counts the uploads that are being received; together with the store's queue they may not exceed the bound.
#[derive(Debug)]
pub(crate) struct Admission {
    max_queue: u64,
    receiving: Arc<AtomicU64>,
}

/// A place in the queue for one upload that is being received. Dropped when the picture is stored or refused.
#[derive(Debug)]
pub(crate) struct Place {
    receiving: Arc<AtomicU64>,
}

impl Admission {
    pub(crate) fn new(max_queue: u64) -> Self {
        Self {
            max_queue,
            receiving: Arc::default(),
        }
    }

    /// Takes a place, or `None` if the queue is full.
    pub(crate) fn enter(&self, store: &Store) -> pipeline_store::Result<Option<Place>> {
        // Count first, then read the queue: a picture that moves from here to there in between is counted twice,
        // never not at all, so the bound holds.
        let before = self.receiving.fetch_add(1, Ordering::SeqCst);
        let place = Place {
            receiving: Arc::clone(&self.receiving),
        };
        let waiting = store.queue_len()?;
        Ok((waiting.saturating_add(before) < self.max_queue).then_some(place))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.receiving.fetch_sub(1, Ordering::SeqCst);
    }
}
