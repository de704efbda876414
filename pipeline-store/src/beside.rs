//! Two things at once.

use std::panic::resume_unwind;
use std::thread;

/// Runs `other` in a thread of its own while `this` runs here, and returns what both gave.
///
/// Where no further thread can be had, one runs after the other.
pub(crate) fn beside<A: Send, B>(other: impl Fn() -> A + Sync, this: impl FnOnce() -> B) -> (A, B) {
    thread::scope(|scope| {
        let started = thread::Builder::new().spawn_scoped(scope, &other);
        let here = this();
        let there = match started {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => other(),
        };
        (there, here)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn both_run_at_once() {
        let meet = Barrier::new(2);
        let (there, here) = beside(|| meet.wait().is_leader(), || meet.wait().is_leader());
        assert_ne!(there, here);
    }
}
