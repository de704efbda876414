//! Memory that pictures share while they are decoded.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::LimitName;
use crate::{Cx, Error, Result};

/// How often a waiting picture looks whether anybody still waits for it.
const LOOK: Duration = Duration::from_millis(50);

/// An amount of memory that all decoders with a clone of it share.
///
/// Each picture reserves what its header says it will need and keeps what its pixels take until they are dropped. When
/// too little is left, it waits, and those that come later wait behind it; a picture that needs more than the whole
/// budget is refused.
///
/// ```
/// use pipeline_core::{Decode, Limits, MemoryBudget};
///
/// let budget = MemoryBudget::new(512 << 20);
/// let thumbnails = Decode::new(Limits::default()).with_budget(&budget);
/// let captions = Decode::new(Limits::default()).with_budget(&budget);
/// ```
#[derive(Debug, Clone)]
pub struct MemoryBudget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    total: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    free: u64,
    /// Tickets of those who wait, the first come first. A large picture would wait for ever if small ones could pass.
    queue: VecDeque<u64>,
    next_ticket: u64,
}

impl MemoryBudget {
    /// A budget of `bytes`.
    pub fn new(bytes: u64) -> Self {
        let state = State {
            free: bytes,
            queue: VecDeque::new(),
            next_ticket: 0,
        };
        Self {
            shared: Arc::new(Shared {
                total: bytes,
                state: Mutex::new(state),
                changed: Condvar::new(),
            }),
        }
    }

    /// Takes `bytes`; waits until they are free.
    pub(crate) fn reserve(&self, bytes: u64, cx: &Cx) -> Result<Reservation> {
        let shared = &self.shared;
        if bytes > shared.total {
            return Err(Error::Limit {
                limit: LimitName::Memory,
                actual: bytes,
                max: shared.total,
            });
        }
        let mut state = shared.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.queue.push_back(ticket);
        while state.queue.front() != Some(&ticket) || state.free < bytes {
            if let Err(stop) = cx.check() {
                state.queue.retain(|&waiting| waiting != ticket);
                shared.changed.notify_all();
                return Err(stop);
            }
            state = shared
                .changed
                .wait_timeout(state, LOOK)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.queue.pop_front();
        state.free -= bytes;
        shared.changed.notify_all();
        Ok(Reservation {
            shared: Arc::clone(shared),
            bytes,
        })
    }
}

impl Shared {
    /// The state is whole after any panic, so a poisoned lock is as good as a sound one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, bytes: u64) {
        self.lock().free += bytes;
        self.changed.notify_all();
    }
}

/// Memory that was taken from a [`MemoryBudget`]; given back when dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    shared: Arc<Shared>,
    bytes: u64,
}

impl Reservation {
    /// Gives back all but `bytes`.
    pub(crate) fn keep(&mut self, bytes: u64) {
        let surplus = self.bytes.saturating_sub(bytes);
        self.bytes -= surplus;
        self.shared.give_back(surplus);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shared.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::CancelToken;

    #[test]
    fn more_than_the_whole_budget_is_refused_at_once() {
        let error = MemoryBudget::new(10).reserve(11, &Cx::none()).unwrap_err();
        assert_eq!(error.code(), "too-much-memory");
    }

    #[test]
    fn who_comes_first_is_served_first_and_what_is_dropped_is_free_again() {
        let budget = MemoryBudget::new(10);
        let mut held = budget.reserve(8, &Cx::none()).unwrap();
        let (served, order) = mpsc::channel();
        thread::scope(|scope| {
            for (turn, bytes) in [(1, 9), (2, 1)] {
                let (shared, served) = (budget.clone(), served.clone());
                scope.spawn(move || {
                    let _held = shared.reserve(bytes, &Cx::none()).unwrap();
                    served.send(turn).unwrap();
                });
                // Each is in the queue before the next one starts.
                while budget.shared.lock().queue.len() < turn {
                    thread::yield_now();
                }
            }
            // The second would fit now, but it waits behind the first.
            assert_eq!(budget.shared.lock().free, 2);
            assert!(order.try_recv().is_err());
            held.keep(1);
            assert_eq!([order.recv().unwrap(), order.recv().unwrap()], [1, 2]);
        });
        drop(held);
        assert_eq!(budget.shared.lock().free, 10);
    }

    #[test]
    fn a_cancelled_picture_leaves_the_queue() {
        let budget = MemoryBudget::new(10);
        let held = budget.reserve(10, &Cx::none()).unwrap();
        let token = CancelToken::new();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| budget.reserve(1, &Cx::none().with_cancel(&token)));
            token.cancel();
            assert!(matches!(waiting.join().unwrap(), Err(Error::Cancelled)));
        });
        drop(held);
        assert!(budget.reserve(10, &Cx::none()).is_ok());
    }
}
