//! The bytes of a request body, one piece at a time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use poem::Body;

/// What is read of a refused body, and for how long, so that a client which sends everything before it listens can
/// hear the refusal instead of a broken connection.
const DRAIN_BYTES: u64 = 256 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(30);

/// A body that counts what was read of it.
pub(super) struct BodyStream {
    inner: Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>,
    read: u64,
    ended: bool,
    pause: bool,
}

impl BodyStream {
    pub(super) fn new(body: Body) -> Self {
        Self {
            inner: Box::pin(body.into_bytes_stream()),
            read: 0,
            ended: false,
            pause: false,
        }
    }

    pub(super) fn bytes_read(&self) -> u64 {
        self.read
    }

    /// Whether nothing of the body was seen yet.
    pub(super) fn is_untouched(&self) -> bool {
        !self.ended && self.read == 0
    }

    /// Whether the body has ended without a single byte.
    pub(super) fn is_empty(&self) -> bool {
        self.ended && self.read == 0
    }

    /// Reads what is left in the background and throws it away.
    pub(super) fn discard(mut self) {
        if self.ended {
            return;
        }
        let enough = self.read.saturating_add(DRAIN_BYTES);
        tokio::spawn(tokio::time::timeout(DRAIN_TIME, async move {
            while self.read < enough && matches!(self.next().await, Some(Ok(_))) {}
        }));
    }
}

impl Stream for BodyStream {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        // multer reads on until the stream has nothing ready, which on a fast link is the whole body. A pause after
        // every piece makes it hand over what it has, so memory stays bounded by one piece.
        if std::mem::take(&mut self.pause) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let item = std::task::ready!(self.inner.as_mut().poll_next(cx));
        match &item {
            Some(Ok(bytes)) => {
                self.read += bytes.len() as u64;
                self.pause = true;
            }
            Some(Err(_)) | None => self.ended = true,
        }
        Poll::Ready(item)
    }
}
