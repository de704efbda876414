//! The watching thread: it keeps the leases of workers that make progress, ends work that takes too long, puts another
//! worker in the place of one that hangs, and sweeps the data folder, a little at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use pipeline_core::report;
use pipeline_store::TakenBack;
use tracing::{error, info, warn};

use super::worker::{Slot, Work};
use super::{Shared, lock};
use crate::events::What;

/// How often the watching thread looks within the time of a lease.
const LOOKS: u32 = 6;
/// How old a file is that no row names, at the least, when it is swept away.
const ORPHAN_AGE: Duration = Duration::from_secs(600);

impl Shared {
    /// Looks after the workers and the folder until the order to stop.
    pub(super) fn watch(self: &Arc<Self>) {
        let mut last = self.settings.clock.now();
        let mut part = 0_u8;
        loop {
            self.pause(self.settings.lease / LOOKS);
            if self.is_stopping() {
                return;
            }
            last = self.look_after_workers(last);
            self.sweep(part);
            part = part.wrapping_add(1);
        }
    }

    /// One look at all workers; `last` is when the look before it was. Returns when this one was.
    pub(super) fn look_after_workers(self: &Arc<Self>, last: Timestamp) -> Timestamp {
        let now = self.settings.clock.now();
        // If this thread stood still for so long, so did the whole process, and nobody hangs because of it.
        let stood_still = now.duration_since(last).unsigned_abs() >= self.settings.lease;
        let slots: Vec<Arc<Slot>> = {
            let state = lock(&self.state);
            let slots = state
                .threads
                .iter()
                .filter_map(|thread| thread.slot.clone());
            slots.collect()
        };
        let mut silent = Vec::new();
        for slot in slots {
            let Some(work) = slot.work() else { continue };
            self.check_deadline(&work, now);
            let waits = work.waiting.load(Ordering::SeqCst);
            let beats = work.pulse.beats();
            let progress = beats != work.seen.swap(beats, Ordering::SeqCst) || waits;
            if !progress && !stood_still {
                silent.push((slot, work));
            } else if let Err(error) = self.renew(&work) {
                // Nobody else can take a picture either while the store cannot be written to: time stands still.
                warn!(
                    code = error.code(),
                    "cannot renew the lease of a worker: {}",
                    report(&error)
                );
                return now;
            }
        }
        match self.store.expire_leases() {
            Ok(taken) => self.tell_taken_back(&taken),
            Err(error) => {
                warn!(code = error.code(), "cannot end leases: {}", report(&error));
                return now;
            }
        }
        for (slot, work) in silent {
            self.check_lease(&slot, &work);
        }
        now
    }

    /// Tells what became of pictures whose workers hang.
    fn tell_taken_back(&self, taken: &TakenBack) {
        for &id in &taken.waiting {
            self.events.publish(id, What::Changed);
        }
        for &id in &taken.failed {
            self.metrics.picture("worker-hung", None);
            self.events.publish(id, What::Done { success: false });
        }
        if *taken != TakenBack::default() {
            self.announce(|_| {});
        }
    }

    /// Tells the work to stop if it has taken longer than it may. What it has written by then is waited for.
    fn check_deadline(&self, work: &Work, now: Timestamp) {
        let taken = now.duration_since(work.since).unsigned_abs();
        let in_time = taken < self.settings.deadline || work.storing.load(Ordering::SeqCst);
        if !in_time && !work.late.swap(true, Ordering::SeqCst) {
            work.cancel.cancel();
        }
    }

    fn renew(&self, work: &Work) -> pipeline_store::Result<()> {
        match self.store.renew(&work.job) {
            Err(pipeline_store::Error::JobLost { .. }) => {
                // The picture was deleted, most likely.
                work.cancel.cancel();
                Ok(())
            }
            result => result,
        }
    }

    /// Gives up a silent worker whose picture is no longer its own. It has one more look's time to notice.
    fn check_lease(self: &Arc<Self>, slot: &Arc<Slot>, work: &Work) {
        if !matches!(self.store.is_held(&work.job), Ok(false)) {
            return;
        }
        work.cancel.cancel();
        if !work.lost.swap(true, Ordering::SeqCst) {
            return;
        }
        let (number, id) = (slot.number, work.id());
        let mut state = lock(&self.state);
        let place = |thread: &&mut super::Member| {
            let has = thread.slot.as_ref();
            has.is_some_and(|has| Arc::ptr_eq(has, slot))
        };
        if state.stopping {
            return;
        }
        let Some(place) = state.threads.iter_mut().find(place) else {
            return;
        };
        match self.start_worker(number) {
            Ok(worker) => {
                slot.give_up();
                *place = worker;
                error!(image.id = %id, "worker {number} hangs at picture {id}; another one takes its place");
            }
            Err(error) => error!("worker {number} hangs at picture {id}, and {error}"),
        }
    }

    /// Removes orphans from one part of the data folder.
    fn sweep(&self, part: u8) {
        match self.store.sweep(part, ORPHAN_AGE) {
            Ok(0) => {}
            Ok(files) => info!(files, "removed {files} files that belong to no picture"),
            Err(error) => warn!(
                code = error.code(),
                "cannot look for files that belong to no picture: {}",
                report(&error)
            ),
        }
    }
}
