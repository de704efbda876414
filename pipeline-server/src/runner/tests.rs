//! Workers that hang, dawdle and come back too late. The time is a number that the tests set.

mod rig;
mod trouble;
mod turns;

use std::time::Duration;

use pipeline_store::{Store, StoreConfig};

#[cfg(target_os = "linux")]
use super::worker;
use rig::{DEADLINE, LOOK, Rig};

#[test]
fn a_worker_that_lost_its_lease_writes_nothing() {
    let mut rig = Rig::new();
    let id = rig.accept();
    let first = rig.call();
    rig.hang();
    let second = rig.call();
    second.write("by the second");
    rig.runner.wait_idle().unwrap();
    let done = rig.store().image(id).unwrap();
    let thumbnail = rig.store().thumbnail(id, "small").unwrap().unwrap();
    let modified = std::fs::metadata(&thumbnail).unwrap().modified().unwrap();

    first.write("by the first");
    rig.wait_for_threads(1);
    assert_eq!(rig.store().image(id).unwrap(), done);
    assert_eq!(rig.caption(id).as_deref(), Some("by the second"));
    assert_eq!(
        std::fs::metadata(&thumbnail).unwrap().modified().unwrap(),
        modified
    );
    let beside = std::fs::read_dir(thumbnail.parent().unwrap()).unwrap();
    assert_eq!(beside.count(), 1, "files of the first were left");
    assert_eq!(rig.outcomes(), ["{outcome=\"success\"} 1"], "not counted");
}

#[test]
fn a_picture_that_hangs_its_worker_twice_fails_and_the_queue_goes_on() {
    let mut rig = Rig::new();
    let poison = rig.accept();
    let _first = rig.call();
    rig.hang();
    assert_eq!(rig.failure(poison), None, "one attempt is left");
    let _second = rig.call();
    let innocent = rig.accept();
    rig.hang();
    assert_eq!(rig.failure(poison).as_deref(), Some("worker-hung"));
    rig.call().write("a cat");
    rig.runner.wait_idle().unwrap();
    assert_eq!(rig.caption(innocent).as_deref(), Some("a cat"));
    let mut outcomes = rig.outcomes();
    outcomes.sort();
    let both = ["{outcome=\"success\"} 1", "{outcome=\"worker-hung\"} 1"];
    assert_eq!(outcomes, both);
}

#[test]
fn pictures_that_failed_at_the_start_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let store = Store::open(folder.path(), &StoreConfig::default()).unwrap();
        if store.queue_len().unwrap() == 0 {
            let upload = store.begin_upload().unwrap();
            store.accept(upload, "poison.jpg").unwrap();
        }
        let _in_work = store.claim("worker").unwrap().unwrap();
    }
    let (rig, ()) = Rig::in_folder(folder, |_| {});
    assert_eq!(rig.outcomes(), ["{outcome=\"interrupted\"} 1"]);
}

#[test]
fn a_worker_that_makes_progress_keeps_its_picture() {
    let mut rig = Rig::new();
    let id = rig.accept();
    let call = rig.call();
    for _ in 0..50 {
        assert!(call.check());
        rig.pass(LOOK);
    }
    call.write("a cat");
    rig.runner.wait_idle().unwrap();
    assert_eq!(rig.caption(id).as_deref(), Some("a cat"));
    assert!(rig.calls.try_recv().is_err(), "nobody else had it");
}

#[test]
fn a_process_that_stood_still_hangs_nobody() {
    let mut rig = Rig::new();
    let id = rig.accept();
    let call = rig.call();
    assert!(call.check());
    rig.pass(LOOK);
    rig.pass(DEADLINE / 2);
    rig.pass(LOOK);
    call.write("a cat");
    rig.runner.wait_idle().unwrap();
    assert_eq!(rig.caption(id).as_deref(), Some("a cat"));
}

#[test]
fn a_picture_that_takes_too_long_twice_fails() {
    let mut rig = Rig::new();
    let slow = rig.accept();
    for _ in 0..2 {
        assert_eq!(rig.failure(slow), None);
        let call = rig.call();
        for _ in 0..59 {
            assert!(call.check());
            rig.pass(LOOK);
        }
        assert!(call.check(), "there is time left");
        rig.pass(LOOK);
        assert!(!call.check(), "it is too late");
    }
    let innocent = rig.accept();
    rig.call().write("a cat");
    rig.runner.wait_idle().unwrap();
    assert_eq!(rig.failure(slow).as_deref(), Some("deadline-exceeded"));
    assert_eq!(rig.caption(innocent).as_deref(), Some("a cat"));
}

#[cfg(target_os = "linux")]
#[test]
fn workers_let_requests_go_first() {
    let rig = Rig::new();
    rig.accept();
    let call = rig.call();
    assert!(call.nice >= worker::NICE, "{}", call.nice);
}

#[test]
fn a_deleted_picture_is_let_go_of() {
    let mut rig = Rig::new();
    let id = rig.accept();
    let call = rig.call();
    assert!(rig.store().delete(id).unwrap());
    assert!(call.check());
    rig.pass(LOOK);
    assert!(!call.check());
    rig.runner.wait_idle().unwrap();
}

#[test]
fn a_worker_that_does_not_stop_is_left_behind_and_its_picture_handed_back() {
    let rig = Rig::new();
    let id = rig.accept();
    let call = rig.call();
    rig.runner.stop_within(Duration::ZERO);
    let job = rig.store().claim("the next").unwrap().unwrap();
    assert_eq!((job.image_id(), job.attempt()), (id, 1), "it did not count");
    call.write("too late");
    rig.wait_for_threads(0);
    assert_eq!(rig.caption(id), None);
    assert!(rig.store().is_held(&job).unwrap());
}
