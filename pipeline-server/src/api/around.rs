//! What happens around every request: it is given an id, let in or not, handled, and written down; and every answer gets
//! what all answers have.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::combinators::BoxBody;
use hyper::body::Body;
use poem::error::{MethodNotAllowedError, NotFoundError, ParsePathError};
use poem::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, IntoResponse, Request, Response};
use tracing::{Instrument, debug, error, error_span, info};
use uuid::Uuid;

use super::route::Route;
use super::{ApiError, docs};
use crate::App;
use crate::door::Client;
use crate::upload;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is taken from a client, in bytes.
const MAX_ID: usize = 128;
/// How much of a path is written to the log, in bytes.
const SHOWN_PATH: usize = 256;

/// Turns whatever an endpoint does, panics included, into an answer that clients know.
pub(super) async fn around<E: Endpoint>(
    app: App,
    endpoint: Arc<E>,
    request: Request,
) -> poem::Result<Response> {
    let id = request_id(&request);
    // At the highest level, so that every line that is logged at all has the id.
    let span = error_span!("request", request.id = %id);
    let handled = async move {
        let exchange = Exchange::begin(&app, &request);
        let origin = app.door().cors().allowed(request.headers());
        let mut response = match app.door().cors().preflight(&request) {
            Some(response) => response,
            None => handle(&app, &exchange, endpoint.as_ref(), request).await,
        };
        finish(&exchange, &mut response);
        app.door().cors().tell(origin, response.headers_mut());
        exchange.end(&app, &mut response);
        if exchange.method == Method::HEAD {
            response.set_body(());
        }
        response
    };
    let mut response = handled.instrument(span).await;
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    Ok(response)
}

/// The client's own id if it can stand in a log as it is, else a new one.
fn request_id(request: &Request) -> String {
    let is_sane = |id: &&str| {
        (1..=MAX_ID).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
    };
    match request.header(REQUEST_ID).filter(is_sane) {
        Some(id) => id.to_owned(),
        None => Uuid::new_v4().to_string(),
    }
}

async fn handle<E: Endpoint>(
    app: &App,
    exchange: &Exchange,
    endpoint: &E,
    mut request: Request,
) -> Response {
    match app
        .door()
        .admit(&request, &exchange.client, &exchange.route)
    {
        Ok(()) => call(endpoint, request).await,
        Err(refusal) => {
            upload::discard(&mut request);
            refusal.into_response()
        }
    }
}

async fn call<E: Endpoint>(endpoint: &E, request: Request) -> Response {
    let result = AssertUnwindSafe(endpoint.call(request))
        .catch_unwind()
        .await;
    match result {
        Ok(Ok(response)) => response.into_response(),
        Ok(Err(error)) => refuse(error),
        Err(_) => {
            error!("a handler panicked");
            ApiError::Internal.into_response()
        }
    }
}

fn refuse(error: poem::Error) -> Response {
    let known = if error.is_from_response() {
        return error.into_response();
    } else if error.is::<NotFoundError>() || error.is::<ParsePathError>() {
        ApiError::NotFound
    } else if error.is::<MethodNotAllowedError>() {
        ApiError::MethodNotAllowed
    } else {
        ApiError::internal(&error)
    };
    known.into_response()
}

/// What all answers have in common.
fn finish(exchange: &Exchange, response: &mut Response) {
    let is_not_allowed = response.status() == StatusCode::METHOD_NOT_ALLOWED;
    let headers = response.headers_mut();
    if is_not_allowed {
        let allowed = HeaderValue::from_static(exchange.route.allowed);
        headers.insert(header::ALLOW, allowed);
    }
    // As the reference has it; JSON knows no other charset anyway.
    if headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value == docs::JSON_OF_POEM)
    {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(docs::JSON));
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
}

/// What is to be written down about one request.
struct Exchange {
    started: Instant,
    method: Method,
    path: String,
    route: Route,
    client: Client,
    bytes_in: u64,
}

impl Exchange {
    fn begin(app: &App, request: &Request) -> Self {
        let path = request.uri().path();
        let length = request.header(header::CONTENT_LENGTH);
        Self {
            started: Instant::now(),
            method: request.method().clone(),
            // A path that came over the network is ASCII, so any byte is a boundary.
            path: path.get(..SHOWN_PATH).unwrap_or(path).to_owned(),
            route: Route::of(path),
            client: app.door().client(request),
            bytes_in: length.and_then(|length| length.parse().ok()).unwrap_or(0),
        }
    }

    fn end(&self, app: &App, response: &mut Response) {
        let Self {
            method,
            path,
            client,
            bytes_in,
            ..
        } = self;
        let route = self.route.template;
        let took = self.started.elapsed();
        app.metrics()
            .request(method, route, response.status(), took);
        let status = response.status().as_u16();
        let duration_ms = took.as_secs_f64() * 1e3;
        let bytes_out = body_size(response);
        // Whatever watches over the server asks every few seconds, and nobody wants to read it.
        match self.route.is_free {
            true => {
                debug!(%method, route, status, duration_ms, bytes_in, bytes_out, %client, "{method} {path} {status}");
            }
            false => {
                info!(%method, route, status, duration_ms, bytes_in, bytes_out, %client, "{method} {path} {status}");
            }
        }
    }
}

/// The size of the answer's body, in bytes. poem shows it to nobody, so it has to be taken out for a moment.
fn body_size(response: &mut Response) -> u64 {
    let body: BoxBody<Bytes, io::Error> = response.take_body().into();
    let size = body.size_hint().exact();
    response.set_body(body);
    size.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use poem::endpoint::make_sync;

    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_handler_is_an_answer() {
        let broken = make_sync(|_| -> Response { panic!("out of paper") });
        let response = call(&broken, Request::default()).await;
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["x-error-code"], "internal");
    }

    fn id_for(sent: &str) -> String {
        request_id(&Request::builder().header(REQUEST_ID, sent).finish())
    }

    #[test]
    fn an_id_is_taken_if_it_can_stand_in_a_log() {
        for id in [
            "a",
            "0af7651916cd43dd8448eb211c80319c",
            "web-1:2024.03_x",
            &"x".repeat(128),
        ] {
            assert_eq!(id_for(id), id);
        }
        for id in [
            "",
            "two words",
            "a\tb",
            "ü",
            "{}",
            "\"quoted\"",
            &"x".repeat(129),
        ] {
            let made: Uuid = id_for(id).parse().unwrap();
            assert_eq!(made.get_version_num(), 4, "{id}");
        }
    }
}
