//! The same thing a second time: a request, a file, the work on a picture.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use image::RgbImage;
use pipeline_core::{Caption, CaptionStage, Captioner, Cx, Result};
use pipeline_server::Config;
use serde_json::{Value, json};

use crate::http::{Form, Reply};
use crate::support::{PHOTO, Server, id_of, png};

/// Writes down how often it was asked.
struct Counter {
    calls: Arc<AtomicUsize>,
    weights: &'static str,
}

impl Captioner for Counter {
    fn model(&self) -> &str {
        "counter"
    }

    fn weights_sha256(&self) -> Option<&str> {
        Some(self.weights)
    }

    fn settings(&self) -> Option<&str> {
        Some(r#"{"num_beams":3}"#)
    }

    fn caption(&self, _: &RgbImage, _: &Cx) -> Result<Caption> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let mut caption = Caption::new(format!("caption {call}"), "counter");
        caption.score = Some(-0.421_37);
        Ok(caption)
    }
}

fn counted(weights: &'static str) -> (Arc<AtomicUsize>, CaptionStage) {
    let calls = Arc::<AtomicUsize>::default();
    let captioner = Counter {
        calls: Arc::clone(&calls),
        weights,
    };
    (calls, CaptionStage::new(captioner))
}

#[test]
fn the_same_bytes_have_one_caption_run() {
    let (calls, captions) = counted("ab");
    let server = Server::with(|_| {}, Some(captions));
    let first = server.process(PHOTO);
    let second = server.process(PHOTO);
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_ne!(first["data"]["image_id"], second["data"]["image_id"]);
    assert_eq!(first["data"]["metadata"], second["data"]["metadata"]);
    let info = &second["data"]["caption_info"];
    assert_eq!(
        (&info["model"], &info["weights_sha256"]),
        (&json!("counter"), &json!("ab"))
    );
    assert_eq!(info["settings"], json!({"num_beams": 3}));
    assert_eq!(info["score"], -0.4214);
    let id = |envelope: &Value| envelope["data"]["image_id"].as_str().unwrap().to_owned();
    let thumbnail = |envelope| {
        let path = format!("/api/images/{}/thumbnails/medium", id(envelope));
        server.get(&path).body
    };
    assert_eq!(thumbnail(&first), thumbnail(&second));
    server.process(&png(40, 30));
    assert_eq!(calls.load(Ordering::SeqCst), 2);

    // Whoever asks for it gets a run.
    let path = format!("/api/images/{}/reprocess", id(&second));
    assert_eq!(server.request("POST", &path).send().status, 202);
    server.wait_idle();
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    assert_eq!(
        server.envelope(&id(&second))["data"]["metadata"]["caption"],
        "caption 2"
    );

    let (calls, captions) = counted("cd");
    let server = Server::on(server.stop(), |_| {}, Some(captions));
    server.process(PHOTO);
    assert_eq!(
        calls.load(Ordering::SeqCst),
        1,
        "other weights write another caption"
    );
}

fn upload(server: &Server, key: &str, bytes: &[u8]) -> Reply {
    let body = Form::file("cat.jpg", "image/jpeg", bytes);
    server.post(body).header("Idempotency-Key", key).send()
}

#[test]
fn a_request_that_is_sent_twice_is_one_upload() {
    let server = Server::start();
    let first = id_of(&upload(&server, "k-1", PHOTO));
    assert_eq!(id_of(&upload(&server, "k-1", PHOTO)), first);
    let other = upload(&server, "k-1", b"other");
    assert_eq!(
        (other.status, other.header("x-error-code")),
        (422, Some("idempotency-key-reused"))
    );
    assert_eq!(
        other.json()["detail"][0]["loc"],
        json!(["header", "Idempotency-Key"])
    );
    assert_ne!(id_of(&upload(&server, "k-2", PHOTO)), first);
    assert_ne!(
        id_of(&upload(&server, "", PHOTO)),
        id_of(&upload(&server, "", PHOTO))
    );
    for bad in ["two words", "schlüssel", &"x".repeat(256)] {
        let reply = upload(&server, bad, PHOTO);
        assert_eq!(
            (reply.status, reply.header("x-error-code")),
            (422, Some("bad-idempotency-key"))
        );
    }
    assert_eq!(server.stats()["total"], 4);
    assert_eq!(server.files("originals"), 4);
    let server = Server::on(server.stop(), |_| {}, None);
    assert_eq!(id_of(&upload(&server, "k-1", PHOTO)), first);
    let path = format!("/api/images/{first}");
    assert_eq!(server.request("DELETE", &path).send().status, 204);
    assert_ne!(id_of(&upload(&server, "k-1", PHOTO)), first);
}

#[test]
fn clients_with_keys_of_their_own_do_not_meet() {
    let keys = |config: &mut Config| {
        for key in ["write:first-client-key", "write:other-client-key"] {
            config.access.keys.push(key.parse().unwrap());
        }
    };
    let server = Server::with(keys, None);
    let upload = |key: &str| {
        let body = Form::file("cat.jpg", "image/jpeg", PHOTO);
        let request = server.post(body).header("Idempotency-Key", "k");
        id_of(&request.header("X-API-Key", key).send())
    };
    assert_eq!(upload("first-client-key"), upload("first-client-key"));
    assert_ne!(upload("first-client-key"), upload("other-client-key"));
}

#[test]
fn pictures_are_done_again_by_filter_and_a_dry_run_only_counts() {
    let (calls, captions) = counted("ab");
    let server = Server::with(|_| {}, Some(captions));
    let small = server.process(&png(40, 30));
    server.process(PHOTO);
    server.process(b"hello");
    let again = |body: Value| {
        let request = server.request("POST", "/api/images/reprocess");
        request
            .header("Content-Type", "application/json")
            .body(body.to_string())
            .send()
    };
    for (filter, matched) in [
        (json!({}), 3),
        (json!({"status": "failed"}), 1),
        (json!({"missing": ["caption"]}), 1),
        (json!({"model": "counter"}), 2),
        (json!({"model_not": "counter"}), 1),
        (json!({"model_not": "other", "format": "png"}), 1),
        (json!({"q": "caption 1"}), 1),
        (json!({"since": "2020-01-01T00:00:00Z", "max_bytes": 5}), 1),
        (json!({"camera": "canon"}), 0),
    ] {
        let reply = again(json!({"filter": filter, "dry_run": true}));
        reply.expect(
            200,
            &json!({"matched": matched, "queued": 0, "dry_run": true}),
        );
    }
    let before = calls.load(Ordering::SeqCst);
    let reply = again(json!({"filter": {"format": "png"}}));
    reply.expect(200, &json!({"matched": 1, "queued": 1, "dry_run": false}));
    server.wait_idle();
    assert_eq!(calls.load(Ordering::SeqCst), before + 1);
    let id = small["data"]["image_id"].as_str().unwrap();
    assert_eq!(server.envelope(id)["status"], "success");
    assert_eq!(server.files("thumbnails"), 4);
    for bad in [
        json!({}),
        json!({"filter": {"status": "done"}}),
        json!({"filter": {"missing": ["x"]}}),
        json!({"filter": {"since": "x"}}),
        json!({"filter": {"format": "gif"}}),
        json!([]),
    ] {
        let reply = again(bad.clone());
        assert_eq!(
            (reply.status, reply.header("x-error-code")),
            (422, Some("bad-body")),
            "{bad}"
        );
    }
}

#[test]
fn a_failed_picture_is_done_again() {
    let server = Server::start();
    let id = server.accept(b"hello");
    server.wait_idle();
    let path = format!("/api/images/{id}/reprocess");
    let reply = server.request("POST", &path).send();
    assert_eq!(
        (reply.status, &reply.json()["status"]),
        (202, &json!("processing"))
    );
    server.wait_idle();
    assert_eq!(server.envelope(&id)["error_code"], "unknown-format");
    server
        .request("POST", "/api/images/x/reprocess")
        .send()
        .refused(404, "image-not-found", "Image not found.");
}
