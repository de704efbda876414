//! Who may use the server: API keys, and the web pages of other origins.

use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::cli::{AccessArgs, Secret};
use crate::{Error, Result};

/// The shortest key that is accepted, in characters: shorter ones can be guessed.
const MIN_LENGTH: usize = 16;

/// Who may use the server. The default lets everybody in, and no page of another origin.
///
/// ```
/// use pipeline_server::Config;
///
/// let mut config = Config::new("data");
/// config.access.keys.push("write:correct-horse-battery-staple".parse()?);
/// config.access.cors_origins.push("https://photos.example".parse()?);
/// # Ok::<(), pipeline_server::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Access {
    /// The keys that are known. Without any, no request needs one.
    pub keys: Vec<ApiKey>,
    /// Origins whose pages may use the server from a browser. Default: none.
    pub cors_origins: Vec<CorsOrigin>,
}

/// What the holder of a key may do.
///
/// ```
/// use pipeline_server::{ApiKey, Role};
///
/// let key: ApiKey = "write:correct-horse-battery-staple".parse()?;
/// assert_eq!(key.role(), Role::Write);
/// assert!("admin:correct-horse-battery-staple".parse::<ApiKey>().is_err());
/// # Ok::<(), pipeline_server::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// GET and HEAD. Written `read`.
    Read,
    /// Everything. Written `write`.
    Write,
}

/// An API key and its role, written `read:KEY` or `write:KEY`. Only the key's SHA-256 is kept.
///
/// ```
/// let key: pipeline_server::ApiKey = "read:correct-horse-battery-staple".parse()?;
/// assert!(!format!("{key:?}").contains("horse"));
/// # Ok::<_, pipeline_server::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    role: Role,
    digest: [u8; 32],
}

impl ApiKey {
    /// What its holder may do.
    ///
    /// ```
    /// use pipeline_server::{ApiKey, Role};
    ///
    /// let key: ApiKey = "read:correct-horse-battery-staple".parse()?;
    /// assert_eq!(key.role(), Role::Read);
    /// # Ok::<(), pipeline_server::Error>(())
    /// ```
    pub fn role(&self) -> Role {
        self.role
    }

    /// Eight hexadecimal digits of the key's SHA-256, by which logs tell keys apart.
    ///
    /// ```
    /// let key: pipeline_server::ApiKey = "read:correct-horse-battery-staple".parse()?;
    /// assert_eq!(key.fingerprint().len(), 8); // what the log calls it
    /// # Ok::<(), pipeline_server::Error>(())
    /// ```
    pub fn fingerprint(&self) -> String {
        self.digest[..4]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// The key of `keys` that was presented. How long it takes tells nothing about how much of a key was right.
    pub(crate) fn find<'a>(keys: &'a [Self], presented: &[u8]) -> Option<&'a Self> {
        let digest: [u8; 32] = Sha256::digest(presented).into();
        let mut found = None;
        for key in keys {
            if bool::from(key.digest.ct_eq(&digest)) {
                found = Some(key);
            }
        }
        found
    }

    /// `place` says where the text is from; the text itself is never repeated.
    fn parse(text: &str, place: &str) -> Result<Self> {
        let wrong = |reason| Error::ApiKey {
            place: place.to_owned(),
            reason,
        };
        let (role, key) = text
            .split_once(':')
            .ok_or_else(|| wrong("it has neither `read:` nor `write:` in front"))?;
        let role = match role {
            "read" => Role::Read,
            "write" => Role::Write,
            _ => return Err(wrong("it has neither `read:` nor `write:` in front")),
        };
        if key.len() < MIN_LENGTH {
            return Err(wrong("it has fewer than 16 characters"));
        }
        if !key
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b',')
        {
            return Err(wrong(
                "it has characters other than visible ASCII without the comma",
            ));
        }
        let digest = Sha256::digest(key.as_bytes()).into();
        Ok(Self { role, digest })
    }
}

impl FromStr for ApiKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text, "the text")
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("role", &self.role)
            .field("fingerprint", &self.fingerprint())
            .finish()
    }
}

impl TryFrom<AccessArgs> for Access {
    type Error = Error;

    fn try_from(args: AccessArgs) -> Result<Self> {
        let mut keys = keys_of(args.api_key.iter().map(Secret::reveal))?;
        if let Some(path) = &args.api_keys_file {
            keys.extend(keys_in(path)?);
        }
        let origins = args.cors_origin.iter().map(|origin| origin.parse());
        Ok(Self {
            keys,
            cors_origins: origins.collect::<Result<_>>()?,
        })
    }
}

/// Reads keys from the command line or its variable.
fn keys_of<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<ApiKey>> {
    texts
        .enumerate()
        .map(|(at, text)| ApiKey::parse(text, &format!("number {} of --api-key", at + 1)))
        .collect()
}

/// Reads keys from a file: one on each line; empty lines and lines that begin with `#` do not count.
fn keys_in(path: &Path) -> Result<Vec<ApiKey>> {
    let shown = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|source| Error::ApiKeysFile {
        path: shown.clone(),
        source,
    })?;
    let keys: Vec<ApiKey> = text
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| ApiKey::parse(line, &format!("in line {number} of {shown}")))
        .collect::<Result<_>>()?;
    if keys.is_empty() {
        // A server that was meant to be closed must not stand open.
        return Err(Error::ApiKeysFile {
            path: shown,
            source: std::io::Error::other("there is no key in it"),
        });
    }
    Ok(keys)
}

/// An origin such as `https://photos.example`, or `*` for every origin.
///
/// ```
/// use pipeline_server::CorsOrigin;
///
/// assert!("https://photos.example:8443".parse::<CorsOrigin>().is_ok());
/// let error = "https://photos.example/album".parse::<CorsOrigin>().unwrap_err();
/// assert_eq!(error.code(), "bad-origin"); // a path is no part of an origin
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsOrigin(String);

impl CorsOrigin {
    pub(crate) fn is_any(&self) -> bool {
        self.0 == "*"
    }

    /// Whether it is the one that a browser named. Browsers write origins in one way only.
    pub(crate) fn is(&self, origin: &[u8]) -> bool {
        self.0.as_bytes() == origin
    }
}

impl FromStr for CorsOrigin {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let is_origin = |text: &str| {
            text.split_once("://").is_some_and(|(scheme, host)| {
                matches!(scheme, "http" | "https")
                    && !host.is_empty()
                    && host.bytes().all(|byte| {
                        byte.is_ascii_lowercase()
                            || byte.is_ascii_digit()
                            || b"-.:[]".contains(&byte)
                    })
            })
        };
        match text {
            "*" => Ok(Self(text.to_owned())),
            _ if is_origin(text) => Ok(Self(text.to_owned())),
            _ => Err(Error::CorsOrigin {
                origin: text.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const KEY: &str = "0123456789abcdef";

    #[test]
    fn a_key_is_found_by_all_of_its_text_only() {
        let keys = keys_of([&*format!("read:{KEY}"), "write:another-key-of-mine"].into_iter());
        let keys = keys.unwrap();
        let role = |presented: &str| ApiKey::find(&keys, presented.as_bytes()).map(ApiKey::role);
        assert_eq!(role(KEY), Some(Role::Read));
        assert_eq!(role("another-key-of-mine"), Some(Role::Write));
        for wrong in [
            "",
            "0123456789abcde",
            "0123456789abcdef0",
            "0123456789ABCDEF",
        ] {
            assert_eq!(role(wrong), None, "{wrong}");
        }
        assert_eq!(role(&format!("read:{KEY}")), None);
    }

    #[test]
    fn a_mistake_is_told_without_the_key() {
        for text in [
            "0123456789secret",
            "admin:0123456789secret",
            "read:short-secret",
            "read:0123456789 secret",
            "write:0123456789secrét",
        ] {
            let error = keys_of([text].into_iter()).unwrap_err().to_string();
            assert!(error.contains("number 1 of --api-key"), "{error}");
            assert!(!error.contains("secr"), "{error}");
        }
    }

    #[test]
    fn a_file_has_a_key_on_each_line() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(
            file,
            "# ours\n\nread:{KEY}\r\n  write:another-key-of-mine\n"
        )
        .unwrap();
        assert_eq!(keys_in(file.path()).unwrap().len(), 2);
        writeln!(file, "read:short-secret").unwrap();
        let error = keys_in(file.path()).unwrap_err().to_string();
        assert!(
            error.contains("line 5") && !error.contains("secret"),
            "{error}"
        );
    }

    #[test]
    fn a_file_without_a_key_leaves_no_open_server() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = keys_in(file.path()).unwrap_err();
        assert_eq!(error.code(), "cannot-read-api-keys");
    }

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        for good in [
            "*",
            "https://a.example",
            "http://localhost:3000",
            "http://[::1]:80",
        ] {
            assert!(good.parse::<CorsOrigin>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "a.example",
            "https://",
            "https://a.example/",
            "https://A.example",
            "ftp://a",
        ] {
            assert!(bad.parse::<CorsOrigin>().is_err(), "{bad}");
        }
    }
}
