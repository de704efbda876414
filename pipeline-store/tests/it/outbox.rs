//! Ends of work are told to those who are to know, once they have happened and not before.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use pipeline_store::{Clock, ImageState, Message, Outbox, Store, StoreConfig};
use tempfile::TempDir;

use crate::support::{TOOK, accept, claim, complete, get};

/// What the clock of these stores shows.
const NOW: Timestamp = Timestamp::constant(1_000, 0);
const LATER: Timestamp = Timestamp::constant(2_000, 0);

fn open(folder: &Path, outbox: Outbox) -> Store {
    let config = StoreConfig {
        outbox,
        clock: Clock::new(|| NOW),
        lease: Duration::ZERO,
        ..StoreConfig::default()
    };
    Store::open(folder, &config).unwrap()
}

fn to(receivers: &[&str]) -> Outbox {
    Outbox {
        receivers: receivers.iter().map(|name| (*name).to_owned()).collect(),
        ..Outbox::default()
    }
}

fn store(receivers: &[&str]) -> (Store, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (open(folder.path(), to(receivers)), folder)
}

fn next(store: &Store, receiver: &str) -> Option<Message> {
    store.next_message(receiver).unwrap()
}

fn fail(store: &Store) {
    accept(store, "x");
    store.fail(&claim(store), "code", "message", TOOK).unwrap();
}

#[test]
fn each_receiver_is_told_of_each_end() {
    let (store, _folder) = store(&["a", "b"]);
    let id = accept(&store, "cat.jpg");
    let job = claim(&store);
    assert_eq!(store.outbox_len().unwrap(), 0, "nothing has ended");
    complete(&store, &job).unwrap();
    assert_eq!(store.outbox_len().unwrap(), 2);
    let message = next(&store, "a").unwrap();
    assert_eq!((message.image, message.success), (id, true));
    assert_eq!((message.attempts, message.due_at), (0, NOW));
    assert!(message.id.starts_with("msg_"), "{}", message.id);
    let ImageState::Success { processed_at, .. } = get(&store, id).state else {
        panic!("it was completed");
    };
    assert_eq!(processed_at, message.ended_at);
    assert_eq!(next(&store, "b").unwrap().id, message.id);
    assert_eq!(next(&store, "c"), None);

    store.message_ended(&message).unwrap();
    assert_eq!(next(&store, "a"), None);
    assert!(next(&store, "b").is_some(), "another receiver's");

    store.reprocess(id).unwrap();
    complete(&store, &claim(&store)).unwrap();
    assert_ne!(next(&store, "a").unwrap().id, message.id);
}

#[test]
fn failures_of_every_kind_are_told() {
    let (store, folder) = store(&["a"]);
    let told = |store: &Store| {
        let message = next(store, "a").expect("it is told");
        assert!(!message.success);
        store.message_ended(&message).unwrap();
        assert_eq!(next(store, "a"), None);
    };
    fail(&store);
    told(&store);

    accept(&store, "slow");
    assert!(store.retry(&claim(&store), "late", "late", TOOK).unwrap());
    assert_eq!(next(&store, "a"), None, "it waits again");
    assert!(!store.retry(&claim(&store), "late", "late", TOOK).unwrap());
    told(&store);

    // Leases last no time at all here.
    accept(&store, "hangs");
    for _ in 0..2 {
        assert_eq!(next(&store, "a"), None);
        drop(claim(&store));
        let taken = store.expire_leases().unwrap();
        assert_eq!(taken.waiting.len() + taken.failed.len(), 1);
    }
    told(&store);

    accept(&store, "kills");
    drop(claim(&store));
    drop(store);
    let store = open(folder.path(), to(&["a"]));
    drop(claim(&store));
    drop(store);
    told(&open(folder.path(), to(&["a"])));
}

#[test]
fn whoever_lost_the_job_tells_nothing() {
    let (store, _folder) = store(&["a"]);
    let id = accept(&store, "cat.jpg");
    let job = claim(&store);
    store.delete(id).unwrap();
    complete(&store, &job).unwrap_err();
    store.fail(&job, "code", "message", TOOK).unwrap_err();
    assert_eq!(next(&store, "a"), None);
}

#[test]
fn receivers_may_want_one_kind_of_end() {
    for (successes, failures) in [(true, false), (false, true), (false, false)] {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox {
            successes,
            failures,
            ..to(&["a"])
        };
        let store = open(folder.path(), outbox);
        fail(&store);
        assert_eq!(next(&store, "a").is_some(), failures);
        accept(&store, "cat.jpg");
        complete(&store, &claim(&store)).unwrap();
        assert_eq!(
            store.outbox_len().unwrap(),
            u64::from(successes) + u64::from(failures)
        );
    }
}

#[test]
fn messages_outlive_the_process_and_the_image() {
    let (store, folder) = store(&["a"]);
    fail(&store);
    let message = next(&store, "a").unwrap();
    store.delete(message.image).unwrap();
    drop(store);
    let store = open(folder.path(), to(&["a"]));
    assert_eq!(next(&store, "a"), Some(message.clone()));
    store.postpone_message(&message, LATER).unwrap();
    drop(store);
    let late = next(&open(folder.path(), to(&["a"])), "a").unwrap();
    assert_eq!((late.id, late.attempts), (message.id, 1));
    assert_eq!(late.due_at, LATER);
}

#[test]
fn a_message_that_is_put_off_lets_others_pass() {
    let (store, _folder) = store(&["a"]);
    fail(&store);
    fail(&store);
    let first = next(&store, "a").unwrap();
    store.postpone_message(&first, LATER).unwrap();
    let second = next(&store, "a").unwrap();
    assert_ne!(first.id, second.id);
    store.message_ended(&second).unwrap();
    assert_eq!(next(&store, "a").unwrap().id, first.id);
}

#[test]
fn the_outbox_is_bounded_in_number_and_age() {
    let (store, folder) = store(&["a", "b"]);
    let mut ids = Vec::new();
    for _ in 0..4 {
        fail(&store);
        let message = next(&store, "b").unwrap();
        store.message_ended(&message).unwrap();
        ids.push(message.id);
    }
    fail(&store);
    let long_ago = Timestamp::UNIX_EPOCH;
    assert_eq!(store.trim_outbox("a", long_ago, 5).unwrap(), 0);
    assert_eq!(store.trim_outbox("a", long_ago, 2).unwrap(), 3);
    assert_eq!(next(&store, "a").unwrap().id, ids[3], "the newest stay");
    assert!(next(&store, "b").is_some(), "another receiver's");
    drop(store);
    // Nobody asks for `a` any more.
    let store = open(folder.path(), to(&["b"]));
    assert_eq!(store.outbox_len().unwrap(), 1);
    assert_eq!(store.trim_outbox("b", Timestamp::MAX, 5).unwrap(), 3);
    assert_eq!(store.outbox_len().unwrap(), 0);
}
