//! Why the server could not start, or stopped. `Display` is the whole line for the person who started it: what is wrong,
//! why, and what to do about it.
//!
//! What a client of the REST interface gets is in `api/error.rs`.

use std::io;
use std::net::SocketAddr;

use pipeline_core::report;

/// The result of every fallible call in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A fault of the server's surroundings.
///
/// ```
/// use pipeline_server::{Error, ModelChoice};
///
/// let error = "no-such-word".parse::<ModelChoice>().unwrap_err();
/// assert!(matches!(&error, Error::NoSuchModel { model } if model == "no-such-word"));
/// assert_eq!(error.code(), "no-such-model"); // for programs
/// eprintln!("error: {error}"); // for a person, with what to do about it
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not an address.
    #[error("cannot use `{listen}` as an address: {source}; give one as --listen HOST:PORT")]
    Listen {
        /// What was given.
        listen: String,
        /// What the system said.
        source: io::Error,
    },
    /// The address is taken, or not one of this machine.
    #[error("cannot listen on {address}: {source}; choose another address with --listen HOST:PORT")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The data folder cannot be used.
    #[error("{}; the data folder is set by --data FOLDER", report(.0))]
    Store(#[source] pipeline_store::Error),
    /// The text names no model.
    #[error(
        "there is no model `{model}`; --model takes tiny, none, an existing folder, or a hub id like \
         Salesforce/blip-image-captioning-base"
    )]
    NoSuchModel {
        /// What was given.
        model: String,
    },
    /// The model cannot be loaded.
    #[error("cannot load the model {model}: {}; {advice}", source.report().replace('\n', " "))]
    Model {
        /// What was given: a folder, a hub id, or the built-in model.
        model: String,
        /// What the model said.
        source: pipeline_core::Error,
        /// What to do.
        advice: &'static str,
    },
    /// The model cannot be fetched.
    #[error("cannot fetch {file} of the model `{model}` from the hub: {reason}; {advice}")]
    Hub {
        /// The hub id.
        model: String,
        /// The file.
        file: &'static str,
        /// What the hub or the network said.
        reason: String,
        /// What to do.
        advice: &'static str,
    },
    /// The text names a model, but not one of the hub.
    #[error("`{model}` is not on the hub; give an id like Salesforce/blip-image-captioning-base")]
    NotOnHub {
        /// What was given.
        model: String,
    },
    /// The cache does not have the model, or not all of it.
    #[error("the model `{model}` is not in the cache; `models fetch {model}` fetches it")]
    NotFetched {
        /// The hub id.
        model: String,
    },
    /// The server does not answer, or is not ready.
    #[error("{url} is not ready: {reason}")]
    NotReady {
        /// What was asked.
        url: String,
        /// What was wrong.
        reason: String,
    },
    /// The journal of an earlier run cannot be used.
    #[error("cannot use the journal {path}: {source}; give another one with --resume=JOURNAL")]
    Journal {
        /// The file.
        path: String,
        /// What is wrong.
        source: io::Error,
    },
    /// An API key cannot be used. The key itself is not told.
    #[error("the API key {place} cannot be used: {reason}; write keys as read:KEY or write:KEY")]
    ApiKey {
        /// Where it is.
        place: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file with the API keys cannot be used.
    #[error("cannot read API keys from {path}: {source}; the file is set by --api-keys-file FILE")]
    ApiKeysFile {
        /// The file.
        path: String,
        /// What is wrong.
        source: io::Error,
    },
    /// The text is not an origin.
    #[error("`{origin}` is no origin; --cors-origin takes one like https://photos.example, or *")]
    CorsOrigin {
        /// What was given.
        origin: String,
    },
    /// A webhook, or what belongs to it, cannot be used. Neither its address nor a secret is told.
    #[error("{place} cannot be used: {reason}")]
    Webhook {
        /// Where it is.
        place: String,
        /// What is wrong with it, and what to do.
        reason: &'static str,
    },
    /// The file with the secrets of webhooks cannot be read.
    #[error(
        "cannot read webhook secrets from {path}: {source}; the file is set by --webhook-secret-file FILE"
    )]
    WebhookSecretFile {
        /// The file.
        path: String,
        /// What is wrong.
        source: io::Error,
    },
    /// The filter of the log cannot be read.
    #[error(
        "cannot read the log filter `{filter}`: {reason}; give a level or a filter like --log info,poem=debug"
    )]
    LogFilter {
        /// What was given.
        filter: String,
        /// What the parser said.
        reason: String,
    },
    /// The system refused something that a running server needs.
    #[error("cannot {doing}: {source}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// A stable kebab-case code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "bad-address",
            Self::Bind { .. } => "cannot-listen",
            Self::Store(_) => "cannot-open-data",
            Self::NoSuchModel { .. } => "no-such-model",
            Self::Model { .. } => "cannot-load-model",
            Self::Hub { .. } => "cannot-fetch-model",
            Self::NotOnHub { .. } => "not-on-hub",
            Self::NotFetched { .. } => "not-fetched",
            Self::NotReady { .. } => "not-ready",
            Self::Journal { .. } => "cannot-use-journal",
            Self::ApiKey { .. } => "bad-api-key",
            Self::ApiKeysFile { .. } => "cannot-read-api-keys",
            Self::CorsOrigin { .. } => "bad-origin",
            Self::Webhook { .. } => "bad-webhook",
            Self::WebhookSecretFile { .. } => "cannot-read-webhook-secrets",
            Self::LogFilter { .. } => "bad-log-filter",
            Self::System { .. } => "system-failed",
        }
    }
}
