//! What is there before the caption is.

use pipeline_server::Config;
use serde_json::{Value, json};

use crate::events::{Event, Stream};
use crate::support::{Gate, PHOTO, Server};

fn states(envelope: &Value) -> [&str; 3] {
    let stages = &envelope["data"]["stages"];
    ["metadata", "thumbnails", "caption"].map(|stage| stages[stage]["state"].as_str().unwrap())
}

fn one(config: &mut Config) {
    config.workers = 1.try_into().unwrap();
}

#[test]
fn metadata_and_thumbnails_are_there_while_the_caption_waits() {
    let gate = Gate::default();
    let server = Server::with(one, Some(gate.captions()));
    let id = server.accept(PHOTO);
    gate.wait_for(1);
    let behind = server.accept(PHOTO);
    assert_eq!(states(&server.envelope(&behind)), ["waiting"; 3]);

    let early = server.envelope(&id);
    assert_eq!(states(&early), ["success", "success", "running"]);
    assert_eq!(early["data"]["metadata"], json!({}));
    assert_eq!(early["data"]["thumbnails"], json!({}));
    let stages = &early["data"]["stages"];
    let metadata = stages["metadata"]["result"].clone();
    assert_eq!(metadata["width"], 451);
    assert_eq!(metadata["sha256"].as_str().unwrap().len(), 64);
    assert!(metadata["thumbhash"].is_string());
    assert!(stages["thumbnails"]["duration_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(stages["caption"]["duration_ms"], Value::Null);
    let url = stages["thumbnails"]["result"]["small"].as_str().unwrap();
    let path = url.split_once(&server.address.to_string()).unwrap().1;
    let thumbnail = server.get(path);
    assert_eq!(thumbnail.status, 200);
    let plain = path.strip_suffix("?early=true").unwrap();
    for late in [plain.to_owned(), format!("{plain}?early=false")] {
        let not_ready = "Thumbnails not ready (processing not successful).";
        server
            .get(&late)
            .refused(409, "thumbnails-not-ready", not_ready);
    }
    let none = format!("/api/images/{behind}/thumbnails/small?early=true");
    assert_eq!(server.get(&none).status, 409);

    gate.open();
    server.wait_idle();
    let done = server.envelope(&id);
    assert_eq!(states(&done), ["success"; 3]);
    let data = &done["data"];
    assert_eq!(data["stages"]["metadata"].get("result"), None);
    for field in ["width", "height", "sha256", "thumbhash", "perceptual_hash"] {
        assert_eq!(data["metadata"][field], metadata[field], "{field}");
    }
    assert_eq!(server.get(plain).body, thumbnail.body, "the same file");
    let stats = server.stats();
    assert_eq!(stats["stages"]["thumbnails"]["count"], 2);
    assert!(stats["stages"]["caption"]["mean_ms"].as_f64().unwrap() > 0.0);
    let recent = stats["recent"].as_array().unwrap();
    assert_eq!(recent.len(), 60);
    let done: u64 = recent
        .iter()
        .map(|minute| minute["done"].as_u64().unwrap())
        .sum();
    assert_eq!(done, 2);
}

#[test]
fn all_uploads_have_thumbnails_before_the_second_caption() {
    let gate = Gate::default();
    let server = Server::with(one, Some(gate.captions()));
    let first = server.accept(PHOTO);
    gate.wait_for(1);
    let ids: Vec<String> = (0..10).map(|_| server.accept(PHOTO)).collect();
    let mut stream = Stream::open(&server, "/api/events", "");
    gate.let_one_pass();
    gate.wait_for(2);
    assert_eq!(server.envelope(&first)["status"], "success");
    let (last, others) = ids.split_last().unwrap();
    for id in others {
        let early = server.envelope(id);
        assert_eq!(states(&early), ["success", "success", "waiting"]);
        assert_eq!(early["data"]["stages"]["caption"]["attempts"], 0);
        let thumbnail = format!("/api/images/{id}/thumbnails/small?early=true");
        assert_eq!(server.get(&thumbnail).status, 200);
    }
    // It is decoded and nobody waits, so that it goes straight on.
    assert_eq!(
        states(&server.envelope(last)),
        ["success", "success", "running"]
    );
    gate.open();
    server.wait_idle();

    // Each is told once of each step, and the captions are written oldest first.
    let mut events = Vec::new();
    while events
        .iter()
        .filter(|event: &&Event| event.name == "done")
        .count()
        < 11
    {
        events.push(stream.next());
    }
    for id in &ids {
        let own = events.iter().filter(|event| event.data["image_id"] == **id);
        let own: Vec<&str> = own.map(Event::happened).collect();
        assert_eq!(
            own,
            ["claimed", "metadata", "thumbnails", "caption", "done"]
        );
    }
    let done = events.iter().filter(|event| event.name == "done");
    let order: Vec<&str> = done
        .map(|event| event.data["image_id"].as_str().unwrap())
        .collect();
    let expected = [&first, last].into_iter().chain(others);
    assert_eq!(order, expected.collect::<Vec<_>>());
}

#[test]
fn the_time_of_a_picture_is_that_of_all_its_stages() {
    let gate = Gate::default();
    let server = Server::with(one, Some(gate.captions()));
    server.accept(PHOTO);
    gate.wait_for(1);
    server.accept(PHOTO);
    server.accept(PHOTO);
    gate.open();
    server.wait_idle();
    let stats = server.stats();
    let stages: f64 = ["metadata", "thumbnails", "caption"]
        .map(|stage| stats["stages"][stage]["mean_ms"].as_f64().unwrap())
        .iter()
        .sum();
    let mean = stats["average_processing_time_seconds"].as_f64().unwrap();
    // Whole milliseconds, of two parts for one of them.
    assert!(mean * 1e3 > stages - 2.0, "{mean} s and {stages} ms");
}

#[test]
fn a_server_without_captions_does_each_picture_in_one_go() {
    let server = Server::with(one, None);
    let ids: Vec<String> = (0..5).map(|_| server.accept(PHOTO)).collect();
    server.wait_idle();
    for id in &ids {
        let envelope = server.envelope(id);
        assert_eq!(states(&envelope), ["success", "success", "skipped"]);
    }
    let decoded = "pipeline_stage_duration_seconds_count{stage=\"decode\"} 5";
    let metrics = server.get("/metrics");
    assert!(metrics.text().lines().any(|line| line == decoded));
}

#[test]
fn what_was_found_survives_a_stop_and_is_not_found_again() {
    let gate = Gate::default();
    let server = Server::with(one, Some(gate.captions()));
    let id = server.accept(PHOTO);
    gate.wait_for(1);
    let before = server.envelope(&id)["data"]["stages"].clone();
    let server = Server::on(server.stop(), |_| {}, Some(Gate::default().captions()));
    let early = format!("/api/images/{id}/thumbnails/medium?early=true");
    assert_eq!(server.get(&early).status, 200);
    let gate = Gate::default();
    gate.open();
    let server = Server::on(server.stop(), |_| {}, Some(gate.captions()));
    server.wait_idle();
    let after = server.envelope(&id)["data"]["stages"].clone();
    for stage in ["metadata", "thumbnails"] {
        let end = &before[stage]["finished_at"];
        assert_eq!(&after[stage]["finished_at"], end, "{stage} was done again");
    }
    assert_eq!(after["caption"]["state"], "success");
}

#[test]
fn a_failure_says_which_stage_it_was() {
    let server = Server::start();
    let broken = server.process(b"hello");
    assert_eq!(states(&broken), ["failed", "skipped", "skipped"]);
    let stage = &broken["data"]["stages"]["metadata"];
    assert_eq!(stage["error_code"], "unknown-format");
    assert!(stage["finished_at"].is_string());
    let server = Server::with(|_| {}, None);
    assert_eq!(
        states(&server.process(PHOTO)),
        ["success", "success", "skipped"]
    );
}
