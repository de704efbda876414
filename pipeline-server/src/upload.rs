//! Receives a picture: reads the multipart body piece by piece, and says what is wrong with it in the words that clients
//! depend on.
//!
//! poem's own multipart types are not used: they write a part of any size to disk before we see its type.

mod body;
mod params;
mod spool;

use futures_util::StreamExt;
use multer::{Constraints, Field, Multipart, SizeLimit};
use pipeline_store::ImageId;
use poem::Body;
use poem::http::header;
use tracing::debug;

use crate::App;
use crate::admission::Place;
use crate::api::{ApiError, MultipartForm};
use body::BodyStream;
pub(crate) use body::{DRAIN_TIME, discard};
use params::Params;
use spool::Spool;

/// How much of a text field is shown in the answer that refuses it.
const SHOWN_TEXT: usize = 256;
/// The longest text field, in bytes, as in the reference.
const MAX_TEXT: usize = 1 << 20;
/// The most files, and the most text fields, of one upload, as in the reference.
const MAX_PARTS: u32 = 1_000;

/// Receives one picture and puts it in the queue. With a `key` that came before, it is the picture that came with it.
///
/// # Errors
/// Those of the upload rules; nothing is left behind then.
pub(crate) async fn receive(
    app: &App,
    form: MultipartForm,
    key: Option<String>,
) -> Result<ImageId, ApiError> {
    let MultipartForm {
        content_type,
        content_length,
        waits_for_go_ahead,
        body,
    } = form;
    let config = app.config();
    let mut body = BodyStream::new(body, &config.clients, config.max_upload_bytes);
    let result = receive_body(app, &content_type, content_length, key, &mut body).await;
    // Whatever the parser made of it, a body that was cut off was cut off for this reason.
    let result = match body.refusal() {
        Some(refusal) => Err(refusal.clone()),
        None => result,
    };
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
    key: Option<String>,
    body: &mut BodyStream,
) -> Result<ImageId, ApiError> {
    let max_bytes = app.config().max_upload_bytes;
    if content_length.is_some_and(|length| body.is_too_large(length)) {
        return Err(ApiError::TooLarge { max_bytes });
    }
    let content_type = Params::parse(content_type);
    if content_type.value != "multipart/form-data" {
        return Err(ApiError::MissingFile);
    }
    let boundary = match content_type.get("boundary") {
        Some(boundary) if !boundary.is_empty() => boundary,
        _ => return Err(ApiError::MissingBoundary),
    };
    let mut place = match app.admission().enter() {
        Some(place) => place,
        None => app
            .blocking(|app| Ok(app.admission().count_and_enter(app.store())?))
            .await?
            .ok_or(ApiError::QueueFull)?,
    };
    let last = match last_file(app, boundary, body, &mut place).await {
        // The reference finds no fields in an empty body, rather than a broken one.
        Err(ApiError::Malformed) if body.is_empty() => return Err(ApiError::MissingFile),
        last => last?,
    };
    // A connection that breaks off behind the last boundary has broken off, too.
    while let Some(epilogue) = body.next().await {
        epilogue.map_err(|_| ApiError::Malformed)?;
        body.held().understood();
    }
    if let Some(refusal) = body.refusal() {
        return Err(refusal.clone());
    }
    let last = last.ok_or(ApiError::MissingFile)?;
    let (picture, name) = last.check(app.config().strict_uploads)?;
    picture.accept(name, key, place).await
}

/// Receives a body that is no picture, of at most `max` bytes, within the pace that pictures have to keep.
///
/// # Errors
/// [`ApiError::TooLarge`], [`ApiError::Stalled`]; [`ApiError::Malformed`] if it breaks off.
pub(crate) async fn receive_small(app: &App, body: Body, max: usize) -> Result<Vec<u8>, ApiError> {
    let max_bytes = max as u64;
    let mut body = BodyStream::new(body, &app.config().clients, max_bytes);
    let held = body.held();
    let mut received = Vec::new();
    while let Some(piece) = body.next().await {
        let Ok(piece) = piece else { break };
        held.handed_on(piece.len());
        received.extend_from_slice(&piece);
        if received.len() > max {
            body.discard();
            return Err(ApiError::TooLarge { max_bytes });
        }
    }
    match body.refusal() {
        Some(refusal) => Err(refusal.clone()),
        None => Ok(received),
    }
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
    place: &mut Place,
) -> Result<Option<FilePart>, ApiError> {
    let max_bytes = app.config().max_upload_bytes;
    let held = body.held();
    let constraints = Constraints::new().size_limit(SizeLimit::new().per_field(max_bytes));
    let mut parts = Multipart::with_constraints(body, boundary, constraints);
    let refused = |error| refused(error, max_bytes);
    let (mut files, mut texts) = (0, 0);
    let mut last = None;
    while let Some(mut part) = parts.next_field().await.map_err(refused)? {
        held.understood();
        let disposition = part.headers().get(header::CONTENT_DISPOSITION);
        let disposition = Params::parse(disposition.map_or(b"", |value| value.as_bytes()));
        let (name, filename) = (disposition.get("name"), disposition.get("filename"));
        let count = match filename {
            Some(_) => &mut files,
            None => &mut texts,
        };
        *count += 1;
        if *count > MAX_PARTS {
            return Err(match filename {
                Some(_) => ApiError::TooManyFiles { max: MAX_PARTS },
                None => ApiError::TooManyTexts { max: MAX_PARTS },
            });
        }
        let mut target = match (name, filename) {
            (None, _) => return Err(ApiError::Malformed),
            (Some("file"), Some(name)) if is_picture(&part) => Some(FilePart::Picture {
                spool: Spool::new(app),
                name: name.to_owned(),
            }),
            (Some("file"), Some(_)) => Some(FilePart::WrongType),
            (Some("file"), None) => Some(FilePart::Text(String::new())),
            (Some(_), _) => None,
        };
        let is_text = filename.is_none();
        let mut length = 0;
        while let Some(bytes) = part.chunk().await.map_err(refused)? {
            held.handed_on(bytes.len());
            length += bytes.len();
            if is_text && length > MAX_TEXT {
                return Err(ApiError::TextTooLong { max: MAX_TEXT });
            }
            match &mut target {
                Some(FilePart::Picture { spool, .. }) => {
                    if !place.grow(bytes.len()) {
                        return Err(ApiError::TooManyUploads);
                    }
                    spool.write(&bytes).await?;
                }
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

/// Only these two, letter for letter: clients know them as the condition, and the file's extension plays no part.
fn is_picture(part: &Field<'_>) -> bool {
    let content_type = part.headers().get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value == "image/jpeg" || value == "image/png")
}

fn refused(error: multer::Error, max_bytes: u64) -> ApiError {
    match error {
        multer::Error::FieldSizeExceeded { .. } => ApiError::TooLarge { max_bytes },
        error => {
            debug!("cannot read a multipart body: {error}");
            ApiError::Malformed
        }
    }
}
