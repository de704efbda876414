//! Which refusals an operation has, so that the OpenAPI document can tell.

use std::marker::PhantomData;

use poem::IntoResponse;
use poem_openapi::ApiResponse;
use poem_openapi::payload::{Json, Payload};
use poem_openapi::registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::Type;

use super::ApiError;
use super::error::{Detail, ErrorBody, ValidationBody};

/// A group of operations that can be refused in the same ways. It exists for the OpenAPI document.
pub(crate) trait Refusals: Send + Sync + 'static {
    /// One example of each refusal.
    const ALL: &'static [ApiError];
}

/// An [`ApiError`] of an operation that documents its refusals as `R` says.
#[derive(Debug)]
pub(crate) struct Refused<R>(ApiError, PhantomData<R>);

impl<R> From<ApiError> for Refused<R> {
    fn from(error: ApiError) -> Self {
        Self(error, PhantomData)
    }
}

impl<R> From<Refused<R>> for poem::Error {
    fn from(refused: Refused<R>) -> Self {
        Self::from_response(refused.0.into_response())
    }
}

/// What a request may meet at any operation: the door, a storage that is busy, something that is broken.
const ANYWHERE: &[ApiError] = &[
    ApiError::NoKey,
    ApiError::ReadOnlyKey,
    ApiError::TooManyRequests { seconds: 1 },
    ApiError::Internal,
    ApiError::StorageBusy,
];

impl<R: Refusals> ApiResponse for Refused<R> {
    fn meta() -> MetaResponses {
        let mut responses: Vec<MetaResponse> = Vec::new();
        for error in R::ALL.iter().chain(ANYWHERE) {
            let status = error.status().as_u16();
            if !responses.iter().any(|known| known.status == Some(status)) {
                responses.push(document(error, status));
            }
        }
        responses.sort_by_key(|response| response.status);
        MetaResponses { responses }
    }

    fn register(registry: &mut Registry) {
        ErrorBody::register(registry);
        ValidationBody::register(registry);
    }
}

fn document(error: &ApiError, status: u16) -> MetaResponse {
    let schema = match error.detail() {
        Detail::Text(_) => ErrorBody::schema_ref(),
        Detail::Issue(_) => ValidationBody::schema_ref(),
    };
    let header = |name: &str, description: &str, schema| MetaHeader {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        required: true,
        deprecated: false,
        schema,
    };
    let mut headers = vec![header(
        "X-Error-Code",
        "A stable code for programs.",
        String::schema_ref(),
    )];
    if error.retry_after().is_some() {
        let about = "When to try again, in seconds.";
        headers.push(header("Retry-After", about, u32::schema_ref()));
    }
    if *error == ApiError::NoKey {
        let about = "Which kind of key is asked for.";
        headers.push(header("WWW-Authenticate", about, String::schema_ref()));
    }
    MetaResponse {
        description: error.status().canonical_reason().unwrap_or_default(),
        status: Some(status),
        status_range: None,
        content: vec![MetaMediaType {
            content_type: <Json<ErrorBody> as Payload>::CONTENT_TYPE,
            schema,
        }],
        headers,
    }
}
