//! The workers: threads that take pictures from the store's queue, process them, and write down what came out.
//!
//! They are plain threads, so that no caption ever holds up the async runtime that answers requests. An idle worker
//! sleeps on a condition variable until [`Runner::wake`]. One more thread watches over them: see `watch`.

mod early;
mod end;
mod outcome;
#[cfg(test)]
mod tests;
mod trouble;
mod watch;
mod worker;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pipeline_core::ImagePipeline;
use pipeline_store::{CaptionerId, Clock, Store};
use tracing::warn;

use crate::events::Events;
use crate::metrics::Metrics;
use crate::{Error, Result};
pub(crate) use outcome::{Finished, Stop};
use trouble::Trouble;
use worker::Slot;

/// How long the workers may take to let go of their pictures after the order to stop. Those that take longer are left
/// behind, and their pictures are handed back for them.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// How the workers work.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The number of workers.
    pub(crate) workers: usize,
    /// Whether captions are written at all.
    pub(crate) has_captions: bool,
    /// Whether a picture may succeed without its caption.
    pub(crate) optional_captions: bool,
    /// What writes the captions; `None` if that is not known well enough to take a caption over from the same bytes.
    pub(crate) captioner: Option<CaptionerId>,
    /// How long the work on one picture may take.
    pub(crate) deadline: Duration,
    /// How long a worker keeps its picture without a sign of life; that of the store.
    pub(crate) lease: Duration,
    /// The clock of both; that of the store.
    pub(crate) clock: Clock,
}

/// The worker threads. Dropping it stops them.
#[derive(Debug)]
pub(crate) struct Runner {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    pipeline: ImagePipeline,
    settings: Settings,
    metrics: Arc<Metrics>,
    events: Arc<Events>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Counts everything a sleeper may wait for: a new picture, a finished one, the order to stop. A sleeper reads it
    /// before it looks at the queue, so that a change in between is not missed.
    events: u64,
    stopping: bool,
    /// What stands in the way of the store.
    trouble: Trouble,
    /// The threads that have not been given up, the watching one included.
    threads: Vec<Member>,
}

/// A thread of the runner.
#[derive(Debug)]
struct Member {
    /// What a worker has in hand.
    slot: Option<Arc<Slot>>,
    ended: Arc<AtomicBool>,
    handle: JoinHandle<()>,
}

impl Runner {
    /// Starts the threads.
    pub(crate) fn start(
        store: Store,
        pipeline: ImagePipeline,
        settings: Settings,
        metrics: Arc<Metrics>,
        events: Arc<Events>,
    ) -> Result<Self> {
        let runner = Self::without_watch(store, pipeline, settings, metrics, events)?;
        let watch = runner
            .shared
            .start_thread("watch", None, |shared| shared.watch())?;
        lock(&runner.shared.state).threads.push(watch);
        Ok(runner)
    }

    /// Starts the workers alone.
    fn without_watch(
        store: Store,
        pipeline: ImagePipeline,
        settings: Settings,
        metrics: Arc<Metrics>,
        events: Arc<Events>,
    ) -> Result<Self> {
        // Nobody else could count these.
        for _ in &store.interrupted().failed {
            metrics.picture("interrupted", None);
        }
        let workers = settings.workers;
        let shared = Arc::new(Shared {
            store,
            pipeline,
            settings,
            metrics,
            events,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let runner = Self { shared };
        for number in 0..workers {
            let worker = runner.shared.start_worker(number)?;
            lock(&runner.shared.state).threads.push(worker);
        }
        Ok(runner)
    }

    /// Says that there is a new picture in the queue, and with that, that the store works.
    pub(crate) fn wake(&self) {
        self.shared
            .announce(|state| state.trouble = Trouble::default());
    }

    /// Blocks until no picture is waiting or in work.
    pub(crate) fn wait_idle(&self) -> pipeline_store::Result<()> {
        loop {
            let seen = self.shared.events();
            if self.shared.store.queue_len()? == 0 {
                return Ok(());
            }
            self.shared.sleep(seen, None);
        }
    }

    /// Stops the workers: work in progress is cancelled and handed back to the queue. Blocks until all have ended, or
    /// for [`STOP_WAIT`].
    pub(crate) fn stop(&self) {
        self.stop_within(STOP_WAIT);
    }

    fn stop_within(&self, wait: Duration) {
        self.shared.announce(|state| state.stopping = true);
        // Nobody starts a thread from here on.
        let threads = std::mem::take(&mut lock(&self.shared.state).threads);
        for slot in threads.iter().filter_map(|thread| thread.slot.as_ref()) {
            slot.cancel();
        }
        let give_up = Instant::now() + wait;
        for thread in threads {
            self.shared.wait_for_end(&thread, give_up);
            if thread.ended.load(Ordering::Acquire) {
                if thread.handle.join().is_err() {
                    warn!("a thread had panicked outside of its picture");
                }
            } else if let Some(work) = thread.slot.and_then(|slot| slot.work()) {
                warn!(image.id = %work.id(), "leaving a worker behind that does not stop");
                self.shared.hand_back(&work);
            }
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn is_stopping(&self) -> bool {
        lock(&self.state).stopping
    }

    fn events(&self) -> u64 {
        lock(&self.state).events
    }

    /// Changes the state and wakes every sleeper: workers and those who wait for the queue to be empty.
    fn announce(&self, change: impl FnOnce(&mut State)) {
        let mut state = lock(&self.state);
        state.events += 1;
        change(&mut state);
        drop(state);
        self.changed.notify_all();
    }

    /// Sleeps until something has happened after `seen`, at the longest until `until` by the runner's clock.
    fn sleep(&self, seen: u64, until: Option<Timestamp>) {
        if let Some(until) = until {
            return self.wait_until(|state| (state.events == seen).then_some(until));
        }
        let state = lock(&self.state);
        let unchanged = |state: &mut State| state.events == seen && !state.stopping;
        drop(self.changed.wait_while(state, unchanged));
    }

    /// Sleeps for `duration`, or until the order to stop.
    fn pause(&self, duration: Duration) {
        let state = lock(&self.state);
        let running = |state: &mut State| !state.stopping;
        drop(self.changed.wait_timeout_while(state, duration, running));
    }

    /// Waits until `thread` has ended, at the longest until `give_up`.
    fn wait_for_end(&self, thread: &Member, give_up: Instant) {
        let state = lock(&self.state);
        let left = give_up.saturating_duration_since(Instant::now());
        let running = |_: &mut State| !thread.ended.load(Ordering::Acquire);
        drop(self.changed.wait_timeout_while(state, left, running));
    }

    fn start_thread(
        self: &Arc<Self>,
        name: &str,
        slot: Option<Arc<Slot>>,
        run: impl FnOnce(&Arc<Self>) + Send + 'static,
    ) -> Result<Member> {
        let ended = Arc::<AtomicBool>::default();
        let end = End {
            shared: Arc::clone(self),
            ended: Arc::clone(&ended),
        };
        let handle = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(&end.shared))
            .map_err(|source| Error::System {
                doing: "start a worker thread",
                source,
            })?;
        Ok(Member {
            slot,
            ended,
            handle,
        })
    }
}

/// Dropped at the end of a thread, panics included, for whoever waits for that.
struct End {
    shared: Arc<Shared>,
    ended: Arc<AtomicBool>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.shared
            .announce(|_| self.ended.store(true, Ordering::Release));
    }
}

/// The state behind these locks is whole after any panic, so a poisoned lock is as good as a sound one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
