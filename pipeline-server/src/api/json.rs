//! Small JSON bodies, read with the same patience as pictures, and no further than they may be long.

use std::marker::PhantomData;

use poem::{Body, Request, RequestBody};
use poem_openapi::payload::{Json, Payload};
use poem_openapi::registry::{MetaMediaType, MetaRequest, Registry};
use poem_openapi::types::ParseFromJSON;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde_json::Value;

use super::ApiError;
use crate::{App, upload};

/// The longest body, in bytes.
const MAX_BODY: usize = 64 << 10;

/// A body that is still to be read.
pub(super) struct JsonBody<T> {
    body: Body,
    kind: PhantomData<fn() -> T>,
}

impl<T: ParseFromJSON> JsonBody<T> {
    /// Reads it.
    ///
    /// # Errors
    /// [`ApiError::TooLarge`], [`ApiError::Stalled`], [`ApiError::Malformed`], [`ApiError::BadBody`].
    pub(super) async fn read(self, app: &App) -> Result<T, ApiError> {
        let text = upload::receive_small(app, self.body, MAX_BODY).await?;
        let value: Value = serde_json::from_slice(&text).map_err(|_| ApiError::Malformed)?;
        T::parse_from_json(Some(value)).map_err(|error| ApiError::BadBody {
            field: "json",
            why: error.into_message(),
        })
    }
}

impl<'a, T: ParseFromJSON> ApiExtractor<'a> for JsonBody<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest {
            description: None,
            content: vec![MetaMediaType {
                content_type: <Json<T> as Payload>::CONTENT_TYPE,
                schema: T::schema_ref(),
            }],
            required: true,
        })
    }

    async fn from_request(
        _request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self {
            body: body.take()?,
            kind: PhantomData,
        })
    }
}
