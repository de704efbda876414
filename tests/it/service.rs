//! The small endpoints, and what holds for all of them.

use poem::listener::{Acceptor, Listener, TcpListener};
use serde_json::json;

use crate::embed_server;
use crate::http::{Reply, Request};
use crate::support::{Gate, PHOTO, Server, until};

#[test]
fn the_root_says_hello() {
    let server = Server::start();
    server
        .get("/")
        .expect(200, &json!({"message": "API is working"}));
}

#[test]
fn health_is_reported() {
    let server = Server::start();
    server.get("/livez").expect(200, &json!({"status": "ok"}));
    let checks = json!({"model": "ok", "disk": "ok", "queue": "ok"});
    let ready = json!({"status": "ok", "checks": checks});
    server.get("/readyz").expect(200, &ready);
    let checks = json!({"model": "off", "disk": "ok", "queue": "ok"});
    let ready = json!({"status": "ok", "checks": checks});
    Server::with(|_| {}, None)
        .get("/readyz")
        .expect(200, &ready);
}

#[test]
fn a_server_that_cannot_work_names_the_check_that_failed() {
    let full = Server::with(|config| config.min_free_bytes = u64::MAX, None);
    let checks = json!({"model": "off", "disk": "too little free space", "queue": "ok"});
    let reply = full.get("/readyz");
    reply.expect(
        503,
        &json!({"detail": "Not ready: disk.", "checks": checks}),
    );
    assert_eq!(reply.header("x-error-code"), Some("not-ready"));
    assert!(reply.header("retry-after").is_some());

    let gate = Gate::default();
    let busy = Server::with(|config| config.max_queue = 1, Some(gate.captions()));
    busy.accept(PHOTO);
    let checks = json!({"model": "ok", "disk": "ok", "queue": "full"});
    let not_ready = json!({"detail": "Not ready: queue.", "checks": checks});
    busy.get("/readyz").expect(503, &not_ready);
    gate.open();
    busy.wait_idle();
    assert_eq!(busy.get("/readyz").status, 200);
    assert_eq!(busy.get("/livez").status, 200);
}

#[test]
fn a_server_that_cannot_write_files_is_not_ready() {
    let server = Server::with(|_| {}, None);
    let folder = server.data().join("tmp");
    std::fs::remove_dir(&folder).unwrap();
    let disk = "the data folder cannot be written to";
    let checks = json!({"model": "off", "disk": disk, "queue": "ok"});
    let not_ready = json!({"detail": "Not ready: disk.", "checks": checks});
    server.get("/readyz").expect(503, &not_ready);
    std::fs::create_dir(&folder).unwrap();
    until(|| server.get("/readyz").status == 200);
}

#[test]
fn a_server_whose_database_is_locked_is_not_ready() {
    let server = Server::with(|_| {}, None);
    let other = rusqlite::Connection::open(server.data().join("pipeline.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let queue = "the database is locked";
    let checks = json!({"model": "off", "disk": "ok", "queue": queue});
    let not_ready = json!({"detail": "Not ready: queue.", "checks": checks});
    server.get("/readyz").expect(503, &not_ready);
    other.execute_batch("ROLLBACK").unwrap();
    until(|| server.get("/readyz").status == 200);
}

#[test]
fn an_unknown_path_is_not_found() {
    let server = Server::start();
    for path in [
        "/x",
        "/api",
        "/api/image",
        "/api/images/x/y",
        "/docs/x",
        "/api/images/x/thumbnails",
    ] {
        server.get(path).refused(404, "not-found", "Not Found");
    }
    server
        .request("POST", "/x")
        .send()
        .refused(404, "not-found", "Not Found");
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let server = Server::start();
    let cases = [
        ("POST", "/", "GET, HEAD"),
        ("DELETE", "/api/images", "GET, HEAD, POST"),
        ("PUT", "/api/images", "GET, HEAD, POST"),
        ("POST", "/api/images/x", "DELETE, GET, HEAD, PATCH"),
        ("DELETE", "/api/images/x/thumbnails/small", "GET, HEAD"),
        ("POST", "/api/stats", "GET, HEAD"),
    ];
    for (method, path, allowed) in cases {
        let reply = server.request(method, path).send();
        reply.refused(405, "method-not-allowed", "Method Not Allowed");
        assert_eq!(reply.header("allow"), Some(allowed), "{method} {path}");
    }
}

#[test]
fn no_answer_lets_a_browser_guess_its_type() {
    let server = Server::start();
    let id = server.accept(PHOTO);
    server.wait_idle();
    let one = format!("/api/images/{id}");
    let small = format!("{one}/thumbnails/small");
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/api/images"),
        ("GET", &one),
        ("GET", &small),
        ("GET", "/api/stats"),
        ("GET", "/livez"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("GET", "/x"),
        ("PATCH", "/api/images"),
        ("POST", "/api/images"),
        ("OPTIONS", "/"),
        ("DELETE", &one),
    ] {
        let reply = server.request(method, path).send();
        let said = reply.header("x-content-type-options");
        assert_eq!(said, Some("nosniff"), "{method} {path}");
    }
}

#[test]
fn every_answer_has_an_id_and_keeps_that_of_the_client() {
    let server = Server::start();
    let with = |id: &str| {
        server
            .request("GET", "/x")
            .header("X-Request-Id", id)
            .send()
    };
    assert_eq!(with("web-1:42").header("x-request-id"), Some("web-1:42"));
    let made = |reply: Reply| reply.header("x-request-id").unwrap().parse::<uuid::Uuid>();
    let ids = [
        made(with("two words")),
        made(server.get("/")),
        made(server.get("/")),
    ];
    let ids: std::collections::HashSet<_> = ids.map(Result::unwrap).into_iter().collect();
    assert_eq!(ids.len(), 3);
}

#[test]
fn no_answer_tells_a_path_of_the_machine() {
    let gate = Gate::default();
    let server = Server::with(
        |config| config.workers = 1.try_into().unwrap(),
        Some(gate.captions()),
    );
    server.accept(PHOTO);
    gate.wait_for(1);
    let lost = server.accept(PHOTO);
    // The original of a picture that waits, and the folder without which nothing can be received.
    let (data, shard) = (server.data(), &lost[..2]);
    std::fs::remove_file(data.join("originals").join(shard).join(&lost)).unwrap();
    std::fs::remove_dir(data.join("tmp")).unwrap();
    let refused = server.upload("cat.jpg", "image/jpeg", PHOTO);
    refused.refused(
        503,
        "storage-unavailable",
        "The storage cannot be used. Try again later.",
    );
    std::fs::create_dir(data.join("tmp")).unwrap();
    gate.open();
    server.wait_idle();
    let failed = server.get(&format!("/api/images/{lost}"));
    assert_eq!(failed.json()["status"], "failed");
    for reply in [refused, failed, server.get("/api/images")] {
        let text = reply.text();
        for secret in [
            data.to_str().unwrap(),
            "originals",
            "tmp",
            "src/",
            ".rs",
            "os error",
        ] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
}

#[test]
fn head_answers_as_get_without_the_body() {
    let server = Server::start();
    let id = server.accept(PHOTO);
    let one = format!("/api/images/{id}");
    for path in [
        "/",
        "/api/images",
        &one,
        "/api/stats",
        "/docs",
        "/openapi.json",
        "/api/images/x",
    ] {
        let (get, head) = (server.get(path), server.request("HEAD", path).send());
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        assert_eq!(
            head.header("content-type"),
            get.header("content-type"),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_can_be_mounted_in_another_application() {
    let server = Server::start();
    let id = server.accept(PHOTO);
    server.wait_idle();
    let acceptor = TcpListener::bind("127.0.0.1:0")
        .into_acceptor()
        .await
        .unwrap();
    let address = *acceptor.local_addr()[0].as_socket_addr().unwrap();
    let outer = embed_server::routes(&server.app);
    let outer = tokio::spawn(poem::Server::new_with_acceptor(acceptor).run(outer));

    let about = Request::new(address, "GET", "/about").send();
    assert_eq!(about.body, b"my own page");
    let path = format!("/pictures/api/images/{id}");
    let envelope = Request::new(address, "GET", &path).send().json();
    let small = format!("{path}/thumbnails/small");
    let url = &envelope["data"]["thumbnails"]["small"];
    assert_eq!(*url, format!("http://{address}{small}"));
    assert_eq!(Request::new(address, "GET", &small).send().status, 200);
    outer.abort();
}
