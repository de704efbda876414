//! Whose turn it is: what is quick goes first, and what cannot be worked on comes later.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use pipeline_core::Caption;
use pipeline_store::{
    Clock, Error, ImageId, ImageState, Job, Outcome, StageState, Store, StoreConfig,
};
use tempfile::TempDir;

use crate::support::{
    Scratch, TOOK, accept, claim, complete, get, is_processing, metadata, thumbnail,
};

const QUICK: Duration = Duration::from_millis(30);

/// Claims the next image, which has to be `id`, and keeps its metadata and thumbnails.
#[track_caller]
fn prepare(store: &Store, id: ImageId) -> Job {
    let job = claim(store);
    assert_eq!(job.image_id(), id);
    let thumbnails = [thumbnail("small", 256, b"early")];
    store
        .keep_thumbnails(&job, &metadata(), &thumbnails, QUICK)
        .unwrap();
    job
}

fn took(store: &Store, id: ImageId) -> Duration {
    match get(store, id).state {
        ImageState::Success { took, .. } | ImageState::Failed { took, .. } => took,
        ImageState::Processing => panic!("{id} is in work"),
    }
}

#[test]
fn all_have_their_thumbnails_before_captions_are_written_oldest_first() {
    let store = Scratch::new();
    let ids = ["a", "b", "c"].map(|name| accept(&store, name));
    for id in &ids[..2] {
        let job = prepare(&store, *id);
        assert!(store.make_way(&job, QUICK).unwrap());
        assert!(!store.is_held(&job).unwrap());
        let stages = get(&store, *id).stages;
        assert_eq!(stages.thumbnails.state, StageState::Success);
        let caption = stages.caption;
        assert_eq!((caption.state, caption.attempts), (StageState::Waiting, 0));
    }
    let last = prepare(&store, ids[2]);
    assert!(!store.make_way(&last, QUICK).unwrap(), "nobody waits");
    complete(&store, &last).unwrap();
    for id in &ids[..2] {
        let job = claim(&store);
        assert_eq!((job.image_id(), job.attempt()), (*id, 1), "no attempt yet");
        assert!(job.is_prepared());
        assert_eq!(store.kept(&job).unwrap().unwrap().metadata, metadata());
        complete(&store, &job).unwrap();
    }
    assert_eq!(store.queue_len().unwrap(), 0);
}

#[test]
fn the_time_is_that_of_both_parts() {
    let store = Scratch::new();
    let ids = ["good", "bad", "last"].map(|name| accept(&store, name));
    for id in &ids[..2] {
        let job = prepare(&store, *id);
        assert!(store.make_way(&job, QUICK).unwrap());
    }
    let last = prepare(&store, ids[2]);
    complete(&store, &last).unwrap();
    let good = claim(&store);
    assert_eq!(good.spent(), QUICK);
    complete(&store, &good).unwrap();
    store.fail(&claim(&store), "code", "message", TOOK).unwrap();
    let times = ids.map(|id| took(&store, id));
    assert_eq!(times, [TOOK + QUICK, TOOK + QUICK, TOOK]);
    // What is done again begins anew.
    assert!(store.reprocess(ids[0]).unwrap());
    let again = claim(&store);
    assert_eq!(
        (again.spent(), again.is_prepared()),
        (Duration::ZERO, false)
    );
    complete(&store, &again).unwrap();
    assert_eq!(took(&store, ids[0]), TOOK);
}

#[test]
fn a_caption_can_be_asked_for_before_what_is_quick() {
    let store = Scratch::new();
    let [first, second] = ["first", "second"].map(|name| accept(&store, name));
    let job = prepare(&store, first);
    assert!(store.make_way(&job, QUICK).unwrap());
    let job = store.claim_for_caption("worker").unwrap().unwrap();
    assert_eq!(job.image_id(), first);
    complete(&store, &job).unwrap();
    let job = store.claim_for_caption("worker").unwrap().unwrap();
    assert_eq!(job.image_id(), second, "better than nothing");
}

#[test]
fn what_is_done_again_comes_after_all_that_is_new() {
    let store = Scratch::new();
    let again = accept(&store, "again");
    complete(&store, &claim(&store)).unwrap();
    assert!(store.reprocess(again).unwrap());
    let [first, second] = ["first", "second"].map(|name| accept(&store, name));
    let job = prepare(&store, first);
    assert!(store.make_way(&job, QUICK).unwrap());
    let job = prepare(&store, second);
    assert!(!store.make_way(&job, QUICK).unwrap(), "its caption is new");
    complete(&store, &job).unwrap();
    complete(&store, &claim(&store)).unwrap();
    let job = prepare(&store, again);
    accept(&store, "third");
    assert!(store.make_way(&job, QUICK).unwrap());
}

#[test]
fn whoever_lost_the_job_puts_nothing_back() {
    let store = Scratch::new();
    let id = accept(&store, "cat.jpg");
    accept(&store, "dog.jpg");
    let job = prepare(&store, id);
    store.release(&job).unwrap();
    let lost = store.make_way(&job, QUICK);
    assert!(matches!(lost, Err(Error::JobLost { .. })), "{lost:?}");
    assert!(store.delete(id).unwrap());
    assert_ne!(claim(&store).image_id(), id);
}

#[test]
fn an_end_between_the_two_parts_loses_neither_the_place_nor_the_time() {
    let before = Scratch::new();
    let ids = ["a", "b"].map(|name| accept(&before, name));
    let job = prepare(&before, ids[0]);
    assert!(before.make_way(&job, QUICK).unwrap());
    let _in_work = prepare(&before, ids[1]);
    let after = Scratch::in_folder(before.killed());
    let job = claim(&after);
    assert_eq!((job.image_id(), job.attempt()), (ids[0], 1), "innocent");
    assert!(job.is_prepared());
    complete(&after, &job).unwrap();
    assert_eq!(took(&after, ids[0]), TOOK + QUICK);
    let job = claim(&after);
    assert_eq!((job.image_id(), job.attempt()), (ids[1], 2));
    assert!(job.is_prepared(), "its thumbnails were kept");
    let outcome = Outcome {
        metadata: &metadata(),
        thumbnails: &[],
        caption: Some(&Caption::new("a cat", "tiny")),
        caption_error: None,
    };
    after.complete(&job, &outcome, TOOK).unwrap();
    assert!(after.thumbnail(ids[1], "small").unwrap().is_some());
}

/// A store whose time is a number.
struct Timed {
    store: Option<Store>,
    millis: Arc<AtomicI64>,
    folder: TempDir,
}

impl Timed {
    fn new() -> Self {
        let mut timed = Self {
            store: None,
            millis: Arc::default(),
            folder: tempfile::tempdir().unwrap(),
        };
        timed.start();
        timed
    }

    fn start(&mut self) {
        self.store = None;
        let shown = Arc::clone(&self.millis);
        let config = StoreConfig {
            clock: Clock::new(move || {
                Timestamp::from_millisecond(shown.load(Ordering::SeqCst)).unwrap()
            }),
            patience: Duration::from_secs(3_600),
            ..StoreConfig::default()
        };
        self.store = Some(Store::open(self.folder.path(), &config).unwrap());
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn put_off(&self, job: &Job) -> bool {
        let least = Duration::from_millis(700);
        self.store()
            .put_off(job, least, "code", "message", TOOK)
            .unwrap()
    }

    /// How many seconds it is until the next image is due; that is how many pass.
    fn pass(&self) -> i64 {
        let due = self.store().next_due().unwrap().unwrap().as_millisecond();
        let before = self.millis.swap(due, Ordering::SeqCst);
        (due - before) / 1_000
    }
}

#[test]
fn what_cannot_be_worked_on_comes_after_others_and_fails_after_long() {
    let timed = Timed::new();
    let store = timed.store();
    let id = accept(store, "unreadable");
    let mut pauses = Vec::new();
    loop {
        let job = claim(store);
        assert_eq!((job.image_id(), job.attempt()), (id, 1), "no attempt");
        if !timed.put_off(&job) {
            break;
        }
        assert!(is_processing(store, id));
        // In the meantime others have their turn, and each has it at once.
        let other = accept(store, "other");
        let job = claim(store);
        assert_eq!(job.image_id(), other);
        complete(store, &job).unwrap();
        assert_eq!(store.claim("worker").unwrap(), None);
        pauses.push(timed.pass());
    }
    assert_eq!(pauses[..10], [1, 1, 2, 4, 8, 16, 32, 64, 128, 256]);
    assert!(pauses[10..].iter().all(|&pause| pause == 300), "{pauses:?}");
    assert!(pauses.iter().sum::<i64>() >= 3_600);
    let state = get(store, id).state;
    assert!(matches!(state, ImageState::Failed { code, .. } if code == "code"));
    assert_eq!(store.next_due().unwrap(), None);
}

#[test]
fn a_start_tries_at_once_what_was_put_off() {
    let mut timed = Timed::new();
    let id = accept(timed.store(), "unreadable");
    assert!(timed.put_off(&claim(timed.store())));
    assert_eq!(timed.store().claim("worker").unwrap(), None);
    timed.start();
    let job = claim(timed.store());
    assert_eq!(job.image_id(), id);
    let long = Duration::from_secs(90);
    assert!(
        timed
            .store()
            .put_off(&job, long, "code", "message", TOOK)
            .unwrap()
    );
    assert_eq!(timed.pass(), 90, "as long as the worker says");
}

#[test]
fn a_suspect_waits_until_nobody_else_is_in_work_and_is_not_overtaken_for_ever() {
    let mut timed = Timed::new();
    let suspect = accept(timed.store(), "suspect");
    let _in_work = claim(timed.store());
    timed.start();
    let store = timed.store();
    assert!(timed.put_off(&claim(store)));
    accept(store, "other");
    let other = claim(store);
    accept(store, "behind");
    timed.pass();
    assert_eq!(store.claim("worker").unwrap(), None, "it has to be alone");
    complete(store, &other).unwrap();
    assert_eq!(claim(store).image_id(), suspect);
    assert_eq!(store.claim("worker").unwrap(), None);
}
