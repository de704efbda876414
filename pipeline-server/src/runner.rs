//! The workers: threads that take pictures from the store's queue, process them, and write down what came out.
//!
//! They are plain threads, so that no caption ever holds up the async runtime that answers requests. An idle worker
//! sleeps on a condition variable until [`Runner::wake`]; nothing polls.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use pipeline_core::{
    Analysis, CancelToken, Caption, Cx, Error as CoreError, ErrorKind, ImagePipeline, Pipeline,
    report,
};
use pipeline_store::{Job, Outcome, Store};
use tracing::{error, info, warn};

use crate::metrics::Metrics;
use crate::{Error, Result};

/// How long a worker waits after the store refused it, before it asks again.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// The worker threads. Dropping it stops them.
#[derive(Debug)]
pub(crate) struct Runner {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    pipeline: ImagePipeline,
    optional_captions: bool,
    cancel: CancelToken,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Counts everything a sleeper may wait for: a new picture, a finished one, the order to stop. A sleeper reads it
    /// before it looks at the queue, so that a change in between is not missed.
    events: u64,
    stopping: bool,
}

impl Runner {
    /// Starts `workers` threads.
    pub(crate) fn start(
        store: Store,
        pipeline: ImagePipeline,
        workers: usize,
        optional_captions: bool,
        metrics: Arc<Metrics>,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            store,
            pipeline,
            optional_captions,
            cancel: CancelToken::new(),
            metrics,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let runner = Self {
            shared: Arc::clone(&shared),
            threads: Mutex::default(),
        };
        for number in 0..workers {
            let shared = Arc::clone(&shared);
            let thread = thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || shared.work())
                .map_err(|source| Error::System {
                    doing: "start a worker thread",
                    source,
                })?;
            lock(&runner.threads).push(thread);
        }
        Ok(runner)
    }

    /// Says that there is a new picture in the queue.
    pub(crate) fn wake(&self) {
        self.shared.announce(|_| {});
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

    /// Stops the workers: work in progress is cancelled and handed back to the queue. Blocks until all have ended.
    pub(crate) fn stop(&self) {
        self.shared.cancel.cancel();
        self.shared.announce(|state| state.stopping = true);
        for thread in lock(&self.threads).drain(..) {
            if thread.join().is_err() {
                error!("a worker had panicked outside of its picture");
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
    fn work(&self) {
        loop {
            let seen = self.events();
            if self.is_stopping() {
                return;
            }
            match self.store.claim() {
                Ok(Some(job)) => {
                    self.process(job);
                    self.announce(|_| {});
                }
                Ok(None) => self.sleep(seen, None),
                Err(error) => {
                    warn!(
                        code = error.code(),
                        "cannot take a picture from the queue: {}",
                        report(&error)
                    );
                    self.sleep(seen, Some(STORE_PAUSE));
                }
            }
        }
    }

    fn process(&self, job: Job) {
        let id = job.image_id();
        let started = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| self.analyse(&job)))
            .unwrap_or_else(|panic| Err(Stop::panicked(panic.as_ref())));
        let took = started.elapsed();
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match result {
            Ok(finished) => {
                info!(image.id = %id, duration_ms, "processed picture {id}");
                self.metrics.picture("success", took);
                self.complete(&job, &finished, took);
            }
            Err(Stop::Cancelled) => {
                info!(image.id = %id, "handing picture {id} back to the queue");
                self.write_down(&job, || self.store.release(&job)).ok();
            }
            Err(Stop::Failed { code, message }) => {
                info!(image.id = %id, duration_ms, code, "picture {id} failed: {message}");
                self.metrics.picture(code, took);
                self.write_down(&job, || self.store.fail(&job, code, &message, took))
                    .ok();
            }
        }
    }

    fn complete(&self, job: &Job, finished: &Finished, took: Duration) {
        let outcome = Outcome {
            metadata: &finished.analysis.metadata,
            thumbnails: &finished.analysis.thumbnails,
            caption: finished.caption.as_ref(),
            caption_error: finished.caption_error.as_deref(),
        };
        let stored = self.write_down(job, || self.store.complete(job, &outcome, took));
        if let Err(code) = stored {
            // Better a failed picture than one that seems to be in work for ever.
            let message = "cannot store the result";
            self.write_down(job, || self.store.fail(job, code, message, took))
                .ok();
        }
    }

    /// Writes to the store, again and again while waiting may help. The error's code says what stood in the way.
    fn write_down(
        &self,
        job: &Job,
        write: impl Fn() -> pipeline_store::Result<()>,
    ) -> Result<(), &'static str> {
        let id = job.image_id();
        loop {
            let seen = self.events();
            let error = match write() {
                Ok(()) => return Ok(()),
                Err(pipeline_store::Error::JobLost { .. }) => {
                    info!(image.id = %id, "picture {id} was deleted while it was in work");
                    return Ok(());
                }
                Err(error) => error,
            };
            let code = error.code();
            warn!(image.id = %id, code, "cannot write down picture {id}: {}", report(&error));
            if !error.is_retryable() || self.is_stopping() {
                return Err(code);
            }
            self.sleep(seen, Some(STORE_PAUSE));
        }
    }

    /// Reads the original and runs the pipeline on it.
    fn analyse(&self, job: &Job) -> Result<Finished, Stop> {
        let source = self.store.original(job).map_err(Stop::unreadable)?;
        let cx = Cx::none().with_cancel(&self.cancel);
        let mut analysis = self.pipeline.process(&source, &cx).map_err(Stop::from)?;
        let (caption, caption_error) = match analysis.caption.take().transpose() {
            Ok(caption) => (caption, None),
            Err(error) if self.optional_captions && error.kind() != ErrorKind::Cancelled => {
                (None, Some(error.report()))
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Finished {
            analysis,
            caption,
            caption_error,
        })
    }

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

    /// Sleeps until something has happened after `seen`, or until `timeout`.
    fn sleep(&self, seen: u64, timeout: Option<Duration>) {
        let state = lock(&self.state);
        let unchanged = |state: &mut State| state.events == seen && !state.stopping;
        match timeout {
            None => drop(self.changed.wait_while(state, unchanged)),
            Some(timeout) => drop(self.changed.wait_timeout_while(state, timeout, unchanged)),
        }
    }
}

/// What the pipeline made of a picture, with its caption taken apart by the rule of `--optional-captions`.
struct Finished {
    analysis: Analysis,
    caption: Option<Caption>,
    caption_error: Option<String>,
}

/// Why there is no result.
enum Stop {
    /// The server stops; the picture is to be done again.
    Cancelled,
    /// The picture failed, told without any path of this machine.
    Failed { code: &'static str, message: String },
}

impl From<CoreError> for Stop {
    fn from(error: CoreError) -> Self {
        let message = match &error {
            _ if error.kind() == ErrorKind::Cancelled => return Self::Cancelled,
            CoreError::Io { source, .. } => format!("cannot read a file: {source}"),
            _ => error.report(),
        };
        Self::Failed {
            code: error.code(),
            message,
        }
    }
}

impl Stop {
    fn unreadable(error: pipeline_store::Error) -> Self {
        let code = error.code();
        error!(code, "cannot read an original: {}", report(&error));
        Self::Failed {
            code,
            message: "cannot read the stored original".to_owned(),
        }
    }

    fn panicked(panic: &(dyn Any + Send)) -> Self {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Self::Failed {
            code: "worker-panicked",
            message: format!("the worker panicked: {message}"),
        }
    }
}

/// The state behind these locks is whole after any panic, so a poisoned lock is as good as a sound one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
