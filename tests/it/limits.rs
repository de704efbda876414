//! What is refused because there is too much of it, and uploads that break off.

use crate::http::{Form, file_headers};
use crate::support::{Gate, PHOTO, Server, id_of, until};

const MAX: u64 = 100_000;
const TOO_LARGE: &str = "The upload is larger than the limit of 100000 bytes.";

fn small() -> Server {
    Server::with(|config| config.max_upload_bytes = MAX, None)
}

fn picture(size: u64) -> Vec<u8> {
    let mut bytes = PHOTO.to_vec();
    bytes.resize(usize::try_from(size).unwrap(), 0);
    bytes
}

#[test]
fn exactly_at_the_limit_is_accepted_and_one_byte_more_is_not() {
    let server = small();
    id_of(&server.upload("cat.jpg", "image/jpeg", &picture(MAX)));
    server
        .upload("cat.jpg", "image/jpeg", &picture(MAX + 1))
        .refused(413, "upload-too-large", TOO_LARGE);
    assert_eq!((server.files("originals"), server.files("tmp")), (1, 0));
}

#[test]
fn a_body_in_chunks_is_counted_while_it_is_read() {
    let server = small();
    let body = Form::file("cat.jpg", "image/jpeg", &picture(20 * MAX));
    let request = server.form();
    request
        .chunked(&body, 1_000)
        .send()
        .refused(413, "upload-too-large", TOO_LARGE);
    assert_eq!((server.files("originals"), server.files("tmp")), (0, 0));
}

#[test]
fn a_length_over_the_limit_is_refused_before_the_body_is_sent() {
    let server = small();
    let head = server.form().header("Content-Length", "50000000");
    head.clone()
        .send()
        .refused(413, "upload-too-large", TOO_LARGE);
    head.header("Expect", "100-continue")
        .send()
        .refused(413, "upload-too-large", TOO_LARGE);
}

#[test]
fn a_client_that_sends_everything_first_still_hears_the_refusal() {
    let server = small();
    let body = Form::file("cat.jpg", "image/jpeg", &picture(300 * MAX));
    server
        .post(body)
        .send()
        .refused(413, "upload-too-large", TOO_LARGE);
}

#[test]
fn the_head_of_a_part_is_never_collected_without_end() {
    let server = Server::with(|config| config.max_upload_bytes = 10_000_000, None);
    let mut body = format!("--{}\r\nX-Endless: ", crate::http::BOUNDARY).into_bytes();
    body.resize(1_000_000, b'a');
    // The rest never comes: only a server that stops reading can answer.
    let head = server.form().header("Content-Length", "5000000");
    let mut connection = head.clone().start();
    connection.write(&body);
    let text = "There was an error parsing the body";
    connection.reply().refused(400, "malformed-body", text);
    // Nor is what stands before the first part.
    let mut connection = head.start();
    connection.write(&vec![b'a'; 1_000_000]);
    connection.reply().refused(400, "malformed-body", text);
}

#[test]
fn parts_are_counted_and_text_fields_measured() {
    let server = Server::start();
    let form = |parts: usize, headers: &[u8]| {
        let photo = file_headers("file", "cat.jpg", Some("image/jpeg"));
        let form = Form::default().part(&photo, PHOTO);
        (0..parts)
            .fold(form, |form, _| form.part(headers, b""))
            .end()
    };
    let text = b"Content-Disposition: form-data; name=\"x\"";
    let file = file_headers("x", "x", None);
    id_of(&server.post(form(1_000, text)).send());
    id_of(&server.post(form(999, &file)).send());
    server.post(form(1_001, text)).send().refused(
        400,
        "too-many-fields",
        "Too many fields. Maximum number of fields is 1000.",
    );
    server.post(form(1_000, &file)).send().refused(
        400,
        "too-many-files",
        "Too many files. Maximum number of files is 1000.",
    );
    let long = |length| Form::default().part(text, &vec![b'a'; length]).end();
    assert_eq!(server.post(long(1 << 20)).send().status, 422);
    server.post(long((1 << 20) + 1)).send().refused(
        400,
        "field-too-long",
        "Part exceeded maximum size of 1024KB.",
    );
    assert_eq!((server.files("originals"), server.files("tmp")), (2, 0));
}

#[test]
fn pictures_underway_share_a_bound() {
    let server = Server::with(
        |config| config.clients.max_receiving_bytes = 1_000_000,
        None,
    );
    let body = Form::file("cat.jpg", "image/jpeg", &picture(2_000_000));
    let head = server
        .form()
        .header("Content-Length", &body.len().to_string());
    let mut slow = head.start();
    slow.write(&body[..900_000]);
    // Whoever goes over the bound is refused, so the slow one has to have come in.
    let underway = || {
        let metrics = server.get("/metrics");
        let line = "pipeline_receiving_bytes ";
        let bytes = metrics
            .text()
            .lines()
            .find_map(|known| known.strip_prefix(line));
        bytes.unwrap().parse::<u64>().unwrap()
    };
    until(|| underway() > 800_000);
    let second = || server.upload("cat.jpg", "image/jpeg", &picture(300_000));
    let reply = second();
    reply.refused(
        429,
        "too-many-uploads",
        "Too many uploads are underway. Try again later.",
    );
    assert!(reply.header("retry-after").is_some());
    drop(slow);
    until(|| second().status == 200);
    until(|| server.files("tmp") == 0);
}

#[test]
fn a_full_queue_refuses_uploads_until_there_is_room() {
    let gate = Gate::default();
    let server = Server::with(|config| config.max_queue = 2, Some(gate.captions()));
    server.accept(PHOTO);
    server.accept(PHOTO);
    let reply = server.upload("cat.jpg", "image/jpeg", PHOTO);
    reply.refused(
        429,
        "queue-full",
        "Too many images are waiting. Try again later.",
    );
    let seconds: u32 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds > 0);
    assert_eq!(server.stats()["total"], 2);
    gate.open();
    server.wait_idle();
    server.accept(PHOTO);
}

#[test]
fn a_locked_database_is_a_matter_of_waiting() {
    let server = Server::start();
    let id = server.accept(PHOTO);
    server.wait_idle();
    let other = rusqlite::Connection::open(server.data().join("pipeline.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let reply = server.upload("cat.jpg", "image/jpeg", PHOTO);
    reply.refused(503, "storage-busy", "The storage is busy. Try again later.");
    let seconds: u32 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds > 0);
    assert_eq!(server.files("tmp"), 0);
    assert_eq!(server.envelope(&id)["status"], "success", "reading goes on");
    other.execute_batch("ROLLBACK").unwrap();
    server.accept(PHOTO);
}

#[test]
fn a_connection_that_breaks_off_leaves_nothing() {
    let server = Server::with(|config| config.max_queue = 1, None);
    let body = Form::file("cat.jpg", "image/jpeg", &picture(2_000_000));
    let head = server
        .form()
        .header("Content-Length", &body.len().to_string());
    for sent in [0, 10, 200, 1_000_000, body.len() - 1] {
        let mut connection = head.clone().start();
        connection.write(&body[..sent]);
        drop(connection);
    }
    // Each of them held the one place in the queue, and lets go of it when the server notices.
    until(|| server.upload("cat.jpg", "image/jpeg", PHOTO).status == 200);
    until(|| server.files("tmp") == 0);
    assert_eq!(
        (server.files("originals"), server.stats()["total"].as_u64()),
        (1, Some(1))
    );
}

#[test]
fn a_picture_that_needs_too_much_memory_fails_alone() {
    let server = Server::with(|config| config.decode_memory_bytes = 10_000, None);
    let envelope = server.process(PHOTO);
    assert_eq!(envelope["status"], "failed");
    assert_eq!(envelope["error_code"], "too-much-memory");
    assert_eq!(
        server.process(&crate::support::png(8, 8))["status"],
        "success"
    );
}

#[test]
fn a_picture_with_too_many_pixels_fails() {
    let server = Server::with(|config| config.max_pixels = 64, None);
    let envelope = server.process(&crate::support::png(8, 9));
    assert_eq!(envelope["error_code"], "too-many-pixels");
    assert_eq!(
        server.process(&crate::support::png(8, 8))["status"],
        "success"
    );
}
