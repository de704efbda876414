//! Server-sent events, and answers that wait.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::http::Reply;
use crate::support::{Gate, PHOTO, Server, until};
use crate::wire::Wire;

/// A stream of events that is being read.
pub(crate) struct Stream(Wire);

/// An event as it came over the wire.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    id: u64,
    pub(crate) name: String,
    pub(crate) data: Value,
}

impl Event {
    /// The stage that it tells of, or else its name.
    pub(crate) fn happened(&self) -> &str {
        self.data["stage"].as_str().unwrap_or(&self.name)
    }
}

impl Stream {
    /// Follows `path`; `head` has further header lines, each with its end.
    pub(crate) fn open(server: &Server, path: &str, head: &str) -> Self {
        // No chunks in HTTP/1.0.
        let mut wire = Wire::connect(server.address);
        wire.write(format!("GET {path} HTTP/1.0\r\nHost: x\r\n{head}\r\n").as_bytes());
        assert_eq!(wire.line(), "HTTP/1.0 200 OK\r");
        let mut head = String::new();
        while !head.ends_with("\r\r") {
            head.push_str(&wire.line());
        }
        assert!(head.contains("content-type: text/event-stream\r"), "{head}");
        assert!(head.contains("cache-control: no-store\r"), "{head}");
        let mut stream = Self(wire);
        stream.greeting();
        stream
    }

    /// The id where the stream begins.
    fn greeting(&mut self) -> u64 {
        let line = self.0.line();
        assert_eq!(self.0.line(), "");
        line.strip_prefix("id: ").unwrap().parse().unwrap()
    }

    pub(crate) fn next(&mut self) -> Event {
        let mut line = self.0.line();
        while line.starts_with(':') {
            assert_eq!(self.0.line(), "");
            line = self.0.line();
        }
        let id = line.strip_prefix("id: ").unwrap().parse().unwrap();
        let line = self.0.line();
        let name = line.strip_prefix("event: ").unwrap().to_owned();
        let line = self.0.line();
        let data = serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(self.0.line(), "");
        Event { id, name, data }
    }

    /// All events up to the first of that name.
    fn until(&mut self, name: &str) -> Vec<Event> {
        let mut events = vec![self.next()];
        while events[events.len() - 1].name != name {
            events.push(self.next());
        }
        events
    }

    #[track_caller]
    fn ends(self) {
        let rest = self.0.rest();
        assert_eq!(rest, b"", "{}", String::from_utf8_lossy(&rest));
    }
}

fn resume(id: u64) -> String {
    format!("Last-Event-ID: {id}\r\n")
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(Event::happened).collect()
}

/// What is the same whenever an event is read; its envelope tells how the picture is at that moment.
fn keys(events: &[Event]) -> Vec<(u64, &str)> {
    let keys = events.iter().map(|event| event.id);
    keys.zip(names(events)).collect()
}

#[test]
fn everything_that_happens_to_a_picture_is_told_with_rising_ids() {
    let gate = Gate::default();
    let server = Server::with(|_| {}, Some(gate.captions()));
    let mut stream = Stream::open(&server, "/api/events", "");
    let id = server.accept(PHOTO);
    gate.wait_for(1);
    gate.open();
    let events = stream.until("done");
    // A worker may be quicker than the word that there is a picture.
    let mut happened = names(&events);
    happened.sort_unstable();
    let expected = [
        "accepted",
        "caption",
        "claimed",
        "done",
        "metadata",
        "thumbnails",
    ];
    assert_eq!(happened, expected);
    assert!(events.windows(2).all(|pair| pair[0].id < pair[1].id));
    for event in &events {
        assert_eq!(event.data["image_id"], *id, "{event:?}");
        let processing = event.name != "done";
        let status = if processing { "processing" } else { "success" };
        assert_eq!(event.data["status"], status, "{event:?}");
        let timed = event.name == "stage" && event.data["stage"] != "claimed";
        assert_eq!(event.data["duration_ms"].is_f64(), timed, "{event:?}");
    }
    let done = events.last().unwrap();
    let path = format!("/api/images/{id}");
    let host = server.request("GET", &path).header("Host", "x").send();
    assert_eq!(done.data["envelope"], host.json());

    assert_eq!(server.request("DELETE", &path).send().status, 204);
    let deleted = stream.next();
    assert_eq!(deleted.name, "deleted");
    assert_eq!(deleted.data, json!({ "image_id": id }));
    assert_eq!(deleted.id, done.id + 1);
}

#[test]
fn what_a_stage_found_comes_with_the_word_that_it_has_ended() {
    let gate = Gate::default();
    let server = Server::with(|_| {}, Some(gate.captions()));
    let mut stream = Stream::open(&server, "/api/events", "");
    server.accept(PHOTO);

    let events: Vec<Event> = std::iter::from_fn(|| Some(stream.next())).take(4).collect();
    let thumbnails = events
        .into_iter()
        .find(|event| event.data["stage"] == "thumbnails")
        .unwrap();
    let stages = &thumbnails.data["envelope"]["data"]["stages"];
    assert_eq!(stages["metadata"]["result"]["width"], 451);
    assert!(stages["thumbnails"]["result"]["small"].is_string());
    assert_eq!(thumbnails.data["status"], "processing");
    gate.open();
    server.wait_idle();
}

#[test]
fn a_picture_that_fails_is_told_with_its_reason() {
    let server = Server::start();
    let mut stream = Stream::open(&server, "/api/events", "");
    server.accept(b"no picture");
    let done = stream.until("done").pop().unwrap();
    assert_eq!(done.data["status"], "failed");
    assert_eq!(done.data["envelope"]["error_code"], "unknown-format");
}

#[test]
fn another_caption_and_another_run_are_told() {
    let server = Server::start();
    let id = server.accept(PHOTO);
    server.wait_idle();
    let mut stream = Stream::open(&server, "/api/events", "");
    let one = format!("/api/images/{id}");
    let patched = server
        .request("PATCH", &one)
        .header("Content-Type", "application/json")
        .body(br#"{"caption": "a cat"}"#)
        .send();
    assert_eq!(patched.status, 200, "{}", patched.text());
    let changed = stream.next();
    assert_eq!(changed.name, "changed");
    assert_eq!(
        changed.data["envelope"]["data"]["metadata"]["caption"],
        "a cat"
    );
    let again = server.request("POST", &format!("{one}/reprocess")).send();
    assert_eq!(again.status, 202, "{}", again.text());
    let told = stream.until("done");
    assert_eq!(told[0].name, "changed");
    // Of many at once: everything has to be looked at.
    let many = server
        .request("POST", "/api/images/reprocess")
        .header("Content-Type", "application/json")
        .body(br#"{"filter": {"status": "success"}}"#)
        .send();
    assert_eq!(many.status, 200, "{}", many.text());
    stream.until("reset");
}

#[test]
fn a_deletion_of_nothing_is_not_told() {
    let server = Server::start();
    let mut stream = Stream::open(&server, "/api/events", "");
    let nobody = uuid::Uuid::new_v4();
    let path = format!("/api/images/{nobody}");
    assert_eq!(server.request("DELETE", &path).send().status, 404);
    let id = server.accept(PHOTO);
    assert_eq!(stream.next().data["image_id"], *id);
}

#[test]
fn a_client_that_comes_back_misses_nothing_and_hears_nothing_twice() {
    let server = Server::start();
    let mut stream = Stream::open(&server, "/api/events", "");
    server.accept(PHOTO);
    let first = stream.next();
    let rest = stream.until("done");
    drop(stream);
    server.process(PHOTO);
    let more = {
        let path = format!("/api/events?last_event_id={}", first.id);
        let mut again = Stream::open(&server, &path, "");
        assert_eq!(keys(&again.until("done")), keys(&rest));
        again.until("done")
    };
    // The header counts more than the address, which a browser repeats as it was.
    let last = rest.last().unwrap().id;
    let mut again = Stream::open(&server, "/api/events?last_event_id=1", &resume(last));
    assert_eq!(keys(&again.until("done")), keys(&more));
}

#[test]
fn a_client_that_has_missed_too_much_is_told_to_load_anew() {
    let server = Server::start();
    for head in ["Last-Event-ID: 1\r\n", "Last-Event-ID: from elsewhere\r\n"] {
        let mut stream = Stream::open(&server, "/api/events", head);
        let reset = stream.next();
        assert_eq!((reset.name.as_str(), &reset.data), ("reset", &json!({})));
        let id = server.accept(PHOTO);
        let next = stream.next();
        assert_eq!(
            (next.id, &next.data["image_id"]),
            (reset.id + 1, &json!(id))
        );
        server.wait_idle();
    }
}

#[test]
fn ids_rise_over_a_restart() {
    let server = Server::start();
    let mut stream = Stream::open(&server, "/api/events", "");
    server.accept(PHOTO);
    let last = stream.until("done").pop().unwrap().id;
    drop(stream);
    let server = Server::on(server.stop(), |_| {}, None);
    let mut stream = Stream::open(&server, "/api/events", &resume(last));
    let reset = stream.next();
    assert_eq!(reset.name, "reset");
    assert!(reset.id > last, "{} > {last}", reset.id);
}

#[test]
fn the_stream_of_one_picture_has_nothing_else_and_ends() {
    let gate = Gate::default();
    let server = Server::with(
        |config| config.workers = 1.try_into().unwrap(),
        Some(gate.captions()),
    );
    let first = server.accept(PHOTO);
    let second = server.accept(PHOTO);
    gate.wait_for(1);
    let path = format!("/api/images/{second}/events");
    let mut stream = Stream::open(&server, &path, "");
    gate.open();
    let events = stream.until("done");
    stream.ends();
    assert!(events.iter().all(|event| event.data["image_id"] == *second));
    server.wait_idle();

    // Whoever comes late is told how it ended; whoever knows, that there is no more.
    let mut late = Stream::open(&server, &format!("/api/images/{first}/events"), "");
    let done = late.next();
    assert_eq!(
        (done.name.as_str(), &done.data["status"]),
        ("done", &json!("success"))
    );
    assert_eq!(done.data["envelope"]["data"]["image_id"], *first);
    late.ends();
    let id = done.id.to_string();
    let again = server.request("GET", &path).header("Last-Event-ID", &id);
    assert_eq!(again.send().status, 204);
    server
        .get("/api/images/x/events")
        .refused(404, "image-not-found", "Image not found.");
}

#[test]
fn the_stream_of_a_picture_that_is_deleted_ends() {
    let gate = Gate::default();
    let server = Server::with(|_| {}, Some(gate.captions()));
    let id = server.accept(PHOTO);
    let mut stream = Stream::open(&server, &format!("/api/images/{id}/events"), "");
    server
        .request("DELETE", &format!("/api/images/{id}"))
        .send();
    stream.until("deleted");
    stream.ends();
    gate.open();
}

#[test]
fn a_stream_with_nothing_to_tell_is_kept_alive() {
    let server = Server::with(
        |config| config.clients.idle_timeout = Duration::from_millis(300),
        None,
    );
    let mut stream = Stream::open(&server, "/api/events", "");
    // Together longer than a connection may be silent.
    for _ in 0..5 {
        assert_eq!(stream.0.line(), ":");
        assert_eq!(stream.0.line(), "");
    }
    let id = server.accept(PHOTO);
    assert_eq!(stream.next().data["image_id"], *id);
}

#[test]
fn a_stop_ends_streams_and_waits_in_good_order() {
    let gate = Gate::default();
    let server = Server::with(|_| {}, Some(gate.captions()));
    let id = server.accept(PHOTO);
    gate.wait_for(1);
    let mut stream = Wire::connect(server.address);
    stream.write(b"GET /api/events HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.answer_with(b"id: ");
    let mut waiting = Wire::connect(server.address);
    waiting.write(format!("GET /api/images/{id}?wait=60s HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    // The server knows of the request, since it does not hang up on it.
    let stopping = thread::spawn(|| server.stop());
    let end = stream.rest();
    assert!(
        end.ends_with(b"\r\n0\r\n\r\n"),
        "{}",
        String::from_utf8_lossy(&end)
    );
    let answer = String::from_utf8(waiting.rest()).unwrap();
    let answered = answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"processing\"");
    assert!(answered || answer.is_empty(), "{answer}");
    stopping.join().unwrap();
}

#[test]
fn streams_leave_room_for_requests() {
    let server = Server::with(
        |config| {
            config.clients.max_connections = 4.try_into().unwrap();
            config.clients.idle_timeout = Duration::from_millis(300);
        },
        None,
    );
    let one = Stream::open(&server, "/api/events", "");
    let _other = Stream::open(&server, "/api/events", "");
    let refused = server.get("/api/events");
    let text = "Too many clients follow the events or wait. Try again later.";
    refused.refused(429, "too-many-streams", text);
    assert_eq!(refused.header("retry-after"), Some("10"));
    drop(one);
    until(|| {
        let mut wire = Wire::connect(server.address);
        wire.write(b"GET /api/events HTTP/1.0\r\nHost: x\r\n\r\n");
        wire.line() == "HTTP/1.0 200 OK\r"
    });
}

#[test]
fn waits_leave_room_for_requests() {
    let gate = Gate::default();
    let server = Server::with(
        |config| config.clients.max_connections = 2.try_into().unwrap(),
        Some(gate.captions()),
    );
    let id = server.accept(PHOTO);
    gate.wait_for(1);
    let mut stream = Stream::open(&server, "/api/events", "");
    let refused = waited(&server, &id, "60s");
    let text = "Too many clients follow the events or wait. Try again later.";
    refused.refused(429, "too-many-streams", text);
    assert_eq!(refused.header("retry-after"), Some("10"));
    // Nobody waits for what is done.
    gate.open();
    stream.until("done");
    assert_eq!(waited(&server, &id, "60s").json()["status"], "success");
}

#[test]
fn a_wait_takes_the_place_of_a_stream() {
    let gate = Gate::default();
    let server = Server::with(
        |config| config.clients.max_connections = 3.try_into().unwrap(),
        Some(gate.captions()),
    );
    let id = server.accept(PHOTO);
    gate.wait_for(1);
    // Each may find the place taken by the other, and asks again.
    let wait = || {
        until(|| {
            let reply = waited(&server, &id, "60s");
            reply.status == 200 && reply.json()["status"] == "success"
        });
    };
    thread::scope(|scope| {
        let waiting = scope.spawn(wait);
        until(|| waited(&server, &id, "100ms").status == 429);
        assert_eq!(server.get("/api/events").status, 429);
        gate.open();
        waiting.join().unwrap();
    });
    Stream::open(&server, "/api/events", "");
}

fn waited(server: &Server, id: &str, wait: &str) -> Reply {
    server.get(&format!("/api/images/{id}?wait={wait}"))
}

#[test]
fn an_answer_waits_for_the_end_of_the_work() {
    let gate = Gate::default();
    let server = Server::with(|_| {}, Some(gate.captions()));
    let id = server.accept(PHOTO);
    gate.wait_for(1);
    for short in ["0", "0s", "1ms", ""] {
        assert_eq!(waited(&server, &id, short).json()["status"], "processing");
    }
    thread::scope(|scope| {
        let waiting = scope.spawn(|| waited(&server, &id, "60s").json());
        gate.open();
        assert_eq!(waiting.join().unwrap()["status"], "success");
    });
    assert_eq!(waited(&server, &id, "60s").json()["status"], "success");
    let wrong = waited(&server, &id, "soon");
    assert_eq!(wrong.status, 422);
    assert_eq!(wrong.header("x-error-code"), Some("bad-wait"));
    waited(&server, "x", "60s").refused(404, "image-not-found", "Image not found.");
}

#[test]
fn a_wait_ends_when_the_picture_is_deleted() {
    let gate = Gate::default();
    let server = Server::with(|_| {}, Some(gate.captions()));
    let id = server.accept(PHOTO);
    gate.wait_for(1);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| waited(&server, &id, "60s"));
        let path = format!("/api/images/{id}");
        assert_eq!(server.request("DELETE", &path).send().status, 204);
        waiting
            .join()
            .unwrap()
            .refused(404, "image-not-found", "Image not found.");
    });
    gate.open();
}
