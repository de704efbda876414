//! Workers that lose their pictures. The time is a number that the tests set.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use pipeline_store::{Clock, Error, ImageId, ImageState, Job, Outcome, Store, StoreConfig};
use tempfile::TempDir;

use crate::support::{
    Scratch, TOOK, accept, claim, complete, files, get, is_processing, metadata, thumbnail,
};

const LEASE: Duration = Duration::from_secs(60);

/// A store whose clock stands still until it is put forward.
struct Timed {
    store: Store,
    millis: Arc<AtomicI64>,
    folder: TempDir,
}

impl Timed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let millis = Arc::new(AtomicI64::new(0));
        let shown = Arc::clone(&millis);
        let now = move || {
            let millis = shown.load(Ordering::SeqCst);
            jiff::Timestamp::from_millisecond(millis).unwrap()
        };
        let config = StoreConfig {
            lease: LEASE,
            clock: Clock::new(now),
            ..StoreConfig::default()
        };
        let store = Store::open(folder.path(), &config).unwrap();
        Self {
            store,
            millis,
            folder,
        }
    }

    /// Lets time pass, and returns how many leases ended.
    fn pass(&self, time: Duration) -> usize {
        let millis = i64::try_from(time.as_millis()).unwrap();
        self.millis.fetch_add(millis, Ordering::SeqCst);
        let taken = self.store.expire_leases().unwrap();
        taken.waiting.len() + taken.failed.len()
    }
}

fn failed_code(store: &Store, id: ImageId) -> Option<String> {
    match get(store, id).state {
        ImageState::Failed { code, .. } => Some(code),
        _ => None,
    }
}

#[track_caller]
fn assert_lost(store: &Store, job: &Job) {
    let lost = |result: pipeline_store::Result<()>| matches!(result, Err(Error::JobLost { .. }));
    assert!(!store.is_held(job).unwrap());
    assert!(lost(complete(store, job)));
    assert!(lost(store.fail(job, "code", "message", TOOK)));
    assert!(lost(store.retry(job, "code", "message", TOOK).map(drop)));
    assert!(lost(store.release(job)));
    assert!(lost(store.renew(job)));
}

#[test]
fn a_lease_that_is_not_renewed_ends() {
    let timed = Timed::new();
    let (store, id) = (&timed.store, accept(&timed.store, "cat.jpg"));
    let first = claim(store);
    assert_eq!(timed.pass(LEASE - Duration::from_millis(1)), 0);
    assert_eq!(store.claim("second").unwrap(), None);
    assert_eq!(timed.pass(Duration::from_millis(1)), 1);
    assert_lost(store, &first);
    let second = claim(store);
    assert_eq!((second.image_id(), second.attempt()), (id, 2));
    assert_lost(store, &first);
    complete(store, &second).unwrap();
}

#[test]
fn a_lease_that_is_renewed_goes_on() {
    let timed = Timed::new();
    accept(&timed.store, "cat.jpg");
    let job = claim(&timed.store);
    for _ in 0..5 {
        assert_eq!(timed.pass(LEASE / 2), 0);
        timed.store.renew(&job).unwrap();
    }
    complete(&timed.store, &job).unwrap();
}

#[test]
fn whoever_lost_the_lease_changes_neither_result_nor_files() {
    let timed = Timed::new();
    let (store, id) = (&timed.store, accept(&timed.store, "cat.jpg"));
    let first = claim(store);
    timed.pass(LEASE);
    let second = claim(store);
    let outcome = Outcome {
        metadata: &metadata(),
        thumbnails: &[thumbnail("small", 256, b"by the second")],
        caption: None,
        caption_error: None,
    };
    store.complete(&second, &outcome, TOOK).unwrap();
    let (done, there) = (get(store, id), files(timed.folder.path()));
    assert_lost(store, &first);
    assert_eq!(get(store, id), done);
    assert_eq!(files(timed.folder.path()), there);
    let path = store.thumbnail(id, "small").unwrap().unwrap();
    assert_eq!(fs::read(path).unwrap(), b"by the second");
}

#[test]
fn a_picture_that_hangs_two_workers_fails() {
    let timed = Timed::new();
    let poison = accept(&timed.store, "poison.jpg");
    let innocent = accept(&timed.store, "innocent.jpg");
    for _ in 0..2 {
        assert!(is_processing(&timed.store, poison));
        let _hung = claim(&timed.store);
        assert_eq!(timed.pass(LEASE), 1);
    }
    assert_eq!(
        failed_code(&timed.store, poison).as_deref(),
        Some("worker-hung")
    );
    assert_eq!(claim(&timed.store).image_id(), innocent);
}

#[test]
fn an_interruption_and_a_hang_are_two_attempts() {
    let timed = Timed::new();
    let id = accept(&timed.store, "poison.jpg");
    let _hung = claim(&timed.store);
    timed.pass(LEASE);
    let _killed = claim(&timed.store);
    drop(timed.store);
    let next = Scratch::in_folder(timed.folder);
    assert_eq!(failed_code(&next, id).as_deref(), Some("interrupted"));
}

#[test]
fn an_attempt_that_came_to_no_end_is_repeated_once() {
    let store = Scratch::new();
    let id = accept(&store, "slow.jpg");
    let retry = |job: &Job| store.retry(job, "too-slow", "it took too long", TOOK);
    assert!(retry(&claim(&store)).unwrap());
    assert!(is_processing(&store, id));
    assert!(!retry(&claim(&store)).unwrap());
    assert_eq!(failed_code(&store, id).as_deref(), Some("too-slow"));
    assert_eq!(store.queue_len().unwrap(), 0);
}

#[test]
fn a_claim_that_was_released_does_not_open_the_next_one() {
    let store = Scratch::new();
    accept(&store, "cat.jpg");
    let first = claim(&store);
    store.release(&first).unwrap();
    let second = claim(&store);
    assert_eq!(second.attempt(), first.attempt(), "a release is no attempt");
    assert_lost(&store, &first);
    complete(&store, &second).unwrap();
}

#[test]
fn a_store_of_the_first_version_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let database = rusqlite::Connection::open(folder.path().join("pipeline.sqlite")).unwrap();
    database
        .execute_batch(include_str!("../../migrations/0001_init.sql"))
        .unwrap();
    let id = "1f4c5a0e-9d1b-4a86-8a39-0c3b7d3f2f11";
    let done = "2f4c5a0e-9d1b-4a86-8a39-0c3b7d3f2f11";
    database
        .execute_batch(&format!(
            "INSERT INTO images (id, original_name, size_bytes, sha256, created_at, state)
             VALUES ('{id}', 'x', 1, zeroblob(32), 0, 'processing');
             INSERT INTO jobs VALUES (1, 'running', 1);
             INSERT INTO images (id, original_name, size_bytes, sha256, created_at, state, processed_at, metadata)
             VALUES ('{done}', 'x', 1, zeroblob(32), 0, 'success', 1,
                     '{{\"width\":1,\"height\":1,\"format\":\"png\",\"size_bytes\":5,\"orientation\":1}}');
             INSERT INTO thumbnails VALUES (2, 0, 'small', 1, 1, 1);
             PRAGMA user_version = 1"
        ))
        .unwrap();
    drop(database);
    let thumbnails = folder.path().join("thumbnails/2f").join(done);
    fs::create_dir_all(&thumbnails).unwrap();
    fs::write(thumbnails.join("0.jpg"), "x").unwrap();
    let store = Scratch::in_folder(folder);
    let job = claim(&store);
    assert_eq!(
        (job.image_id().to_string().as_str(), job.attempt()),
        (id, 2)
    );
    let path = store.thumbnail(done.parse().unwrap(), "small").unwrap();
    assert_eq!(fs::read(path.unwrap()).unwrap(), b"x");
}
