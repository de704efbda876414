//! One worker: it takes a picture and works on it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use pipeline_core::{CancelToken, Caption, Pipeline, Pulse, Source, report};
use pipeline_store::{ImageId, Job, Reused};
use tracing::{info, warn};

use super::early::Course;
use super::outcome::{Finished, Stop, in_words, take_apart};
use super::{Member, Shared, lock};
use crate::Result;
use crate::events::What;

/// How many pictures in a row a worker gets ready for their captions before it writes the oldest caption, whatever else
/// waits: under uploads without end, captions must be written, too.
pub(super) const QUICK_PASSES: u32 = 32;
/// What `nice` calls the priority of workers: they get a tenth of a core that requests want for themselves.
#[cfg(target_os = "linux")]
pub(super) const NICE: i32 = 10;
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
    /// When the work would have begun by the runner's clock, had it been done in one piece.
    pub(super) since: Timestamp,
    /// When it was taken up this time.
    pub(super) started: Timestamp,
    pub(super) cancel: CancelToken,
    pub(super) pulse: Pulse,
    /// What the pulse was when the watching thread last looked.
    pub(super) seen: AtomicU64,
    pub(super) course: Mutex<Course>,
    /// The work has taken longer than it may.
    pub(super) late: AtomicBool,
    /// The pipeline is done, and the store has it now.
    pub(super) storing: AtomicBool,
    /// The store is in trouble, and the worker waits for it.
    pub(super) waiting: AtomicBool,
    /// The picture was put back to wait for its caption.
    pub(super) parked: AtomicBool,
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
    /// Taken up `now`.
    fn new(job: Job, now: Timestamp) -> Self {
        Self {
            since: now.checked_sub(job.spent()).unwrap_or(now),
            started: now,
            job,
            cancel: CancelToken::new(),
            pulse: Pulse::new(),
            seen: AtomicU64::new(0),
            course: Mutex::new(Course::begin()),
            late: AtomicBool::new(false),
            storing: AtomicBool::new(false),
            waiting: AtomicBool::new(false),
            parked: AtomicBool::new(false),
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
        let mut quick_passes = 0;
        loop {
            self.wait_out_trouble();
            let (seen, now) = (self.events(), self.settings.clock.now());
            if self.is_stopping() || slot.given_up.load(Ordering::SeqCst) {
                return;
            }
            let claimed = match quick_passes < QUICK_PASSES {
                true => self.store.claim(&name),
                false => self.store.claim_for_caption(&name),
            };
            match claimed {
                Ok(Some(job)) => {
                    let work = Arc::new(Work::new(job, now));
                    *lock(&slot.work) = Some(Arc::clone(&work));
                    if self.is_stopping() {
                        // The order came before there was anything to cancel.
                        work.cancel.cancel();
                    }
                    self.process(&work);
                    *lock(&slot.work) = None;
                    quick_passes = match self.came_to_caption(&work) {
                        true => 0,
                        false => quick_passes.saturating_add(1),
                    };
                    self.announce(|_| {});
                }
                Ok(None) => self.idle(seen, now),
                Err(error) => self.no_claim(&error),
            }
        }
    }

    /// Sleeps until something has happened after `seen`, or one of those pictures is due that were put off. Those that
    /// were due at `now` wait for something else.
    fn idle(&self, seen: u64, now: Timestamp) {
        match self.store.next_due() {
            Ok(due) => self.sleep(seen, due.filter(|&due| due > now)),
            Err(error) => self.no_claim(&error),
        }
    }

    fn no_claim(&self, error: &pipeline_store::Error) {
        let code = error.code();
        warn!(
            code,
            "cannot take a picture from the queue: {}",
            report(error)
        );
        self.note_trouble();
    }

    fn process(self: &Arc<Self>, work: &Arc<Work>) {
        // The second half of the work is no news: its stages are.
        if !work.job.is_prepared() {
            self.events.publish(work.id(), What::Claimed);
        }
        let result = catch_unwind(AssertUnwindSafe(|| self.analyse(work)))
            .unwrap_or_else(|panic| Err(Stop::panicked(panic.as_ref())));
        work.storing.store(true, Ordering::SeqCst);
        self.end(work, result, self.taken(work));
    }

    /// How long the work has taken this time.
    pub(super) fn taken(&self, work: &Work) -> Duration {
        let taken = self.settings.clock.now().duration_since(work.started);
        taken.try_into().unwrap_or_default()
    }

    /// Whether the work was on a caption at its end, so that captions had their share.
    fn came_to_caption(&self, work: &Work) -> bool {
        let at_caption = lock(&work.course).is_at_caption();
        work.job.is_prepared() || (self.settings.has_captions && at_caption)
    }

    /// Reads the original and does what is left to do.
    fn analyse(self: &Arc<Self>, work: &Arc<Work>) -> Result<Finished, Stop> {
        let source = self.original(work)?;
        #[cfg(feature = "fail-points")]
        {
            pipeline_store::fail_point("working").ok();
            pipeline_store::fail_point(&format!("working-{}", work.id())).ok();
        }
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
        Ok((caption, error.as_ref().map(in_words)))
    }

    fn original(&self, work: &Work) -> Result<Source, Stop> {
        let error = match self.store.original(&work.job) {
            Ok(source) => return Ok(source),
            Err(error) => error,
        };
        if !error.is_retryable() {
            return Err(Stop::lost(&error));
        }
        let (id, code) = (work.id(), error.code());
        warn!(image.id = %id, code, "cannot read the original of picture {id}: {}", report(&error));
        Err(Stop::Unreadable { code })
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
