//! Captions with where they come from, and those that people write.

use serde_json::{Value, json};

use crate::http::Reply;
use crate::support::{CAPTION, Gate, PHOTO, Server};

fn patch(server: &Server, id: &str, body: &str) -> Reply {
    let request = server.request("PATCH", &format!("/api/images/{id}"));
    request
        .header("Content-Type", "application/json")
        .body(body)
        .send()
}

fn caption(envelope: &Value) -> (&Value, &Value, &Value) {
    let data = &envelope["data"];
    let info = &data["caption_info"];
    assert_eq!(data["metadata"]["caption"], info["text"]);
    (&info["text"], &info["source"], &info["model"])
}

#[test]
fn what_a_person_writes_holds_until_it_is_taken_away() {
    let server = Server::start();
    let id = server.accept(PHOTO);
    server.wait_idle();
    let before = server.envelope(&id);
    assert_eq!(
        caption(&before),
        (&json!(CAPTION), &json!("model"), &json!("fixed"))
    );

    let reply = patch(&server, &id, r#"{"caption": "  my cat  "}"#);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let after = reply.json();
    assert_eq!(after, server.envelope(&id));
    assert_eq!(
        caption(&after),
        (&json!("my cat"), &json!("human"), &Value::Null)
    );
    assert_eq!(after["data"]["metadata"].get("caption_model"), None);

    let again = server.request("POST", &format!("/api/images/{id}/reprocess"));
    assert_eq!(again.send().status, 202);
    server.wait_idle();
    assert_eq!(
        server.envelope(&id)["data"]["metadata"]["caption"],
        "my cat"
    );

    let reply = patch(&server, &id, r#"{"caption": null}"#);
    assert_eq!(
        caption(&reply.json()),
        (&json!(CAPTION), &json!("model"), &json!("fixed"))
    );
    let all = server.get(&format!("/api/images/{id}/captions")).json();
    let shown: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["text"].as_str().unwrap(),
                one["current"].as_bool().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [(CAPTION, true), ("my cat", false), (CAPTION, false)]
    );
}

#[test]
fn a_body_that_says_nothing_is_refused() {
    let server = Server::start();
    let id = server.accept(PHOTO);
    server.wait_idle();
    let before = server.envelope(&id);
    for (body, status, code) in [
        ("", 400, "malformed-body"),
        ("{", 400, "malformed-body"),
        ("\u{fffd}", 400, "malformed-body"),
        ("[]", 422, "bad-body"),
        ("{}", 422, "bad-body"),
        (r#"{"caption": ["a cat"]}"#, 422, "bad-body"),
        (r#"{"caption": "  "}"#, 422, "bad-body"),
        (
            &format!(r#"{{"caption": "{}"}}"#, "x".repeat(10_001)),
            422,
            "bad-body",
        ),
        (
            &format!(r#"{{"caption": "{}"}}"#, "x".repeat(70_000)),
            413,
            "upload-too-large",
        ),
        (&"x".repeat(1 << 20), 413, "upload-too-large"),
    ] {
        let reply = patch(&server, &id, body);
        let shown = &body[..body.len().min(30)];
        assert_eq!(
            (reply.status, reply.header("x-error-code")),
            (status, Some(code)),
            "{shown}"
        );
    }
    assert_eq!(server.envelope(&id), before);
    let good = r#"{"caption": "x"}"#;
    for unknown in ["x", "00000000-0000-4000-8000-000000000000"] {
        let not_found = "Image not found.";
        patch(&server, unknown, good).refused(404, "image-not-found", not_found);
        server
            .get(&format!("/api/images/{unknown}/captions"))
            .refused(404, "image-not-found", not_found);
    }
}

#[test]
fn nothing_is_changed_while_the_picture_is_in_work() {
    let gate = Gate::default();
    let server = Server::with(|_| {}, Some(gate.captions()));
    let id = server.accept(PHOTO);
    gate.wait_for(1);
    let busy = "The image is being processed. Try again later.";
    patch(&server, &id, r#"{"caption": "x"}"#).refused(409, "image-in-work", busy);
    let again = server.request("POST", &format!("/api/images/{id}/reprocess"));
    again.send().refused(409, "image-in-work", busy);
    gate.open();
}
