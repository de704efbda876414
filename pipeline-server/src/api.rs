//! The REST interface: which paths there are, and what every answer has in common.

mod again;
mod around;
mod base_url;
mod captions;
mod docs;
mod error;
mod events;
mod exif;
mod filter;
mod form;
mod images;
mod json;
mod listing;
mod page;
mod ready;
mod refused;
mod route;
mod sender;
mod service;
mod similar;
mod stages;
mod thumbnails;
mod types;
mod wait;
mod webhook;

use poem::endpoint::make;
use poem::{Endpoint, EndpointExt, IntoEndpoint, IntoResponse, Request, Response, get};
use poem_openapi::{OpenApiService, Tags};

use crate::App;

pub(crate) use base_url::BaseUrl;
pub(crate) use captions::caption_info;
pub(crate) use error::ApiError;
pub(crate) use form::MultipartForm;
pub(crate) use route::Route;
pub(crate) use types::ImageMetadata;
pub(crate) use webhook::webhook_body;

/// The headings of the OpenAPI document.
#[derive(Tags)]
enum Tag {
    /// Upload pictures and read what was found out about them.
    Images,
    /// The state of the service.
    Service,
}

type Api = (
    images::Images,
    captions::Captions,
    again::Again,
    similar::Similar,
    thumbnails::Thumbnails,
    events::Feeds,
    service::Service,
);

fn openapi(app: &App) -> OpenApiService<Api, ()> {
    let api = (
        images::Images::new(app),
        captions::Captions::new(app),
        again::Again::new(app),
        similar::Similar::new(app),
        thumbnails::Thumbnails::new(app),
        events::Feeds::new(app),
        service::Service::new(app),
    );
    OpenApiService::new(api, "Image pipeline", env!("CARGO_PKG_VERSION")).description(
        "Upload a picture; read back its metadata, two thumbnails and a caption. Every refusal has the body \
         `{\"detail\": …}` and a stable code in the header `X-Error-Code`.",
    )
}

/// The document, for [`App::openapi`].
pub(crate) fn document(app: &App) -> String {
    docs::Page::new(&openapi(app), app.door().has_keys()).text()
}

/// All paths, for [`App::endpoint`].
pub(crate) fn endpoint(app: &App) -> impl Endpoint<Output = Response> + 'static {
    let api = openapi(app);
    let docs = docs::Page::new(&api, app.door().has_keys());
    let routes = poem::Route::new()
        .at("/openapi.json", docs.document())
        .at("/docs", docs.browser())
        .at("/docs/", docs.browser())
        .at("/web/:file", get(page::files()))
        .at("/metrics", scrape(app))
        .nest("/", page::before(api.into_endpoint()))
        .data(app.clone());
    let app = app.clone();
    routes.around(move |routes, request: Request| around::around(app.clone(), routes, request))
}

/// The metrics in the text form of Prometheus.
fn scrape(app: &App) -> impl Endpoint<Output = Response> + 'static {
    let app = app.clone();
    make(move |_| {
        let app = app.clone();
        async move {
            let text = app.blocking(|app| Ok(app.rendered_metrics()?)).await;
            match text {
                Ok(text) => Response::builder()
                    .content_type("text/plain; version=0.0.4; charset=utf-8")
                    .body(text),
                Err(refusal) => refusal.into_response(),
            }
        }
    })
}
