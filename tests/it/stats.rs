//! Counts and times.

use serde_json::json;

use crate::support::{Gate, PHOTO, Server, stats_without_additions};

#[test]
fn without_pictures_all_is_zero() {
    let server = Server::start();
    let reply = server.get("/api/stats");
    assert_eq!(
        stats_without_additions(reply.json()),
        json!({"total": 0, "failed": 0, "success_rate": "0.00%", "average_processing_time_seconds": 0.0})
    );
    assert!(
        reply
            .text()
            .contains("\"average_processing_time_seconds\":0.0,"),
        "a float, not an integer: {}",
        reply.text()
    );
}

#[test]
fn successes_failures_and_pictures_in_work_are_counted() {
    let gate = Gate::default();
    let server = Server::with(|_| {}, Some(gate.captions()));
    let counted = || {
        let stats = server.stats();
        let rate = stats["success_rate"].as_str().unwrap().to_owned();
        (stats["total"].as_u64(), stats["failed"].as_u64(), rate)
    };
    server.accept(PHOTO);
    gate.wait_for(1);
    assert_eq!(counted(), (Some(1), Some(0), "0.00%".into()));
    server.upload("x", "text/plain", b"refused, so not counted");
    gate.open();
    server.process(PHOTO);
    server.process(b"hello");
    assert_eq!(counted(), (Some(3), Some(1), "66.67%".into()));
    let stats = stats_without_additions(server.stats());
    assert_eq!(stats.as_object().unwrap().len(), 4);
}

#[test]
fn the_average_runs_over_successes_and_failures_in_milliseconds() {
    let server = Server::start();
    server.process(PHOTO);
    let after_one = server.stats()["average_processing_time_seconds"]
        .as_f64()
        .unwrap();
    let milliseconds = after_one * 1_000.0;
    assert!(
        (milliseconds - milliseconds.round()).abs() < 1e-6,
        "{after_one}"
    );
    server.process(b"hello");
    let after_two = server.stats()["average_processing_time_seconds"]
        .as_f64()
        .unwrap();
    // A failure that took no time to speak of halves the average: it is counted, and nothing is rounded again.
    let failure = after_two * 2.0 - after_one;
    assert!((-1e-9..1.0).contains(&failure), "{after_one} {after_two}");
    assert!(
        after_two < after_one || after_one < 0.002,
        "{after_one} {after_two}"
    );
}
