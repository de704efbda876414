//! The courier of one receiver: it delivers what waits for it, one message after the other.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pipeline_core::report;
use pipeline_store::{Clock, Message, Result, Store};
use tracing::{info, warn};

use super::post::{Ending, Post};
use super::schedule::{backoff, jitter};
use crate::api::{BaseUrl, webhook_body};
use crate::metrics::Metrics;

/// How long a message is worth delivering.
const AGE: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// The most messages that wait for one receiver.
const KEPT: u32 = 10_000;
/// How often the outbox is trimmed to that.
const TRIM: Duration = Duration::from_secs(60);
/// The longest that a receiver is left alone after failures, unless it asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The pause after the store refused something.
const STORE_PAUSE: Duration = Duration::from_secs(5);

/// What a courier works with.
#[derive(Debug)]
pub(super) struct Courier {
    pub(super) store: Store,
    /// The store's clock.
    pub(super) clock: Clock,
    pub(super) post: Arc<Post>,
    pub(super) base: BaseUrl,
    pub(super) show_location: bool,
    pub(super) metrics: Arc<Metrics>,
    pub(super) state: State,
}

/// What a courier remembers.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Failures since the last success, whatever the message.
    failures: u32,
    /// Nothing is sent before.
    quiet_until: Timestamp,
    trim_at: Timestamp,
}

impl Courier {
    /// Delivers the message whose turn it is, if there is one. Returns when to look again; `None` if nothing waits.
    pub(super) fn round(&mut self) -> Option<Timestamp> {
        let now = self.clock.now();
        if now < self.state.quiet_until {
            return Some(self.state.quiet_until);
        }
        self.turn(now).unwrap_or_else(|error| {
            let code = error.code();
            warn!(code, "cannot use the outbox: {}", report(&error));
            self.state.quiet_until = after(now, STORE_PAUSE);
            Some(self.state.quiet_until)
        })
    }

    fn turn(&mut self, now: Timestamp) -> Result<Option<Timestamp>> {
        let receiver = self.post.url().name();
        if now >= self.state.trim_at {
            self.state.trim_at = after(now, TRIM);
            let before = now.checked_sub(AGE).unwrap_or(Timestamp::MIN);
            let dropped = self.store.trim_outbox(&receiver, before, KEPT)?;
            if dropped > 0 {
                warn!(receiver, "gave {dropped} old messages to webhooks up");
                self.metrics.webhooks("given-up", dropped as u64);
            }
        }
        let Some(message) = self.store.next_message(&receiver)? else {
            return Ok(None);
        };
        if message.due_at > now {
            return Ok(Some(message.due_at));
        }
        let image = self.store.image(message.image)?;
        let body = webhook_body(&message, image, &self.base, self.show_location);
        match self.post.send(&message.id, &body) {
            Ending::Delivered => self.delivered(&message, &receiver)?,
            Ending::Gone => self.gone(&message, &receiver)?,
            Ending::Failed { reason, wait } => self.failed(&message, &receiver, &reason, wait)?,
            Ending::Interrupted => {}
        }
        // There may be more.
        Ok(Some(now))
    }

    fn delivered(&mut self, message: &Message, receiver: &str) -> Result<()> {
        self.state.failures = 0;
        let (id, url) = (message.image, self.post.url());
        info!(image.id = %id, webhook.id = message.id, receiver, "told {url} of picture {id}");
        self.metrics.webhooks("delivered", 1);
        self.store.message_ended(message)
    }

    fn gone(&mut self, message: &Message, receiver: &str) -> Result<()> {
        let (id, url) = (message.image, self.post.url());
        warn!(image.id = %id, webhook.id = message.id, receiver, "{url} never wants to be told of picture {id}");
        self.metrics.webhooks("given-up", 1);
        self.store.message_ended(message)
    }

    fn failed(
        &mut self,
        message: &Message,
        receiver: &str,
        reason: &str,
        wait: Option<Duration>,
    ) -> Result<()> {
        let now = self.clock.now();
        let wait = wait.unwrap_or_default();
        let failures = message.attempts.saturating_add(1);
        let jitter = jitter(&message.id, failures);
        let due = after(now, backoff(failures, jitter).max(wait));
        // A receiver that is down is not asked once for each message.
        self.state.failures = self.state.failures.saturating_add(1);
        let pause = backoff(self.state.failures, jitter).min(LONGEST_PAUSE);
        self.state.quiet_until = after(now, pause.max(wait));
        let (id, url) = (message.image, self.post.url());
        warn!(
            image.id = %id, webhook.id = message.id, receiver, failures,
            "cannot tell {url} of picture {id}: {reason}; tried again at {due:.0}"
        );
        self.metrics.webhooks("failed", 1);
        self.store.postpone_message(message, due)
    }
}

fn after(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}
