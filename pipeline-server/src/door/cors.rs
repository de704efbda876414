//! Which web pages of other origins may use the server from a browser: none, unless they were named.

use poem::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use poem::{Request, Response};

use crate::config::CorsOrigin;

const METHODS: &str = "GET, HEAD, POST, PATCH, DELETE";
/// What a page may send besides the headers that are always allowed.
const SENT: &str = "Authorization, Content-Type, Idempotency-Key, If-Modified-Since, If-None-Match, Range, X-API-Key, X-Request-Id";
/// What a page may read besides the headers that are always shown.
const SHOWN: &str =
    "Content-Range, ETag, Link, Retry-After, X-Error-Code, X-Request-Id, X-Total-Count";
/// For how long a browser may remember the answer to its question, in seconds.
const MAX_AGE: &str = "600";

#[derive(Debug)]
pub(crate) struct Cors {
    origins: Vec<CorsOrigin>,
}

impl Cors {
    pub(super) fn new(origins: Vec<CorsOrigin>) -> Self {
        Self { origins }
    }

    /// The answer to a browser that asks whether a page may send a request, if it is one and the page may.
    pub(crate) fn preflight(&self, request: &Request) -> Option<Response> {
        let asks = *request.method() == Method::OPTIONS
            && request
                .headers()
                .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !asks {
            return None;
        }
        self.allowed(request.headers())?;
        let response = Response::builder()
            .status(StatusCode::NO_CONTENT)
            .header(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS)
            .header(header::ACCESS_CONTROL_ALLOW_HEADERS, SENT)
            .header(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        Some(response.finish())
    }

    /// The origin to name in the answer to a request with these headers.
    pub(crate) fn allowed(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let origin = request.get(header::ORIGIN)?;
        let allowing = self
            .origins
            .iter()
            .find(|allowed| allowed.is_any() || allowed.is(origin.as_bytes()))?;
        Some(match allowing.is_any() {
            true => HeaderValue::from_static("*"),
            false => origin.clone(),
        })
    }

    /// Tells the browser that the page may see this answer, and caches that it may look different for others.
    pub(crate) fn tell(&self, allowed: Option<HeaderValue>, headers: &mut HeaderMap) {
        if self.origins.is_empty() {
            return;
        }
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = allowed {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(SHOWN),
            );
        }
    }
}
