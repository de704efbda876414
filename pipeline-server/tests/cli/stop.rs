//! Signals, and what the next start finds.

use serde_json::Value;

use crate::daemon::{Daemon, PHOTO};

const MANY: usize = 12;

#[test]
fn signals_end_it_in_good_order() {
    for signal in ["-TERM", "-INT"] {
        let folder = tempfile::tempdir().unwrap();
        let daemon = Daemon::start(folder.path(), &["--model", "none"]);
        assert_eq!(daemon.get("/")["message"], "API is working");
        daemon.signal(signal);
        let (code, log) = daemon.wait();
        assert_eq!(code, Some(0), "{log:?}");
        assert!(log.last().unwrap().ends_with("stopped"), "{log:?}");
    }
}

/// Stops a server with work in progress by `signal`; the next one has to do all of it.
fn interrupted_by(signal: &str) -> (Option<i32>, Vec<Value>) {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &["--workers", "1"]);
    let mut ids: Vec<String> = (0..MANY).map(|_| daemon.upload(PHOTO)).collect();
    daemon.signal(signal);
    let (code, _) = daemon.wait();
    let next = Daemon::start(folder.path(), &[]);
    let images = next.finished();
    ids.reverse();
    let found: Vec<&str> = images
        .iter()
        .map(|image| image["data"]["image_id"].as_str().unwrap())
        .collect();
    assert_eq!(found, ids);
    (code, images)
}

#[test]
fn work_in_progress_is_done_after_the_next_start() {
    let (code, images) = interrupted_by("-TERM");
    assert_eq!(code, Some(0));
    for image in images {
        assert_eq!(image["status"], "success", "{image}");
    }
}

#[test]
fn what_was_accepted_survives_a_kill() {
    let (code, images) = interrupted_by("-KILL");
    assert_eq!(code, None);
    for image in images {
        assert_eq!(image["status"], "success", "{image}");
    }
}
