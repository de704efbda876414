//! The key by which an upload is known when it is sent again.

use poem::http::{HeaderName, HeaderValue};
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaParamIn, MetaSchemaRef};
use poem_openapi::types::Type;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::ApiError;
use crate::App;
use crate::door::Client;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest key that a client may choose, in bytes.
const MAX_KEY: usize = 255;

/// What to remember an upload by, if the client gave a key: that, and the API key by which the request was let in. Clients
/// with different ones may choose the same key.
#[derive(Debug)]
pub(super) struct UploadKey(pub(super) Result<Option<String>, ApiError>);

/// The stock extractor takes a header that is not ASCII for one that is not there, and the upload would be done twice.
impl<'a> ApiExtractor<'a> for UploadKey {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    const PARAM_IS_REQUIRED: bool = false;

    type ParamType = Option<String>;
    type ParamRawType = String;

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Header)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(Option::<String>::schema_ref())
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<Self::ParamType>,
    ) -> poem::Result<Self> {
        let client = request.data::<App>().map(|app| app.door().client(request));
        let sender = match client {
            Some(Client::Key(fingerprint)) => fingerprint,
            // No key is needed.
            _ => String::new(),
        };
        let given = request.headers().get(IDEMPOTENCY_KEY);
        Ok(Self(upload_key(&sender, given)))
    }
}

fn upload_key(sender: &str, given: Option<&HeaderValue>) -> Result<Option<String>, ApiError> {
    let Some(given) = given.filter(|given| !given.is_empty()) else {
        return Ok(None);
    };
    let is_visible = given.as_bytes().iter().all(u8::is_ascii_graphic);
    match given.to_str() {
        Ok(key) if is_visible && key.len() <= MAX_KEY => Ok(Some(format!("{sender}:{key}"))),
        _ => Err(ApiError::BadKeyText),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_different_clients_are_different() {
        let key = |sender: &str, given: &[u8]| {
            let given = HeaderValue::from_bytes(given).unwrap();
            upload_key(sender, Some(&given))
        };
        assert_eq!(upload_key("", None), Ok(None));
        assert_eq!(key("", b""), Ok(None));
        assert_eq!(key("", b"a"), Ok(Some(":a".to_owned())));
        assert_ne!(key("x", b"a"), key("y", b"a"));
        let bad: [&[u8]; 5] = [
            b"two words",
            "ü".as_bytes(),
            b"caf\xe9",
            b"\t",
            &[b'x'; 256],
        ];
        for bad in bad {
            assert_eq!(key("", bad), Err(ApiError::BadKeyText), "{bad:?}");
        }
    }
}
