//! A start after an end in the middle.

use std::fs;
use std::time::Duration;

use pipeline_store::{Error, ImageId, ImageState, Job, Outcome, Store};
use tempfile::TempDir;

use crate::support::{
    Scratch, TOOK, accept, all_ids, claim, complete, files, get, is_processing, metadata, thumbnail,
};

fn failed_code(store: &Store, id: ImageId) -> Option<String> {
    match get(store, id).state {
        ImageState::Failed { code, .. } => Some(code),
        _ => None,
    }
}

/// Starts on what a killed process left.
fn restart(store: &Scratch) -> Scratch {
    Scratch::in_folder(store.killed())
}

#[test]
fn what_was_accepted_survives() {
    let before = Scratch::new();
    let done = accept(&before, "done");
    complete(&before, &claim(&before)).unwrap();
    let waiting = accept(&before, "waiting");
    let after = restart(&before);
    assert_eq!(all_ids(&after), [waiting, done]);
    for id in [done, waiting] {
        assert_eq!(get(&after, id), get(&before, id));
    }
    assert_eq!(after.stats().unwrap(), before.stats().unwrap());
    let job = claim(&after);
    assert_eq!((job.image_id(), job.attempt()), (waiting, 1));
    assert_eq!(after.original(&job).unwrap().bytes(), b"waiting");
}

#[test]
fn an_orderly_end_keeps_everything_too() {
    let before = Scratch::new();
    let id = accept(&before, "cat.jpg");
    let _claimed = claim(&before);
    let after = Scratch::in_folder(before.close());
    let job = claim(&after);
    assert_eq!((job.image_id(), job.attempt()), (id, 2));
}

#[test]
fn interrupted_work_waits_again_at_its_old_place() {
    let before = Scratch::new();
    let running = accept(&before, "running");
    let waiting = accept(&before, "waiting");
    let _claimed = claim(&before);
    let after = restart(&before);
    assert_eq!(after.queue_len().unwrap(), 2);
    let first = claim(&after);
    assert_eq!((first.image_id(), first.attempt()), (running, 2));
    complete(&after, &first).unwrap();
    let second = claim(&after);
    assert_eq!((second.image_id(), second.attempt()), (waiting, 1));
}

#[test]
fn work_that_is_interrupted_twice_is_given_up() {
    let mut store = Scratch::new();
    let id = accept(&store, "poison.jpg");
    let innocent = accept(&store, "innocent.jpg");
    for attempt in 1..=2 {
        assert!(is_processing(&store, id));
        let job = claim(&store);
        assert_eq!((job.image_id(), job.attempt()), (id, attempt));
        store = restart(&store);
    }
    assert_eq!(failed_code(&store, id).as_deref(), Some("interrupted"));
    assert_eq!(claim(&store).image_id(), innocent);
    let stats = store.stats().unwrap();
    assert_eq!((stats.failed, stats.average_processing), (1, None));
    // It stays so.
    let store = restart(&store);
    assert_eq!(failed_code(&store, id).as_deref(), Some("interrupted"));
}

#[test]
fn only_the_one_that_ends_the_process_is_given_up() {
    let mut store = Scratch::new();
    let ids = ["innocent", "poison", "also innocent"].map(|name| accept(&store, name));
    let _in_work = ids.map(|_| claim(&store));
    store = restart(&store);
    assert_eq!(store.interrupted().waiting.len(), 3);
    // The poison ends the process as soon as it is in work.
    for _ in 0..10 {
        let Some(job) = store.claim("worker").unwrap() else {
            break;
        };
        assert_eq!(store.claim("another").unwrap(), None, "it is alone");
        if job.image_id() == ids[1] {
            store = restart(&store);
            assert_eq!(store.interrupted().failed, [ids[1]]);
        } else {
            complete(&store, &job).unwrap();
        }
    }
    let codes = ids.map(|id| failed_code(&store, id));
    assert_eq!(codes, [None, Some("interrupted".to_owned()), None]);
    assert_eq!(store.stats().unwrap().succeeded, 2);
}

#[test]
fn whoever_was_in_work_at_the_end_waits_until_nobody_else_is() {
    let mut store = Scratch::new();
    let suspect = accept(&store, "suspect");
    let _in_work = claim(&store);
    store = restart(&store);
    let first = claim(&store);
    store.release(&first).unwrap();
    // Handing back takes no suspicion away, and makes nobody else suspect.
    let innocent = accept(&store, "innocent");
    let alone = claim(&store);
    assert_eq!(alone.image_id(), suspect);
    assert_eq!(store.claim("another").unwrap(), None);
    assert!(
        store
            .retry(&alone, "code", "message", TOOK)
            .is_ok_and(|waits| !waits)
    );
    let job = claim(&store);
    assert_eq!(job.image_id(), innocent);
    store.retry(&job, "code", "message", TOOK).unwrap();
    let (second, third) = (claim(&store), accept(&store, "third"));
    assert_eq!((second.image_id(), second.attempt()), (innocent, 2));
    assert_eq!(claim(&store).image_id(), third);
}

#[test]
fn suspects_come_one_by_one_and_then_all_work_together() {
    let mut store = Scratch::new();
    let suspects = ["one", "two"].map(|name| accept(&store, name));
    let _in_work = suspects.map(|_| claim(&store));
    store = restart(&store);
    let others = ["three", "four"].map(|name| accept(&store, name));
    for id in suspects {
        let job = claim(&store);
        assert_eq!(job.image_id(), id);
        assert_eq!(store.claim("another").unwrap(), None);
        complete(&store, &job).unwrap();
    }
    let together = others.map(|_| claim(&store));
    assert_eq!(together.map(|job| job.image_id()), others);
}

#[test]
fn handing_back_is_no_interruption() {
    let mut store = Scratch::new();
    let id = accept(&store, "cat.jpg");
    for _ in 0..4 {
        store.release(&claim(&store)).unwrap();
        store = Scratch::in_folder(store.close());
    }
    assert!(is_processing(&store, id));
    assert_eq!(claim(&store).attempt(), 1);
}

#[test]
fn a_job_from_before_a_restart_is_lost() {
    let before = Scratch::new();
    let id = accept(&before, "cat.jpg");
    let old: Job = claim(&before);
    let after = Scratch::in_folder(before.close());
    let lost = |job: &Job| matches!(complete(&after, job), Err(Error::JobLost { .. }));
    assert!(lost(&old), "while the image waits");
    let new = claim(&after);
    assert!(lost(&old), "while another works on it");
    assert!(files(&after.path().join("thumbnails")).is_empty());
    assert!(is_processing(&after, id));
    complete(&after, &new).unwrap();
}

#[test]
fn thumbnails_of_an_interrupted_attempt_go() {
    let before = Scratch::new();
    let id = accept(&before, "cat.jpg");
    let _claimed = claim(&before);
    fs::create_dir_all(before.thumbnails_path(id)).unwrap();
    for n in 0..5 {
        let name = format!("1-{n}.jpg");
        fs::write(before.thumbnails_path(id).join(name), "old").unwrap();
    }
    let after = Scratch::in_folder(cut_off(&before, id));
    assert!(files(&after.path().join("thumbnails")).is_empty());
    assert_eq!(after.thumbnail(id, "small").unwrap(), None);
    let outcome = Outcome {
        metadata: &metadata(),
        thumbnails: &[thumbnail("small", 256, b"new")],
        caption: None,
        caption_error: None,
    };
    after.complete(&claim(&after), &outcome, TOOK).unwrap();
    let left = files(&after.thumbnails_path(id));
    assert_eq!(left.len(), 1, "{left:?}");
    let path = after.thumbnail(id, "small").unwrap().unwrap();
    assert_eq!(fs::read(path).unwrap(), b"new");
}

#[test]
fn temporary_files_go() {
    let before = Scratch::new();
    let _upload = before.begin_upload().unwrap();
    let staged = before.path().join("tmp/thumbnails.abc");
    fs::create_dir(&staged).unwrap();
    fs::write(staged.join("0.jpg"), "half").unwrap();
    let after = restart(&before);
    assert_eq!(fs::read_dir(after.path().join("tmp")).unwrap().count(), 0);
}

/// What a process leaves that ends between the two steps of an upload or a deletion: files and a note, no row.
fn cut_off(store: &Scratch, id: ImageId) -> TempDir {
    let folder = store.killed();
    fs::write(folder.path().join(format!("tmp/{id}.note")), "").unwrap();
    folder
}

#[test]
fn files_whose_row_never_came_or_went_first_are_removed() {
    let before = Scratch::new();
    let id = accept(&before, "cat.jpg");
    complete(&before, &claim(&before)).unwrap();
    let folder = cut_off(&before, id);
    let database = rusqlite::Connection::open(folder.path().join("pipeline.sqlite")).unwrap();
    database.execute("DELETE FROM images", []).unwrap();
    drop(database);
    let after = Scratch::in_folder(folder);
    assert!(files(&after.path().join("originals")).is_empty());
    assert!(files(&after.path().join("thumbnails")).is_empty());
    assert!(files(&after.path().join("tmp")).is_empty());
}

#[test]
fn files_whose_row_is_there_stay() {
    let before = Scratch::new();
    let id = accept(&before, "cat.jpg");
    let after = Scratch::in_folder(cut_off(&before, id));
    assert_eq!(after.original(&claim(&after)).unwrap().bytes(), b"cat.jpg");
    assert!(files(&after.path().join("tmp")).is_empty());
}

#[test]
fn a_file_that_cannot_be_removed_is_removed_at_the_next_start() {
    let store = Scratch::new();
    let id = accept(&store, "cat.jpg");
    // A folder in place of the file: removing it as a file fails.
    fs::remove_file(store.original_path(id)).unwrap();
    fs::create_dir(store.original_path(id)).unwrap();
    assert!(matches!(store.delete(id), Err(Error::Io { .. })));
    assert_eq!(store.image(id).unwrap(), None, "the row went first");
    fs::remove_dir(store.original_path(id)).unwrap();
    fs::write(store.original_path(id), "private").unwrap();
    let after = Scratch::in_folder(store.close());
    assert!(files(&after.path().join("originals")).is_empty());
}

#[test]
fn an_unknown_time_is_zero_in_the_record_and_absent_from_the_mean() {
    let mut store = Scratch::new();
    accept(&store, "poison.jpg");
    for _ in 0..2 {
        let _claimed = claim(&store);
        store = restart(&store);
    }
    let id = accept(&store, "cat.jpg");
    complete(&store, &claim(&store)).unwrap();
    let poison = all_ids(&store)[1];
    assert_ne!(poison, id);
    let ImageState::Failed { took, .. } = get(&store, poison).state else {
        panic!("it was given up");
    };
    assert_eq!(took, Duration::ZERO);
    assert_eq!(store.stats().unwrap().average_processing, Some(0.42));
}
