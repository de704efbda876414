//! The OpenAPI document and its page in the browser, both made of what is in the binary.

use bytes::Bytes;
use poem::endpoint::make_sync;
use poem::{Endpoint, Response};
use poem_openapi::{OpenApi, OpenApiService};
use serde_json::{Value, json};

use super::Route;

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
    /// `has_keys` says whether requests need a key, which the document has to tell then.
    pub(super) fn new<T: OpenApi>(api: &OpenApiService<T, ()>, has_keys: bool) -> Self {
        let plain = |text: String| Bytes::from(text.replace(JSON_OF_POEM, JSON));
        let document = api.spec();
        let browser = api.swagger_ui_html();
        if !has_keys {
            return Self {
                document: plain(document),
                browser: plain(browser),
            };
        }
        let with_keys = with_keys(&document);
        Self {
            browser: plain(browser.replace(&document, &with_keys)),
            document: plain(with_keys),
        }
    }

    /// The text of the document.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.document).into_owned()
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

/// The document with both ways of sending a key, for all operations but those that are open.
fn with_keys(document: &str) -> String {
    let mut document: Value = serde_json::from_str(document).expect("it was written as JSON");
    document["components"]["securitySchemes"] = json!({
        "ApiKey": { "type": "apiKey", "in": "header", "name": "X-API-Key" },
        "Bearer": { "type": "http", "scheme": "bearer" },
    });
    document["security"] = json!([{ "ApiKey": [] }, { "Bearer": [] }]);
    let paths = document["paths"].as_object_mut();
    for (path, operations) in paths.into_iter().flatten() {
        if Route::of(path).is_open {
            operations["get"]["security"] = json!([]);
        }
    }
    format!("{document:#}")
}
