//! The bounds on uploads: each takes a place in the queue before its first byte is read, and room for its bytes while they
//! come in, or is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pipeline_store::Store;

/// Counts the uploads that are being received; together with the store's queue they may not exceed the bound.
#[derive(Debug)]
pub(crate) struct Admission {
    max_queue: u64,
    max_bytes: u64,
    receiving: Arc<Receiving>,
}

#[derive(Debug, Default)]
struct Receiving {
    uploads: AtomicU64,
    bytes: AtomicU64,
}

/// A place in the queue for one upload that is being received, with the bytes received so far. Dropped when the picture
/// is stored or refused.
#[derive(Debug)]
pub(crate) struct Place {
    max_bytes: u64,
    bytes: u64,
    receiving: Arc<Receiving>,
}

impl Admission {
    /// At most `max_queue` pictures, waiting or underway, and at most `max_bytes` underway.
    pub(crate) fn new(max_queue: u64, max_bytes: u64) -> Self {
        Self {
            max_queue,
            max_bytes,
            receiving: Arc::default(),
        }
    }

    /// Takes a place, or `None` if the queue is full.
    pub(crate) fn enter(&self, store: &Store) -> pipeline_store::Result<Option<Place>> {
        // Count first, then read the queue: a picture that moves from here to there in between is counted twice,
        // never not at all, so the bound holds.
        let before = self.receiving.uploads.fetch_add(1, Ordering::SeqCst);
        let place = Place {
            max_bytes: self.max_bytes,
            bytes: 0,
            receiving: Arc::clone(&self.receiving),
        };
        // What is done again was accepted long ago.
        let waiting = store.uploads_in_work()?;
        Ok((waiting.saturating_add(before) < self.max_queue).then_some(place))
    }

    /// The uploads that are being received, and their bytes so far.
    pub(crate) fn receiving(&self) -> (u64, u64) {
        let Receiving { uploads, bytes } = &*self.receiving;
        (uploads.load(Ordering::SeqCst), bytes.load(Ordering::SeqCst))
    }
}

impl Place {
    /// Takes room for `bytes` that have come in; `false` if there is none. What a client announces takes no room: it
    /// would cost nothing to announce much and send little.
    #[must_use]
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let before = self.receiving.bytes.fetch_add(bytes, Ordering::SeqCst);
        self.bytes += bytes;
        before + bytes <= self.max_bytes
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.receiving.uploads.fetch_sub(1, Ordering::SeqCst);
        self.receiving.bytes.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}
