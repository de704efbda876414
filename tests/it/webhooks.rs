//! Who is told when the work on a picture has ended.

use std::sync::Mutex;
use std::sync::mpsc;

use pipeline_core::CaptionStage;
use pipeline_core::testing::FixedCaptioner;
use pipeline_server::{Config, Webhooks};
use serde_json::Value;

use crate::receiver::Receiver;
use crate::support::{CAPTION, PHOTO, Server, until};

/// Settings by which `receivers` are told.
fn tell(receivers: &[&Receiver]) -> impl FnOnce(&mut Config) + use<> {
    let urls = receivers.iter().map(|receiver| {
        let url = format!("http://{}/told", receiver.address);
        url.parse().unwrap()
    });
    let urls = urls.collect();
    move |config| {
        config.webhooks.urls = urls;
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        config.webhooks.secrets = vec![secret.parse().unwrap()];
        config.webhooks.allow_private = true;
    }
}

fn captions() -> Option<CaptionStage> {
    Some(CaptionStage::new(FixedCaptioner::new(CAPTION)))
}

fn metric(server: &Server, name: &str) -> String {
    let text = server.get("/metrics").text().to_owned();
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or("none").to_owned()
}

#[test]
fn every_end_is_told_with_the_envelope_of_the_interface() {
    let receiver = Receiver::with(&["200 OK"]);
    let server = Server::with(tell(&[&receiver]), captions());
    let id = server.accept(PHOTO);
    let message = receiver.told();
    assert_eq!(message.request(), "POST /told HTTP/1.1");
    let told: Value = serde_json::from_str(&message.body).unwrap();
    assert_eq!(told["data"]["status"], "success");
    let mut envelope = server.envelope(&id);
    // No request says what host this server has, so links are paths.
    for size in ["small", "medium"] {
        let path = format!("/api/images/{id}/thumbnails/{size}");
        envelope["data"]["thumbnails"][size] = path.into();
    }
    assert_eq!(told["data"]["envelope"], envelope);
    until(|| metric(&server, "pipeline_webhooks_waiting") == "0");
    let delivered = "pipeline_webhooks_total{outcome=\"delivered\"}";
    assert_eq!(metric(&server, delivered), "1");

    let failed = server.upload("x.jpg", "image/jpeg", b"no picture").json();
    let told: Value = serde_json::from_str(&receiver.told().body).unwrap();
    assert_eq!(told["data"]["image_id"], failed["image_id"]);
    assert_eq!(told["data"]["status"], "failed");

    let again = server.request("POST", &format!("/api/images/{id}/reprocess"));
    assert_eq!(again.send().status, 202);
    let told: Value = serde_json::from_str(&receiver.told().body).unwrap();
    assert_eq!(told["data"]["image_id"], *id);
}

#[test]
fn a_slow_receiver_holds_up_nobody_and_is_told_after_the_restart() {
    let (hold, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let slow = Receiver::start(move |_, _| {
        held.lock().unwrap().recv().ok();
    });
    let quick = Receiver::with(&["200 OK"]);
    let server = Server::with(tell(&[&slow, &quick]), captions());
    server.accept(PHOTO);
    let first = slow.told();
    for _ in 0..3 {
        server.accept(PHOTO);
    }
    for _ in 0..4 {
        quick.told();
    }
    server.wait_idle();
    until(|| metric(&server, "pipeline_webhooks_waiting") == "4");
    quick.assert_silence();
    slow.assert_silence();

    // The stop breaks off what is under way; the next start begins with it.
    let folder = server.stop();
    drop(hold);
    let server = Server::on(folder, tell(&[&slow, &quick]), captions());
    let again = slow.told();
    assert_eq!(again.header("webhook-id"), first.header("webhook-id"));
    assert_eq!(again.body, first.body);
    server.wait_idle();
    quick.assert_silence();
}

#[test]
fn without_webhooks_nothing_waits() {
    let server = Server::start();
    server.process(PHOTO);
    assert_eq!(server.app.config().webhooks, Webhooks::default());
    assert_eq!(metric(&server, "pipeline_webhooks_waiting"), "0");
}
