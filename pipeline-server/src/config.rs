//! The validated settings. [`Config::try_from`] turns what was typed into what the server needs, or says what is wrong.

mod access;
mod clients;
mod webhooks;

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread;
use std::time::Duration;

pub use access::{Access, ApiKey, CorsOrigin, Role};
pub use clients::ClientLimits;
pub use webhooks::{WebhookSecret, WebhookUrl, Webhooks};

use pipeline_core::Precision;

use crate::cli::{Args, PictureArgs};
use crate::{Error, Result};

/// How to run the server.
///
/// ```
/// let mut config = pipeline_server::Config::new("data");
/// config.max_queue = 100;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The address to listen on. Default: 127.0.0.1:8000.
    pub listen: SocketAddr,
    /// The folder for the database and the pictures.
    pub data: PathBuf,
    /// The captioning model. Default: the one that is built in.
    pub model: ModelChoice,
    /// What captions are computed with. Default: 32-bit floating point.
    pub precision: Precision,
    /// The largest picture that is accepted, in bytes. Default: 64 MiB.
    pub max_upload_bytes: u64,
    /// The most pictures waiting or in work. Default: 10,000.
    pub max_queue: u64,
    /// Pictures processed at the same time. Default: the number of processor cores.
    pub workers: NonZeroUsize,
    /// How long the work on one picture may take, all stages together. It is tried once more after that, then it fails.
    /// Default: 120 s.
    pub picture_timeout: Duration,
    /// Whether bytes that are neither JPEG nor PNG are refused at once. Default: no.
    pub strict_uploads: bool,
    /// Whether a picture may succeed without its caption. Default: no.
    pub optional_captions: bool,
    /// Width × height of the largest picture that is decoded, in pixels. Default: 178,956,970.
    pub max_pixels: u64,
    /// Memory that all pictures together may take while they are decoded, in bytes. Default: 512 MiB.
    pub decode_memory_bytes: u64,
    /// Whether the place that a camera wrote into a picture is shown. Default: no.
    pub show_location: bool,
    /// Free space in bytes below which the server is not ready. Default: 256 MiB.
    pub min_free_bytes: u64,
    /// Proxies whose `X-Forwarded-Proto` and `X-Forwarded-For` headers are believed, besides loopback addresses.
    /// Default: none.
    pub trusted_proxies: Vec<IpAddr>,
    /// Who may use the server.
    pub access: Access,
    /// What clients may take of the server.
    pub clients: ClientLimits,
    /// Who is told when the work on a picture has ended.
    pub webhooks: Webhooks,
}

impl Config {
    /// The defaults, with `data` as the folder for the database and the pictures.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8000)),
            data: data.into(),
            model: ModelChoice::Tiny,
            precision: Precision::Full,
            max_upload_bytes: 64 << 20,
            max_queue: 10_000,
            workers: cores(),
            picture_timeout: Duration::from_secs(120),
            strict_uploads: false,
            optional_captions: false,
            max_pixels: 178_956_970,
            decode_memory_bytes: 512 << 20,
            show_location: false,
            min_free_bytes: 256 << 20,
            trusted_proxies: Vec::new(),
            access: Access::default(),
            clients: ClientLimits::default(),
            webhooks: Webhooks::default(),
        }
    }

    /// The same with what was typed about pictures.
    pub(crate) fn with_pictures(self, args: PictureArgs) -> Result<Self> {
        Ok(Self {
            model: args.model.parse()?,
            precision: args.precision,
            max_upload_bytes: args.max_upload_bytes,
            workers: args.workers.unwrap_or_else(cores),
            picture_timeout: Duration::from_secs(args.picture_timeout),
            optional_captions: args.optional_captions,
            max_pixels: args.max_pixels,
            decode_memory_bytes: args.decode_memory_bytes,
            show_location: args.show_location,
            ..self
        })
    }
}

impl TryFrom<Args> for Config {
    type Error = Error;

    /// Resolves the address and the model, and reads the API keys and the secrets of webhooks.
    ///
    /// # Errors
    /// [`Error::Listen`], [`Error::NoSuchModel`], [`Error::ApiKey`], [`Error::ApiKeysFile`], [`Error::CorsOrigin`],
    /// [`Error::Webhook`] and [`Error::WebhookSecretFile`].
    fn try_from(args: Args) -> Result<Self> {
        let config = Self {
            listen: resolve(&args.listen)?,
            max_queue: args.max_queue,
            strict_uploads: args.strict_uploads,
            min_free_bytes: args.min_free_bytes,
            trusted_proxies: args.trusted_proxy,
            clients: ClientLimits {
                requests_per_minute: args.access.rate_limit,
                ..args.clients.into()
            },
            access: args.access.try_into()?,
            webhooks: args.webhooks.try_into()?,
            ..Self::new(args.data)
        };
        config.with_pictures(args.pictures)
    }
}

/// Which model writes the captions.
///
/// ```
/// use pipeline_server::ModelChoice;
///
/// let hub: ModelChoice = "Salesforce/blip-image-captioning-base".parse()?;
/// assert_eq!(hub, ModelChoice::Hub("Salesforce/blip-image-captioning-base".into()));
/// assert_eq!("none".parse::<ModelChoice>()?, ModelChoice::None);
/// # Ok::<(), pipeline_server::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelChoice {
    /// The model inside the binary. Written `tiny`.
    Tiny,
    /// No captions. Written `none`.
    None,
    /// A folder with a BLIP checkpoint.
    Folder(PathBuf),
    /// A BLIP checkpoint on the Hugging Face hub, as `organisation/name`.
    Hub(String),
}

impl FromStr for ModelChoice {
    type Err = Error;

    /// The two words first, then a folder that exists, then a hub id. A folder named `tiny` is `./tiny`.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "tiny" => Ok(Self::Tiny),
            "none" => Ok(Self::None),
            _ if Path::new(text).is_dir() => Ok(Self::Folder(text.into())),
            _ if is_hub_id(text) && !Path::new(text).exists() => Ok(Self::Hub(text.to_owned())),
            _ => Err(Error::NoSuchModel {
                model: text.to_owned(),
            }),
        }
    }
}

/// Whether `text` has the form `organisation/name` as the hub allows it: no path starts like that by accident, since
/// `./name`, `../name` and `/name` do not begin with a letter or a digit.
fn is_hub_id(text: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    text.split_once('/')
        .is_some_and(|(organisation, name)| part(organisation) && part(name))
}

pub(crate) fn resolve(listen: &str) -> Result<SocketAddr> {
    let fail = |source| Error::Listen {
        listen: listen.to_owned(),
        source,
    };
    let not_found = || std::io::Error::other("the name has no address");
    listen
        .to_socket_addrs()
        .map_err(fail)?
        .next()
        .ok_or_else(|| fail(not_found()))
}

fn cores() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn config(args: &[&str]) -> Result<Config> {
        Args::parse_from(std::iter::once("pipeline-server").chain(args.iter().copied())).try_into()
    }

    #[test]
    fn no_flags_are_the_defaults() {
        assert_eq!(config(&[]).unwrap(), Config::new("./data"));
    }

    #[test]
    fn a_host_name_and_an_ipv6_address_are_addresses() {
        assert!(config(&["--listen", "localhost:80"]).is_ok());
        assert_eq!(config(&["--listen", "[::1]:80"]).unwrap().listen.port(), 80);
        let error = config(&["--listen", "8000"]).unwrap_err();
        assert!(error.to_string().contains("--listen HOST:PORT"), "{error}");
    }

    #[test]
    fn a_model_is_a_word_a_folder_or_a_hub_id() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        assert_eq!("tiny".parse::<ModelChoice>().unwrap(), ModelChoice::Tiny);
        assert_eq!("none".parse::<ModelChoice>().unwrap(), ModelChoice::None);
        assert_eq!(
            path.parse::<ModelChoice>().unwrap(),
            ModelChoice::Folder(path.into())
        );
        assert_eq!(
            "Salesforce/blip-image-captioning-base"
                .parse::<ModelChoice>()
                .unwrap(),
            ModelChoice::Hub("Salesforce/blip-image-captioning-base".into())
        );
    }

    #[test]
    fn a_path_that_is_no_folder_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let file = file.path().to_str().unwrap();
        for text in [
            "", "large", "./blip", "../blip", "/no/such", "a/b/c", "a/", "/a", "a b/c", file,
        ] {
            let error = text.parse::<ModelChoice>().unwrap_err();
            assert_eq!(error.code(), "no-such-model", "{text}");
        }
    }
}
