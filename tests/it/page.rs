//! The web page at `/`. What it does is tested in a browser: see `tests/web`.

use poem::Route;
use poem::listener::{Acceptor, Listener, TcpListener};
use serde_json::json;

use crate::http::{Reply, Request};
use crate::support::Server;

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8";

fn browse(server: &Server, path: &str) -> Reply {
    server.request("GET", path).header("Accept", BROWSER).send()
}

#[test]
fn browsers_get_the_page_and_programs_get_json() {
    let server = Server::start();
    let page = browse(&server, "/");
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(page.text().starts_with("<!doctype html>"));
    let hello = json!({"message": "API is working"});
    for accept in [
        "*/*",
        "application/json",
        "application/json, text/plain, */*",
    ] {
        let reply = server.request("GET", "/").header("Accept", accept).send();
        reply.expect(200, &hello);
        assert_eq!(reply.header("vary"), Some("Accept"));
    }
    assert_eq!(page.header("vary"), Some("Accept"));
    let head = server.request("HEAD", "/").header("Accept", BROWSER).send();
    assert_eq!((head.status, head.body.len()), (200, 0));
    let post = server.request("POST", "/").header("Accept", BROWSER).send();
    assert_eq!(post.status, 405);
}

#[test]
fn the_page_and_its_files_come_from_here_and_run_nothing_else() {
    let server = Server::start();
    let page = browse(&server, "/");
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
    assert!(
        !policy.contains("unsafe") && !policy.contains("http"),
        "{policy}"
    );
    for (file, media_type) in [
        ("style.css", "text/css; charset=utf-8"),
        ("app.js", "text/javascript; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ] {
        assert!(page.text().contains(&format!("\"web/{file}\"")), "{file}");
        let reply = browse(&server, &format!("/web/{file}"));
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, Some(media_type))
        );
        assert_eq!(reply.header("content-security-policy"), Some(policy));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        // From anywhere else, nothing can be named but in the form of an address.
        for elsewhere in ["https://", "src=\"//", "url(//"] {
            assert!(!reply.text().contains(elsewhere), "{elsewhere} in {file}");
        }
    }
    let unknown = server.get("/web/nothing.js");
    unknown.refused(404, "not-found", "Not Found");
    assert_eq!(server.get("/web/../src/main.rs").status, 404);
    assert_eq!(server.request("POST", "/web/app.js").send().status, 405);
}

#[test]
fn what_a_browser_has_already_is_not_sent_again() {
    let server = Server::start();
    for path in ["/", "/web/style.css"] {
        let first = browse(&server, path);
        assert_eq!(first.header("cache-control"), Some("no-cache"));
        let etag = first.header("etag").unwrap().to_owned();
        let again = |known: &str| {
            let request = server.request("GET", path).header("Accept", BROWSER);
            request.header("If-None-Match", known).send()
        };
        assert_eq!((again(&etag).status, again(&etag).body.len()), (304, 0));
        assert_eq!(again("\"other\"").status, 200);
    }
}

#[test]
fn the_page_needs_no_key_but_what_it_shows_does() {
    let server = Server::with(
        |config| config.access.keys = vec!["write:0123456789-secret".parse().unwrap()],
        None,
    );
    for path in ["/", "/web/app.js"] {
        assert_eq!(browse(&server, path).status, 200, "{path}");
    }
    for path in ["/api/events", "/api/images/x/events", "/api/images"] {
        assert_eq!(browse(&server, path).status, 401, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_can_be_mounted_with_the_rest() {
    let server = Server::start();
    let acceptor = TcpListener::bind("127.0.0.1:0")
        .into_acceptor()
        .await
        .unwrap();
    let address = *acceptor.local_addr()[0].as_socket_addr().unwrap();
    let outer = Route::new().nest("/pictures", server.app.endpoint());
    let outer = tokio::spawn(poem::Server::new_with_acceptor(acceptor).run(outer));
    let browse = |path: &str| {
        Request::new(address, "GET", path)
            .header("Accept", BROWSER)
            .send()
    };
    assert!(browse("/pictures/").text().starts_with("<!doctype html>"));
    assert_eq!(browse("/pictures/web/app.js").status, 200);
    // Relative names would lead astray from there.
    let moved = browse("/pictures");
    assert_eq!(
        (moved.status, moved.header("location")),
        (307, Some("pictures/"))
    );
    outer.abort();
}
