//! Thumbnails, with conditions and ranges. A thumbnail never changes, so clients may keep it for ever.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path as FilePath;
use std::time::SystemTime;

use pipeline_store::ImageState;
use poem::http::{HeaderMap, HeaderValue, StatusCode, header};
use poem::web::headers::{ETag, HeaderMapExt, IfModifiedSince, IfNoneMatch, IfRange, LastModified};
use poem::{IntoResponse, Response};
use poem_openapi::param::{Path, Query};
use poem_openapi::registry::{
    MetaHeader, MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, OpenApi};

use super::images::parse_id;
use super::refused::{Refusals, Refused};
use super::{ApiError, Tag};
use crate::App;
use crate::pictures::THUMBNAILS;

#[derive(Debug, Clone)]
pub(super) struct Thumbnails {
    app: App,
}

impl Thumbnails {
    pub(super) fn new(app: &App) -> Self {
        Self { app: app.clone() }
    }
}

#[OpenApi(prefix_path = "/api/images", tag = "Tag::Images")]
impl Thumbnails {
    /// Read a thumbnail
    #[oai(
        path = "/:image_id/thumbnails/:size",
        method = "get",
        operation_id = "read_thumbnail"
    )]
    async fn read(
        &self,
        headers: &HeaderMap,
        /// The picture's id.
        image_id: Path<String>,
        /// `small` fits into 256 × 256 pixels, `medium` into 512 × 512.
        size: Path<String>,
        /// `true` also shows thumbnails of a picture that is still in work.
        early: Query<Option<String>>,
    ) -> Result<Reply, Refused<Thumbnail>> {
        // The order of the checks is part of the contract: size, id, status, file.
        if !THUMBNAILS.iter().any(|(name, ..)| *name == *size) {
            return Err(ApiError::UnknownSize.into());
        }
        let id = parse_id(&image_id)?;
        let early = early.0.as_deref() == Some("true");
        let stored = self.app.blocking(move |app| {
            let image = app.store().image(id)?.ok_or(ApiError::ImageNotFound)?;
            let is_ready = match image.state {
                ImageState::Success { .. } => true,
                ImageState::Processing => {
                    early
                        && image
                            .partial
                            .is_some_and(|found| !found.thumbnails.is_empty())
                }
                ImageState::Failed { .. } => false,
            };
            if !is_ready {
                return Err(ApiError::NotReady);
            }
            let path = app.store().thumbnail(id, &size)?;
            Stored::read(&path.ok_or(ApiError::ThumbnailNotFound)?)
        });
        // With keys, a cache between us and the client must not show to others what one may see.
        let cached_by = match self.app.door().has_keys() {
            true => "private, max-age=31536000, immutable",
            false => "public, max-age=31536000, immutable",
        };
        Ok(stored.await?.reply(headers, cached_by)?)
    }
}

/// A thumbnail's file.
struct Stored {
    jpeg: Vec<u8>,
    modified: SystemTime,
}

impl Stored {
    fn read(path: &FilePath) -> Result<Self, ApiError> {
        let read = || {
            let mut file = File::open(path)?;
            let modified = file.metadata()?.modified()?;
            let mut jpeg = Vec::new();
            file.read_to_end(&mut jpeg)?;
            Ok(Self { jpeg, modified })
        };
        read().map_err(|source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => ApiError::ThumbnailNotFound,
            _ => ApiError::from(pipeline_store::Error::Io {
                op: "read a thumbnail",
                path: path.to_owned(),
                source,
            }),
        })
    }

    /// The file never changes, so its length and time tell it from any other that had its name.
    fn etag(&self) -> String {
        let time = self
            .modified
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        format!("\"{:x}-{:x}\"", self.jpeg.len(), time.as_nanos())
    }

    fn reply(self, conditions: &HeaderMap, cached_by: &'static str) -> Result<Reply, ApiError> {
        let etag_text = self.etag();
        let etag: Option<ETag> = etag_text.parse().ok();
        let modified = LastModified::from(self.modified);
        let mut response = Response::builder()
            .header(header::ETAG, etag_text)
            .header(header::CACHE_CONTROL, cached_by)
            .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
            .header(header::ACCEPT_RANGES, "bytes")
            .typed_header(modified)
            .finish();
        if self.is_known(conditions, etag.as_ref()) {
            response.set_status(StatusCode::NOT_MODIFIED);
            return Ok(Reply(response));
        }
        let size = self.jpeg.len();
        let same = conditions
            .typed_get::<IfRange>()
            .is_none_or(|known| !known.is_modified(etag.as_ref(), Some(&modified)));
        let range = conditions
            .get(header::RANGE)
            .filter(|_| same)
            .and_then(|range| requested(range, size));
        let body = match range.transpose()? {
            None => self.jpeg,
            Some(range) => {
                let shown = format!("bytes {}-{}/{size}", range.start, range.end - 1);
                let shown =
                    HeaderValue::try_from(shown).map_err(|error| ApiError::internal(&error))?;
                response.headers_mut().insert(header::CONTENT_RANGE, shown);
                response.set_status(StatusCode::PARTIAL_CONTENT);
                self.jpeg[range].to_vec()
            }
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
        headers.insert(header::CONTENT_LENGTH, body.len().into());
        response.set_body(body);
        Ok(Reply(response))
    }

    /// Whether the client has the thumbnail already.
    fn is_known(&self, conditions: &HeaderMap, etag: Option<&ETag>) -> bool {
        match (conditions.typed_get::<IfNoneMatch>(), etag) {
            (Some(known), Some(etag)) => !known.precondition_passes(etag),
            _ => conditions
                .typed_get::<IfModifiedSince>()
                .is_some_and(|since| !since.is_modified(self.modified)),
        }
    }
}

/// The one range that is asked for. Several at once, or what is no range of bytes, get the whole thumbnail, as HTTP
/// allows; a range that begins behind the end is an error.
fn requested(range: &HeaderValue, size: usize) -> Option<Result<Range<usize>, ApiError>> {
    let (first, last) = range
        .to_str()
        .ok()?
        .strip_prefix("bytes=")?
        .trim()
        .split_once('-')?;
    let number = |text: &str| match text {
        // Digits only: `usize` would take a sign, and a list of ranges has commas.
        _ if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse::<usize>().ok(),
        _ => None,
    };
    let range = match (first, last) {
        ("", suffix) => size.saturating_sub(number(suffix)?)..size,
        (first, "") => number(first)?..size,
        (first, last) => number(first)?..number(last)?.saturating_add(1).min(size),
    };
    let backwards = !first.is_empty() && !last.is_empty() && number(last)? < number(first)?;
    if backwards {
        return None;
    }
    Some(match range.is_empty() {
        true => Err(ApiError::BadRange {
            size_bytes: size as u64,
        }),
        false => Ok(range),
    })
}

/// A thumbnail, a part of one, or word that the client's copy is good.
struct Reply(Response);

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        self.0
    }
}

impl ApiResponse for Reply {
    fn meta() -> MetaResponses {
        let jpeg = || MetaMediaType {
            content_type: "image/jpeg",
            schema: MetaSchemaRef::Inline(Box::new(MetaSchema {
                format: Some("binary"),
                ..MetaSchema::new("string")
            })),
        };
        let header = |name: &&str| MetaHeader {
            name: (*name).to_owned(),
            description: None,
            required: true,
            deprecated: false,
            schema: String::schema_ref(),
        };
        let always = ["ETag", "Last-Modified", "Cache-Control", "Accept-Ranges"];
        let response = |status, description, content| MetaResponse {
            description,
            status: Some(status),
            status_range: None,
            content,
            headers: always.iter().map(header).collect(),
        };
        MetaResponses {
            responses: vec![
                response(200, "The thumbnail.", vec![jpeg()]),
                response(206, "The part of it that `Range` asks for.", vec![jpeg()]),
                response(
                    304,
                    "`If-None-Match` names the thumbnail as it is.",
                    Vec::new(),
                ),
            ],
        }
    }

    fn register(_registry: &mut Registry) {}
}

#[derive(Debug)]
struct Thumbnail;

impl Refusals for Thumbnail {
    const ALL: &'static [ApiError] = &[
        ApiError::UnknownSize,
        ApiError::ImageNotFound,
        ApiError::NotReady,
        ApiError::BadRange { size_bytes: 0 },
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Option<Option<Range<usize>>> {
        let value = HeaderValue::from_str(text).unwrap();
        requested(&value, 100).map(Result::ok)
    }

    #[test]
    fn ranges_are_clamped_to_the_thumbnail() {
        assert_eq!(range("bytes=0-9"), Some(Some(0..10)));
        assert_eq!(range("bytes=90-"), Some(Some(90..100)));
        assert_eq!(range("bytes=90-200"), Some(Some(90..100)));
        assert_eq!(range("bytes=-10"), Some(Some(90..100)));
        assert_eq!(range("bytes=-200"), Some(Some(0..100)));
    }

    #[test]
    fn a_range_behind_the_end_is_an_error() {
        assert_eq!(range("bytes=100-"), Some(None));
        assert_eq!(range("bytes=200-300"), Some(None));
        assert_eq!(range("bytes=-0"), Some(None));
    }

    #[test]
    fn what_is_no_single_range_is_ignored() {
        for text in [
            "",
            "bytes",
            "items=0-1",
            "bytes=0-1,5-6",
            "bytes=9-1",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=-",
        ] {
            assert_eq!(range(text), None, "{text}");
        }
    }
}
