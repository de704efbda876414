//! What is shown of one picture.

use pipeline_server::Config;
use serde_json::{Value, json};

use crate::support::{CAPTION, Gate, PHOTO, Server, id_of, png, without_additions};

#[test]
fn a_picture_in_work_shows_no_results() {
    let gate = Gate::default();
    let server = Server::with(|_| {}, Some(gate.captions()));
    let id = id_of(&server.upload("photo.jpg", "image/jpeg", PHOTO));
    gate.wait_for(1);
    assert_eq!(
        without_additions(server.envelope(&id)),
        json!({
            "status": "processing",
            "data": {
                "image_id": id, "original_name": "photo.jpg", "processed_at": null,
                "metadata": {}, "thumbnails": {},
            },
            "error": null,
        })
    );
    gate.open();
}

#[test]
fn a_finished_picture_shows_everything() {
    let server = Server::start();
    let id = id_of(&server.upload("photo.png", "image/png", &png(40, 30)));
    server.wait_idle();
    let mut envelope = server.envelope(&id);
    let processed_at = envelope["data"]["processed_at"].take();
    let hashes = &envelope["data"]["metadata"];
    let [sha256, perceptual_hash, thumbhash] =
        ["sha256", "perceptual_hash", "thumbhash"].map(|name| hashes[name].clone());
    let url = |size| {
        format!(
            "http://{}/api/images/{id}/thumbnails/{size}",
            server.address
        )
    };
    assert_eq!(
        without_additions(envelope),
        json!({
            "status": "success",
            "data": {
                "image_id": id, "original_name": "photo.png", "processed_at": null,
                "metadata": {
                    "width": 40, "height": 30, "format": "png", "size_bytes": png(40, 30).len(),
                    "sha256": sha256, "perceptual_hash": perceptual_hash, "thumbhash": thumbhash,
                    "caption": CAPTION, "caption_model": "fixed",
                },
                "thumbnails": {"small": url("small"), "medium": url("medium")},
            },
            "error": null,
        })
    );
    assert_whole_seconds(&processed_at);
}

#[track_caller]
fn assert_whole_seconds(time: &Value) {
    let text = time.as_str().unwrap();
    let parsed: jiff::Timestamp = text.parse().unwrap();
    assert_eq!(parsed.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), text);
}

#[test]
fn a_jpeg_is_called_jpg() {
    let server = Server::start();
    let metadata = server.process(PHOTO)["data"]["metadata"].take();
    assert_eq!(metadata["format"], "jpg");
    assert_eq!(metadata["size_bytes"], PHOTO.len());
}

#[test]
fn a_failed_picture_shows_why_and_nothing_else() {
    let server = Server::start();
    let id = id_of(&server.upload("../x.jpg", "image/jpeg", b"hello"));
    server.wait_idle();
    let mut envelope = server.envelope(&id);
    assert_whole_seconds(&envelope["data"]["processed_at"].take());
    assert_eq!(
        without_additions(envelope),
        json!({
            "status": "failed",
            "data": {
                "image_id": id, "original_name": "../x.jpg", "processed_at": null,
                "metadata": {}, "thumbnails": {},
            },
            "error": "not a JPEG or PNG file",
            "error_code": "unknown-format",
        })
    );
}

#[test]
fn an_unknown_id_is_not_found() {
    let server = Server::start();
    let id = server.accept(PHOTO);
    let unknown = [
        "00000000-0000-4000-8000-000000000000".to_owned(),
        "x".to_owned(),
        "..%2F..".to_owned(),
        "%FF".to_owned(),
        id.to_uppercase(),
        id.replace('-', ""),
        format!("{{{id}}}"),
    ];
    for id in unknown {
        let reply = server.get(&format!("/api/images/{id}"));
        if id == "%FF" {
            reply.refused(404, "not-found", "Not Found");
        } else {
            reply.refused(404, "image-not-found", "Image not found.");
        }
    }
}

#[test]
fn urls_follow_the_host_and_the_proxy() {
    let server = Server::start();
    let id = server.accept(PHOTO);
    server.wait_idle();
    let path = format!("/api/images/{id}");
    let small = |host: &str, proto: &[&str]| {
        let mut request = server.request("GET", &path).header("Host", host);
        for proto in proto {
            request = request.header("X-Forwarded-Proto", proto);
        }
        let envelope = request.send().json();
        let url = envelope["data"]["thumbnails"]["small"].as_str().unwrap();
        url.strip_suffix(&format!("/api/images/{id}/thumbnails/small"))
            .unwrap()
            .to_owned()
    };
    assert_eq!(small("pictures.example", &[]), "http://pictures.example");
    assert_eq!(small("localhost:81", &["https"]), "https://localhost:81");
    assert_eq!(small("[::1]:81", &["http"]), "http://[::1]:81");
    assert_eq!(small("a.example", &["javascript"]), "http://a.example");
    let list = server
        .request("GET", "/api/images")
        .header("Host", "b.example")
        .header("X-Forwarded-Proto", "https")
        .send()
        .json();
    assert_eq!(
        list[0]["data"]["thumbnails"]["medium"],
        format!("https://b.example/api/images/{id}/thumbnails/medium")
    );
}

#[test]
fn what_the_camera_wrote_is_shown_and_the_place_only_if_wanted() {
    let picture = include_bytes!("../fixtures/pictures/exif-gps.jpg");
    let mut exif = json!({
        "make": "Maker", "model": "X-1", "exposure_seconds": 0.004, "f_number": 2.8, "iso": 400,
        "taken_at": "2024-03-10T10:00:00",
    });
    let shown = |server: Server| server.process(picture)["data"]["metadata"]["exif"].take();
    assert_eq!(shown(Server::start()), exif);
    exif["gps"] = json!({"latitude": 48.51, "longitude": -2.25});
    let config = |config: &mut Config| config.show_location = true;
    assert_eq!(shown(Server::with(config, None)), exif);
}
