//! Webhooks: tells other servers when the work on a picture has ended.
//!
//! The store writes each message down together with the end that it tells of; here they are delivered. Each receiver has
//! a thread of its own, so that one that is slow holds up neither the others nor the work. A message is taken out of the
//! store once its receiver has it: it is delivered at least once, over restarts, too.

mod addresses;
mod courier;
mod post;
mod schedule;
mod signature;
#[cfg(test)]
mod tests;

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use pipeline_store::{Clock, Outbox, Store};
use tracing::warn;

use crate::api::BaseUrl;
use crate::config::Webhooks;
use crate::events::Events;
use crate::metrics::Metrics;
use crate::{Config, Error, Result};
use courier::{Courier, State};
use post::Post;

/// What the store has to write down for them.
pub(crate) fn outbox(webhooks: &Webhooks) -> Outbox {
    Outbox {
        receivers: webhooks.urls.iter().map(|url| url.name()).collect(),
        successes: webhooks.successes,
        failures: webhooks.failures,
    }
}

/// The threads that deliver messages. Dropping it stops them.
#[derive(Debug)]
pub(crate) struct Hooks {
    events: Arc<Events>,
    posts: Vec<Arc<Post>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Hooks {
    /// Starts a thread for each receiver. `clock` is the store's.
    pub(crate) fn start(
        config: &Config,
        store: &Store,
        clock: &Clock,
        metrics: &Arc<Metrics>,
        events: &Arc<Events>,
    ) -> Result<Self> {
        let mut hooks = Self {
            events: Arc::clone(events),
            posts: Vec::new(),
            threads: Mutex::default(),
        };
        for (number, url) in config.webhooks.urls.iter().enumerate() {
            let post = Arc::new(Post::new(url.clone(), &config.webhooks));
            hooks.posts.push(Arc::clone(&post));
            let courier = Courier {
                store: store.clone(),
                clock: clock.clone(),
                post,
                base: BaseUrl::fixed(config.webhooks.base_url.as_deref()),
                show_location: config.show_location,
                metrics: Arc::clone(metrics),
                state: State::default(),
            };
            let events = Arc::clone(events);
            let thread = thread::Builder::new()
                .name(format!("webhook-{number}"))
                .spawn(move || run(courier, &events))
                .map_err(|source| Error::System {
                    doing: "start a thread for a webhook",
                    source,
                })?;
            hooks.threads().push(thread);
        }
        Ok(hooks)
    }

    /// Breaks off what is being sent. What has not been delivered stays in the store, for the next start.
    pub(crate) fn interrupt(&self) {
        self.events.close();
        for post in &self.posts {
            post.interrupt();
        }
    }

    /// Stops the threads, and waits for their ends: a connection that is being made is waited for.
    pub(crate) fn stop(&self) {
        self.interrupt();
        let threads = mem::take(&mut *self.threads());
        for thread in threads {
            if thread.join().is_err() {
                warn!("a thread for a webhook had panicked");
            }
        }
    }

    fn threads(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Delivers messages until the events are closed.
fn run(mut courier: Courier, events: &Events) {
    let bell = events.ends();
    while let Some(heard) = bell.rings() {
        let next = courier.round();
        let wait = next.map(|next| next.duration_since(courier.clock.now()));
        // What should have been done by now is done at once.
        bell.wait(heard, wait.map(|wait| wait.try_into().unwrap_or_default()));
    }
}
