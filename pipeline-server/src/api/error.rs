//! Every refusal of the REST interface: status, stable code, and the words that clients depend on, in one table.
//!
//! The body is always `{"detail": …}`; the code travels in the header `X-Error-Code`, where it is in nobody's way.

use pipeline_core::report;
use poem::http::{HeaderName, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::Object;
use poem_openapi::payload::Json;
use serde_json::Value;
use tracing::error;

const ERROR_CODE: HeaderName = HeaderName::from_static("x-error-code");

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ApiError {
    NotFound,
    MethodNotAllowed,
    ImageNotFound,
    UnknownSize,
    NotReady,
    ThumbnailNotFound,
    BadRange { size_bytes: u64 },
    WrongType,
    EmptyUpload,
    NotAPicture,
    MissingBoundary,
    Malformed,
    MissingFile,
    NotAFile { input: String },
    TooManyFiles { max: u32 },
    TooManyTexts { max: u32 },
    TextTooLong { max: usize },
    TooLarge { max_bytes: u64 },
    Stalled,
    QueueFull,
    TooManyUploads,
    NoKey,
    BadKey,
    ReadOnlyKey,
    TooManyRequests { seconds: u32 },
    BadLimit { input: String },
    BadCursor { input: String },
    BadFilter { name: &'static str, input: String },
    BadBody { field: &'static str, why: String },
    InWork,
    BadKeyText,
    KeyReused,
    BadWait { input: String },
    TooManyStreams,
    StorageBusy,
    StorageFull,
    StorageUnavailable,
    Internal,
}

impl ApiError {
    /// A fault that is not the client's. It is logged here, once, since the answer says nothing about it.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        error!("a request failed: {}", report(error));
        Self::Internal
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::UnknownSize
            | Self::WrongType
            | Self::EmptyUpload
            | Self::NotAPicture
            | Self::MissingBoundary
            | Self::TooManyFiles { .. }
            | Self::TooManyTexts { .. }
            | Self::TextTooLong { .. }
            | Self::Malformed => StatusCode::BAD_REQUEST,
            Self::NotFound | Self::ImageNotFound | Self::ThumbnailNotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Stalled => StatusCode::REQUEST_TIMEOUT,
            Self::NotReady | Self::InWork => StatusCode::CONFLICT,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BadRange { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::MissingFile
            | Self::NotAFile { .. }
            | Self::BadLimit { .. }
            | Self::BadCursor { .. }
            | Self::BadFilter { .. }
            | Self::BadBody { .. }
            | Self::BadKeyText
            | Self::BadWait { .. }
            | Self::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NoKey | Self::BadKey => StatusCode::UNAUTHORIZED,
            Self::ReadOnlyKey => StatusCode::FORBIDDEN,
            Self::QueueFull
            | Self::TooManyUploads
            | Self::TooManyStreams
            | Self::TooManyRequests { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::StorageBusy | Self::StorageFull | Self::StorageUnavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::ImageNotFound => "image-not-found",
            Self::UnknownSize => "unknown-size",
            Self::NotReady => "thumbnails-not-ready",
            Self::ThumbnailNotFound => "thumbnail-not-found",
            Self::BadRange { .. } => "bad-range",
            Self::WrongType => "wrong-type",
            Self::EmptyUpload => "empty-upload",
            Self::NotAPicture => "not-a-picture",
            Self::MissingBoundary => "missing-boundary",
            Self::Malformed => "malformed-body",
            Self::MissingFile => "missing-file",
            Self::NotAFile { .. } => "not-a-file",
            Self::TooManyFiles { .. } => "too-many-files",
            Self::TooManyTexts { .. } => "too-many-fields",
            Self::TextTooLong { .. } => "field-too-long",
            Self::TooLarge { .. } => "upload-too-large",
            Self::Stalled => "upload-stalled",
            Self::QueueFull => "queue-full",
            Self::TooManyUploads => "too-many-uploads",
            Self::NoKey => "no-api-key",
            Self::BadKey => "unknown-api-key",
            Self::ReadOnlyKey => "read-only-api-key",
            Self::TooManyRequests { .. } => "too-many-requests",
            Self::BadLimit { .. } => "bad-limit",
            Self::BadCursor { .. } => "bad-cursor",
            Self::BadFilter { .. } => "bad-filter",
            Self::BadBody { .. } => "bad-body",
            Self::InWork => "image-in-work",
            Self::BadKeyText => "bad-idempotency-key",
            Self::KeyReused => "idempotency-key-reused",
            Self::BadWait { .. } => "bad-wait",
            Self::TooManyStreams => "too-many-streams",
            Self::StorageBusy => "storage-busy",
            Self::StorageFull => "storage-full",
            Self::StorageUnavailable => "storage-unavailable",
            Self::Internal => "internal",
        }
    }

    pub(super) fn detail(&self) -> Detail {
        let text = match self {
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::ImageNotFound => "Image not found.",
            Self::UnknownSize => "size must be 'small' or 'medium'.",
            Self::InWork => "The image is being processed. Try again later.",
            Self::NotReady => "Thumbnails not ready (processing not successful).",
            Self::ThumbnailNotFound => "Thumbnail not found.",
            Self::BadRange { .. } => "The range lies outside of the thumbnail.",
            Self::WrongType => "Only JPG and PNG are allowed.",
            Self::EmptyUpload => "Empty upload.",
            Self::NotAPicture => "The file is neither a JPG nor a PNG picture.",
            Self::MissingBoundary => "Missing boundary in multipart.",
            Self::Malformed => "There was an error parsing the body",
            Self::TooLarge { max_bytes } => {
                return Detail::Text(format!(
                    "The upload is larger than the limit of {max_bytes} bytes."
                ));
            }
            Self::Stalled => "The upload took too long.",
            Self::TooManyFiles { max } => {
                return Detail::Text(format!("Too many files. Maximum number of files is {max}."));
            }
            Self::TooManyTexts { max } => {
                return Detail::Text(format!(
                    "Too many fields. Maximum number of fields is {max}."
                ));
            }
            Self::TextTooLong { max } => {
                return Detail::Text(format!("Part exceeded maximum size of {}KB.", max >> 10));
            }
            Self::QueueFull => "Too many images are waiting. Try again later.",
            Self::TooManyUploads => "Too many uploads are underway. Try again later.",
            Self::TooManyStreams => "Too many clients follow the events or wait. Try again later.",
            Self::NoKey => "An API key is needed, as `X-API-Key` or as a bearer token.",
            Self::BadKey => "The API key is not known.",
            Self::ReadOnlyKey => "The API key may only read.",
            Self::TooManyRequests { .. } => "Too many requests. Try again later.",
            Self::StorageBusy => "The storage is busy. Try again later.",
            Self::StorageFull => "The storage is full. Try again later.",
            Self::StorageUnavailable => "The storage cannot be used. Try again later.",
            Self::Internal => "Internal Server Error",
            Self::MissingFile => {
                return Detail::issue("missing", ["body", "file"], "Field required", None);
            }
            Self::NotAFile { input } => {
                let msg = "Value error, Expected UploadFile, received: <class 'str'>";
                return Detail::issue("value_error", ["body", "file"], msg, Some(input));
            }
            Self::BadLimit { input } => {
                let msg = "Input should be a whole number greater than 0";
                return Detail::issue("int_parsing", ["query", "limit"], msg, Some(input));
            }
            Self::BadCursor { input } => {
                let msg = "Input should be a cursor from a Link header";
                return Detail::issue("value_error", ["query", "cursor"], msg, Some(input));
            }
            Self::BadFilter { name, input } => {
                let msg = "Input should be a value that this filter knows";
                return Detail::issue("value_error", ["query", name], msg, Some(input));
            }
            Self::BadBody { field, why } => {
                return Detail::issue("value_error", ["body", field], why, None);
            }
            Self::BadKeyText => {
                let msg = "Input should be 1 to 255 visible ASCII characters";
                return Detail::issue("value_error", ["header", "Idempotency-Key"], msg, None);
            }
            Self::KeyReused => {
                let msg = "The key came with another file before";
                return Detail::issue("value_error", ["header", "Idempotency-Key"], msg, None);
            }
            Self::BadWait { input } => {
                let msg = "Input should be a time such as 10s, 500ms or 10";
                return Detail::issue("value_error", ["query", "wait"], msg, Some(input));
            }
        };
        Detail::Text(text.to_owned())
    }

    /// When it is worth while to try again, in seconds.
    pub(super) fn retry_after(&self) -> Option<u32> {
        match self {
            Self::QueueFull | Self::TooManyUploads | Self::StorageBusy => Some(1),
            Self::StorageUnavailable | Self::TooManyStreams => Some(10),
            Self::StorageFull => Some(60),
            Self::TooManyRequests { seconds } => Some(*seconds),
            _ => None,
        }
    }
}

impl From<pipeline_store::Error> for ApiError {
    fn from(error: pipeline_store::Error) -> Self {
        use pipeline_store::Error as Store;
        match &error {
            Store::Busy { .. } => Self::StorageBusy,
            Store::InWork { .. } => Self::InWork,
            Store::KeyReused => Self::KeyReused,
            Store::Full { .. } => {
                error!(
                    code = error.code(),
                    "the storage is full: {}",
                    report(&error)
                );
                Self::StorageFull
            }
            _ if error.is_retryable() => {
                error!(
                    code = error.code(),
                    "the storage cannot be used: {}",
                    report(&error)
                );
                Self::StorageUnavailable
            }
            _ => Self::internal(&error),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = match self.detail() {
            Detail::Text(detail) => Json(ErrorBody { detail }).into_response(),
            Detail::Issue(detail) => Json(ValidationBody {
                detail: vec![detail],
            })
            .into_response(),
        };
        response.set_status(self.status());
        let headers = response.headers_mut();
        headers.insert(
            ERROR_CODE,
            poem::http::HeaderValue::from_static(self.code()),
        );
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status() == StatusCode::UNAUTHORIZED {
            let challenge = poem::http::HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Self::BadRange { size_bytes } = self
            && let Ok(range) = format!("bytes */{size_bytes}").try_into()
        {
            headers.insert(header::CONTENT_RANGE, range);
        }
        response
    }
}

pub(super) enum Detail {
    Text(String),
    Issue(Issue),
}

/// The body of every refusal but 422.
#[derive(Debug, Object)]
#[oai(rename = "Error")]
pub(super) struct ErrorBody {
    /// What is wrong, for a person. The header `X-Error-Code` has the code for programs.
    detail: String,
}

/// The body of a refusal with status 422.
#[derive(Debug, Object)]
#[oai(rename = "ValidationError")]
pub(super) struct ValidationBody {
    /// What is wrong, field by field.
    detail: Vec<Issue>,
}

/// One field that is wrong.
#[derive(Debug, Object)]
#[oai(rename = "ValidationIssue")]
pub(super) struct Issue {
    /// The kind of mistake, such as `missing`.
    #[oai(rename = "type")]
    kind: String,
    /// Where it is, from the outside inwards.
    loc: Vec<String>,
    /// What is wrong, for a person.
    msg: String,
    /// What was sent, null if nothing was.
    #[oai(nullable)]
    input: Option<Value>,
}

impl Detail {
    fn issue(kind: &str, loc: [&str; 2], msg: &str, input: Option<&str>) -> Self {
        Self::Issue(Issue {
            kind: kind.to_owned(),
            loc: loc.map(str::to_owned).to_vec(),
            msg: msg.to_owned(),
            input: input.map(Value::from),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_store_that_is_full_says_when_to_try_again() {
        let full = pipeline_store::Error::upload(io::ErrorKind::StorageFull.into());
        let error = ApiError::from(full);
        assert_eq!(error, ApiError::StorageFull);
        let response = error.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "60");
        assert_eq!(response.headers()[ERROR_CODE], "storage-full");
    }

    #[test]
    fn a_fault_of_the_store_tells_no_path() {
        let lost = pipeline_store::Error::InUse {
            path: "/home/somebody/data".into(),
        };
        assert_eq!(ApiError::from(lost), ApiError::Internal);
    }

    #[test]
    fn a_broken_or_read_only_disk_says_when_to_try_again() {
        let kinds = [io::ErrorKind::Other, io::ErrorKind::ReadOnlyFilesystem];
        for kind in kinds {
            let broken = pipeline_store::Error::upload(kind.into());
            let response = ApiError::from(broken).into_response();
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(response.headers()[header::RETRY_AFTER], "10");
            assert_eq!(response.headers()[ERROR_CODE], "storage-unavailable");
        }
    }
}
