//! What workers do while the store, or the disk below it, is in trouble: nobody takes another picture, and one of them
//! looks again after pauses that grow. No picture is to blame.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;

use super::worker::Work;
use super::{Shared, lock};

/// The first pause. Each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How long the store has been in trouble, as far as the workers know.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// How often it was found since it last did what it was asked for.
    times: u32,
    /// Nobody takes a picture before.
    until: Option<Timestamp>,
}

/// How long to wait after so many failures before this one.
pub(super) fn pause_after(failures: u32) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(16));
    pause.min(LONGEST_PAUSE)
}

impl Shared {
    /// Notes that the store could not do what it was asked for.
    pub(super) fn note_trouble(&self) {
        let now = self.settings.clock.now();
        let trouble = &mut lock(&self.state).trouble;
        // Another worker has found the same.
        if trouble.until.is_some_and(|until| until > now) {
            return;
        }
        let pause = pause_after(trouble.times);
        trouble.times = trouble.times.saturating_add(1);
        trouble.until = now.checked_add(pause).ok();
    }

    /// For how long a picture is put off at the least: others come first when the trouble has passed, and show whether it
    /// was that of this picture alone.
    pub(super) fn behind_others(&self) -> Duration {
        let until = lock(&self.state).trouble.until;
        let left = until.map(|until| until.duration_since(self.settings.clock.now()));
        let left = left.and_then(|left| Duration::try_from(left).ok());
        left.unwrap_or_default().saturating_mul(2)
    }

    /// Notes that the store works.
    pub(super) fn note_success(&self) {
        lock(&self.state).trouble = Trouble::default();
    }

    /// Waits until pictures may be taken: as long as the trouble says, or until somebody has stored an upload, which shows
    /// that the store works.
    pub(super) fn wait_out_trouble(&self) {
        self.wait_until(|state| state.trouble.until);
    }

    /// Waits for `pause` with a picture in hand. Its worker does not hang.
    pub(super) fn pause_with(&self, work: &Work, pause: Duration) {
        let until = self.settings.clock.now().checked_add(pause).ok();
        work.waiting.store(true, Ordering::SeqCst);
        self.wait_until(|_| until);
        // In this order, so that the watching thread sees the one or the other.
        work.pulse.beat();
        work.waiting.store(false, Ordering::SeqCst);
    }

    /// Waits while the runner's clock has not reached what `until` says, at the longest until the order to stop.
    pub(super) fn wait_until(&self, until: impl Fn(&super::State) -> Option<Timestamp>) {
        let mut state = lock(&self.state);
        while !state.stopping {
            let Some(until) = until(&state) else { return };
            let left = until.duration_since(self.settings.clock.now());
            let Ok(left) = Duration::try_from(left) else {
                return;
            };
            if left.is_zero() {
                return;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let seconds = [0, 1, 2, 3, 4, 5, 6, u32::MAX].map(|n| pause_after(n).as_secs());
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30, 30]);
    }
}
