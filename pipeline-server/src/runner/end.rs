//! How the work on a picture ends: what came out is written down. Whatever is counted, is counted once the store has it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use pipeline_core::report;
use pipeline_store::{Error, Outcome};
use tracing::{info, warn};

use super::Shared;
use super::outcome::{Finished, Stop};
use super::trouble::pause_after;
use super::worker::Work;
use crate::events::What;

/// How often a result is written down in vain before its picture is put off: its own folder may be what is in the way.
/// With the pauses that is for two minutes.
const TRIES: u32 = 8;

/// What the store said at last to something that could not be written down.
struct Refused {
    code: &'static str,
    is_retryable: bool,
}

impl Shared {
    /// Ends the work, of which `result` came out in the time `took`.
    pub(super) fn end(&self, work: &Work, result: Result<Finished, Stop>, took: Duration) {
        match result {
            _ if work.parked.load(Ordering::SeqCst) => {}
            Ok(finished) => self.complete(work, &finished, took),
            Err(Stop::Cancelled) if work.late.load(Ordering::SeqCst) => {
                let limit = self.settings.deadline.as_secs_f64();
                let message = format!("the work on this picture took longer than {limit} s");
                self.retry(work, "deadline-exceeded", &message, took);
            }
            Err(Stop::Cancelled) if work.cancel.is_cancelled() => self.hand_back(work),
            Err(Stop::Cancelled) => self.fail(work, "cancelled", "the work was given up", took),
            Err(Stop::Unreadable { code }) => {
                self.note_trouble();
                self.put_off(work, code, "cannot read the stored original", took);
            }
            Err(Stop::Failed { code, message }) => {
                self.time_stage(work, Some(code));
                self.fail(work, code, &message, took);
            }
        }
    }

    fn complete(&self, work: &Work, finished: &Finished, took: Duration) {
        let outcome = Outcome {
            metadata: &finished.metadata,
            thumbnails: &finished.thumbnails,
            caption: finished.caption.as_ref(),
            caption_error: finished.caption_error.as_deref(),
        };
        let stored = self.write_down(work, Some(TRIES), || {
            self.store.complete(&work.job, &outcome, took)?;
            let (id, whole) = (work.id(), work.job.spent() + took);
            let duration_ms = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
            info!(image.id = %id, duration_ms, "processed picture {id}");
            self.note_success();
            self.metrics.picture("success", Some(whole));
            self.events.publish(id, What::Done { success: true });
            Ok(())
        });
        match stored {
            Ok(()) => {}
            Err(_) if self.is_stopping() => self.hand_back(work),
            Err(refused) if refused.is_retryable => {
                self.put_off(work, refused.code, "cannot store the result", took);
            }
            // Better a failed picture than one that seems to be in work for ever.
            Err(refused) => self.retry(work, refused.code, "cannot store the result", took),
        }
    }

    /// Lets the picture have another attempt, or fails it if it has had its last.
    fn retry(&self, work: &Work, code: &'static str, message: &str, took: Duration) {
        let retry = || {
            let waits = self.store.retry(&work.job, code, message, took)?;
            self.tell_end(work, waits, code, message, took);
            Ok(())
        };
        self.write_down(work, None, retry).ok();
    }

    /// Lets others go first, and tries this picture again later, or fails it if that has been so for very long. It is most
    /// likely not to blame, so that this is no attempt.
    fn put_off(&self, work: &Work, code: &'static str, message: &str, took: Duration) {
        let put_off = || {
            let least = self.behind_others();
            let waits = self.store.put_off(&work.job, least, code, message, took)?;
            self.tell_end(work, waits, code, message, took);
            Ok(())
        };
        self.write_down(work, None, put_off).ok();
    }

    /// Tells what became of a picture that could not be done this time.
    fn tell_end(&self, work: &Work, waits: bool, code: &'static str, why: &str, took: Duration) {
        let id = work.id();
        let next = if waits {
            self.events.publish(id, What::Changed);
            "it waits again"
        } else {
            self.metrics.picture(code, Some(work.job.spent() + took));
            self.events.publish(id, What::Done { success: false });
            "it failed"
        };
        warn!(image.id = %id, code, "{why}: picture {id}; {next}");
    }

    fn fail(&self, work: &Work, code: &'static str, message: &str, took: Duration) {
        let fail = || {
            self.store.fail(&work.job, code, message, took)?;
            let (id, whole) = (work.id(), work.job.spent() + took);
            let duration_ms = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
            info!(image.id = %id, duration_ms, code, "picture {id} failed: {message}");
            self.note_success();
            self.metrics.picture(code, Some(whole));
            self.events.publish(id, What::Done { success: false });
            Ok(())
        };
        self.write_down(work, None, fail).ok();
    }

    /// Lets another worker, or the next start, have the picture.
    pub(super) fn hand_back(&self, work: &Work) {
        let id = work.id();
        info!(image.id = %id, "handing picture {id} back to the queue");
        self.write_down(work, None, || self.store.release(&work.job))
            .ok();
    }

    /// Writes to the store, again and again while waiting may help: until the order to stop, or `tries` times.
    fn write_down(
        &self,
        work: &Work,
        tries: Option<u32>,
        write: impl Fn() -> pipeline_store::Result<()>,
    ) -> Result<(), Refused> {
        let id = work.id();
        let mut failures = 0;
        loop {
            let error = match write() {
                Ok(()) => return Ok(()),
                Err(Error::JobLost { .. }) => {
                    info!(image.id = %id, "picture {id} was deleted, or given to another worker, while it was in work");
                    return Ok(());
                }
                Err(error) => error,
            };
            let refused = Refused {
                code: error.code(),
                is_retryable: error.is_retryable(),
            };
            let code = refused.code;
            warn!(image.id = %id, code, "cannot write down picture {id}: {}", report(&error));
            if !refused.is_retryable || self.is_stopping() {
                return Err(refused);
            }
            self.note_trouble();
            failures += 1;
            if tries == Some(failures) {
                return Err(refused);
            }
            self.pause_with(work, pause_after(failures - 1));
        }
    }
}
