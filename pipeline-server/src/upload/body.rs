//! The bytes of a request body, one piece at a time: counted, and cut off when there are too many or they come too slowly.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use poem::http::header;
use poem::{Body, Request};
use tokio::time::timeout;

use crate::api::ApiError;
use crate::config::ClientLimits;
use crate::pace::Pace;

/// Room in a body for everything that is not the picture: boundaries, headers, other fields.
const OVERHEAD: u64 = 64 << 10;
/// How much the multipart parser may hold back, in bytes: the head of a part, or what stands before the first one.
const MAX_HELD: usize = 64 << 10;
/// How much is read of a refused body, so that a client which sends everything before it listens can hear the refusal
/// instead of a broken connection.
const DRAIN_BYTES: u64 = 256 << 20;
/// For how long it is read.
pub(crate) const DRAIN_TIME: Duration = Duration::from_secs(30);

/// A body that counts what was read of it.
pub(super) struct BodyStream {
    inner: Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>,
    pace: Pace,
    max_picture: u64,
    read: u64,
    held: Held,
    refusal: Option<ApiError>,
    ended: bool,
    pause: bool,
}

/// The bytes that went into the parser and have not come out. The parser borrows the body, so the two share this.
#[derive(Debug, Clone, Default)]
pub(super) struct Held(Arc<AtomicUsize>);

impl Held {
    /// The parser has handed on `bytes`.
    pub(super) fn handed_on(&self, bytes: usize) {
        let held = self.bytes().saturating_sub(bytes);
        self.0.store(held, Ordering::Relaxed);
    }

    /// The parser has understood the head of a part. What it holds beyond that is less than a piece.
    pub(super) fn understood(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn taken_in(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl BodyStream {
    /// `max_picture` is the size in bytes of the largest picture that is accepted.
    pub(super) fn new(body: Body, limits: &ClientLimits, max_picture: u64) -> Self {
        Self {
            inner: Box::pin(body.into_bytes_stream()),
            pace: Pace::new(limits),
            max_picture,
            read: 0,
            held: Held::default(),
            refusal: None,
            ended: false,
            pause: false,
        }
    }

    /// Whether a body of that size is too large for a picture that is not.
    pub(super) fn is_too_large(&self, bytes: u64) -> bool {
        bytes > self.max_picture.saturating_add(OVERHEAD)
    }

    pub(super) fn held(&self) -> Held {
        self.held.clone()
    }

    /// Why the body was cut off, if it was.
    pub(super) fn refusal(&self) -> Option<&ApiError> {
        self.refusal.as_ref()
    }

    /// Whether nothing of the body was seen yet.
    pub(super) fn is_untouched(&self) -> bool {
        !self.ended && self.read == 0
    }

    /// Whether the body has ended without a single byte.
    pub(super) fn is_empty(&self) -> bool {
        self.ended && self.read == 0
    }

    /// Reads what is left in the background and throws it away. Not for a client that has stalled: it has had its time.
    pub(super) fn discard(self) {
        if !self.ended && self.refusal != Some(ApiError::Stalled) {
            drain(self.inner);
        }
    }

    /// Waits for the client, within its pace.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let item = self.inner.as_mut().poll_next(cx);
        if item.is_pending() {
            std::task::ready!(self.pace.poll_out_of_patience(cx));
            return Poll::Ready(Some(Err(self.cut_off(ApiError::Stalled))));
        }
        item
    }

    fn cut_off(&mut self, refusal: ApiError) -> io::Error {
        let error = io::Error::other(refusal.code());
        self.refusal = Some(refusal);
        error
    }
}

impl Stream for BodyStream {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended || self.refusal.is_some() {
            return Poll::Ready(None);
        }
        // multer reads on until the stream has nothing ready, which on a fast link is the whole body. A pause after
        // every piece makes it hand over what it has, so memory stays bounded by one piece.
        if std::mem::take(&mut self.pause) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.held.bytes() > MAX_HELD {
            return Poll::Ready(Some(Err(self.cut_off(ApiError::Malformed))));
        }
        let item = std::task::ready!(self.poll_piece(cx));
        match &item {
            Some(Ok(bytes)) => {
                let length = bytes.len();
                self.pace.moved(length);
                self.held.taken_in(length);
                self.read += length as u64;
                self.pause = true;
                if self.is_too_large(self.read) {
                    let max_bytes = self.max_picture;
                    return Poll::Ready(Some(Err(self.cut_off(ApiError::TooLarge { max_bytes }))));
                }
            }
            Some(Err(_)) if self.refusal.is_some() => {}
            Some(Err(_)) | None => self.ended = true,
        }
        Poll::Ready(item)
    }
}

/// Throws away the body of a request that is refused before anybody looks at it.
pub(crate) fn discard(request: &mut Request) {
    // A client that waits to be told to go on has sent nothing that could be in the way of the answer.
    if request.headers().contains_key(header::EXPECT) {
        return;
    }
    let body = request.take_body();
    if !body.is_empty() {
        drain(body.into_bytes_stream());
    }
}

fn drain(body: impl Stream<Item = io::Result<Bytes>> + Send + 'static) {
    tokio::spawn(timeout(DRAIN_TIME, async move {
        let mut body = pin!(body);
        let mut drained = 0;
        while drained < DRAIN_BYTES
            && let Some(Ok(bytes)) = body.next().await
        {
            drained += bytes.len() as u64;
        }
    }));
}
