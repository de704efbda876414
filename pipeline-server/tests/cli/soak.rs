//! Good clients and bad ones, for a while: the good ones are answered, and the server comes back to where it began.
//! `PIPELINE_TEST_SOAK_SECONDS` sets for how long (15); an hour is 3600.

use std::collections::HashSet;
use std::net::Shutdown;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::daemon::{Daemon, form};
use crate::load::{CLIENTS, QUIET, assert_complete, files, id_in, setting};

/// Small, so that the connections are what is worked on, and not the pixels.
const SMALL: &[u8] = include_bytes!("../../../tests/fixtures/pictures/jpeg-444.jpg");

/// What one client of the mixed load does in one turn, by its number.
fn turn(daemon: &Daemon, number: usize, acknowledged: &Mutex<HashSet<String>>) {
    let (head, body) = form(SMALL);
    let mut line = daemon.line();
    match number % 8 {
        0 => {
            line.send(&head, &body);
            if let Some(id) = id_unless_full(&line.answer()) {
                acknowledged.lock().unwrap().insert(id);
            }
        }
        // Takes back what it has uploaded.
        1 => {
            line.send(&head, &body);
            let Some(id) = id_unless_full(&line.answer()) else {
                return;
            };
            line.send(&format!("DELETE /api/images/{id} HTTP/1.1\r\n"), b"");
            assert!(line.answer().starts_with("HTTP/1.1 204 "));
        }
        2 => {
            line.send(&head, &body);
            line.shutdown(Shutdown::Write);
            if let Some(id) = id_unless_full(&line.answer()) {
                acknowledged.lock().unwrap().insert(id);
            }
        }
        // Breaks off: in the body, in the head, before the answer is read, and after nothing.
        3 => line.send(&head, &body[..body.len() / 2]),
        4 => line.send_bytes(b"GET /api/images HTTP/1.1\r\nX-Half"),
        5 => line.send("GET /docs HTTP/1.1\r\n", b""),
        6 => {}
        // Asks for what cannot be had.
        _ => {
            line.send("GET /api/images/none HTTP/1.1\r\n", b"");
            assert!(line.answer().starts_with("HTTP/1.1 404 "));
            line.send("BREW / HTTP/1.1\r\n", b"");
            assert!(line.answer().starts_with("HTTP/1.1 405 "));
        }
    }
}

/// The id of an upload, or `None` if the server has said that too much is waiting.
fn id_unless_full(answer: &str) -> Option<String> {
    let is_full = answer.starts_with("HTTP/1.1 429 ") && answer.contains("queue-full");
    (!is_full).then(|| id_in(answer))
}

#[test]
fn a_mixed_load_leaves_no_trace() {
    let lasts = Duration::from_secs(setting("PIPELINE_TEST_SOAK_SECONDS", 15));
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &[QUIET, &["--max-queue", "2000"]].concat());
    let acknowledged = Mutex::new(HashSet::new());
    // The first round brings caches and threads to the size that they keep.
    load(&daemon, lasts / 4, &acknowledged);
    daemon.finished();
    let (memory, open) = (daemon.memory(), daemon.open_files());
    load(&daemon, lasts, &acknowledged);
    let acknowledged = acknowledged.into_inner().unwrap();
    assert_complete(&daemon, folder.path(), &acknowledged);
    let start = Instant::now();
    // The store opens its connections as they are first needed; a leak would show in hundreds of files.
    while daemon.open_files() > open + 16 || files(&folder.path().join("tmp")) > 0 {
        let left = (daemon.open_files(), files(&folder.path().join("tmp")));
        assert!(start.elapsed() < Duration::from_secs(60), "{left:?}");
        thread::yield_now();
    }
    // The allocator keeps some; a leak of one picture in a hundred would show in an hour, of each one in a minute.
    let grown = daemon.memory().saturating_sub(memory);
    assert!(
        grown < 100 << 20,
        "{grown} bytes more after {} uploads",
        acknowledged.len()
    );
    daemon.signal("-TERM");
    let (code, log) = daemon.wait();
    assert_eq!(code, Some(0));
    let broken = log
        .iter()
        .find(|line| line.contains("ERROR") || line.contains("panicked"));
    assert_eq!(broken, None);
}

fn load(daemon: &Daemon, lasts: Duration, acknowledged: &Mutex<HashSet<String>>) {
    let end = Instant::now() + lasts;
    thread::scope(|scope| {
        for client in 0..CLIENTS / 4 {
            scope.spawn(move || {
                let mut number = client;
                while Instant::now() < end {
                    turn(daemon, number, acknowledged);
                    number += 1;
                }
            });
        }
    });
}
