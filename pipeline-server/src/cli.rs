//! What can be said on the command line, and nothing but parsing it. The doc comments are the help text, so examples for
//! programmers are attributes that only rustdoc sees.

mod access;
mod clients;
mod command;
mod pictures;
mod process;
mod webhooks;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Parser, ValueEnum};

pub use access::{AccessArgs, Secret};
pub use clients::ClientArgs;
pub use command::{Command, CommandLine, Doctor, Health, Models};
pub use pictures::PictureArgs;
pub use process::{ProcessArgs, Sidecar};
pub use webhooks::{WebhookArgs, WebhookEvent};

/// The settings of a server.
///
/// Every flag can also be set by the environment variable named beside it; the flag wins.
#[cfg_attr(
    doc,
    doc = r#"

```
use clap::Parser;
use pipeline_server::{Args, Config};

// The flags of the server for a program of your own.
let args = Args::parse_from(["my-server", "--data", "pictures", "--model", "none"]);
let config = Config::try_from(args)?;
assert_eq!(config.data.to_str(), Some("pictures"));
# Ok::<(), pipeline_server::Error>(())
```
"#
)]
#[derive(Debug, Clone, Parser)]
#[command(version, max_term_width = 100)]
pub struct Args {
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

    /// What is done with each picture.
    #[command(flatten)]
    pub pictures: PictureArgs,

    /// Most pictures waiting or in work; further uploads get status 429 until there is room.
    #[arg(
        long,
        env = "PIPELINE_MAX_QUEUE",
        value_name = "PICTURES",
        default_value_t = 10_000,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub max_queue: u64,

    /// Refuse bytes that are neither JPEG nor PNG at once, with status 400, instead of accepting and failing them.
    #[arg(long, env = "PIPELINE_STRICT_UPLOADS", value_parser = BoolishValueParser::new())]
    pub strict_uploads: bool,

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

    /// Who is told when the work on a picture has ended.
    #[command(flatten)]
    pub webhooks: WebhookArgs,

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

/// The form of the log lines.
///
/// ```
/// use pipeline_server::LogFormat;
///
/// pipeline_server::start_logging(LogFormat::Json, "info")?;
/// # Ok::<(), pipeline_server::Error>(())
/// ```
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
    use pipeline_core::Precision;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn the_help_has_no_examples_for_programmers() {
        fn check(command: &mut clap::Command) {
            let help = command.render_long_help().to_string();
            assert!(!help.contains("```"), "{help}");
            command.get_subcommands_mut().for_each(check);
        }
        check(&mut CommandLine::command());
    }

    #[test]
    fn every_flag_has_an_environment_variable_of_its_name() {
        for arg in CommandLine::command().get_arguments() {
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
        assert_eq!(args.pictures.model, "tiny");
        assert_eq!(args.pictures.precision, Precision::Full);
        assert_eq!(args.pictures.max_upload_bytes, 67_108_864);
        assert!(!args.strict_uploads && !args.pictures.optional_captions);
        assert!(args.trusted_proxy.is_empty());
    }

    #[test]
    fn serving_may_be_said_or_not() {
        let said = ["pipeline-server", "serve", "--data", "x"];
        let Some(Command::Serve(args)) = CommandLine::parse_from(said).command else {
            panic!("it is said");
        };
        assert_eq!(args.data, PathBuf::from("x"));
        let line = CommandLine::parse_from(["pipeline-server", "--data", "x"]);
        assert!(line.command.is_none());
        assert_eq!(line.serve.data, PathBuf::from("x"));
        let both = ["pipeline-server", "--data", "x", "serve"];
        assert!(CommandLine::try_parse_from(both).is_err());
    }
}
