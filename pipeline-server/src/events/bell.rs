//! Wakes threads that wait for the ends of work. The async listeners have signals of their own.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Rings at every end of work, until it is taken down.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct State {
    rings: u64,
    down: bool,
}

impl Bell {
    pub(super) fn ring(&self) {
        self.state().rings += 1;
        self.rung.notify_all();
    }

    /// Wakes everybody for the last time.
    pub(super) fn take_down(&self) {
        self.state().down = true;
        self.rung.notify_all();
    }

    /// How often it has rung; `None` once it is down. Read before the look at what the rings are about, so that none in
    /// between is missed.
    pub(crate) fn rings(&self) -> Option<u64> {
        let state = self.state();
        (!state.down).then_some(state.rings)
    }

    /// Waits until it has rung more often than `heard` or is down, for `at_most` at the longest.
    pub(crate) fn wait(&self, heard: u64, at_most: Option<Duration>) {
        let state = self.state();
        let silent = |state: &mut State| state.rings == heard && !state.down;
        match at_most {
            Some(time) => drop(self.rung.wait_timeout_while(state, time, silent)),
            None => drop(self.rung.wait_while(state, silent)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn no_ring_is_missed_and_the_end_is_heard() {
        let bell = Bell::default();
        let heard = bell.rings().unwrap();
        bell.ring();
        bell.wait(heard, None);
        let heard = bell.rings().unwrap();
        bell.wait(heard, Some(Duration::ZERO));
        thread::scope(|scope| {
            scope.spawn(|| bell.wait(heard, None));
            bell.take_down();
        });
        assert_eq!(bell.rings(), None);
        bell.wait(heard, None);
    }
}
