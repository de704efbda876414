//! What a stage found is stored as soon as it is there, so that people see it while the caption is still being written,
//! and the next attempt need not find it again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pipeline_core::{Cx, Metadata, Progress, report};
use pipeline_store::{Error, StageName};
use tracing::{info, warn};

use super::worker::Work;
use super::{Shared, lock};
use crate::events::What;

/// Where the work on a picture is.
#[derive(Debug)]
pub(super) struct Course {
    stage: StageName,
    since: Instant,
    metadata: Option<Metadata>,
}

impl Course {
    pub(super) fn is_at_caption(&self) -> bool {
        self.stage == StageName::Caption
    }

    pub(super) fn begin() -> Self {
        Self::at(StageName::Metadata)
    }

    fn at(stage: StageName) -> Self {
        Self {
            stage,
            since: Instant::now(),
            metadata: None,
        }
    }
}

impl Shared {
    /// The context of the work on a picture: what its stages find is stored, and it stops when it is told to.
    pub(super) fn context(self: &Arc<Self>, work: &Arc<Work>) -> Cx {
        let (shared, listener) = (Arc::clone(self), Arc::clone(work));
        Cx::none()
            .with_cancel(&work.cancel)
            .with_pulse(&work.pulse)
            .with_progress(move |progress| shared.keep(&listener, progress))
    }

    /// Nothing but the caption is left to do.
    pub(super) fn begin_caption(work: &Work) {
        *lock(&work.course) = Course::at(StageName::Caption);
    }

    fn keep(&self, work: &Work, progress: Progress<'_>) {
        let mut course = lock(&work.course);
        let took = course.since.elapsed();
        match progress {
            Progress::Metadata(metadata) => {
                let kept = self.store.keep_metadata(&work.job, metadata, took);
                self.note(work, kept);
                self.tell(work, StageName::Metadata, took);
                *course = Course {
                    metadata: Some(metadata.clone()),
                    ..Course::at(StageName::Thumbnails)
                };
            }
            Progress::Thumbnails {
                thumbnails,
                fingerprint,
            } => {
                if let Some(mut metadata) = course.metadata.take() {
                    metadata.fingerprint = Some(fingerprint.clone());
                    let kept = self
                        .store
                        .keep_thumbnails(&work.job, &metadata, thumbnails, took);
                    let is_kept = kept.is_ok();
                    self.note(work, kept);
                    let parked = is_kept && self.make_way(work);
                    self.tell(work, StageName::Thumbnails, took);
                    if parked {
                        return;
                    }
                }
                *course = Course::at(StageName::Caption);
            }
            _ => {}
        }
        work.pulse.beat();
    }

    /// Puts the picture back to wait for its caption if others wait for what is quick, and lets go of it then. Nobody waits
    /// for long for a thumbnail because captions are being written.
    fn make_way(&self, work: &Work) -> bool {
        if !self.settings.has_captions || work.cancel.is_cancelled() {
            return false;
        }
        match self.store.make_way(&work.job, self.taken(work)) {
            Ok(parked) => {
                if parked {
                    self.note_success();
                    work.parked.store(true, Ordering::SeqCst);
                    work.cancel.cancel();
                }
                parked
            }
            Err(error) => {
                self.note(work, Err(error));
                false
            }
        }
    }

    /// Stores how long the stage in work took, and why it failed if it did.
    pub(super) fn time_stage(&self, work: &Work, error_code: Option<&str>) {
        let (stage, took): (StageName, Duration) = {
            let course = lock(&work.course);
            (course.stage, course.since.elapsed())
        };
        let timed = self.store.time_stage(&work.job, stage, took, error_code);
        self.note(work, timed);
        self.tell(work, stage, took);
    }

    /// Tells those who listen that a stage has ended, once what it found can be read.
    fn tell(&self, work: &Work, stage: StageName, took: Duration) {
        let name = stage.as_str();
        self.events.publish(work.id(), What::Stage { name, took });
    }

    /// What cannot be stored early is stored at the end. Whoever has lost the picture need not go on.
    fn note(&self, work: &Work, kept: pipeline_store::Result<()>) {
        let (id, error) = match kept {
            Ok(()) => return,
            Err(error) => (work.id(), error),
        };
        if matches!(error, Error::JobLost { .. }) {
            work.cancel.cancel();
            return;
        }
        let code = error.code();
        if self.is_stopping() {
            info!(image.id = %id, code, "cannot keep a part of picture {id}");
        } else {
            warn!(image.id = %id, code, "cannot keep a part of picture {id}: {}", report(&error));
        }
    }
}
