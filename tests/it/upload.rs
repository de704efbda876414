//! The upload rules.

use serde_json::json;

use crate::http::{Form, file_headers};
use crate::support::{PHOTO, Server, id_of, png};

const JPEG: Option<&str> = Some("image/jpeg");

fn missing() -> serde_json::Value {
    json!({"detail": [{"type": "missing", "loc": ["body", "file"], "msg": "Field required", "input": null}]})
}

#[test]
fn a_picture_is_accepted_at_once() {
    let server = Server::start();
    let reply = server.upload("cat.jpg", "image/jpeg", PHOTO);
    let id = id_of(&reply);
    let uuid: uuid::Uuid = id.parse().unwrap();
    assert_eq!(
        (uuid.get_version_num(), uuid.to_string()),
        (4, id),
        "{uuid}"
    );
    id_of(&server.upload("blocks.png", "image/png", &png(8, 8)));
}

#[test]
fn only_the_two_media_types_are_taken_whatever_the_extension() {
    let server = Server::start();
    for other in [
        "image/jpg",
        "image/gif",
        "text/plain",
        "application/octet-stream",
        "",
        "image/jpeg; q=1",
    ] {
        server.upload("cat.jpg", other, PHOTO).refused(
            400,
            "wrong-type",
            "Only JPG and PNG are allowed.",
        );
    }
    let none = Form::default()
        .part(&file_headers("file", "cat.jpg", None), PHOTO)
        .end();
    server
        .post(none)
        .send()
        .refused(400, "wrong-type", "Only JPG and PNG are allowed.");
    id_of(&server.upload("cat.gif", "image/jpeg", PHOTO));
    assert_eq!(
        server.stats()["total"],
        1,
        "refused uploads are not counted"
    );
}

#[test]
fn an_empty_file_is_refused_after_its_type() {
    let server = Server::start();
    for good in ["image/jpeg", "image/png"] {
        server
            .upload("cat.jpg", good, b"")
            .refused(400, "empty-upload", "Empty upload.");
    }
    server.upload("cat.txt", "text/plain", b"").refused(
        400,
        "wrong-type",
        "Only JPG and PNG are allowed.",
    );
    assert_eq!(server.files("tmp") + server.files("originals"), 0);
}

#[test]
fn a_missing_or_misnamed_field_is_a_validation_error() {
    let server = Server::start();
    let misnamed = Form::default()
        .part(&file_headers("image", "cat.jpg", JPEG), PHOTO)
        .end();
    let other_case = Form::default()
        .part(&file_headers("File", "cat.jpg", JPEG), PHOTO)
        .end();
    for body in [misnamed, other_case, Form::default().end(), Vec::new()] {
        let reply = server.post(body).send();
        reply.expect(422, &missing());
        assert_eq!(reply.header("x-error-code"), Some("missing-file"));
    }
}

#[test]
fn a_body_that_is_no_multipart_has_no_field() {
    let server = Server::start();
    let post = |content_type: &str, body: &str| {
        server
            .request("POST", "/api/images")
            .header("Content-Type", content_type)
            .body(body)
            .send()
    };
    post("application/json", r#"{"file": "x"}"#).expect(422, &missing());
    post("application/x-www-form-urlencoded", "file=x").expect(422, &missing());
    post("text/plain", "x").expect(422, &missing());
    server
        .request("POST", "/api/images")
        .body("")
        .send()
        .expect(422, &missing());
    server
        .request("POST", "/api/images")
        .send()
        .expect(422, &missing());
}

#[test]
fn a_text_field_or_a_part_without_a_filename_is_a_validation_error() {
    let server = Server::start();
    let text = b"Content-Disposition: form-data; name=\"file\"";
    let typed = b"Content-Disposition: form-data; name=\"file\"\r\nContent-Type: image/jpeg";
    for headers in [&text[..], typed] {
        let body = Form::default().part(headers, b"hello").end();
        let reply = server.post(body).send();
        reply.expect(
            422,
            &json!({"detail": [{
                "type": "value_error", "loc": ["body", "file"],
                "msg": "Value error, Expected UploadFile, received: <class 'str'>", "input": "hello",
            }]}),
        );
        assert_eq!(reply.header("x-error-code"), Some("not-a-file"));
    }
}

#[test]
fn malformed_multipart_is_refused() {
    let server = Server::start();
    let whole = Form::file("cat.jpg", "image/jpeg", PHOTO);
    let cut = whole[..whole.len() / 2].to_vec();
    let no_headers = Form::default().part(b"", b"x").end();
    let no_colon = Form::default().part(b"Content-Disposition", b"x").end();
    let no_name = Form::default()
        .part(b"Content-Disposition: form-data", b"x")
        .end();
    for body in [b"hello".to_vec(), cut, no_headers, no_colon, no_name] {
        server.post(body).send().refused(
            400,
            "malformed-body",
            "There was an error parsing the body",
        );
    }
    assert_eq!(server.files("tmp") + server.files("originals"), 0);
}

#[test]
fn a_missing_boundary_is_named() {
    let server = Server::start();
    for content_type in [
        "multipart/form-data",
        "multipart/form-data; charset=utf-8",
        "multipart/form-data; boundary=",
    ] {
        server
            .request("POST", "/api/images")
            .header("Content-Type", content_type)
            .body(Form::file("cat.jpg", "image/jpeg", PHOTO))
            .send()
            .refused(400, "missing-boundary", "Missing boundary in multipart.");
    }
}

#[test]
fn of_two_files_the_last_wins() {
    let server = Server::start();
    let file = |name: &str, content_type| file_headers("file", name, Some(content_type));
    let body = Form::default()
        .part(&file("first.jpg", "image/jpeg"), PHOTO)
        .part(&file("second.png", "image/png"), &png(30, 20))
        .part(b"Content-Disposition: form-data; name=\"other\"", b"x")
        .end();
    let id = id_of(&server.post(body).send());
    server.wait_idle();
    let data = &server.envelope(&id)["data"];
    assert_eq!(data["original_name"], "second.png");
    assert_eq!(data["metadata"]["width"], 30);
    assert_eq!((server.files("originals"), server.files("tmp")), (1, 0));

    let bad_last = Form::default()
        .part(&file("first.jpg", "image/jpeg"), PHOTO)
        .part(&file("second.gif", "image/gif"), PHOTO)
        .end();
    server
        .post(bad_last)
        .send()
        .refused(400, "wrong-type", "Only JPG and PNG are allowed.");
}

#[test]
fn names_are_stored_as_they_were_sent() {
    let server = Server::start();
    let long = "x".repeat(20_000);
    let names = [
        ("", ""),
        ("../..", "../.."),
        ("../../../../tmp/cat.jpg", "../../../../tmp/cat.jpg"),
        ("/etc/passwd", "/etc/passwd"),
        ("日本 🐈 ü.jpg", "日本 🐈 ü.jpg"),
        (r#"say \"hi\".jpg"#, r#"say "hi".jpg"#),
        ("say 'hi' %22.jpg", "say 'hi' %22.jpg"),
        ("a;b=c.jpg", "a;b=c.jpg"),
        ("<script>.jpg", "<script>.jpg"),
        ("\u{202e}gpj.exe", "\u{202e}gpj.exe"),
        (&long, &long),
    ];
    for (sent, expected) in names {
        let id = id_of(&server.upload(sent, "image/jpeg", PHOTO));
        assert_eq!(server.envelope(&id)["data"]["original_name"], expected);
    }
    let extended = [("%e2%82%ac.jpg", "€.jpg"), ("..%2f%00.jpg", "../\0.jpg")];
    for (sent, expected) in extended {
        let headers = format!(
            "Content-Disposition: form-data; name=\"file\"; filename*=UTF-8''{sent}\r\nContent-Type: image/jpeg"
        );
        let form = Form::default().part(headers.as_bytes(), PHOTO).end();
        let id = id_of(&server.post(form).send());
        assert_eq!(server.envelope(&id)["data"]["original_name"], expected);
    }
    assert_eq!(server.files("originals"), names.len() + extended.len());
    only_hex_below(&server.data().join("originals"));
    only_hex_below(&server.data().join("thumbnails"));
}

/// Asserts that every name below a folder is made of what ids and sizes are made of, and of nothing that was sent.
fn only_hex_below(folder: &std::path::Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let stem = name.strip_suffix(".jpg").unwrap_or(&name);
        let is_ours = stem.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        assert!(is_ours, "{name}");
        if entry.file_type().unwrap().is_dir() {
            only_hex_below(&entry.path());
        }
    }
}

#[test]
fn bytes_that_are_no_picture_fail_later() {
    let server = Server::start();
    for bytes in [
        &b"hello"[..],
        b"GIF89a\x01\x00\x01\x00",
        &PHOTO[..100],
        b"\x89PNG\r\n\x1a\n",
    ] {
        let envelope = server.process(bytes);
        assert_eq!(envelope["status"], "failed");
        assert_ne!(envelope["error"].as_str().unwrap(), "");
    }
}

#[test]
fn strict_uploads_refuse_bytes_that_are_no_picture() {
    let server = Server::with(|config| config.strict_uploads = true, None);
    for bytes in [&b"hello"[..], b"GIF89a", b"\xff\xd8"] {
        server.upload("cat.jpg", "image/jpeg", bytes).refused(
            400,
            "not-a-picture",
            "The file is neither a JPG nor a PNG picture.",
        );
    }
    id_of(&server.upload("cat.jpg", "image/png", PHOTO));
    assert_eq!((server.files("originals"), server.files("tmp")), (1, 0));
}

#[test]
fn a_large_picture_arrives_unchanged_in_any_pieces() {
    let server = Server::start();
    // Larger than the blocks in which it is written, and no multiple of them.
    let mut bytes = PHOTO.to_vec();
    bytes.resize(1_000_003, 7);
    let body = Form::file("cat.jpg", "image/jpeg", &bytes);
    let chunked = server.form().chunked(&body, 4_099);
    for request in [server.post(body), chunked] {
        let id = id_of(&request.send());
        server.wait_idle();
        assert_eq!(
            server.envelope(&id)["data"]["metadata"]["size_bytes"],
            1_000_003
        );
        let stored = server.data().join("originals").join(&id[..2]).join(&id);
        assert!(
            std::fs::read(stored).unwrap() == bytes,
            "the original differs"
        );
    }
}

#[test]
fn unusual_but_valid_bodies_are_read() {
    let server = Server::start();
    let body = Form::file("cat.jpg", "image/jpeg", PHOTO);
    let preamble = [b"to be ignored\r\n", &body[..]].concat();
    let epilogue = [&body[..], b"to be ignored, too"].concat();
    for body in [preamble, epilogue] {
        id_of(&server.post(body).send());
    }
    let quiet =
        b"content-disposition:form-data;filename=cat.jpg;name=file\r\ncontent-type:image/jpeg";
    id_of(&server.post(Form::default().part(quiet, PHOTO).end()).send());
}
