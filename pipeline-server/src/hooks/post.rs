//! One POST to one receiver, with bounds on all that it may take.

use std::io::{Read, copy, sink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use ureq::config::AutoHeaderValue;
use ureq::http::header::RETRY_AFTER;
use ureq::http::{Response, StatusCode};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body, Error};

use super::addresses::Guide;
use super::schedule::retry_after;
use super::signature::signatures;
use crate::config::{WebhookSecret, WebhookUrl, Webhooks};

/// For the whole of it, from the name to the last byte of the answer that is read.
const WHOLE: Duration = Duration::from_secs(15);
const LOOK_UP: Duration = Duration::from_secs(3);
const CONNECT: Duration = Duration::from_secs(5);
/// So much of an answer is read, for the connection to be used again. Nobody looks at it.
const ANSWER: u64 = 16 << 10;

/// The way to one receiver.
#[derive(Debug)]
pub(super) struct Post {
    agent: Agent,
    url: WebhookUrl,
    secrets: Vec<WebhookSecret>,
    interrupted: AtomicBool,
}

/// What became of a POST.
#[derive(Debug, PartialEq)]
pub(super) enum Ending {
    /// The receiver has it.
    Delivered,
    /// The receiver never wants it.
    Gone,
    /// It may work later; `wait` is how long the receiver wants to be left alone.
    Failed {
        reason: String,
        wait: Option<Duration>,
    },
    /// We have given it up ourselves.
    Interrupted,
}

impl Post {
    pub(super) fn new(url: WebhookUrl, webhooks: &Webhooks) -> Self {
        let config = Agent::config_builder()
            .https_only(!webhooks.allow_private)
            // A proxy would look the name up itself.
            .proxy(None)
            // What is not where it should be could be anywhere.
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_global(Some(WHOLE))
            .timeout_resolve(Some(LOOK_UP))
            .timeout_connect(Some(CONNECT))
            .user_agent(concat!("pipeline-server/", env!("CARGO_PKG_VERSION")))
            .accept_encoding(AutoHeaderValue::None)
            .build();
        let guide = Guide {
            allow_private: webhooks.allow_private,
            names: DefaultResolver::default(),
        };
        Self {
            agent: Agent::with_parts(config, DefaultConnector::default(), guide),
            url,
            secrets: webhooks.secrets.clone(),
            interrupted: AtomicBool::new(false),
        }
    }

    pub(super) fn url(&self) -> &WebhookUrl {
        &self.url
    }

    /// Sends a message, and waits for the answer.
    pub(super) fn send(&self, id: &str, body: &str) -> Ending {
        // Of this attempt: receivers refuse what is old. The system's time, which theirs is compared with.
        let now = Timestamp::now();
        let timestamp = now.as_second();
        let sent = self
            .agent
            .post(self.url.reveal())
            .content_type("application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header(
                "webhook-signature",
                signatures(&self.secrets, id, timestamp, body),
            )
            .send(body);
        match sent {
            Ok(answer) => ending(answer, now),
            Err(_) if self.interrupted.load(Ordering::SeqCst) => Ending::Interrupted,
            Err(error) => Ending::Failed {
                reason: reason(error),
                wait: None,
            },
        }
    }

    /// Breaks off what is being sent, for good.
    pub(super) fn interrupt(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
        self.agent.clone().shutdown();
    }
}

fn ending(answer: Response<Body>, now: Timestamp) -> Ending {
    let (head, mut body) = answer.into_parts();
    // An answer that breaks off has had its status.
    copy(&mut body.as_reader().take(ANSWER), &mut sink()).ok();
    if head.status.is_success() {
        return Ending::Delivered;
    }
    if head.status == StatusCode::GONE {
        return Ending::Gone;
    }
    let wait = head.headers.get(RETRY_AFTER);
    Ending::Failed {
        reason: format!("it answered with status {}", head.status.as_u16()),
        wait: wait
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry_after(value, now)),
    }
}

/// What was wrong, without the address.
fn reason(error: Error) -> String {
    match error {
        Error::BadUri(_) | Error::RequireHttpsOnly(_) => "its address cannot be used".to_owned(),
        Error::Io(error) => error.to_string(),
        Error::Other(error) => error.to_string(),
        error => error.to_string(),
    }
}
