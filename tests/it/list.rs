//! The list of pictures, its pages, and deleting from it.

use serde_json::{Value, json};

use crate::support::{PHOTO, Server};

fn ids(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap();
    list.iter()
        .map(|image| image["data"]["image_id"].as_str().unwrap())
        .collect()
}

fn filled(count: usize) -> (Server, Vec<String>) {
    let server = Server::start();
    let mut newest_first: Vec<String> = (0..count).map(|_| server.accept(PHOTO)).collect();
    newest_first.reverse();
    server.wait_idle();
    (server, newest_first)
}

#[test]
fn it_is_a_bare_array_newest_first() {
    let (server, expected) = filled(3);
    let reply = server.get("/api/images");
    assert_eq!(ids(&reply.json()), expected);
    assert_eq!(
        (reply.header("link"), reply.header("x-total-count")),
        (None, None)
    );
    for (shown, id) in reply.json().as_array().unwrap().iter().zip(&expected) {
        assert_eq!(*shown, server.envelope(id));
    }
}

#[test]
fn it_is_empty_at_first() {
    Server::start().get("/api/images").expect(200, &json!([]));
}

/// More than the server has in memory for one answer.
#[test]
fn a_long_list_is_complete_and_a_long_page_is_cut() {
    let server = Server::start();
    let mut expected: Vec<String> = (0..1_003).map(|_| server.accept(b"no picture")).collect();
    expected.reverse();
    server.wait_idle();
    assert_eq!(ids(&server.get("/api/images").json()), expected);
    let page = server.get("/api/images?limit=5000");
    assert_eq!(ids(&page.json()), expected[..1_000]);
    assert!(page.header("link").is_some());
}

#[test]
fn unknown_parameters_are_ignored() {
    let (server, expected) = filled(2);
    for query in [
        "?",
        "?x=1",
        "?page=7&sort=up&offset=1",
        "?Limit=1",
        "?limi=1",
    ] {
        let reply = server.get(&format!("/api/images{query}"));
        assert_eq!(ids(&reply.json()), expected, "{query}");
    }
}

#[test]
fn pages_lead_through_all_pictures_once() {
    let (server, expected) = filled(5);
    let mut seen = Vec::new();
    let mut path = "/api/images?limit=2".to_owned();
    loop {
        let reply = server
            .request("GET", &path)
            .header("X-Forwarded-Proto", "https")
            .send();
        assert_eq!(reply.header("x-total-count"), Some("5"));
        seen.extend(ids(&reply.json()).into_iter().map(str::to_owned));
        let Some(link) = reply.header("link") else {
            break;
        };
        // What comes in while somebody pages does not shift the pages.
        if seen.len() == 2 {
            let newer = server.accept(PHOTO);
            server
                .request("DELETE", &format!("/api/images/{newer}"))
                .send();
        }
        let url = link
            .strip_prefix('<')
            .unwrap()
            .strip_suffix(">; rel=\"next\"")
            .unwrap();
        let origin = format!("https://{}", server.address);
        path = url.strip_prefix(&origin).unwrap().to_owned();
        assert!(path.starts_with("/api/images?limit=2&cursor="), "{path}");
    }
    assert_eq!(seen, expected);
}

#[test]
fn a_limit_that_is_no_count_is_a_validation_error() {
    let (server, _) = filled(1);
    for input in ["0", "-1", "x", "1.5", ""] {
        let reply = server.get(&format!("/api/images?limit={input}"));
        assert_eq!(reply.status, 422);
        let issue = &reply.json()["detail"][0];
        assert_eq!(
            (&issue["loc"], &issue["input"]),
            (&json!(["query", "limit"]), &json!(input))
        );
        assert_eq!(reply.header("x-error-code"), Some("bad-limit"));
    }
    let reply = server.get("/api/images?cursor=%C3%BC");
    assert_eq!(
        (reply.status, reply.header("x-error-code")),
        (422, Some("bad-cursor"))
    );
}

#[test]
fn a_deleted_picture_is_gone_with_its_files() {
    let (server, ids) = filled(2);
    let path = format!("/api/images/{}", ids[0]);
    let reply = server.request("DELETE", &path).send();
    assert_eq!((reply.status, reply.body.len()), (204, 0));
    server
        .get(&path)
        .refused(404, "image-not-found", "Image not found.");
    server.get(&format!("{path}/thumbnails/small")).refused(
        404,
        "image-not-found",
        "Image not found.",
    );
    server
        .request("DELETE", &path)
        .send()
        .refused(404, "image-not-found", "Image not found.");
    assert_eq!(
        server.get("/api/images").json().as_array().unwrap().len(),
        1
    );
    assert_eq!(
        (server.files("originals"), server.files("thumbnails")),
        (1, 2)
    );
}
