//! Receives a picture: reads the multipart body piece by piece, and says what is wrong with it in the words that clients
//! depend on.
//!
//! poem's own multipart types are not used: they write a part of any size to disk before we see its type.

mod body;
mod params;
mod spool;

use std::time::Duration;

use futures_util::StreamExt;
use multer::{Constraints, Field, Multipart, SizeLimit};
use pipeline_store::ImageId;
use poem::http::header;
use tokio::time::timeout;
use tracing::debug;

use crate::App;
use crate::api::{ApiError, MultipartForm};
use body::BodyStream;
use params::Params;
use spool::Spool;

/// Room in a body for everything that is not the picture: boundaries, headers, other fields.
const OVERHEAD: u64 = 64 << 10;
/// How much of a text field is shown in the answer that refuses it.
const SHOWN_TEXT: usize = 256;
/// How long a client may send nothing before the upload is given up.
const STALL: Duration = Duration::from_secs(30);

/// Receives one picture and puts it in the queue.
///
/// # Errors
/// Those of the upload rules; nothing is left behind then.
pub(crate) async fn receive(app: &App, form: MultipartForm) -> Result<ImageId, ApiError> {
    let MultipartForm {
        content_type,
        content_length,
        waits_for_go_ahead,
        body,
    } = form;
    let mut body = BodyStream::new(body);
    let result = receive_body(app, &content_type, content_length, &mut body).await;
    // A client that still waits to be told to go on has sent nothing that could be in the way of the answer.
    if !(waits_for_go_ahead && body.is_untouched()) {
        body.discard();
    }
    result
}

async fn receive_body(
    app: &App,
    content_type: &[u8],
    content_length: Option<u64>,
    body: &mut BodyStream,
) -> Result<ImageId, ApiError> {
    let max_bytes = app.config().max_upload_bytes;
    let too_large = ApiError::TooLarge { max_bytes };
    if content_length.is_some_and(|length| length > max_bytes.saturating_add(OVERHEAD)) {
        return Err(too_large);
    }
    let content_type = Params::parse(content_type);
    if content_type.value != "multipart/form-data" {
        return Err(ApiError::MissingFile);
    }
    let boundary = match content_type.get("boundary") {
        Some(boundary) if !boundary.is_empty() => boundary,
        _ => return Err(ApiError::MissingBoundary),
    };
    let place = app
        .blocking(|app| Ok(app.admission().enter(app.store())?))
        .await?
        .ok_or(ApiError::QueueFull)?;
    let last = match last_file(app, boundary, body, max_bytes).await {
        // The reference finds no fields in an empty body, rather than a broken one.
        Err(ApiError::Malformed) if body.is_empty() => return Err(ApiError::MissingFile),
        last => last?,
    };
    // A connection that breaks off behind the last boundary has broken off, too.
    read_epilogue(body, max_bytes).await?;
    let last = last.ok_or(ApiError::MissingFile)?;
    let (picture, name) = last.check(app.config().strict_uploads)?;
    picture.accept(name, place).await
}

/// What a part named `file` turned out to be.
enum FilePart {
    Picture { spool: Spool, name: String },
    WrongType,
    Text(String),
}

impl FilePart {
    fn check(self, strict: bool) -> Result<(Spool, String), ApiError> {
        match self {
            Self::Text(input) => Err(ApiError::NotAFile { input }),
            Self::WrongType => Err(ApiError::WrongType),
            Self::Picture { spool, .. } if spool.is_empty() => Err(ApiError::EmptyUpload),
            Self::Picture { spool, .. } if strict && spool.format().is_none() => {
                Err(ApiError::NotAPicture)
            }
            Self::Picture { spool, name } => Ok((spool, name)),
        }
    }
}

/// Reads all parts; the last one named `file` counts.
async fn last_file(
    app: &App,
    boundary: &str,
    body: &mut BodyStream,
    max_bytes: u64,
) -> Result<Option<FilePart>, ApiError> {
    let limits = SizeLimit::new()
        .whole_stream(max_bytes.saturating_add(OVERHEAD))
        .per_field(max_bytes);
    let constraints = Constraints::new().size_limit(limits);
    let mut parts = Multipart::with_constraints(body, boundary, constraints);
    let refused = |error| refused(error, max_bytes);
    let mut last = None;
    while let Some(mut part) = in_time(parts.next_field()).await?.map_err(refused)? {
        let disposition = part.headers().get(header::CONTENT_DISPOSITION);
        let disposition = Params::parse(disposition.map_or(b"", |value| value.as_bytes()));
        let mut target = match (disposition.get("name"), disposition.get("filename")) {
            (None, _) => return Err(ApiError::Malformed),
            (Some("file"), Some(name)) if is_picture(&part) => Some(FilePart::Picture {
                spool: Spool::new(app),
                name: name.to_owned(),
            }),
            (Some("file"), Some(_)) => Some(FilePart::WrongType),
            (Some("file"), None) => Some(FilePart::Text(String::new())),
            (Some(_), _) => None,
        };
        while let Some(bytes) = in_time(part.chunk()).await?.map_err(refused)? {
            match &mut target {
                Some(FilePart::Picture { spool, .. }) => spool.write(&bytes).await?,
                Some(FilePart::Text(text)) if text.len() < SHOWN_TEXT => {
                    let shown = &bytes[..bytes.len().min(SHOWN_TEXT)];
                    text.push_str(&String::from_utf8_lossy(shown));
                }
                _ => {}
            }
        }
        last = target.or(last);
    }
    Ok(last)
}

/// Reads up to the end of the body, behind the last boundary.
async fn read_epilogue(body: &mut BodyStream, max_bytes: u64) -> Result<(), ApiError> {
    while let Some(bytes) = in_time(body.next()).await? {
        bytes.map_err(|_| ApiError::Malformed)?;
        if body.bytes_read() > max_bytes.saturating_add(OVERHEAD) {
            return Err(ApiError::TooLarge { max_bytes });
        }
    }
    Ok(())
}

/// Only these two, letter for letter: clients know them as the condition, and the file's extension plays no part.
fn is_picture(part: &Field<'_>) -> bool {
    let content_type = part.headers().get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value == "image/jpeg" || value == "image/png")
}

async fn in_time<T>(read: impl Future<Output = T>) -> Result<T, ApiError> {
    timeout(STALL, read).await.map_err(|_| ApiError::Stalled)
}

fn refused(error: multer::Error, max_bytes: u64) -> ApiError {
    match error {
        multer::Error::StreamSizeExceeded { .. } | multer::Error::FieldSizeExceeded { .. } => {
            ApiError::TooLarge { max_bytes }
        }
        error => {
            debug!("cannot read a multipart body: {error}");
            ApiError::Malformed
        }
    }
}
