//! The subcommands.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::{Args, ProcessArgs};

/// Pictures in, metadata, thumbnails and captions out: over REST, or for the files of a folder.
///
/// Without a command it serves. Every flag of the server can also be set by the environment variable named beside it;
/// the flag wins.
#[cfg_attr(
    doc,
    doc = r#"

```
use clap::Parser;
use pipeline_server::CommandLine;

let line = CommandLine::parse_from(["pipeline-server", "--data", "pictures"]);
assert!(line.command.is_none()); // to serve
assert_eq!(line.serve.data.to_str(), Some("pictures"));
```
"#
)]
#[derive(Debug, Clone, Parser)]
#[command(version, max_term_width = 100, args_conflicts_with_subcommands = true)]
pub struct CommandLine {
    /// What to do; to serve, if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The settings of a server, where no command is given.
    #[command(flatten)]
    pub serve: Args,
}

/// What to do.
#[cfg_attr(
    doc,
    doc = r#"

```
use clap::Parser;
use pipeline_server::{Command, CommandLine};

let line = CommandLine::parse_from(["pipeline-server", "process", "photos", "--jsonl"]);
let Some(Command::Process(process)) = line.command else { panic!("it is `process`") };
assert!(process.jsonl);
```
"#
)]
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Serve the REST interface. This is what happens without a command, too.
    Serve(Box<Args>),

    /// Process files and folders, with the same results as the server's.
    ///
    /// It exits with 0 if all pictures succeeded, with 1 if any failed, with 2 if the command line is wrong, and with
    /// 130 if it was interrupted.
    Process(Box<ProcessArgs>),

    /// Look after the captioning models in the Hugging Face cache.
    #[command(subcommand)]
    Models(Models),

    /// Look for damage in a data folder that no server has open, and mend it if told to.
    ///
    /// It tells one problem in a line and exits with 0 if there are none, or none any more, and with 1 otherwise.
    Doctor(Doctor),

    /// Ask a running server whether it is ready: exit code 0 if it is, and 1 otherwise.
    Health(Health),

    /// Write the OpenAPI document of the REST interface to standard output.
    Openapi,
}

/// How to look for damage.
#[cfg_attr(
    doc,
    doc = r#"

```
use pipeline_server::Doctor;

let look = Doctor { data: "data".into(), mend: false };
# drop(look);
```
"#
)]
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

/// Whom to ask.
#[cfg_attr(
    doc,
    doc = r#"

```
use pipeline_server::Health;

// The server of this machine that listens at that port.
let whom = Health { url: None, listen: "0.0.0.0:8000".to_owned() };
# drop(whom);
```
"#
)]
#[derive(Debug, Clone, clap::Args)]
pub struct Health {
    /// What to GET. The default is `/readyz` of the server that listens where PIPELINE_LISTEN says, on this machine.
    #[arg(value_name = "URL")]
    pub url: Option<String>,

    /// Address of the server if there is no URL. `0.0.0.0` and `[::]` mean this machine.
    #[arg(
        long,
        env = "PIPELINE_LISTEN",
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:8000",
        conflicts_with = "url"
    )]
    pub listen: String,
}

/// What to do with models.
#[cfg_attr(
    doc,
    doc = r#"

```
use clap::Parser;
use pipeline_server::{Command, CommandLine, Models};

let line = CommandLine::parse_from(["pipeline-server", "models", "verify", "tiny"]);
let Some(Command::Models(Models::Verify { models })) = line.command else { panic!("it is") };
assert_eq!(models, ["tiny"]);
```
"#
)]
#[derive(Debug, Clone, Subcommand)]
pub enum Models {
    /// List the model in this binary and those in the cache, with size and place.
    List,

    /// Fetch a model from the hub, unless the cache has it, and write its folder to standard output.
    Fetch {
        /// Id on the hub, such as `Salesforce/blip-image-captioning-base`.
        model: String,
    },

    /// Compare the files of models with their hashes on the hub, and load them.
    ///
    /// Exit code 1 if anything is wrong.
    Verify {
        /// What `--model` takes, except `none`. All models that `list` lists, if none is given.
        models: Vec<String>,
    },

    /// Write the folder of a model in the cache to standard output.
    Path {
        /// Id on the hub.
        model: String,
    },
}
