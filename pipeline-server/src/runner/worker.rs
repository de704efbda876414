//! One worker: it takes a picture, works on it, and writes down what came out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pipeline_core::{CancelToken, Caption, Pipeline, Pulse, Source, report};
use pipeline_store::{ImageId, Job, Outcome, Reused};
use tracing::{info, warn};

use super::early::Course;
use super::outcome::{Finished, Stop, take_apart};
use super::{Member, Shared, lock};
use crate::Result;
use crate::events::What;

/// How long a worker waits after the store refused it, before it asks again.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// What `nice` calls the priority of workers: they get a tenth of a core that requests want for themselves.
#[cfg(target_os = "linux")]
pub(super) const NICE: i32 = 10;
/// How often a worker asks again after an error that may be this picture's alone, such as an unreadable file.
const TRIES: u32 = 10;

/// The place of a worker: what it has in hand, for the watching thread to see.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) number: usize,
    work: Mutex<Option<Arc<Work>>>,
    given_up: AtomicBool,
}

/// A picture in work.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) job: Job,
    /// When the work began, by the runner's clock.
    pub(super) since: Timestamp,
    pub(super) cancel: CancelToken,
    pub(super) pulse: Pulse,
    /// What the pulse was when the watching thread last looked.
    pub(super) seen: AtomicU64,
    pub(super) course: Mutex<Course>,
    /// The work has taken longer than it may.
    pub(super) late: AtomicBool,
    /// The pipeline is done, and the store has it now.
    pub(super) storing: AtomicBool,
    /// The job was found to be another's.
    pub(super) lost: AtomicBool,
}

impl Slot {
    /// What the worker has in hand.
    pub(super) fn work(&self) -> Option<Arc<Work>> {
        lock(&self.work).clone()
    }

    /// Asks the worker to let go of its picture.
    pub(super) fn cancel(&self) {
        if let Some(work) = self.work() {
            work.cancel.cancel();
        }
    }

    /// Another worker has the place: this one ends if it ever comes back.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::SeqCst);
        self.cancel();
    }
}

impl Work {
    fn new(job: Job, since: Timestamp) -> Self {
        Self {
            job,
            since,
            cancel: CancelToken::new(),
            pulse: Pulse::new(),
            seen: AtomicU64::new(0),
            course: Mutex::new(Course::begin()),
            late: AtomicBool::new(false),
            storing: AtomicBool::new(false),
            lost: AtomicBool::new(false),
        }
    }

    pub(super) fn id(&self) -> ImageId {
        self.job.image_id()
    }
}

impl Shared {
    /// Starts a worker with a place of its own.
    pub(super) fn start_worker(self: &Arc<Self>, number: usize) -> Result<Member> {
        let slot = Arc::new(Slot {
            number,
            work: Mutex::default(),
            given_up: AtomicBool::new(false),
        });
        let name = format!("worker-{number}");
        self.start_thread(&name, Some(Arc::clone(&slot)), move |shared| {
            shared.work(&slot);
        })
    }

    fn work(self: &Arc<Self>, slot: &Slot) {
        give_way();
        let name = format!("worker-{} of process {}", slot.number, std::process::id());
        loop {
            let seen = self.events();
            if self.is_stopping() || slot.given_up.load(Ordering::SeqCst) {
                return;
            }
            match self.store.claim(&name) {
                Ok(Some(job)) => {
                    let work = Arc::new(Work::new(job, self.settings.clock.now()));
                    *lock(&slot.work) = Some(Arc::clone(&work));
                    if self.is_stopping() {
                        // The order came before there was anything to cancel.
                        work.cancel.cancel();
                    }
                    self.process(&work);
                    *lock(&slot.work) = None;
                    self.announce(|_| {});
                }
                Ok(None) => self.sleep(seen),
                Err(error) => {
                    warn!(
                        code = error.code(),
                        "cannot take a picture from the queue: {}",
                        report(&error)
                    );
                    self.pause(STORE_PAUSE);
                }
            }
        }
    }

    fn process(self: &Arc<Self>, work: &Arc<Work>) {
        let id = work.id();
        self.events.publish(id, What::Claimed);
        let started = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| self.analyse(work)))
            .unwrap_or_else(|panic| Err(Stop::panicked(panic.as_ref())));
        let took = started.elapsed();
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        work.storing.store(true, Ordering::SeqCst);
        match result {
            Ok(finished) => {
                info!(image.id = %id, duration_ms, "processed picture {id}");
                self.metrics.picture("success", took);
                self.complete(work, &finished, took);
            }
            Err(Stop::Cancelled) if work.late.load(Ordering::SeqCst) => {
                let limit = self.settings.deadline.as_secs_f64();
                let message = format!("the work on this picture took longer than {limit} s");
                self.retry(work, "deadline-exceeded", &message, took);
            }
            Err(Stop::Cancelled) if work.cancel.is_cancelled() => self.hand_back(work),
            Err(Stop::Cancelled) => self.fail(work, "cancelled", "the work was given up", took),
            Err(Stop::Unreadable { code }) => {
                self.retry(work, code, "cannot read the stored original", took);
            }
            Err(Stop::Failed { code, message }) => {
                info!(image.id = %id, duration_ms, code, "picture {id} failed: {message}");
                self.time_stage(work, Some(code));
                self.fail(work, code, &message, took);
            }
        }
    }

    /// Reads the original and does what is left to do.
    fn analyse(self: &Arc<Self>, work: &Arc<Work>) -> Result<Finished, Stop> {
        let source = self.original(work)?;
        let cx = self.context(work);
        let finished = if let Some(known) = self.reusable(work) {
            Finished {
                metadata: known.metadata,
                thumbnails: known.thumbnails,
                caption: Some(known.caption),
                caption_error: None,
            }
        } else if let Ok(Some(kept)) = self.store.kept(&work.job) {
            Self::begin_caption(work);
            let caption = self.pipeline.caption(&source, &cx);
            let (caption, caption_error) = self.caption(work, caption)?;
            Finished {
                metadata: kept.metadata,
                thumbnails: Vec::new(),
                caption,
                caption_error,
            }
        } else {
            let analysis = self.pipeline.process(&source, &cx).map_err(Stop::from)?;
            let (caption, caption_error) = self.caption(work, analysis.caption)?;
            Finished {
                metadata: analysis.metadata,
                thumbnails: analysis.thumbnails,
                caption,
                caption_error,
            }
        };
        #[cfg(feature = "fail-points")]
        pipeline_store::fail_point("captioned").ok();
        Ok(finished)
    }

    /// What is known of the same bytes. If the store cannot tell, the work is done anew.
    fn reusable(&self, work: &Work) -> Option<Reused> {
        let captioner = self.settings.captioner.as_ref()?;
        let known = self.store.reusable(&work.job, captioner).ok()??;
        info!(image.id = %work.id(), "picture {} is known", work.id());
        Some(known)
    }

    /// Takes a caption apart by the rule of `--optional-captions`, and notes how its stage ended.
    fn caption(
        &self,
        work: &Work,
        caption: Option<pipeline_core::Result<Caption>>,
    ) -> Result<(Option<Caption>, Option<String>), Stop> {
        let (caption, error) = take_apart(caption, self.settings.optional_captions)?;
        if caption.is_some() || error.is_some() {
            self.time_stage(work, error.as_ref().map(|error| error.code()));
        }
        Ok((caption, error.map(|error| error.report())))
    }

    fn original(&self, work: &Work) -> Result<Source, Stop> {
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match self.store.original(&work.job) {
                Ok(source) => return Ok(source),
                Err(error) => error,
            };
            if !error.is_retryable() {
                return Err(Stop::lost(&error));
            }
            let (id, code) = (work.id(), error.code());
            warn!(image.id = %id, code, "cannot read the original of picture {id}: {}", report(&error));
            if work.cancel.is_cancelled() {
                return Err(Stop::Cancelled);
            }
            if tries == TRIES {
                return Err(Stop::Unreadable { code });
            }
            work.pulse.beat();
            self.pause(STORE_PAUSE);
        }
    }

    fn complete(&self, work: &Work, finished: &Finished, took: Duration) {
        let outcome = Outcome {
            metadata: &finished.metadata,
            thumbnails: &finished.thumbnails,
            caption: finished.caption.as_ref(),
            caption_error: finished.caption_error.as_deref(),
        };
        let stored = self.write_down(work, || {
            self.store.complete(&work.job, &outcome, took)?;
            self.events.publish(work.id(), What::Done { success: true });
            Ok(())
        });
        if let Err(code) = stored {
            if self.is_stopping() {
                return self.hand_back(work);
            }
            // Better a failed picture than one that seems to be in work for ever.
            self.retry(work, code, "cannot store the result", took);
        }
    }

    /// Lets the picture have another attempt, or fails it if it has had its last.
    fn retry(&self, work: &Work, code: &'static str, message: &str, took: Duration) {
        let id = work.id();
        let retry = || {
            let again = self.store.retry(&work.job, code, message, took)?;
            let next = if again {
                self.events.publish(id, What::Changed);
                "it waits again"
            } else {
                self.metrics.picture(code, took);
                self.events.publish(id, What::Done { success: false });
                "it failed"
            };
            warn!(image.id = %id, code, "{message}: picture {id}; {next}");
            Ok(())
        };
        self.write_down(work, retry).ok();
    }

    fn fail(&self, work: &Work, code: &'static str, message: &str, took: Duration) {
        self.metrics.picture(code, took);
        let fail = || {
            self.store.fail(&work.job, code, message, took)?;
            self.events
                .publish(work.id(), What::Done { success: false });
            Ok(())
        };
        self.write_down(work, fail).ok();
    }

    /// Lets another worker, or the next start, have the picture.
    pub(super) fn hand_back(&self, work: &Work) {
        let id = work.id();
        info!(image.id = %id, "handing picture {id} back to the queue");
        self.write_down(work, || self.store.release(&work.job)).ok();
    }

    /// Writes to the store, again and again while waiting may help. The error's code says what stood in the way.
    fn write_down(
        &self,
        work: &Work,
        write: impl Fn() -> pipeline_store::Result<()>,
    ) -> Result<(), &'static str> {
        let id = work.id();
        let mut tries = 0;
        loop {
            let error = match write() {
                Ok(()) => return Ok(()),
                Err(pipeline_store::Error::JobLost { .. }) => {
                    info!(image.id = %id, "picture {id} was deleted, or given to another worker, while it was in work");
                    return Ok(());
                }
                Err(error) => error,
            };
            let code = error.code();
            warn!(image.id = %id, code, "cannot write down picture {id}: {}", report(&error));
            // A full disk, or one that cannot be written to, is no fault of the picture: that is waited for.
            tries += u32::from(matches!(error, pipeline_store::Error::Io { .. }));
            if !error.is_retryable() || tries == TRIES || self.is_stopping() {
                return Err(code);
            }
            work.pulse.beat();
            self.pause(STORE_PAUSE);
        }
    }
}

/// Lets the threads of requests go first where they and this one want the same core: those who sent a picture wait for an
/// answer, and nobody waits for a caption in that way.
///
/// Threads that this one starts, such as those of the captioner, do as it does.
#[cfg(target_os = "linux")]
fn give_way() {
    // To Linux, nobody is the thread that asks. A process that was told to give way even more stays as it is.
    rustix::process::setpriority_process(None, NICE).ok();
}

/// Elsewhere a priority is that of the whole process, requests included.
#[cfg(not(target_os = "linux"))]
fn give_way() {}
