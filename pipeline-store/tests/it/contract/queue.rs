//! Each image is worked on by one worker at a time, and ends once.

use std::collections::HashSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use pipeline_store::{Error, Page, Store};

use crate::support::{TOOK, accept, claim, complete, get, is_processing};

fn lost<T>(result: pipeline_store::Result<T>) -> bool {
    matches!(result, Err(Error::JobLost { .. }))
}

pub(super) fn the_oldest_image_is_claimed_first(store: &Store) {
    let accepted: Vec<_> = (0..4).map(|n| accept(store, &n.to_string())).collect();
    let claimed: Vec<_> = (0..4).map(|_| claim(store).image_id()).collect();
    assert_eq!(claimed, accepted);
    assert_eq!(store.claim("worker").unwrap(), None);
}

pub(super) fn each_job_is_claimed_once(store: &Store) {
    const SENDERS: usize = 8;
    const EACH: usize = 12;
    let start = Barrier::new(SENDERS + 4);
    let all_sent = AtomicBool::new(false);
    let work = || {
        start.wait();
        let mut claimed = Vec::new();
        loop {
            // Looked at before the queue: what was sent by then is in it.
            let last_look = all_sent.load(Ordering::SeqCst);
            match store.claim("worker").unwrap() {
                Some(job) => {
                    let id = job.image_id();
                    let bytes = store.original(&job).unwrap().bytes().to_vec();
                    assert_eq!(bytes, get(store, id).original_name.as_bytes());
                    complete(store, &job).unwrap();
                    claimed.push(id);
                }
                None if last_look => return claimed,
                None => thread::yield_now(),
            }
        }
    };
    let send = |sender: usize| {
        start.wait();
        let names = (0..EACH).map(|n| format!("{sender}-{n}"));
        names.map(|name| accept(store, &name)).collect::<Vec<_>>()
    };
    let (sent, claimed): (Vec<_>, Vec<_>) = thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        let senders: Vec<_> = (0..SENDERS).map(|n| scope.spawn(move || send(n))).collect();
        let sent = senders
            .into_iter()
            .flat_map(|s| s.join().unwrap())
            .collect();
        all_sent.store(true, Ordering::SeqCst);
        let claimed = workers
            .into_iter()
            .flat_map(|w| w.join().unwrap())
            .collect();
        (sent, claimed)
    });
    assert_eq!(claimed.len(), SENDERS * EACH);
    let sent: HashSet<_> = sent.into_iter().collect();
    assert_eq!(claimed.into_iter().collect::<HashSet<_>>(), sent);
    assert_eq!(store.queue_len().unwrap(), 0);
    assert_eq!(store.stats().unwrap().succeeded, sent.len() as u64);
}

pub(super) fn a_released_job_waits_at_its_old_place(store: &Store) {
    let first = accept(store, "first");
    accept(store, "second");
    for _ in 0..5 {
        let job = claim(store);
        assert_eq!((job.image_id(), job.attempt()), (first, 1));
        store.release(&job).unwrap();
    }
    assert_eq!(store.queue_len().unwrap(), 2);
}

pub(super) fn a_job_ends_once(store: &Store) {
    let id = accept(store, "cat.jpg");
    let job = claim(store);
    store.release(&job).unwrap();
    assert!(lost(complete(store, &job)));
    assert!(lost(store.fail(&job, "code", "message", TOOK)));
    assert!(lost(store.release(&job)));
    assert!(is_processing(store, id));

    let job = claim(store);
    complete(store, &job).unwrap();
    let done = get(store, id);
    assert!(lost(complete(store, &job)));
    assert!(lost(store.fail(&job, "code", "message", TOOK)));
    assert!(lost(store.release(&job)));
    assert_eq!(get(store, id), done);
    assert_eq!(store.claim("worker").unwrap(), None);
}

pub(super) fn the_job_of_a_deleted_image_is_lost(store: &Store) {
    let id = accept(store, "cat.jpg");
    let job = claim(store);
    assert!(store.delete(id).unwrap());
    assert!(lost(store.original(&job)));
    assert!(lost(complete(store, &job)));
    assert!(lost(store.fail(&job, "code", "message", TOOK)));
    assert!(lost(store.release(&job)));
    assert_eq!(store.image(id).unwrap(), None);
    // Numbers are not used again, or the old job would fit the next image.
    let next = accept(store, "dog.jpg");
    assert_eq!(claim(store).attempt(), job.attempt());
    assert!(lost(complete(store, &job)));
    assert!(is_processing(store, next));
}

pub(super) fn reads_go_on_during_writes(store: &Store) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        // More readers than there are connections for them.
        let readers: Vec<_> = (0..10)
            .map(|_| {
                scope.spawn(|| {
                    let mut last = 0;
                    while !stop.load(Ordering::SeqCst) {
                        let list = store.list(&Page::default()).unwrap();
                        assert_eq!(list.images.len() as u64, list.total, "one snapshot");
                        assert!(list.total >= last, "what was seen stays");
                        last = list.total;
                    }
                })
            })
            .collect();
        for n in 0..30 {
            let id = accept(store, &n.to_string());
            assert!(is_processing(store, id), "seen at once");
        }
        stop.store(true, Ordering::SeqCst);
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

pub(super) fn the_oldest_unfinished_image_is_known(store: &Store) {
    assert_eq!(store.oldest_unfinished().unwrap(), None);
    let first = accept(store, "first");
    let second = accept(store, "second");
    let accepted = |id| Some(get(store, id).created_at);
    assert_eq!(store.oldest_unfinished().unwrap(), accepted(first));
    complete(store, &claim(store)).unwrap();
    assert_eq!(store.oldest_unfinished().unwrap(), accepted(second));
    store.delete(second).unwrap();
    assert_eq!(store.oldest_unfinished().unwrap(), None);
}
