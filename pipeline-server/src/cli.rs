//! What can be said on the command line, and nothing but parsing it. The doc comments are the help text.

mod access;
mod clients;

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Parser, Subcommand, ValueEnum};

pub use access::{AccessArgs, Secret};
pub use clients::ClientArgs;

/// Upload a picture, get metadata, thumbnails and a caption over REST.
///
/// Every flag can also be set by the environment variable named beside it; the flag wins.
#[derive(Debug, Clone, Parser)]
#[command(version, max_term_width = 100, args_conflicts_with_subcommands = true)]
pub struct Args {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Address to listen on, as HOST:PORT. Port 0 takes a free port; the log names it.
    #[arg(
        long,
        env = "PIPELINE_LISTEN",
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:8000"
    )]
    pub listen: String,

    /// Folder for the database and the pictures. It is created if it does not exist.
    #[arg(
        long,
        env = "PIPELINE_DATA",
        value_name = "FOLDER",
        default_value = "./data"
    )]
    pub data: PathBuf,

    /// Captioning model: `tiny` (built in), `none` (captions are null), a folder with a BLIP checkpoint, or the id of
    /// one on the Hugging Face hub, such as `Salesforce/blip-image-captioning-base`, which is fetched once and cached.
    #[arg(
        long,
        env = "PIPELINE_MODEL",
        value_name = "MODEL",
        default_value = "tiny"
    )]
    pub model: String,

    /// Largest picture that is accepted, in bytes; larger ones get status 413. The default is 64 MiB.
    #[arg(
        long,
        env = "PIPELINE_MAX_UPLOAD_BYTES",
        value_name = "BYTES",
        default_value_t = 64 << 20,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub max_upload_bytes: u64,

    /// Most pictures waiting or in work; further uploads get status 429 until there is room.
    #[arg(
        long,
        env = "PIPELINE_MAX_QUEUE",
        value_name = "PICTURES",
        default_value_t = 10_000,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub max_queue: u64,

    /// Pictures processed at the same time. The default is the number of processor cores.
    #[arg(long, env = "PIPELINE_WORKERS", value_name = "THREADS")]
    pub workers: Option<NonZeroUsize>,

    /// How long the work on one picture may take, in seconds. A picture that takes longer, or whose worker gives no sign
    /// of life for as long (a minute at the most), is tried once more and then fails.
    #[arg(
        long,
        env = "PIPELINE_PICTURE_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 120,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub picture_timeout: u64,

    /// Refuse bytes that are neither JPEG nor PNG at once, with status 400, instead of accepting and failing them.
    #[arg(long, env = "PIPELINE_STRICT_UPLOADS", value_parser = BoolishValueParser::new())]
    pub strict_uploads: bool,

    /// Keep a picture whose caption fails: it succeeds with a null caption, and the reason is stored.
    #[arg(long, env = "PIPELINE_OPTIONAL_CAPTIONS", value_parser = BoolishValueParser::new())]
    pub optional_captions: bool,

    /// Largest picture that is decoded, in pixels (width × height); a larger one fails. The default is where Pillow
    /// refuses as well.
    #[arg(
        long,
        env = "PIPELINE_MAX_PIXELS",
        value_name = "PIXELS",
        default_value_t = 178_956_970,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub max_pixels: u64,

    /// Memory that all pictures together may take while they are decoded, in bytes; a picture waits while too little is
    /// left, and fails if it needs more than this. The default is 512 MiB.
    #[arg(
        long,
        env = "PIPELINE_DECODE_MEMORY_BYTES",
        value_name = "BYTES",
        default_value_t = 512 << 20,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub decode_memory_bytes: u64,

    /// Show the place that a camera wrote into a picture. It is never part of a thumbnail.
    #[arg(long, env = "PIPELINE_SHOW_LOCATION", value_parser = BoolishValueParser::new())]
    pub show_location: bool,

    /// Free space in the data folder, in bytes, below which `/readyz` says that the server is not ready. The default is
    /// 256 MiB.
    #[arg(
        long,
        env = "PIPELINE_MIN_FREE_BYTES",
        value_name = "BYTES",
        default_value_t = 256 << 20
    )]
    pub min_free_bytes: u64,

    /// Address of a reverse proxy whose `X-Forwarded-Proto` and `X-Forwarded-For` headers are believed, besides those on
    /// this machine.
    /// May be given several times, or as a list with commas.
    #[arg(
        long,
        env = "PIPELINE_TRUSTED_PROXY",
        value_name = "IP",
        value_delimiter = ','
    )]
    pub trusted_proxy: Vec<IpAddr>,

    /// Who may use the server.
    #[command(flatten)]
    pub access: AccessArgs,

    /// What clients may take of the server.
    #[command(flatten)]
    pub clients: ClientArgs,

    /// Form of the log lines on standard error.
    #[arg(
        long,
        env = "PIPELINE_LOG_FORMAT",
        value_name = "FORMAT",
        value_enum,
        default_value = "text"
    )]
    pub log_format: LogFormat,

    /// What is logged: a level (`error`, `warn`, `info`, `debug`, `trace`), or a filter in the syntax of `RUST_LOG`.
    #[arg(
        long,
        env = "PIPELINE_LOG",
        value_name = "FILTER",
        default_value = "info"
    )]
    pub log: String,
}

/// What to do instead of serving.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Look for damage in a data folder that no server has open, and mend it if told to.
    ///
    /// It tells one problem in a line and exits with 0 if there are none, or none any more, and with 1 otherwise.
    Doctor(Doctor),
}

/// How to look for damage.
#[derive(Debug, Clone, clap::Args)]
pub struct Doctor {
    /// Folder with the database and the pictures.
    #[arg(
        long,
        env = "PIPELINE_DATA",
        value_name = "FOLDER",
        default_value = "./data"
    )]
    pub data: PathBuf,

    /// Mend what can be mended: files that belong to no picture go, pictures whose thumbnails are lost are processed
    /// again, and those that wait for their turn and have lost their file fail. Without it, nothing is changed.
    #[arg(long)]
    pub mend: bool,
}

/// The form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// One readable line for each event.
    #[default]
    Text,
    /// One JSON object for each event.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_flag_has_an_environment_variable_of_its_name() {
        for arg in Args::command().get_arguments() {
            let flag = arg.get_long().unwrap();
            let expected = format!("PIPELINE_{}", flag.replace('-', "_").to_uppercase());
            assert_eq!(
                arg.get_env().and_then(|env| env.to_str()),
                Some(&*expected),
                "{flag}"
            );
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_readme() {
        let args = Args::parse_from(["pipeline-server"]);
        assert_eq!(args.listen, "127.0.0.1:8000");
        assert_eq!(args.data, PathBuf::from("./data"));
        assert_eq!(args.model, "tiny");
        assert_eq!(args.max_upload_bytes, 67_108_864);
        assert!(!args.strict_uploads && !args.optional_captions);
        assert!(args.trusted_proxy.is_empty());
    }
}
