//! Work in the background: it holds up no request, survives restarts, and fails one picture at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

use image::RgbImage;
use pipeline_core::testing::FixedCaptioner;
use pipeline_core::{CaptionStage, Cx, Error};
use pipeline_server::Config;

use crate::support::{CAPTION, Custom, Gate, PHOTO, Server};

fn broken() -> CaptionStage {
    CaptionStage::new(Custom(|_: &RgbImage, _: &Cx| {
        Err(Error::model(
            "custom",
            "writing",
            std::io::Error::other("out of ink"),
        ))
    }))
}

#[test]
fn requests_are_answered_while_every_worker_is_busy() {
    let gate = Gate::default();
    let server = Server::with(
        |config| config.workers = 2.try_into().unwrap(),
        Some(gate.captions()),
    );
    let ids: Vec<String> = (0..2).map(|_| server.accept(PHOTO)).collect();
    gate.wait_for(2);
    let late = server.accept(PHOTO);
    assert_eq!(server.stats()["total"], 3);
    for id in ids.iter().chain([&late]) {
        assert_eq!(server.envelope(id)["status"], "processing");
    }
    gate.open();
    server.wait_idle();
    assert_eq!(
        server.envelope(&late)["data"]["metadata"]["caption"],
        CAPTION
    );
}

#[test]
fn a_caption_that_fails_fails_the_picture() {
    let server = Server::with(|_| {}, Some(broken()));
    let envelope = server.process(PHOTO);
    assert_eq!(envelope["status"], "failed");
    assert_eq!(
        envelope["error"],
        "caption model `custom`: writing: out of ink"
    );
    assert_eq!(envelope["error_code"], "model-failed");
    assert_eq!(envelope["data"]["metadata"], serde_json::json!({}));
    assert_eq!(envelope["data"]["thumbnails"], serde_json::json!({}));
}

#[test]
fn an_optional_caption_that_fails_leaves_the_rest() {
    let server = Server::with(|config| config.optional_captions = true, Some(broken()));
    let envelope = server.process(PHOTO);
    assert_eq!(
        (&envelope["status"], &envelope["error"]),
        (&"success".into(), &().into())
    );
    let metadata = envelope["data"]["metadata"].as_object().unwrap();
    assert_eq!(metadata["caption"], serde_json::Value::Null);
    assert_eq!(
        metadata["caption_error"],
        "caption model `custom`: writing: out of ink"
    );
    assert!(metadata["width"].as_u64() > Some(0) && !metadata.contains_key("caption_model"));
    assert!(envelope["data"]["thumbnails"]["small"].is_string());
}

#[test]
fn without_a_model_the_caption_is_null() {
    let server = Server::with(|_| {}, None);
    let envelope = server.process(PHOTO);
    assert_eq!(envelope["status"], "success");
    let metadata = envelope["data"]["metadata"].as_object().unwrap();
    assert_eq!(metadata.get("caption"), Some(&serde_json::Value::Null));
    assert!(!metadata.contains_key("caption_model") && !metadata.contains_key("caption_error"));
}

#[test]
fn a_panic_fails_its_picture_alone() {
    let calls = AtomicUsize::new(0);
    let captions = CaptionStage::new(Custom(move |_: &RgbImage, _: &Cx| {
        match calls.fetch_add(1, Ordering::SeqCst) {
            0 => panic!("out of paper"),
            _ => Ok(CAPTION.to_owned()),
        }
    }));
    let server = Server::with(
        |config| config.workers = 1.try_into().unwrap(),
        Some(captions),
    );
    let first = server.process(PHOTO);
    // What the panic said may be anything, and is for the log.
    assert_eq!(first["error"], "stage `caption` panicked");
    assert_eq!(first["error_code"], "stage-panicked");
    assert_eq!(server.process(PHOTO)["status"], "success");
}

#[test]
fn a_stop_hands_work_back_and_the_next_start_takes_it_up() {
    let mut folder = tempfile::tempdir().unwrap();
    let mut ids = Vec::new();
    // More stops than the store forgives crashes: a stop in good order is none.
    for _ in 0..4 {
        let gate = Gate::default();
        let one = |config: &mut Config| config.workers = 1.try_into().unwrap();
        let server = Server::on(folder, one, Some(gate.captions()));
        ids.push(server.accept(PHOTO));
        gate.wait_for(1);
        folder = server.stop();
    }
    let captions = CaptionStage::new(FixedCaptioner::new("done after all"));
    let server = Server::on(folder, |_| {}, Some(captions));
    server.wait_idle();
    for id in &ids {
        let envelope = server.envelope(id);
        assert_eq!(envelope["data"]["metadata"]["caption"], "done after all");
    }
}

#[test]
fn results_survive_a_restart() {
    let server = Server::start();
    let ids = [server.accept(PHOTO), server.accept(b"hello")];
    server.wait_idle();
    let path = format!("/api/images/{}/thumbnails/medium", ids[0]);
    let thumbnail = server.get(&path);
    let before: Vec<_> = ids.iter().map(|id| server.envelope(id)).collect();
    let old = server.address.to_string();
    let server = Server::on(server.stop(), |_| {}, None);
    for (id, before) in ids.iter().zip(before) {
        let expected = before
            .to_string()
            .replace(&old, &server.address.to_string());
        assert_eq!(server.envelope(id).to_string(), expected);
    }
    let after = server.get(&path);
    assert_eq!(after.body, thumbnail.body);
    assert_eq!(after.header("etag"), thumbnail.header("etag"));
}

#[test]
fn a_picture_deleted_in_the_middle_of_its_work_stays_deleted() {
    let gate = Gate::default();
    let server = Server::with(|_| {}, Some(gate.captions()));
    let id = server.accept(PHOTO);
    gate.wait_for(1);
    let path = format!("/api/images/{id}");
    assert_eq!(server.request("DELETE", &path).send().status, 204);
    gate.open();
    let next = server.process(PHOTO);
    assert_eq!(next["status"], "success");
    server
        .get(&path)
        .refused(404, "image-not-found", "Image not found.");
}

#[test]
fn a_stop_finishes_the_request_in_progress() {
    let server = Server::start();
    let body = crate::http::Form::file("cat.jpg", "image/jpeg", PHOTO);
    let (now, later) = body.split_at(body.len() / 2);
    let length = body.len().to_string();
    let mut upload = server
        .form()
        .header("Content-Length", &length)
        .header("Expect", "100-continue")
        .start();
    // The server has the request in hand once it asks for the body.
    upload.go_ahead();
    upload.write(now);
    let stopping = std::thread::spawn(move || server.stop());
    upload.write(later);
    let id = crate::support::id_of(&upload.reply());
    let server = Server::on(stopping.join().unwrap(), |_| {}, None);
    server.wait_idle();
    assert_eq!(server.envelope(&id)["status"], "success");
}

#[test]
fn errors_tell_no_path() {
    let gate = Gate::default();
    let server = Server::with(
        |config| config.workers = 1.try_into().unwrap(),
        Some(gate.captions()),
    );
    server.accept(PHOTO);
    gate.wait_for(1);
    let waiting = server.accept(PHOTO);
    std::fs::remove_file(
        server
            .data()
            .join("originals")
            .join(&waiting[..2])
            .join(&waiting),
    )
    .unwrap();
    gate.open();
    server.wait_idle();
    let envelope = server.envelope(&waiting);
    assert_eq!(envelope["error"], "cannot read the stored original");
    assert_eq!(envelope["error_code"], "original-lost");

    let captions = CaptionStage::new(Custom(|_: &RgbImage, _: &Cx| {
        Err(Error::Io {
            path: "/home/somebody/model".into(),
            source: std::io::Error::other("out of ink").into(),
        })
    }));
    let server = Server::with(|_| {}, Some(captions));
    let envelope = server.process(PHOTO);
    assert_eq!(envelope["error"], "cannot read a file: out of ink");
}
