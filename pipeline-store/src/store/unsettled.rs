//! Uploads whose rows can be found although their files may not be on the disk.

use std::collections::HashMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::ImageId;
use crate::conn::lock;

/// Those uploads. Nobody may be told that one of them is stored.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    uploads: Mutex<HashMap<ImageId, State>>,
    settled: Condvar,
}

/// How it stands with one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Its file is on the way to the disk.
    Syncing,
    /// Its file did not get there, and its row could not be removed. Both stay until that can be done.
    Stuck,
}

impl Unsettled {
    pub(super) fn enter(&self, id: ImageId) {
        lock(&self.uploads).insert(id, State::Syncing);
    }

    pub(super) fn set_stuck(&self, id: ImageId) {
        lock(&self.uploads).insert(id, State::Stuck);
        self.settled.notify_all();
    }

    /// File and row are on the disk, or both are gone.
    pub(super) fn settle(&self, id: ImageId) {
        lock(&self.uploads).remove(&id);
        self.settled.notify_all();
    }

    /// How it stands with `id`; `None` if it is settled.
    pub(super) fn state(&self, id: ImageId) -> Option<State> {
        lock(&self.uploads).get(&id).copied()
    }

    /// Waits until `id` is no longer on its way, for `at_most` at the longest, and returns how it stands then.
    pub(super) fn wait(&self, id: ImageId, at_most: Duration) -> Option<State> {
        let syncing =
            |uploads: &mut HashMap<_, _>| uploads.get(&id).copied() == Some(State::Syncing);
        let (uploads, _) = self
            .settled
            .wait_timeout_while(lock(&self.uploads), at_most, syncing)
            .unwrap_or_else(PoisonError::into_inner);
        uploads.get(&id).copied()
    }

    /// The uploads that are still to be taken back.
    pub(super) fn stuck(&self) -> Vec<ImageId> {
        let uploads = lock(&self.uploads);
        let stuck = uploads.iter().filter(|(_, state)| **state == State::Stuck);
        stuck.map(|(id, _)| *id).collect()
    }
}
