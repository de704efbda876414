//! Clients that hold on to a connection without using it are cut off, and only they.

use std::net::SocketAddr;
use std::time::Duration;

use pipeline_server::ClientLimits;

use crate::http::Form;
use crate::support::{PHOTO, Server, until};
use crate::wire::Wire;

const SHORT: Duration = Duration::from_millis(200);
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

fn server(change: impl FnOnce(&mut ClientLimits)) -> Server {
    Server::with(|config| change(&mut config.clients), None)
}

/// The head of an upload whose body has `length` bytes.
fn upload_head(length: usize) -> Vec<u8> {
    format!(
        "POST /api/images HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\
         Content-Type: multipart/form-data; boundary=\"{}\"\r\n\r\n",
        crate::http::BOUNDARY
    )
    .into_bytes()
}

fn started_upload(server: SocketAddr, sent: usize) -> Wire {
    let body = Form::file("cat.jpg", "image/jpeg", PHOTO);
    let mut wire = Wire::connect(server);
    wire.write(&upload_head(body.len()));
    wire.write(&body[..sent]);
    wire
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let server = server(|limits| limits.header_timeout = SHORT);
    assert_eq!(Wire::connect(server.address).rest(), b"");
}

#[test]
fn a_head_that_trickles_is_cut() {
    let server = server(|limits| limits.header_timeout = SHORT);
    let mut wire = Wire::connect(server.address);
    wire.write(b"GET / HTTP/1.1\r\nX-Slow: ");
    assert_eq!(wire.trickle(b'a'), b"");
}

#[test]
fn a_connection_without_a_further_request_is_closed() {
    let server = server(|limits| limits.idle_timeout = SHORT);
    let mut wire = Wire::connect(server.address);
    wire.write(GET);
    wire.answer_with(b"working\"}");
    assert_eq!(wire.rest(), b"");
}

#[test]
fn the_time_for_a_head_does_not_run_between_requests() {
    let server = server(|limits| limits.header_timeout = SHORT);
    let mut wire = Wire::connect(server.address);
    for _ in 0..2 {
        wire.write(GET);
        wire.answer_with(b"working\"}");
        assert!(wire.is_silent_for(2 * SHORT));
    }
    // It runs again from the first byte of the next one.
    wire.write(b"G");
    assert_eq!(wire.rest(), b"");
}

#[test]
fn a_body_that_stalls_is_refused_and_leaves_nothing() {
    let server = server(|limits| limits.stall_timeout = SHORT);
    let answer = started_upload(server.address, 1_000).rest();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("x-error-code: upload-stalled"), "{answer}");
    assert_eq!((server.files("originals"), server.files("tmp")), (0, 0));
}

#[test]
fn a_body_that_trickles_is_refused_although_it_never_stalls() {
    let server = server(|limits| {
        limits.stall_timeout = SHORT;
        limits.min_rate = 1_000_000.try_into().unwrap();
    });
    // The first byte of the answer is gone: it showed that there is one. All of it is lost when one more byte of the
    // body meets a connection that is closed already.
    let answer = started_upload(server.address, 1_000).trickle(b'a');
    let answer = String::from_utf8(answer).unwrap();
    let refused = answer.starts_with("TTP/1.1 408 ") || answer.is_empty();
    assert!(refused, "{answer}");
    assert_eq!((server.files("originals"), server.files("tmp")), (0, 0));
}

#[test]
fn the_rest_of_a_refused_body_is_no_head() {
    let server = Server::with(
        |config| {
            config.clients.header_timeout = SHORT;
            config.max_upload_bytes = 1_000;
        },
        None,
    );
    let body = vec![b'x'; 200_000];
    let mut wire = Wire::connect(server.address);
    wire.write(&upload_head(body.len()));
    wire.answer_with(b"limit of 1000 bytes.\"}");
    // What comes after the answer is thrown away, at the client's pace.
    wire.write(&body[..1_000]);
    assert!(wire.is_silent_for(2 * SHORT));
    wire.write(&body[1_000..]);
    wire.write(GET);
    wire.answer_with(b"working\"}");
    // The next head has its time again.
    wire.write(b"G");
    assert_eq!(wire.rest(), b"");
}

#[test]
fn an_answer_that_is_not_taken_is_given_up() {
    const TIMES: usize = 200;
    let server = server(|limits| {
        limits.stall_timeout = SHORT;
        limits.max_connections = 1.try_into().unwrap();
    });
    let page = server.get("/docs").body.len();
    let mut greedy = Wire::connect(server.address);
    greedy.write(&b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n".repeat(TIMES));
    // It holds the only place, until it is cut off.
    assert_eq!(server.get("/livez").status, 200);
    let received = greedy.rest().len();
    assert!(received < TIMES * page, "{received} bytes were taken");
}

#[test]
fn connections_over_the_limit_wait_for_a_place() {
    let server = server(|limits| limits.max_connections = 2.try_into().unwrap());
    let first = Wire::connect(server.address);
    let mut second = Wire::connect(server.address);
    let mut third = Wire::connect(server.address);
    third.write(GET);
    second.write(GET);
    // No place is kept for a further request while somebody waits.
    second.answer_with(b"working\"}");
    third.answer_with(b"working\"}");
    let mut fourth = Wire::connect(server.address);
    let mut fifth = Wire::connect(server.address);
    for waiting in [&mut fourth, &mut fifth] {
        waiting.write(b"GET / HTTP/1.1\r\n");
    }
    let mut sixth = Wire::connect(server.address);
    sixth.write(GET);
    assert!(sixth.is_silent_for(SHORT));
    drop(first);
    drop(fourth);
    sixth.answer_with(b"working\"}");
}

#[test]
fn a_client_that_closes_its_half_is_answered() {
    let server = Server::start();
    let body = Form::file("cat.jpg", "image/jpeg", PHOTO);
    let wire = started_upload(server.address, body.len());
    wire.half_close();
    let answer = String::from_utf8(wire.rest()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    server.wait_idle();
    assert_eq!(server.stats()["total"], 1);
}

#[test]
fn a_client_that_closes_its_half_in_the_middle_has_sent_nothing() {
    let server = Server::start();
    let wire = started_upload(server.address, 1_000);
    wire.half_close();
    let answer = String::from_utf8(wire.rest()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    until(|| server.files("tmp") == 0);
    assert_eq!(server.stats()["total"], 0);
}

#[test]
fn a_head_without_an_end_is_refused() {
    let server = Server::start();
    let mut wire = Wire::connect(server.address);
    wire.write(b"GET / HTTP/1.1\r\nX-Long: ");
    wire.write(&vec![b'a'; 70_000]);
    let answer = String::from_utf8(wire.rest()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}
