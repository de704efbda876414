//! Who is told when the work on a picture has ended, and what such messages are signed with.

use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use poem::http::Uri;
use sha2::{Digest, Sha256};

use crate::cli::{Secret, WebhookArgs, WebhookEvent};
use crate::{Error, Result};

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// The lengths of a secret, in bytes, that Standard Webhooks allows.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// Base64 as it is pasted: with its padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Who is told when the work on a picture has ended. The default tells nobody.
///
/// ```
/// use pipeline_server::{Config, Webhooks};
///
/// # let folder = tempfile::tempdir()?;
/// let mut config = Config::new(folder.path());
/// config.webhooks.urls = vec!["https://hooks.example/pictures".parse()?];
/// config.webhooks.secrets = vec!["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse()?];
/// config.webhooks.successes = false;
/// assert_ne!(config.webhooks, Webhooks::default());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Webhooks {
    /// The addresses that get a POST. Default: none.
    pub urls: Vec<WebhookUrl>,
    /// What the messages are signed with; one at least if there are addresses. Each message has a signature of each.
    pub secrets: Vec<WebhookSecret>,
    /// Whether work that succeeded is told. Default: yes.
    pub successes: bool,
    /// Whether work that failed is told. Default: yes.
    pub failures: bool,
    /// Whether addresses may be private, and without TLS. Default: no.
    pub allow_private: bool,
    /// What links in messages begin with. Default: nothing, so that they are paths.
    pub base_url: Option<String>,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            secrets: Vec::new(),
            successes: true,
            failures: true,
            allow_private: false,
            base_url: None,
        }
    }
}

impl Webhooks {
    /// Whether all of it fits together.
    pub(crate) fn check(&self) -> Result<()> {
        for (at, url) in self.urls.iter().enumerate() {
            if !self.allow_private && !url.is_https() {
                let reason = "it is not https; --webhook-allow-private allows that";
                return Err(wrong(&numbered(at, "--webhook"), reason));
            }
        }
        if !self.urls.is_empty() && self.secrets.is_empty() {
            let reason = "there is no secret to sign with; give a file as --webhook-secret-file";
            return Err(wrong("--webhook", reason));
        }
        match &self.base_url {
            Some(base) if Parts::of(base).is_none() => Err(wrong(
                "--webhook-base-url",
                "it is no address like https://photos.example",
            )),
            _ => Ok(()),
        }
    }
}

impl TryFrom<WebhookArgs> for Webhooks {
    type Error = Error;

    fn try_from(args: WebhookArgs) -> Result<Self> {
        let mut urls: Vec<WebhookUrl> = Vec::new();
        for (at, text) in args.webhook.iter().map(Secret::reveal).enumerate() {
            let url = WebhookUrl::parse(text, &numbered(at, "--webhook"))?;
            // Nobody is told twice.
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        let texts = args.webhook_secret.iter().map(Secret::reveal).enumerate();
        let mut secrets = texts
            .map(|(at, text)| WebhookSecret::parse(text, &numbered(at, "--webhook-secret")))
            .collect::<Result<Vec<_>>>()?;
        if let Some(path) = &args.webhook_secret_file {
            secrets.extend(secrets_in(path)?);
        }
        let webhooks = Self {
            urls,
            secrets,
            successes: args.webhook_events.contains(&WebhookEvent::Success),
            failures: args.webhook_events.contains(&WebhookEvent::Failed),
            allow_private: args.webhook_allow_private,
            base_url: args.webhook_base_url,
        };
        webhooks.check()?;
        Ok(webhooks)
    }
}

fn numbered(at: usize, flag: &str) -> String {
    format!("number {} of {flag}", at + 1)
}

fn wrong(place: &str, reason: &'static str) -> Error {
    Error::Webhook {
        place: place.to_owned(),
        reason,
    }
}

/// The address of a receiver. Only its host is ever shown: some have a key in the path.
///
/// ```
/// let url: pipeline_server::WebhookUrl = "https://hooks.example/pictures?key=horse".parse()?;
/// assert_eq!(url.to_string(), "https://hooks.example");
/// # Ok::<_, pipeline_server::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl {
    text: String,
    origin: String,
}

impl WebhookUrl {
    pub(crate) fn reveal(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_https(&self) -> bool {
        self.origin.starts_with("https:")
    }

    /// What tells it from others, in the store and in the log, without telling what it is.
    pub(crate) fn name(&self) -> String {
        let digest = Sha256::digest(self.text.as_bytes());
        digest[..8].iter().map(|b| format!("{b:02x}")).collect()
    }

    /// `place` says where the text is from; the text itself is never repeated.
    fn parse(text: &str, place: &str) -> Result<Self> {
        let reason =
            "it is no address like https://hooks.example/pictures, without name and password";
        let parts = Parts::of(text).ok_or_else(|| wrong(place, reason))?;
        Ok(Self {
            text: text.to_owned(),
            origin: parts.origin,
        })
    }
}

impl FromStr for WebhookUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text, "the text")
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WebhookUrl").field(&self.origin).finish()
    }
}

/// An HTTP address, as far as it matters.
struct Parts {
    origin: String,
}

impl Parts {
    fn of(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let scheme = uri
            .scheme_str()
            .filter(|scheme| matches!(*scheme, "http" | "https"))?;
        let authority = uri.authority()?;
        let sound = !authority.host().is_empty() && !authority.as_str().contains('@');
        sound.then(|| Self {
            origin: format!("{scheme}://{authority}"),
        })
    }
}

/// What messages are signed with, written `whsec_` and 24 to 64 bytes in base64. It is never shown.
///
/// ```
/// let secret: pipeline_server::WebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse()?;
/// assert!(!format!("{secret:?}").contains("MfKQ"));
/// # Ok::<_, pipeline_server::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Vec<u8>);

impl WebhookSecret {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// `place` says where the text is from; the text itself is never repeated.
    fn parse(text: &str, place: &str) -> Result<Self> {
        let bytes = text
            .strip_prefix(PREFIX)
            .and_then(|text| BASE64.decode(text).ok())
            .filter(|bytes| LENGTHS.contains(&bytes.len()));
        let reason = "it is not `whsec_` with 24 to 64 bytes in base64 behind; \
                      `echo whsec_$(openssl rand -base64 32)` makes one";
        bytes.map(Self).ok_or_else(|| wrong(place, reason))
    }
}

impl FromStr for WebhookSecret {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text, "the text")
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret")
    }
}

/// Reads secrets from a file: one on each line; empty lines and lines that begin with `#` do not count.
fn secrets_in(path: &Path) -> Result<Vec<WebhookSecret>> {
    let shown = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|source| Error::WebhookSecretFile {
        path: shown.clone(),
        source,
    })?;
    text.lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| WebhookSecret::parse(line, &format!("line {number} of {shown}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use clap::Parser;

    use super::*;
    use crate::cli::Args;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn webhooks(args: &[&str]) -> Result<Webhooks> {
        let line = std::iter::once("pipeline-server").chain(args.iter().copied());
        Args::parse_from(line).webhooks.try_into()
    }

    #[test]
    fn without_flags_nobody_is_told() {
        assert_eq!(webhooks(&[]).unwrap(), Webhooks::default());
    }

    #[test]
    fn everybody_is_told_once() {
        let urls = "https://a.example/x,https://b.example,https://a.example/x";
        let told = webhooks(&["--webhook", urls, "--webhook-secret", SECRET]).unwrap();
        assert_eq!(told.urls.len(), 2);
        assert_ne!(told.urls[0].name(), told.urls[1].name());
        assert!(told.successes && told.failures && !told.allow_private);
        let failures = ["--webhook-events", "failed"];
        let told = webhooks(&failures).unwrap();
        assert!(told.failures && !told.successes);
    }

    #[test]
    fn messages_are_signed_and_encrypted() {
        let url = ["--webhook", "https://a.example"];
        let error = webhooks(&url).unwrap_err().to_string();
        assert!(error.contains("--webhook-secret-file"), "{error}");
        let plain = ["--webhook", "http://a.example", "--webhook-secret", SECRET];
        let error = webhooks(&plain).unwrap_err().to_string();
        assert!(error.contains("--webhook-allow-private"), "{error}");
        let allowed = [&plain[..], &["--webhook-allow-private"]].concat();
        assert!(webhooks(&allowed).is_ok());
    }

    #[test]
    fn a_mistake_is_told_without_what_is_secret() {
        for bad in [
            "secret.example",
            "ftp://secret.example",
            "https://",
            "/secret",
            "https://me:secret@a.example",
            "https://secret example/",
        ] {
            let error = webhooks(&["--webhook", bad]).unwrap_err();
            assert_eq!(error.code(), "bad-webhook");
            let text = error.to_string();
            assert!(text.contains("number 1 of --webhook"), "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
        for bad in [
            "",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_MfKQ9r8G",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa!w",
        ] {
            let error = webhooks(&["--webhook-secret", bad])
                .unwrap_err()
                .to_string();
            assert!(error.contains("number 1 of --webhook-secret"), "{error}");
            assert!(!error.contains("MfKQ"), "{error}");
        }
        let error = webhooks(&["--webhook-base-url", "photos.example"]).unwrap_err();
        assert!(error.to_string().contains("--webhook-base-url"), "{error}");
        let shown = format!(
            "{:?}",
            webhooks(&[
                "--webhook",
                "https://a.example/secret",
                "--webhook-secret",
                SECRET
            ])
        );
        assert!(shown.contains("a.example"), "{shown}");
        assert!(
            !shown.contains("/secret") && !shown.contains("MfKQ"),
            "{shown}"
        );
        assert!(!shown.contains("49, 242"), "{shown}");
    }

    #[test]
    fn a_file_has_a_secret_on_each_line() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "# new\n{SECRET}\n\n  {SECRET}==\r\n").unwrap();
        assert!(secrets_in(file.path()).is_err(), "that is too much padding");
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "# new\n{SECRET}\n\n  {SECRET}\r\n").unwrap();
        assert_eq!(secrets_in(file.path()).unwrap().len(), 2);
        writeln!(file, "whsec_short").unwrap();
        let error = secrets_in(file.path()).unwrap_err().to_string();
        assert!(
            error.contains("line 5") && !error.contains("short"),
            "{error}"
        );
        let error = secrets_in(Path::new("/no/such")).unwrap_err();
        assert_eq!(error.code(), "cannot-read-webhook-secrets");
    }
}
