//! Who sends an upload, as far as its key is concerned.

use poem::{FromRequest, Request, RequestBody};

use super::ApiError;
use crate::App;
use crate::door::Client;

/// The longest key that a client may choose, in bytes.
const MAX_KEY: usize = 255;

/// The API key by which a request was let in; empty where none is needed. Clients with different ones may choose the same
/// `Idempotency-Key`.
#[derive(Debug)]
pub(super) struct Sender(String);

impl<'a> FromRequest<'a> for Sender {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        let client = request.data::<App>().map(|app| app.door().client(request));
        Ok(Self(match client {
            Some(Client::Key(fingerprint)) => fingerprint,
            _ => String::new(),
        }))
    }
}

impl Sender {
    /// The key to remember an upload by, if the client gave one.
    ///
    /// # Errors
    /// [`ApiError::BadKeyText`].
    pub(super) fn upload_key(&self, given: Option<String>) -> Result<Option<String>, ApiError> {
        let Some(given) = given.filter(|given| !given.is_empty()) else {
            return Ok(None);
        };
        if given.len() > MAX_KEY || !given.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ApiError::BadKeyText);
        }
        Ok(Some(format!("{}:{given}", self.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_different_clients_are_different() {
        let key = |sender: &str, given: &str| {
            let sender = Sender(sender.to_owned());
            sender.upload_key(Some(given.to_owned()))
        };
        assert_eq!(key("", ""), Ok(None));
        assert_eq!(key("", "a"), Ok(Some(":a".to_owned())));
        assert_ne!(key("x", "a"), key("y", "a"));
        for bad in ["two words", "ü", "\n", &"x".repeat(256)] {
            assert_eq!(key("", bad), Err(ApiError::BadKeyText), "{bad}");
        }
    }
}
