//! The bounds on uploads: each takes a place in the queue before its first byte is read, and room for its bytes while they
//! come in, or is refused.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pipeline_store::Store;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How many uploads are made durable at once. The disk does more in a second when it is asked for a few things at once,
/// not for many, and those who wait in a row wait about as long as each other.
const AT_ONCE: usize = 16;

/// Counts the uploads that are being received; together with the store's queue they may not exceed the bound.
#[derive(Debug)]
pub(crate) struct Admission {
    max_queue: u64,
    max_bytes: u64,
    receiving: Arc<Receiving>,
    /// How many uploads more there are places for, at the least. The queue is counted when there are none left, not for
    /// each upload: to count it takes the longer, the longer it is.
    places: Mutex<u64>,
    turns: Semaphore,
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
            places: Mutex::default(),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// Takes one of the places that are known to be free, without waiting for anything.
    pub(crate) fn enter(&self) -> Option<Place> {
        self.take(&mut *self.places.try_lock().ok()?)
    }

    /// Counts the queue and takes a place, or `None` if it is full.
    pub(crate) fn count_and_enter(&self, store: &Store) -> pipeline_store::Result<Option<Place>> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if *places == 0 {
            // Those who are being received first, then the queue: a picture that moves from here to there in between is
            // counted twice, never not at all, so the bound holds. What is done again was accepted long ago.
            let receiving = self.receiving.uploads.load(Ordering::SeqCst);
            let taken = store.uploads_in_work()?.saturating_add(receiving);
            *places = self.max_queue.saturating_sub(taken);
        }
        Ok(self.take(&mut places))
    }

    fn take(&self, places: &mut u64) -> Option<Place> {
        *places = places.checked_sub(1)?;
        self.receiving.uploads.fetch_add(1, Ordering::SeqCst);
        Some(Place {
            max_bytes: self.max_bytes,
            bytes: 0,
            receiving: Arc::clone(&self.receiving),
        })
    }

    /// Waits until it is this upload's turn to be made durable: first come, first served.
    pub(crate) async fn turn(&self) -> SemaphorePermit<'_> {
        let turn = self.turns.acquire().await;
        turn.expect("nobody closes the semaphore")
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
