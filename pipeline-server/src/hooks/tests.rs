//! Deliveries over real sockets. The time is a number that the tests set.

use std::io::Write;
use std::net::TcpListener;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use pipeline_core::{Caption, Metadata};
use pipeline_store::{ImageId, Outcome, StoreConfig};
use serde_json::Value;
use tempfile::TempDir;

use super::post::Ending;
use super::signature::signatures;
use super::*;
use crate::metrics::Now;
use receiver::{Receiver, Told};

#[path = "../../../tests/http/receiver.rs"]
mod receiver;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const MINUTE: Duration = Duration::from_secs(60);

/// A store, and a courier whose time passes as the test says.
struct Rig {
    courier: Courier,
    millis: Arc<AtomicI64>,
    folder: TempDir,
}

fn webhooks(url: &str) -> Webhooks {
    Webhooks {
        urls: vec![url.parse().unwrap()],
        secrets: vec![SECRET.parse().unwrap()],
        allow_private: true,
        base_url: Some("https://photos.example/".to_owned()),
        ..Webhooks::default()
    }
}

impl Rig {
    fn new(receiver: &Receiver) -> Self {
        let url = format!("http://{}/told?key=secret", receiver.address);
        Self::with(&webhooks(&url))
    }

    fn with(webhooks: &Webhooks) -> Self {
        let millis = Arc::new(AtomicI64::new(Timestamp::now().as_millisecond()));
        Self::on(tempfile::tempdir().unwrap(), millis, webhooks)
    }

    fn on(folder: TempDir, millis: Arc<AtomicI64>, webhooks: &Webhooks) -> Self {
        let shown = Arc::clone(&millis);
        let clock =
            Clock::new(move || Timestamp::from_millisecond(shown.load(Ordering::SeqCst)).unwrap());
        let config = StoreConfig {
            clock: clock.clone(),
            outbox: outbox(webhooks),
            ..StoreConfig::default()
        };
        let courier = Courier {
            store: Store::open(folder.path(), &config).unwrap(),
            clock,
            post: Arc::new(Post::new(webhooks.urls[0].clone(), webhooks)),
            base: BaseUrl::fixed(webhooks.base_url.as_deref()),
            show_location: false,
            metrics: Arc::new(Metrics::new(None)),
            state: State::default(),
        };
        Self {
            courier,
            millis,
            folder,
        }
    }

    fn now(&self) -> Timestamp {
        self.courier.clock.now()
    }

    fn pass(&self, time: Duration) {
        let millis = i64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap();
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }

    fn accept(&self) -> ImageId {
        let mut upload = self.courier.store.begin_upload().unwrap();
        upload.write_all(b"bytes").unwrap();
        self.courier.store.accept(upload, "cat.jpg").unwrap()
    }

    /// Ends the work on a picture without success.
    fn fail(&self) -> ImageId {
        let id = self.accept();
        let store = &self.courier.store;
        let job = store.claim("worker").unwrap().unwrap();
        store.fail(&job, "code", "it broke", MINUTE).unwrap();
        id
    }

    fn succeed(&self) -> ImageId {
        let id = self.accept();
        let store = &self.courier.store;
        let metadata: Metadata = serde_json::from_str(
            r#"{"width": 4, "height": 3, "format": "jpg", "size_bytes": 5, "orientation": 1}"#,
        )
        .unwrap();
        let outcome = Outcome {
            metadata: &metadata,
            thumbnails: &[],
            caption: Some(&Caption::new("a cat", "tiny")),
            caption_error: None,
        };
        let job = store.claim("worker").unwrap().unwrap();
        store.complete(&job, &outcome, MINUTE).unwrap();
        id
    }

    /// How many messages wait.
    fn waiting(&self) -> u64 {
        self.courier.store.outbox_len().unwrap()
    }

    /// One round; how long it is until the next.
    fn round(&mut self) -> Option<Duration> {
        let next = self.courier.round()?;
        Some(next.duration_since(self.now()).try_into().unwrap())
    }

    /// How many messages came to this end.
    fn count(&self, outcome: &str) -> String {
        let text = self.courier.metrics.render(&Now {
            queue: 0,
            webhooks: 0,
            oldest: Duration::ZERO,
            receiving: 0,
            receiving_bytes: 0,
        });
        let name = format!("pipeline_webhooks_total{{outcome=\"{outcome}\"}} ");
        let mut lines = text.lines();
        let count = lines.find_map(|line| line.strip_prefix(&*name));
        count.unwrap_or("0").to_owned()
    }
}

fn json(told: &Told) -> Value {
    serde_json::from_str(&told.body).unwrap()
}

#[test]
fn the_end_of_the_work_is_told_and_signed() {
    let receiver = Receiver::with(&["204 No Content"]);
    let mut rig = Rig::new(&receiver);
    assert_eq!(rig.round(), None, "nothing waits");
    let id = rig.succeed().to_string();
    assert_eq!(rig.round(), Some(Duration::ZERO), "there may be more");
    assert_eq!(rig.round(), None);

    let told = receiver.told();
    assert_eq!(told.request(), "POST /told?key=secret HTTP/1.1");
    assert_eq!(told.header("content-type"), "application/json");
    assert!(told.header("user-agent").starts_with("pipeline-server/"));
    let timestamp: i64 = told.header("webhook-timestamp").parse().unwrap();
    let message = told.header("webhook-id");
    assert_eq!(
        told.header("webhook-signature"),
        signatures(&[SECRET.parse().unwrap()], message, timestamp, &told.body)
    );
    let body = json(&told);
    assert_eq!(body["type"], "done");
    assert!(
        body["timestamp"]
            .as_str()
            .unwrap()
            .parse::<Timestamp>()
            .is_ok()
    );
    assert_eq!(body["data"]["image_id"], id);
    assert_eq!(body["data"]["status"], "success");
    let envelope = &body["data"]["envelope"];
    assert_eq!(envelope["data"]["metadata"]["caption"], "a cat");
    assert_eq!(rig.count("delivered"), "1");
    receiver.assert_silence();
}

#[test]
fn failures_are_told_and_so_are_pictures_that_are_deleted() {
    let receiver = Receiver::with(&["200 OK"]);
    let mut rig = Rig::new(&receiver);
    rig.fail();
    rig.round();
    let body = json(&receiver.told());
    assert_eq!(body["data"]["status"], "failed");
    assert_eq!(body["data"]["envelope"]["error"], "it broke");
    let id = rig.fail();
    rig.courier.store.delete(id).unwrap();
    rig.round();
    let body = json(&receiver.told());
    assert_eq!(body["data"]["image_id"], id.to_string());
    assert_eq!(body["data"]["status"], "failed");
    assert!(body["data"].get("envelope").is_none());
}

#[test]
fn what_failed_is_tried_again_under_the_same_id() {
    let receiver = Receiver::with(&["503 Busy", "500 Oh", "200 OK"]);
    let mut rig = Rig::new(&receiver);
    rig.fail();
    rig.round();
    let first = receiver.told();
    let wait = rig.round().unwrap();
    assert!((4..=6).contains(&wait.as_secs()), "{wait:?}");
    let moment = Duration::from_millis(5);
    rig.pass(wait - moment);
    assert!(rig.round().unwrap() <= moment);
    receiver.assert_silence();
    rig.pass(moment);
    rig.round();
    let second = receiver.told();
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    let wait = rig.round().unwrap();
    assert!((12..=18).contains(&wait.as_secs()), "{wait:?}");
    assert_eq!((rig.waiting(), &*rig.count("failed")), (1, "2"));
    rig.pass(wait);
    rig.round();
    assert_eq!(receiver.told().body, first.body);
    assert_eq!((rig.waiting(), &*rig.count("delivered")), (0, "1"));
}

#[test]
fn a_receiver_that_is_down_is_left_alone_for_a_while() {
    let receiver = Receiver::with(&["500 Oh", "500 Oh", "200 OK"]);
    let mut rig = Rig::new(&receiver);
    let first = rig.fail();
    let wait = rig.round();
    assert_eq!(wait, Some(Duration::ZERO));
    rig.fail();
    let wait = rig.round().unwrap();
    assert!(wait.as_secs() >= 4, "not even with what is new");
    receiver.told();
    receiver.assert_silence();
    // Each message has had one failure, the receiver two.
    rig.pass(wait);
    rig.round();
    let wait = rig.round().unwrap();
    assert!((12..=18).contains(&wait.as_secs()), "{wait:?}");
    rig.pass(wait);
    while rig.round() == Some(Duration::ZERO) {}
    let ids: Vec<Value> = (0..3)
        .map(|_| json(&receiver.told())["data"]["image_id"].clone())
        .collect();
    assert!(ids.contains(&first.to_string().into()));
    assert_eq!(rig.waiting(), 0);
}

#[test]
fn a_receiver_may_ask_for_time() {
    let receiver = Receiver::with(&[
        "429 Slow\r\nRetry-After: 600",
        "503 X\r\nRetry-After: 999999",
    ]);
    let mut rig = Rig::new(&receiver);
    rig.fail();
    rig.round();
    assert_eq!(rig.round(), Some(10 * MINUTE));
    rig.pass(10 * MINUTE);
    rig.round();
    assert_eq!(rig.round(), Some(60 * MINUTE), "within bounds");
}

#[test]
fn a_message_survives_the_end_of_the_process() {
    let receiver = Receiver::with(&["500 Oh", "200 OK"]);
    let mut rig = Rig::new(&receiver);
    rig.fail();
    rig.round();
    let first = receiver.told();
    rig.pass(MINUTE);
    let Rig {
        courier,
        millis,
        folder,
    } = rig;
    drop(courier);
    let url = format!("http://{}/told?key=secret", receiver.address);
    let mut rig = Rig::on(folder, millis, &webhooks(&url));
    rig.round();
    let second = receiver.told();
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    assert_eq!(rig.waiting(), 0);
}

#[test]
fn nothing_goes_to_a_private_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"] {
        let closed = Webhooks {
            allow_private: false,
            ..webhooks(&format!("https://{host}:{port}/"))
        };
        let mut rig = Rig::with(&closed);
        rig.fail();
        rig.round();
        assert_eq!((rig.waiting(), &*rig.count("failed")), (1, "1"), "{host}");
        let Ending::Failed { reason, .. } = rig.courier.post.send("msg_x", "{}") else {
            panic!("{host}");
        };
        assert!(reason.contains("not public"), "{host}: {reason}");
    }
    listener.set_nonblocking(true).unwrap();
    let came = listener.accept();
    assert!(came.is_err(), "{came:?}");
}

#[test]
fn nothing_goes_out_unencrypted_unless_allowed() {
    let receiver = Receiver::with(&["200 OK"]);
    let closed = Webhooks {
        allow_private: false,
        ..webhooks(&format!("http://{}/secret", receiver.address))
    };
    let ending = Post::new(closed.urls[0].clone(), &closed).send("msg_x", "{}");
    let Ending::Failed { reason, .. } = ending else {
        panic!("{ending:?}");
    };
    assert!(!reason.contains("secret"), "{reason}");
    receiver.assert_silence();
}

#[test]
fn no_redirect_is_followed() {
    let elsewhere = Receiver::with(&["200 OK"]);
    let location = format!("http://{}/", elsewhere.address);
    for status in [301, 302, 307, 308] {
        let location = location.clone();
        let receiver = Receiver::start(move |_, stream| {
            write!(
                stream,
                "HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
            )
            .ok();
        });
        let mut rig = Rig::new(&receiver);
        rig.fail();
        rig.round();
        receiver.told();
        assert_eq!((rig.waiting(), &*rig.count("failed")), (1, "1"), "{status}");
    }
    elsewhere.assert_silence();
}

#[test]
fn a_receiver_that_is_gone_for_good_gets_no_second_attempt() {
    let receiver = Receiver::with(&["410 Gone"]);
    let mut rig = Rig::new(&receiver);
    rig.fail();
    rig.round();
    assert_eq!((rig.waiting(), &*rig.count("given-up")), (0, "1"));
}

#[test]
fn what_nobody_took_for_days_is_given_up() {
    let receiver = Receiver::with(&["500 Oh"]);
    let mut rig = Rig::new(&receiver);
    rig.fail();
    rig.round();
    rig.pass(3 * 24 * 60 * MINUTE - MINUTE);
    rig.round();
    assert_eq!(rig.waiting(), 1);
    rig.pass(2 * MINUTE);
    assert_eq!(rig.round(), None);
    assert_eq!((rig.waiting(), &*rig.count("given-up")), (0, "1"));
}

#[test]
fn an_answer_without_end_is_not_read_to_its_end() {
    let written = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&written);
    let (tell, done) = std::sync::mpsc::channel();
    let receiver = Receiver::start(move |_, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok();
        while stream.write_all(&[b'x'; 4096]).is_ok() && counted.load(Ordering::SeqCst) < 1 << 26 {
            counted.fetch_add(4096, Ordering::SeqCst);
        }
        tell.send(()).ok();
    });
    let mut rig = Rig::new(&receiver);
    rig.fail();
    rig.round();
    assert_eq!(rig.waiting(), 0, "the status was good");
    done.recv_timeout(MINUTE).expect("the connection is closed");
    // What the sockets hold comes on top of what is read.
    let written = written.load(Ordering::SeqCst);
    assert!(written < 1 << 24, "{written}");
}

#[test]
fn an_attempt_that_is_broken_off_does_not_count() {
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    let receiver = Receiver::start(move |_, _| {
        held.lock().unwrap().recv().ok();
    });
    let mut rig = Rig::new(&receiver);
    rig.fail();
    let post = Arc::clone(&rig.courier.post);
    thread::scope(|scope| {
        scope.spawn(move || {
            receiver.told();
            post.interrupt();
        });
        rig.round();
    });
    let receiver = rig.courier.post.url().name();
    let message = rig.courier.store.next_message(&receiver).unwrap().unwrap();
    assert_eq!((message.attempts, message.due_at), (0, rig.now()));
    drop(hold);
}
