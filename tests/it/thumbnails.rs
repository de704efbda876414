//! Thumbnails: the order of the checks, and what HTTP caches and download managers ask for.

use crate::http::{Form, Reply};
use crate::support::{Gate, PHOTO, Server, id_of};

const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

fn ready() -> (Server, String) {
    let server = Server::start();
    let id = server.accept(PHOTO);
    server.wait_idle();
    let path = format!("/api/images/{id}/thumbnails/small");
    (server, path)
}

fn ask(server: &Server, path: &str, headers: &[(&str, &str)]) -> Reply {
    let request = server.request("GET", path);
    let with =
        |request: crate::http::Request, (name, value): &(&str, &str)| request.header(name, value);
    headers.iter().fold(request, with).send()
}

#[test]
fn the_checks_come_in_order() {
    let gate = Gate::default();
    let server = Server::with(|_| {}, Some(gate.captions()));
    let waiting = server.accept(PHOTO);
    let failed = server.accept(b"hello");
    let get = |id: &str, size: &str| server.get(&format!("/api/images/{id}/thumbnails/{size}"));
    for id in [UNKNOWN, "x", &waiting, &failed] {
        for size in ["large", "Small", "x", "%20small"] {
            get(id, size).refused(400, "unknown-size", "size must be 'small' or 'medium'.");
        }
    }
    for id in [UNKNOWN, "x"] {
        get(id, "small").refused(404, "image-not-found", "Image not found.");
    }
    let not_ready = "Thumbnails not ready (processing not successful).";
    get(&waiting, "medium").refused(409, "thumbnails-not-ready", not_ready);
    gate.open();
    server.wait_idle();
    get(&failed, "small").refused(409, "thumbnails-not-ready", not_ready);
    assert_eq!(get(&waiting, "small").status, 200);
    std::fs::remove_dir_all(server.data().join("thumbnails")).unwrap();
    get(&waiting, "small").refused(404, "thumbnail-not-found", "Thumbnail not found.");
}

#[test]
fn they_are_jpeg_files_that_may_be_kept() {
    let (server, path) = ready();
    let reply = server.get(&path);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("image/jpeg"));
    assert_eq!(
        reply.header("content-length"),
        Some(&*reply.body.len().to_string())
    );
    assert_eq!(reply.header("accept-ranges"), Some("bytes"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert!(reply.header("cache-control").unwrap().contains("immutable"));
    assert!(reply.header("etag").is_some() && reply.header("last-modified").is_some());
    assert!(reply.body.starts_with(b"\xff\xd8\xff"));
}

#[test]
fn only_what_everybody_may_see_is_kept_for_everybody() {
    let kept = |config: fn(&mut pipeline_server::Config)| {
        let server = Server::with(config, None);
        let key = ("X-API-Key", "correct-horse-battery");
        let post = server.post(Form::file("cat.jpg", "image/jpeg", PHOTO));
        let id = id_of(&post.header(key.0, key.1).send());
        server.wait_idle();
        let path = format!("/api/images/{id}/thumbnails/small");
        let reply = ask(&server, &path, &[key]);
        reply.header("cache-control").unwrap().to_owned()
    };
    assert!(kept(|_| {}).starts_with("public, "));
    let with_keys = kept(|config| {
        config.access.keys = vec!["write:correct-horse-battery".parse().unwrap()];
    });
    assert!(with_keys.starts_with("private, "), "{with_keys}");
}

/// Errors that even root meets: a link in a circle, and a file that cannot be read.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_does_not_answer_is_worth_another_try() {
    let (server, path) = ready();
    let id = path.split('/').nth(3).unwrap();
    let folder = server.data().join("thumbnails").join(&id[..2]).join(id);
    let file = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().path();
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(file).collect();
    for target in [None, Some("/proc/self/mem")] {
        for file in &files {
            std::fs::remove_file(file).unwrap();
            let target = target.map_or(file.as_path(), std::path::Path::new);
            std::os::unix::fs::symlink(target, file).unwrap();
        }
        let reply = server.get(&path);
        let text = "The storage cannot be used. Try again later.";
        reply.refused(503, "storage-unavailable", text);
        assert!(reply.header("retry-after").is_some());
    }
}

#[test]
fn a_known_thumbnail_is_not_sent_again() {
    let (server, path) = ready();
    let first = server.get(&path);
    let etag = first.header("etag").unwrap();
    let modified = first.header("last-modified").unwrap();
    for headers in [
        &[("If-None-Match", etag)][..],
        &[("If-None-Match", "*")],
        &[("If-None-Match", &format!("\"x\", W/{etag}"))],
        &[("If-Modified-Since", modified)],
        &[("If-None-Match", etag), ("Range", "bytes=0-9")],
    ] {
        let reply = ask(&server, &path, headers);
        assert_eq!((reply.status, reply.body.len()), (304, 0), "{headers:?}");
        assert_eq!(reply.header("etag"), Some(etag));
    }
    for headers in [
        &[("If-None-Match", "\"x\"")][..],
        &[("If-None-Match", "\"x\""), ("If-Modified-Since", modified)],
        &[("If-Modified-Since", "Sun, 10 Mar 2024 10:00:00 GMT")],
    ] {
        let reply = ask(&server, &path, headers);
        assert_eq!(
            (reply.status, &reply.body),
            (200, &first.body),
            "{headers:?}"
        );
    }
}

#[test]
fn parts_can_be_asked_for() {
    let (server, path) = ready();
    let whole = server.get(&path);
    let size = whole.body.len();
    for (range, from, to) in [
        ("bytes=0-9", 0, 10),
        ("bytes=10-", 10, size),
        ("bytes=-10", size - 10, size),
        ("bytes=10-999999999", 10, size),
    ] {
        let reply = ask(&server, &path, &[("Range", range)]);
        assert_eq!(
            (reply.status, &*reply.body),
            (206, &whole.body[from..to]),
            "{range}"
        );
        let shown = format!("bytes {from}-{}/{size}", to - 1);
        assert_eq!(reply.header("content-range"), Some(&*shown));
        assert_eq!(
            reply.header("content-length"),
            Some(&*(to - from).to_string())
        );
        assert_eq!(reply.header("content-type"), Some("image/jpeg"));
    }
    let reply = ask(&server, &path, &[("Range", &format!("bytes={size}-"))]);
    reply.refused(416, "bad-range", "The range lies outside of the thumbnail.");
    assert_eq!(
        reply.header("content-range"),
        Some(&*format!("bytes */{size}"))
    );
    let reply = ask(&server, &path, &[("Range", "lines=1-2")]);
    assert_eq!((reply.status, reply.body.len()), (200, size));
}

#[test]
fn a_part_of_another_version_is_not_sent() {
    let (server, path) = ready();
    let whole = server.get(&path);
    let etag = whole.header("etag").unwrap();
    let known = ask(
        &server,
        &path,
        &[("Range", "bytes=0-9"), ("If-Range", etag)],
    );
    assert_eq!(known.status, 206);
    let other = ask(
        &server,
        &path,
        &[("Range", "bytes=0-9"), ("If-Range", "\"x\"")],
    );
    assert_eq!((other.status, &other.body), (200, &whole.body));
}

#[test]
fn head_tells_the_size_without_the_file() {
    let (server, path) = ready();
    let size = server.get(&path).body.len().to_string();
    let reply = server.request("HEAD", &path).send();
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    assert_eq!(reply.header("content-length"), Some(&*size));
    assert_eq!(reply.header("content-type"), Some("image/jpeg"));
}
