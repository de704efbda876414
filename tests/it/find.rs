//! Searching, filtering, and pictures that look alike.

use image::RgbImage;
use pipeline_core::CaptionStage;
use serde_json::{Value, json};

use crate::support::{Custom, PHOTO, Server, id_of, png};

/// A server whose captions say how wide the picture is.
fn server() -> Server {
    let captions = Custom(|picture: &RgbImage, _: &pipeline_core::Cx| {
        Ok(format!("a gradient {} wide", picture.width()))
    });
    Server::with(|_| {}, Some(CaptionStage::new(captions)))
}

fn upload(server: &Server, name: &str, content_type: &str, bytes: &[u8]) -> String {
    let id = id_of(&server.upload(name, content_type, bytes));
    server.wait_idle();
    id
}

fn found(server: &Server, query: &str) -> Vec<String> {
    let reply = server.get(&format!("/api/images?{query}"));
    assert_eq!(reply.status, 200, "{query}: {}", reply.text());
    let list = reply.json();
    let list = list.as_array().unwrap();
    list.iter()
        .map(|image| image["data"]["image_id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn captions_and_names_are_searched_and_filters_hold_together() {
    let server = server();
    let small = upload(&server, "red panda.png", "image/png", &png(40, 30));
    let large = upload(&server, "IMG_7.png", "image/png", &png(77, 30));
    let photo = upload(&server, "cat & dog.jpg", "image/jpeg", PHOTO);
    let broken = upload(&server, "broken.jpg", "image/jpeg", b"hello");
    let all = [&broken, &photo, &large, &small];
    for (query, expected) in [
        ("q=gradient", &all[1..]),
        ("q=gradi+77", &[]),
        ("q=77+gradi", &all[2..3]),
        ("q=RED%20pan", &all[3..]),
        ("q=cat+%26", &all[1..2]),
        ("q=", &all[..]),
        ("q=%22%27*%00(", &[]),
        ("status=failed", &all[..1]),
        ("status=success&format=png", &all[2..]),
        ("format=jpg", &all[1..2]),
        ("has_caption=true", &all[1..]),
        ("has_caption=false", &all[..1]),
        ("max_bytes=5", &all[..1]),
        ("min_bytes=6&format=png&q=panda", &all[3..]),
        ("since=2020-01-01T00:00:00Z", &all[..]),
        ("since=2020-01-01T00:00:00+02:00&until=", &all[..]),
        ("until=2020-01-01T00:00:00Z", &[]),
        ("camera=canon", &[]),
        ("status=&format=&camera=&min_bytes=&has_caption=", &all[..]),
    ] {
        let expected: Vec<&String> = expected.to_vec();
        assert_eq!(
            found(&server, query).iter().collect::<Vec<_>>(),
            expected,
            "{query}"
        );
    }
    let uploaded = server.envelope(&large)["data"]["uploaded_at"].clone();
    let uploaded = uploaded.as_str().unwrap();
    assert_eq!(found(&server, &format!("since={uploaded}")).len(), 3);
    for (query, name) in [
        ("status=done", "status"),
        ("format=gif", "format"),
        ("has_caption=1", "has_caption"),
        ("min_bytes=x", "min_bytes"),
        ("max_bytes=-1", "max_bytes"),
        ("since=today", "since"),
        ("until=2020", "until"),
    ] {
        let reply = server.get(&format!("/api/images?{query}"));
        assert_eq!(reply.status, 422, "{query}");
        assert_eq!(reply.header("x-error-code"), Some("bad-filter"));
        assert_eq!(reply.json()["detail"][0]["loc"], json!(["query", name]));
    }
}

#[test]
fn pages_of_what_is_found_lead_on_with_their_filters() {
    let server = server();
    let mut panda = Vec::new();
    for n in 0..5 {
        let name = if n == 2 {
            "other.png"
        } else {
            "panda & co.png"
        };
        let id = upload(&server, name, "image/png", &png(20 + n, 10));
        if n != 2 {
            panda.insert(0, id);
        }
    }
    let mut seen = Vec::new();
    let mut query = "limit=3&q=panda+%26+co&status=success&format=png".to_owned();
    loop {
        let reply = server.get(&format!("/api/images?{query}"));
        assert_eq!(reply.header("x-total-count"), Some("4"));
        seen.extend(found(&server, &query));
        let Some(link) = reply.header("link") else {
            break;
        };
        let (_, next) = link.split_once('?').unwrap();
        query = next.strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    }
    assert_eq!(seen, panda);
    let whole = server.get("/api/images?q=panda");
    assert_eq!(whole.header("x-total-count"), Some("4"));
}

#[test]
fn pictures_that_look_alike_are_found() {
    let server = server();
    let photo = upload(&server, "a.jpg", "image/jpeg", PHOTO);
    let same = upload(&server, "b.jpg", "image/jpeg", PHOTO);
    let other = upload(&server, "c.png", "image/png", &png(64, 64));
    let broken = upload(&server, "d.jpg", "image/jpeg", b"hello");
    let similar = |id: &str, query: &str| -> Vec<(u64, String)> {
        let reply = server.get(&format!("/api/images/{id}/similar{query}"));
        assert_eq!(reply.status, 200, "{}", reply.text());
        let list = reply.json();
        let pair = |found: &Value| {
            let image = &found["image"]["data"]["image_id"];
            let id = image.as_str().unwrap().to_owned();
            (found["distance"].as_u64().unwrap(), id)
        };
        list.as_array().unwrap().iter().map(pair).collect()
    };
    assert_eq!(similar(&photo, ""), [(0, same.clone())]);
    let all = similar(&photo, "?max_distance=64");
    assert_eq!(all.len(), 2);
    assert_eq!(all[1].1, other);
    assert_eq!(similar(&photo, "?max_distance=64&limit=1"), [(0, same)]);
    assert_eq!(similar(&broken, ""), []);
    for query in ["?limit=0", "?limit=x", "?max_distance=65"] {
        let reply = server.get(&format!("/api/images/{photo}/similar{query}"));
        assert_eq!(reply.status, 422, "{query}");
    }
    server
        .get("/api/images/x/similar")
        .refused(404, "image-not-found", "Image not found.");
}
