//! The multipart body of an upload, documented but not yet read.

use poem::http::header;
use poem::{Body, Request, RequestBody};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

/// What `upload.rs` needs to read the body as it comes in.
pub(crate) struct MultipartForm {
    pub(crate) content_type: Vec<u8>,
    pub(crate) content_length: Option<u64>,
    /// The client sends its body only after we begin to read it (`Expect: 100-continue`).
    pub(crate) waits_for_go_ahead: bool,
    pub(crate) body: Body,
}

impl<'a> ApiExtractor<'a> for MultipartForm {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn request_meta() -> Option<MetaRequest> {
        let file = MetaSchema {
            description: Some(
                "A JPEG or PNG file with its media type, `image/jpeg` or `image/png`.",
            ),
            format: Some("binary"),
            ..MetaSchema::new("string")
        };
        let form = MetaSchema {
            required: vec!["file"],
            properties: vec![("file", MetaSchemaRef::Inline(Box::new(file)))],
            ..MetaSchema::new("object")
        };
        Some(MetaRequest {
            description: None,
            content: vec![MetaMediaType {
                content_type: "multipart/form-data",
                schema: MetaSchemaRef::Inline(Box::new(form)),
            }],
            required: true,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let headers = request.headers();
        Ok(Self {
            content_type: headers
                .get(header::CONTENT_TYPE)
                .map_or_else(Vec::new, |value| value.as_bytes().to_vec()),
            content_length: request
                .header(header::CONTENT_LENGTH)
                .and_then(|value| value.parse().ok()),
            waits_for_go_ahead: headers.contains_key(header::EXPECT),
            body: body.take()?,
        })
    }
}
