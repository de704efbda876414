//! What is there before the caption is.

use pipeline_server::Config;
use serde_json::{Value, json};

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
