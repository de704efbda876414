//! HTTP/1.1 on one connection.
//!
//! poem's own server is not used: it has no limit on the time for a head, none on an answer that is not taken, and drops
//! clients that close their sending half before they read. It also takes HTTP/2, where one connection is many requests
//! and every bound would have to be kept twice; a proxy that speaks it to browsers speaks HTTP/1.1 to us.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use poem::http::uri::Scheme;
use poem::http::{HeaderValue, header};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Body, Endpoint, Request};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tracing::debug;

use super::guarded::{Exchange, Guarded};
use super::received::Received;
use crate::config::ClientLimits;

/// Room for the head of a request, and the most that is read at once of a body, in bytes.
const BUFFER: usize = 64 << 10;

/// What all connections share.
pub(super) struct Service<E> {
    endpoint: E,
    limits: Arc<ClientLimits>,
    http: http1::Builder,
}

/// A connection that was accepted.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    /// Given back when the connection ends.
    pub(super) place: OwnedSemaphorePermit,
}

impl<E: Endpoint> Service<E> {
    pub(super) fn new(endpoint: E, limits: &ClientLimits) -> Self {
        let mut http = http1::Builder::new();
        // `Guarded` keeps the time.
        http.header_read_timeout(None)
            .max_buf_size(BUFFER)
            .half_close(true);
        Self {
            endpoint,
            limits: Arc::new(limits.clone()),
            http,
        }
    }

    /// Answers requests until the client goes, or is cut off, or until `stop`, which lets the request in progress end.
    pub(super) async fn serve(&self, connection: Connection, mut stop: watch::Receiver<()>) {
        let Connection {
            stream,
            peer,
            place,
        } = connection;
        let remote = RemoteAddr(peer.into());
        let local = stream
            .local_addr()
            .map_or_else(|_| LocalAddr::default(), |local| LocalAddr(local.into()));
        let exchange = Exchange::default();
        let socket = Guarded::new(stream, &self.limits, exchange.clone());
        let service = service_fn(|request: hyper::Request<Incoming>| {
            exchange.begin();
            let mut request = Request::from((request, local.clone(), remote.clone(), Scheme::HTTP));
            let body = Received::new(request.take_body().into(), &exchange);
            request.set_body(Body::from(BoxBody::new(body)));
            let (exchange, place) = (&exchange, &place);
            async move {
                let mut response = self.endpoint.get_response(request).await;
                if place.semaphore().available_permits() == 0 {
                    // Others wait for this place; it must not be kept for a request that may come.
                    response
                        .headers_mut()
                        .insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                exchange.end();
                Ok::<_, Infallible>(hyper::Response::from(response))
            }
        });
        let mut serving = pin!(self.http.serve_connection(TokioIo::new(socket), service));
        let result = tokio::select! {
            result = serving.as_mut() => result,
            _ = stop.changed() => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        if let Err(error) = result {
            debug!(%peer, "a connection broke off: {error}");
        }
    }
}
