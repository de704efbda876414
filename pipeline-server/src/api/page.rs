//! The web page: files that are part of the binary. Browsers get it at `/`, where programs get JSON.

use poem::endpoint::make_sync;
use poem::error::NotFoundError;
use poem::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use poem::web::headers::{ETag, HeaderMapExt, IfNoneMatch};
use poem::{Endpoint, EndpointExt, IntoResponse, Request, Response};
use sha2::{Digest, Sha256};

/// Makes the browser itself refuse anything that does not come from this server, and any script or style that is not in a
/// file of ours: the page shows names and captions that others wrote.
const ONLY_OURS: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
                         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! files {
    ($($name:literal $media_type:ident),* $(,)?) => {
        &[$(($name, $media_type, include_bytes!(concat!("../../web/", $name)))),*]
    };
}

/// Name, media type and bytes of each file below `/web/`.
const FILES: &[(&str, &str, &[u8])] = files![
    "style.css" CSS,
    "icon.svg" SVG,
    "app.js" SCRIPT,
    "api.js" SCRIPT,
    "chart.js" SCRIPT,
    "detail.js" SCRIPT,
    "feed.js" SCRIPT,
    "grid.js" SCRIPT,
    "list.js" SCRIPT,
    "queue.js" SCRIPT,
    "statistics.js" SCRIPT,
    "thumbhash.js" SCRIPT,
    "tile.js" SCRIPT,
    "uploads.js" SCRIPT,
    "words.js" SCRIPT,
];

const INDEX: &[u8] = include_bytes!("../../web/index.html");

/// The files that the page is made of.
pub(super) fn files() -> impl Endpoint<Output = Response> + 'static {
    let files: Vec<_> = FILES
        .iter()
        .map(|&(name, media_type, bytes)| (name, File::new(media_type, bytes)))
        .collect();
    make_sync(move |request| -> poem::Result<Response> {
        let name: String = request.path_params()?;
        match files.iter().find(|(known, _)| *known == name) {
            Some((_, file)) => Ok(file.reply(request.headers())),
            None => Err(NotFoundError.into()),
        }
    })
}

/// `api` with the page in front: at `/`, for requests that want HTML rather than JSON.
pub(super) fn before(api: impl Endpoint + 'static) -> impl Endpoint<Output = Response> + 'static {
    let index = File::new(HTML, INDEX);
    api.around(move |api, request: Request| {
        let index = index.clone();
        async move {
            if request.uri().path() != "/" || !is_read(request.method()) {
                return Ok(api.call(request).await?.into_response());
            }
            let mut response = match prefers_html(request.headers()) {
                // The page names its files by relative paths, so that it can be mounted anywhere.
                true => match request.original_uri().path().ends_with('/') {
                    true => index.reply(request.headers()),
                    false => with_slash(&request),
                },
                false => api.call(request).await?.into_response(),
            };
            let headers = response.headers_mut();
            headers.append(header::VARY, HeaderValue::from_static("Accept"));
            Ok(response)
        }
    })
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn with_slash(request: &Request) -> Response {
    let path = request.original_uri().path();
    // Only the last part, so that no path of the other side of a proxy is needed.
    let last = path.rsplit('/').next().unwrap_or_default();
    Response::builder()
        .status(StatusCode::TEMPORARY_REDIRECT)
        .header(header::LOCATION, format!("{last}/"))
        .finish()
}

/// A file of the page.
#[derive(Clone)]
struct File {
    media_type: &'static str,
    bytes: &'static [u8],
    etag: String,
}

impl File {
    fn new(media_type: &'static str, bytes: &'static [u8]) -> Self {
        let digest = Sha256::digest(bytes);
        let etag: String = digest[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            media_type,
            bytes,
            etag: format!("\"{etag}\""),
        }
    }

    fn reply(&self, conditions: &HeaderMap) -> Response {
        let etag: Option<ETag> = self.etag.parse().ok();
        let known = conditions.typed_get::<IfNoneMatch>();
        let is_known = known
            .zip(etag)
            .is_some_and(|(known, etag)| !known.precondition_passes(&etag));
        let response = Response::builder()
            .header(header::ETAG, &self.etag)
            // To be asked for every time: the next release has other files under the same names.
            .header(header::CACHE_CONTROL, "no-cache")
            .header("Content-Security-Policy", ONLY_OURS)
            .header("Referrer-Policy", "no-referrer");
        match is_known {
            true => response.status(StatusCode::NOT_MODIFIED).finish(),
            false => response.content_type(self.media_type).body(self.bytes),
        }
    }
}

/// Whether the client would rather have HTML than JSON. One that takes anything gets JSON, as ever.
fn prefers_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT);
    let accepted = accepted.iter().filter_map(|value| value.to_str().ok());
    let (mut html, mut json) = (Wish::default(), Wish::default());
    for range in accepted.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
        let quality: f32 = quality.unwrap_or(1.0);
        html.consider(&name, quality, "text/html", "text/*");
        json.consider(&name, quality, "application/json", "application/*");
    }
    html.is_over(&json)
}

/// How much a media type is wanted, by the range that names it best.
#[derive(Default)]
struct Wish {
    exactness: u8,
    quality: f32,
}

impl Wish {
    fn consider(&mut self, range: &str, quality: f32, exact: &str, family: &str) {
        let exactness = match range {
            range if range == exact => 3,
            range if range == family => 2,
            "*/*" => 1,
            _ => 0,
        };
        if exactness > self.exactness {
            *self = Self { exactness, quality };
        }
    }

    /// Among equals, what was named counts more than what is merely not excluded.
    fn is_over(&self, other: &Self) -> bool {
        let (this, other) = (
            (self.quality, self.exactness),
            (other.quality, other.exactness),
        );
        self.quality > 0.0 && this > other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefers(accept: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        prefers_html(&headers)
    }

    #[test]
    fn browsers_want_the_page_and_programs_do_not() {
        let firefox = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for html in [
            firefox,
            "text/html",
            "text/html, */*",
            "TEXT/HTML;q=0.5, application/json;q=0.4",
        ] {
            assert!(prefers(html), "{html}");
        }
        for json in [
            "*/*",
            "application/json",
            "application/json, text/plain, */*",
            "text/html, application/json",
            "application/*, text/html;q=0.9",
            "text/html;q=0",
            "",
            "nonsense",
        ] {
            assert!(!prefers(json), "{json}");
        }
        assert!(!prefers_html(&HeaderMap::new()));
    }

    #[test]
    fn every_file_that_the_page_names_is_there() {
        let texts = FILES.iter().map(|(_, _, bytes)| *bytes).chain([INDEX]);
        for text in texts.map(|bytes| std::str::from_utf8(bytes).unwrap()) {
            let named = text.split('"').filter_map(|part| {
                let name = part.strip_prefix("./").or(part.strip_prefix("web/"))?;
                name.contains('.').then_some(name)
            });
            for name in named {
                assert!(FILES.iter().any(|(known, ..)| *known == name), "{name}");
            }
        }
    }
}
