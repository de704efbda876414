//! API keys, and pages of other origins.

use pipeline_server::Config;
use serde_json::json;

use crate::http::{Form, Reply, Request};
use crate::support::{PHOTO, Server, id_of};

const READ: &str = "a-key-that-may-read";
const WRITE: &str = "a-key-that-may-write";

fn closed(config: &mut Config) {
    for key in [format!("read:{READ}"), format!("write:{WRITE}")] {
        config.access.keys.push(key.parse().unwrap());
    }
}

fn with_key(request: Request, key: &str) -> Reply {
    request.header("X-API-Key", key).send()
}

fn upload(server: &Server) -> Request {
    server.post(Form::file("cat.jpg", "image/jpeg", PHOTO))
}

#[track_caller]
fn assert_no_key(reply: &Reply) {
    let detail = "An API key is needed, as `X-API-Key` or as a bearer token.";
    reply.refused(401, "no-api-key", detail);
    assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
}

#[test]
fn without_keys_everything_is_open() {
    let server = Server::start();
    id_of(&with_key(upload(&server), "whatever this is"));
    assert_eq!(server.get("/api/stats").status, 200);
}

#[test]
fn a_closed_server_asks_for_a_key() {
    let server = Server::with(closed, None);
    for (method, path) in [
        ("GET", "/api/images"),
        ("GET", "/api/images/x"),
        ("DELETE", "/api/images/x"),
        ("GET", "/api/images/x/thumbnails/small"),
        ("GET", "/api/stats"),
        ("GET", "/metrics"),
        ("PATCH", "/api/images"),
        ("GET", "/no/such/path"),
    ] {
        assert_no_key(&server.request(method, path).send());
    }
    assert_eq!(server.files("tmp"), 0);
    for path in ["/", "/livez", "/readyz", "/docs", "/docs/", "/openapi.json"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
}

#[test]
fn a_client_that_sends_a_large_picture_without_a_key_hears_so() {
    let server = Server::with(closed, None);
    let large = Form::file("cat.jpg", "image/jpeg", &vec![0; 10_000_000]);
    assert_no_key(&server.post(large).send());
    let head = server.form().header("Content-Length", "10000000");
    assert_no_key(&head.header("Expect", "100-continue").send());
}

#[test]
fn a_key_opens_what_its_role_allows() {
    let server = Server::with(closed, None);
    with_key(upload(&server), READ).refused(403, "read-only-api-key", "The API key may only read.");
    let id = id_of(&with_key(upload(&server), WRITE));
    server.wait_idle();
    let path = format!("/api/images/{id}");
    for key in [READ, WRITE] {
        for path in ["/api/images", &path, &format!("{path}/thumbnails/small")] {
            for method in ["GET", "HEAD"] {
                let reply = with_key(server.request(method, path), key);
                assert_eq!(reply.status, 200, "{method} {path}");
            }
        }
    }
    assert_eq!(with_key(server.request("DELETE", &path), READ).status, 403);
    assert_eq!(with_key(server.request("DELETE", &path), WRITE).status, 204);
}

#[test]
fn a_key_may_be_a_bearer_token_and_has_to_be_right() {
    let server = Server::with(closed, None);
    let stats = |name, value: &str| {
        server
            .request("GET", "/api/stats")
            .header(name, value)
            .send()
    };
    assert_eq!(
        stats("Authorization", &format!("Bearer {READ}")).status,
        200
    );
    assert_eq!(
        stats("Authorization", &format!("bearer  {READ}")).status,
        200
    );
    for wrong in [
        "a-key-that-may-rea",
        "A-KEY-THAT-MAY-READ",
        "read:a-key-that-may-read",
    ] {
        let detail = "The API key is not known.";
        stats("X-API-Key", wrong).refused(401, "unknown-api-key", detail);
        let bearer = format!("Bearer {wrong}");
        stats("Authorization", &bearer).refused(401, "unknown-api-key", detail);
    }
    assert_no_key(&stats("Authorization", &format!("Basic {READ}")));
    assert_no_key(&stats("Authorization", READ));
}

#[test]
fn the_document_tells_of_keys_where_there_are_some() {
    let open = Server::start().get("/openapi.json").json();
    assert_eq!(
        (&open["security"], &open["components"]["securitySchemes"]),
        (&json!(null), &json!(null))
    );
    let server = Server::with(closed, None);
    let document = server.get("/openapi.json").json();
    assert_eq!(
        document["security"],
        json!([{"ApiKey": []}, {"Bearer": []}])
    );
    assert_eq!(
        document["components"]["securitySchemes"]["ApiKey"]["name"],
        "X-API-Key"
    );
    assert_eq!(document["paths"]["/livez"]["get"]["security"], json!([]));
    assert_eq!(
        document["paths"]["/api/stats"]["get"]["security"],
        json!(null)
    );
    assert!(server.get("/docs").text().contains("securitySchemes"));
}

const HOME: &str = "https://photos.example";

fn shared(config: &mut Config) {
    closed(config);
    config.access.cors_origins.push(HOME.parse().unwrap());
}

fn from(server: &Server, method: &str, origin: &str) -> Request {
    server
        .request(method, "/api/stats")
        .header("Origin", origin)
}

#[test]
fn pages_of_other_origins_are_told_nothing_unless_they_were_named() {
    let server = Server::start();
    let reply = from(&server, "GET", HOME).send();
    assert_eq!(
        (reply.status, reply.header("access-control-allow-origin")),
        (200, None)
    );
    let ask = |server: &Server, origin| {
        let ask = from(server, "OPTIONS", origin).header("Access-Control-Request-Method", "DELETE");
        ask.header("Access-Control-Request-Headers", "x-api-key")
            .send()
    };
    assert_eq!(ask(&server, HOME).status, 405);

    let server = Server::with(shared, None);
    // A browser asks without the key.
    let reply = ask(&server, HOME);
    assert_eq!((reply.status, reply.body.len()), (204, 0));
    assert_eq!(reply.header("access-control-allow-origin"), Some(HOME));
    assert!(
        reply
            .header("access-control-allow-methods")
            .unwrap()
            .contains("DELETE")
    );
    assert!(
        reply
            .header("access-control-allow-headers")
            .unwrap()
            .contains("X-API-Key")
    );
    assert_eq!(reply.header("access-control-allow-credentials"), None);
    for stranger in [
        "https://evil.example",
        "https://photos.example.evil",
        "null",
    ] {
        let reply = ask(&server, stranger);
        assert_eq!(
            (reply.status, reply.header("access-control-allow-origin")),
            (401, None)
        );
    }

    let reply = with_key(from(&server, "GET", HOME), READ);
    assert_eq!(
        (reply.status, reply.header("access-control-allow-origin")),
        (200, Some(HOME))
    );
    assert_eq!(reply.header("vary"), Some("Origin"));
    assert!(
        reply
            .header("access-control-expose-headers")
            .unwrap()
            .contains("X-Error-Code")
    );
    // The page may read a refusal, too.
    let reply = from(&server, "GET", HOME).send();
    assert_eq!(
        (reply.status, reply.header("access-control-allow-origin")),
        (401, Some(HOME))
    );
    let reply = with_key(from(&server, "GET", "https://evil.example"), READ);
    assert_eq!(
        (reply.status, reply.header("access-control-allow-origin")),
        (200, None)
    );
    assert_eq!(reply.header("vary"), Some("Origin"));
}

#[test]
fn a_star_is_every_origin() {
    let open = |config: &mut Config| config.access.cors_origins.push("*".parse().unwrap());
    let server = Server::with(open, None);
    let reply = from(&server, "GET", "https://any.example").send();
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
}
