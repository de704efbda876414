//! The REST interface: which paths there are, and what every answer has in common.

mod base_url;
mod docs;
mod error;
mod exif;
mod form;
mod images;
mod refused;
mod service;
mod thumbnails;
mod types;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use poem::error::{MethodNotAllowedError, NotFoundError, ParsePathError};
use poem::http::{HeaderValue, Method, header};
use poem::{Endpoint, EndpointExt, IntoResponse, Request, Response, Route};
use poem_openapi::{OpenApiService, Tags};
use tracing::{debug, error};

use crate::App;

pub(crate) use error::ApiError;
pub(crate) use form::MultipartForm;

/// The headings of the OpenAPI document.
#[derive(Tags)]
enum Tag {
    /// Upload pictures and read what was found out about them.
    Images,
    /// The state of the service.
    Service,
}

type Api = (images::Images, thumbnails::Thumbnails, service::Service);

fn openapi(app: &App) -> OpenApiService<Api, ()> {
    let api = (
        images::Images::new(app),
        thumbnails::Thumbnails::new(app),
        service::Service::new(app),
    );
    OpenApiService::new(api, "Image pipeline", env!("CARGO_PKG_VERSION")).description(
        "Upload a picture; read back its metadata, two thumbnails and a caption. Every refusal has the body \
         `{\"detail\": …}` and a stable code in the header `X-Error-Code`.",
    )
}

/// All paths, for [`App::endpoint`].
pub(crate) fn endpoint(app: &App) -> impl Endpoint<Output = Response> + 'static {
    let api = openapi(app);
    let page = docs::Page::new(&api);
    Route::new()
        .at("/openapi.json", page.document())
        .at("/docs", page.browser())
        .at("/docs/", page.browser())
        .nest("/", api)
        .data(app.clone())
        .around(answer)
}

/// Turns whatever an endpoint does, panics included, into an answer that clients know.
async fn answer<E: Endpoint>(endpoint: Arc<E>, request: Request) -> poem::Result<Response> {
    let started = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let result = AssertUnwindSafe(endpoint.call(request))
        .catch_unwind()
        .await;
    let mut response = match result {
        Ok(Ok(response)) => response.into_response(),
        Ok(Err(error)) => refuse(error),
        Err(_) => {
            error!(%method, path, "a handler panicked: {method} {path}");
            ApiError::Internal.into_response()
        }
    };
    let status = response.status().as_u16();
    let headers = response.headers_mut();
    if status == 405 {
        headers.insert(header::ALLOW, HeaderValue::from_static(allowed(&path)));
    }
    // As the reference has it; JSON knows no other charset anyway.
    if headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value == docs::JSON_OF_POEM)
    {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(docs::JSON));
    }
    let duration_ms = started.elapsed().as_secs_f64() * 1e3;
    debug!(%method, path, status, duration_ms, "{method} {path} {status}");
    if method == Method::HEAD {
        response.set_body(());
    }
    Ok(response)
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

/// What may be done with a path that exists.
fn allowed(path: &str) -> &'static str {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    match segments[..] {
        ["api", "images"] => "GET, HEAD, POST",
        ["api", "images", _] => "DELETE, GET, HEAD",
        _ => "GET, HEAD",
    }
}

#[cfg(test)]
mod tests {
    use poem::endpoint::make_sync;

    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_handler_is_an_answer() {
        let broken = make_sync(|_| -> Response { panic!("out of paper") }).around(answer);
        let response = broken.call(Request::default()).await;
        let response = response.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["x-error-code"], "internal");
    }
}
