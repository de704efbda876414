//! What the log has of a request.

use std::fs;

use serde_json::Value;

use crate::daemon::{Daemon, PHOTO, form};

/// The lines of the requests with an id, as JSON.
fn lines_of(log: &[String], id: &str) -> Vec<Value> {
    log.iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["span"]["request.id"] == id)
        .collect()
}

#[test]
fn every_line_of_a_request_has_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--model", "none", "--log-format", "json"];
    let daemon = Daemon::start(folder.path(), &args);
    daemon.upload(PHOTO);
    // Without this folder nothing can be received.
    fs::remove_dir(folder.path().join("tmp")).unwrap();
    let (head, body) = form(PHOTO);
    let answer = daemon.answer(&format!("{head}X-Request-Id: watch-me\r\n"), &body);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("x-request-id: watch-me\r\n"), "{answer}");
    let answer = daemon.answer("GET /x?secret=1 HTTP/1.1\r\n", b"");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    daemon.signal("-TERM");
    let (_, log) = daemon.wait();

    let lines = lines_of(&log, "watch-me");
    assert_eq!(lines.len(), 2, "{log:?}");
    // The cause, from the thread that waited for the disk.
    assert_eq!(lines[0]["level"], "ERROR");
    let access = &lines[1];
    assert_eq!(access["level"], "INFO");
    assert_eq!(access["message"], "POST /api/images 503");
    assert_eq!(access["route"], "/api/images");
    assert_eq!(
        (&access["method"], &access["status"]),
        (&"POST".into(), &503.into())
    );
    assert_eq!(access["client"], "127.0.0.1");
    assert!(access["duration_ms"].as_f64().unwrap() > 0.0);
    assert!(access["bytes_in"].as_u64().unwrap() > PHOTO.len() as u64);
    assert!(access["bytes_out"].as_u64().unwrap() > 10);
    assert!(log.iter().all(|line| !line.contains("secret")), "{log:?}");
}
