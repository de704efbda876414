//! Many clients at once. `PIPELINE_TEST_UPLOADS` sets how many uploads there are (1,000).

use std::collections::HashSet;
use std::fs;
use std::net::Shutdown;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;

use serde_json::Value;

use crate::daemon::{Daemon, PHOTO, form};

pub(crate) const CLIENTS: usize = 64;

/// No captions, and no line in the log for each request.
pub(crate) const QUIET: &[&str] = &[
    "--model",
    "none",
    "--log",
    "warn,pipeline_server::serve=info",
];

/// A number from the environment, for long runs.
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    match std::env::var_os(name) {
        Some(text) => text.to_str().unwrap().parse().unwrap(),
        None => default,
    }
}

/// Asserts that all that was acknowledged is there and done, that the statistics are a recount of it, and that the files
/// are those of the rows.
pub(crate) fn assert_complete(daemon: &Daemon, data: &Path, acknowledged: &HashSet<String>) {
    let images = daemon.finished();
    let found: HashSet<String> = images
        .iter()
        .map(|image| image["data"]["image_id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        (images.len(), found.len()),
        (acknowledged.len(), acknowledged.len())
    );
    assert!(found == *acknowledged);
    for image in &images {
        assert_eq!(image["status"], "success", "{image}");
    }
    let stats = daemon.get("/api/stats");
    assert_eq!(stats["total"], images.len());
    assert_eq!(stats["failed"], 0);
    assert_eq!(files(&data.join("originals")), images.len());
    assert_eq!(files(&data.join("thumbnails")), 2 * images.len());
}

pub(crate) fn files(folder: &Path) -> usize {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| match path.is_dir() {
            true => files(&path),
            false => 1,
        })
        .sum()
}

#[test]
fn a_thousand_uploads_over_64_connections() {
    let uploads = usize::try_from(setting("PIPELINE_TEST_UPLOADS", 1_000)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), QUIET);
    let (left, all_connected) = (AtomicUsize::new(uploads), Barrier::new(CLIENTS));
    let acknowledged = Mutex::new(HashSet::new());
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut line = daemon.line();
                all_connected.wait();
                let (head, body) = form(PHOTO);
                while left
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                        left.checked_sub(1)
                    })
                    .is_ok()
                {
                    line.send(&head, &body);
                    let id = id_in(&line.answer());
                    assert!(
                        acknowledged.lock().unwrap().insert(id),
                        "an id was given twice"
                    );
                }
            });
        }
    });
    assert_complete(&daemon, folder.path(), &acknowledged.into_inner().unwrap());
}

#[test]
fn clients_that_close_their_half_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), QUIET);
    let acknowledged = Mutex::new(HashSet::new());
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut line = daemon.line();
                let (head, body) = form(PHOTO);
                line.send(&head, &body);
                line.shutdown(Shutdown::Write);
                let id = id_in(&line.answer());
                acknowledged.lock().unwrap().insert(id);
            });
        }
    });
    assert_complete(&daemon, folder.path(), &acknowledged.into_inner().unwrap());
}

pub(crate) fn id_in(answer: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    let body: Value = serde_json::from_str(body).unwrap();
    body["image_id"].as_str().unwrap().to_owned()
}
