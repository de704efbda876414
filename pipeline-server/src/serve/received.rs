//! The body of a request, which tells the socket for how long it is read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Frame, SizeHint};

use super::guarded::Exchange;

/// A body that somebody may go on to read when the request is answered: what is refused is thrown away in the background.
pub(super) struct Received {
    inner: BoxBody<Bytes, io::Error>,
    exchange: Exchange,
    /// What its end is told with, until then.
    open: Option<u64>,
}

impl Received {
    pub(super) fn new(inner: BoxBody<Bytes, io::Error>, exchange: &Exchange) -> Self {
        let open = (!inner.is_end_stream()).then(|| exchange.body_begins());
        Self {
            inner,
            exchange: exchange.clone(),
            open,
        }
    }

    fn end(&mut self) {
        if let Some(open) = self.open.take() {
            self.exchange.body_ends(open);
        }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let frame = std::task::ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) || self.inner.is_end_stream() {
            self.end();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.end();
    }
}
