//! The OpenAPI document, and its page in the browser.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{PHOTO, Server};

#[test]
fn the_document_is_the_one_that_was_reviewed() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/openapi.json");
    let served = Server::start().get("/openapi.json").json();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(
            &golden,
            serde_json::to_string_pretty(&served).unwrap() + "\n",
        )
        .unwrap();
    }
    let reviewed: Value = serde_json::from_slice(&fs::read(&golden).unwrap()).unwrap();
    assert!(
        served == reviewed,
        "the document has changed; look at the difference after UPDATE_GOLDEN=1 cargo test --test it docs"
    );
}

#[test]
fn every_path_of_the_document_exists_and_allows_what_it_says() {
    let server = Server::start();
    let id = server.accept(PHOTO);
    server.wait_idle();
    let document = server.get("/openapi.json").json();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let real = path.replace("{image_id}", &id).replace("{size}", "small");
        let reply = server.request("PUT", &real).send();
        let mut documented: Vec<String> = operations
            .as_object()
            .unwrap()
            .keys()
            .map(|method| method.to_uppercase())
            .collect();
        if operations.get("get").is_some() {
            documented.push("HEAD".to_owned());
        }
        documented.sort();
        assert_eq!(
            reply.header("allow"),
            Some(&*documented.join(", ")),
            "{path}"
        );
        if path.ends_with("/events") {
            // The answer comes piece by piece; `events` reads it.
            continue;
        }
        if let Some(get) = operations.get("get") {
            let status = server.get(&real).status.to_string();
            assert!(get["responses"].get(&status).is_some(), "{path}: {status}");
        }
    }
}

#[test]
fn the_document_describes_the_upload_and_its_refusals() {
    let document = Server::start().get("/openapi.json").json();
    let upload = &document["paths"]["/api/images"]["post"];
    let form = &upload["requestBody"]["content"]["multipart/form-data"]["schema"];
    assert_eq!(form["properties"]["file"]["format"], "binary");
    assert_eq!(form["required"], serde_json::json!(["file"]));
    let statuses: Vec<&String> = upload["responses"].as_object().unwrap().keys().collect();
    assert_eq!(
        statuses,
        [
            "200", "400", "401", "403", "408", "413", "422", "429", "500", "503"
        ]
    );
    let thumbnail = &document["paths"]["/api/images/{image_id}/thumbnails/{size}"]["get"];
    assert_eq!(
        thumbnail["responses"]["200"]["content"]["image/jpeg"]["schema"]["format"],
        "binary"
    );
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let server = Server::start();
    for path in ["/docs", "/docs/"] {
        let reply = server.get(path);
        assert_eq!(reply.status, 200);
        assert_eq!(
            reply.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        let policy = reply.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none';") && !policy.contains("http"),
            "{policy}"
        );
        let page = reply.text();
        assert!(page.contains("SwaggerUIBundle") && page.contains("/api/images/{image_id}"));
        // Whatever a browser would load by itself.
        let markup = without(&without(page, "<script", "</script>"), "<style", "</style>");
        assert!(page.len() > 100_000 && markup.len() < 2_000, "{markup}");
        for tag in ["src=", "href=", "<img", "<iframe"] {
            assert!(!markup.contains(tag), "{tag} in {markup}");
        }
        for tag in ["<script src", "@import url", "url(http", "url(//"] {
            assert!(!page.contains(tag), "{tag}");
        }
    }
}

/// The text without what stands between two marks.
fn without(text: &str, from: &str, to: &str) -> String {
    let mut parts = text.split(from);
    let before = parts.next().unwrap().to_owned();
    let after = parts
        .filter_map(|part| part.split_once(to))
        .map(|(_, after)| after);
    after.fold(before, |text, after| text + after)
}
