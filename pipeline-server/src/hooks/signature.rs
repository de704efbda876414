//! Signatures by the rule of Standard Webhooks, <https://www.standardwebhooks.com>, so that receivers can use any of its
//! libraries.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac::{HMAC_SHA256, Key, sign};

use crate::config::WebhookSecret;

/// The value of `webhook-signature`: one signature for each secret.
pub(super) fn signatures(
    secrets: &[WebhookSecret],
    id: &str,
    timestamp: i64,
    body: &str,
) -> String {
    let signed = format!("{id}.{timestamp}.{body}");
    let each = secrets.iter().map(|secret| {
        let tag = sign(&Key::new(HMAC_SHA256, secret.bytes()), signed.as_bytes());
        format!("v1,{}", STANDARD.encode(tag))
    });
    each.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_standard() {
        // The example that its libraries are tested with.
        let secret: WebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let other: WebhookSecret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".parse().unwrap();
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let of = |secrets: &[WebhookSecret]| {
            signatures(secrets, id, 1_614_265_330, r#"{"test": 2432232314}"#)
        };
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(of(std::slice::from_ref(&secret)), expected);
        let both = of(&[other, secret]);
        let (first, second) = both.split_once(' ').unwrap();
        assert_eq!(second, expected);
        assert!(first.starts_with("v1,") && first != second);
    }
}
