//! How slow a client may be: it may not pause for long, and not trickle for ever.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::config::ClientLimits;

/// Watches one transfer from or to a client. Only the time counts in which the server waits for the client: what the
/// server itself needs, for its disk above all, is not the client's fault.
#[derive(Debug)]
pub(crate) struct Pace {
    stall: Duration,
    /// Bytes per second.
    min_rate: u64,
    /// All waits that have ended.
    waited: Duration,
    bytes: u64,
    wait: Option<Wait>,
}

#[derive(Debug)]
struct Wait {
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Pace {
    pub(crate) fn new(limits: &ClientLimits) -> Self {
        Self {
            stall: limits.stall_timeout,
            min_rate: limits.min_rate.get(),
            waited: Duration::ZERO,
            bytes: 0,
            wait: None,
        }
    }

    /// The client has moved: it took or sent `bytes`.
    pub(crate) fn moved(&mut self, bytes: usize) {
        if let Some(wait) = self.wait.take() {
            self.waited += wait.since.elapsed();
        }
        self.bytes += bytes as u64;
    }

    /// Nothing can be moved at the moment. Ready when the client has been waited for long enough.
    pub(crate) fn poll_out_of_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let patience = self.patience();
        let wait = self.wait.get_or_insert_with(|| {
            let since = Instant::now();
            Wait {
                since,
                timer: Box::pin(sleep_until(since + patience)),
            }
        });
        wait.timer.as_mut().poll(cx)
    }

    /// How long the next wait may last. Every byte that was moved has earned its share of a second.
    fn patience(&self) -> Duration {
        // Exact up to 2^53 bytes, and nobody counts nanoseconds after that.
        let earned = Duration::from_secs_f64(self.bytes as f64 / self.min_rate as f64);
        (self.stall + earned)
            .saturating_sub(self.waited)
            .min(self.stall)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::num::NonZeroU64;

    use super::*;

    fn pace() -> Pace {
        Pace::new(&ClientLimits {
            stall_timeout: Duration::from_secs(30),
            min_rate: NonZeroU64::new(1_000).unwrap(),
            ..ClientLimits::default()
        })
    }

    #[test]
    fn a_client_that_keeps_the_rate_is_waited_for_in_full() {
        let mut pace = pace();
        for _ in 0..1_000 {
            pace.moved(10_000);
            pace.waited += Duration::from_secs(10);
            assert_eq!(pace.patience(), Duration::from_secs(30));
        }
    }

    #[test]
    fn a_client_that_trickles_uses_up_the_patience() {
        let mut pace = pace();
        for _ in 0..30 {
            pace.moved(1);
            pace.waited += Duration::from_secs(1);
        }
        assert_eq!(pace.patience(), Duration::from_millis(30));
        pace.waited += Duration::from_secs(1);
        assert_eq!(pace.patience(), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_pause_ends_the_patience_and_a_byte_renews_it() {
        let mut pace = pace();
        pace.stall = Duration::from_millis(10);
        pace.moved(1_000);
        poll_fn(|cx| pace.poll_out_of_patience(cx)).await;
        pace.moved(1);
        pace.stall = Duration::from_secs(3_600);
        let again = poll_fn(|cx| Poll::Ready(pace.poll_out_of_patience(cx))).await;
        assert!(again.is_pending());
    }
}
