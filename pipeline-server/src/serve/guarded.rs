//! A socket that closes itself on clients which hold it without using it: slow heads, silence between requests, answers
//! that are not taken. Bodies have a watch of their own in `upload/body.rs`, where a refusal can still be answered.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::debug;

use crate::config::ClientLimits;
use crate::pace::Pace;
use crate::upload::DRAIN_TIME;

/// What the HTTP service is about. Shared with the socket, which cannot know.
#[derive(Debug, Clone, Default)]
pub(super) struct Exchange(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// The beginnings and ends of exchanges: odd while a request is being answered.
    exchanges: AtomicU64,
    /// The exchange whose body is being read, by its count; 0 for none.
    body: AtomicU64,
}

/// How both stand at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    exchanges: u64,
    reads_body: bool,
}

impl Exchange {
    pub(super) fn begin(&self) {
        self.0.exchanges.fetch_add(1, Ordering::AcqRel);
        // All of the body before has come, whether or not its reader has got to the end of it.
        self.0.body.store(0, Ordering::Release);
    }

    pub(super) fn end(&self) {
        self.0.exchanges.fetch_add(1, Ordering::AcqRel);
    }

    /// Somebody reads the body of this exchange. Returns what to end that with.
    pub(super) fn body_begins(&self) -> u64 {
        let exchange = self.0.exchanges.load(Ordering::Acquire);
        self.0.body.store(exchange, Ordering::Release);
        exchange
    }

    pub(super) fn body_ends(&self, exchange: u64) {
        let body = &self.0.body;
        // If it is another's by now, there is nothing to end.
        body.compare_exchange(exchange, 0, Ordering::AcqRel, Ordering::Relaxed)
            .ok();
    }

    fn look(&self) -> Seen {
        Seen {
            exchanges: self.0.exchanges.load(Ordering::Acquire),
            reads_body: self.0.body.load(Ordering::Acquire) != 0,
        }
    }
}

/// The socket of one connection.
#[derive(Debug)]
pub(super) struct Guarded<S> {
    inner: S,
    limits: Arc<ClientLimits>,
    exchange: Exchange,
    /// How it stood when we last looked.
    seen: Seen,
    /// What the client is expected to do next, while no request is being answered.
    expected: Expected,
    /// When that began.
    since: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    answer: Pace,
    answer_waits: bool,
}

/// What a client does between two answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// Begin the next request, or go.
    Request,
    /// Send the rest of a head. A new connection is expected to begin at once.
    Head,
    /// Send the rest of a body that was refused. It is thrown away, which takes [`DRAIN_TIME`] at the most.
    Rest,
    /// Nothing: a request is being answered.
    Nothing,
}

impl<S> Guarded<S> {
    pub(super) fn new(inner: S, limits: &Arc<ClientLimits>, exchange: Exchange) -> Self {
        Self {
            inner,
            answer: Pace::new(limits),
            limits: Arc::clone(limits),
            seen: exchange.look(),
            exchange,
            expected: Expected::Head,
            since: Instant::now(),
            timer: None,
            answer_waits: false,
        }
    }

    fn expect(&mut self, expected: Expected) {
        self.expected = expected;
        self.since = Instant::now();
    }

    /// Notices that exchanges have begun or ended since the last look.
    fn look_at_exchange(&mut self) {
        let now = self.exchange.look();
        if now == self.seen {
            return;
        }
        if now.exchanges != self.seen.exchanges {
            self.answer = Pace::new(&self.limits);
        }
        self.seen = now;
        self.expect(match (now.exchanges % 2 == 1, now.reads_body) {
            (true, _) => Expected::Nothing,
            (false, true) => Expected::Rest,
            (false, false) => Expected::Request,
        });
    }

    /// Whether the client took too long for what is expected of it.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let (limit, what) = match self.expected {
            Expected::Head => (self.limits.header_timeout, "the head of a request"),
            Expected::Rest => (DRAIN_TIME, "the rest of a body"),
            // An answer that the client does not take has its own limit.
            Expected::Request if !self.answer_waits => (self.limits.idle_timeout, "a request"),
            _ => return Poll::Pending,
        };
        let deadline = self.since + limit;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        std::task::ready!(timer.as_mut().poll(cx));
        Poll::Ready(too_late(what))
    }

    /// Keeps count of an attempt to write, and gives up on a client that takes nothing.
    fn written(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.answer_waits = result.is_pending();
        match result {
            Poll::Ready(Ok(bytes)) => {
                self.answer.moved(bytes);
                if self.expected == Expected::Request {
                    // The silence after an answer begins with its last byte.
                    self.since = Instant::now();
                }
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                std::task::ready!(self.answer.poll_out_of_patience(cx));
                Poll::Ready(Err(too_late("an answer to be taken")))
            }
        }
    }
}

fn too_late(what: &str) -> io::Error {
    debug!("closing a connection: waited too long for {what}");
    io::ErrorKind::TimedOut.into()
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.look_at_exchange();
        let before = buf.filled().len();
        match Pin::new(&mut self.inner).poll_read(cx, buf) {
            Poll::Ready(result) => {
                if self.expected == Expected::Request && buf.filled().len() > before {
                    self.expect(Expected::Head);
                }
                Poll::Ready(result)
            }
            Poll::Pending => self.poll_late(cx).map(Err),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.look_at_exchange();
        let result = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.written(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.look_at_exchange();
        let result = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_waited_for_until_it_ends_or_the_next_request_begins() {
        let exchange = Exchange::default();
        let reads_body = || exchange.look().reads_body;
        exchange.begin();
        let first = exchange.body_begins();
        exchange.end();
        assert!(reads_body());
        exchange.body_ends(first);
        assert!(!reads_body());

        exchange.begin();
        let slow = exchange.body_begins();
        exchange.end();
        exchange.begin();
        assert!(!reads_body());
        let next = exchange.body_begins();
        exchange.body_ends(slow);
        assert!(reads_body(), "it is not the next one's end");
        exchange.body_ends(next);
        assert!(!reads_body());
    }
}
