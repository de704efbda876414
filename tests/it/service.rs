//! The small endpoints, and what holds for all of them.

use poem::Route;
use poem::listener::{Acceptor, Listener, TcpListener};
use serde_json::json;

use crate::http::Request;
use crate::support::{PHOTO, Server};

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
    for path in ["/livez", "/readyz"] {
        server.get(path).expect(200, &json!({"status": "ok"}));
    }
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
        ("POST", "/api/images/x", "DELETE, GET, HEAD"),
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
    let outer = Route::new().nest("/pictures", server.app.endpoint());
    let outer = tokio::spawn(poem::Server::new_with_acceptor(acceptor).run(outer));

    let path = format!("/pictures/api/images/{id}");
    let envelope = Request::new(address, "GET", &path).send().json();
    let small = format!("{path}/thumbnails/small");
    let url = &envelope["data"]["thumbnails"]["small"];
    assert_eq!(*url, format!("http://{address}{small}"));
    assert_eq!(Request::new(address, "GET", &small).send().status, 200);
    outer.abort();
}
