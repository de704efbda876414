//! The OpenAPI document and its page in the browser, both made of what is in the binary.

use bytes::Bytes;
use poem::endpoint::make_sync;
use poem::{Endpoint, Response};
use poem_openapi::{OpenApi, OpenApiService};

/// The media type of all our JSON.
pub(super) const JSON: &str = "application/json";
/// How poem writes it.
pub(super) const JSON_OF_POEM: &str = "application/json; charset=utf-8";

/// Makes the browser itself refuse anything that does not come from this server: the page promises to work with no
/// internet.
const ONLY_FROM_HERE: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                              img-src 'self' data: blob:; font-src data:; connect-src 'self'";

pub(super) struct Page {
    document: Bytes,
    browser: Bytes,
}

impl Page {
    pub(super) fn new<T: OpenApi>(api: &OpenApiService<T, ()>) -> Self {
        let plain = |text: String| Bytes::from(text.replace(JSON_OF_POEM, JSON));
        Self {
            document: plain(api.spec()),
            browser: plain(api.swagger_ui_html()),
        }
    }

    /// The document.
    pub(super) fn document(&self) -> impl Endpoint + 'static {
        let document = self.document.clone();
        make_sync(move |_| {
            Response::builder()
                .content_type(JSON)
                .body(document.clone())
        })
    }

    /// Swagger UI with the document inside.
    pub(super) fn browser(&self) -> impl Endpoint + 'static {
        let browser = self.browser.clone();
        make_sync(move |_| {
            Response::builder()
                .content_type("text/html; charset=utf-8")
                .header("Content-Security-Policy", ONLY_FROM_HERE)
                .body(browser.clone())
        })
    }
}
