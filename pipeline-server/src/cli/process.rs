//! The flags of `process`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::PictureArgs;

/// How to process files.
#[cfg_attr(
    doc,
    doc = r#"

```
use clap::Parser;
use pipeline_server::{Command, CommandLine, Sidecar};

let line = CommandLine::parse_from(["pipeline-server", "process", "photos", "--sidecar", "xmp"]);
let Some(Command::Process(args)) = line.command else { panic!("it is `process`") };
assert_eq!((args.sidecar, args.overwrite), (Some(Sidecar::Xmp), false));
```
"#
)]
#[derive(Debug, Clone, Args)]
pub struct ProcessArgs {
    /// Files, and folders to be searched for JPEG and PNG files of whatever name.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Write a JSON object for each file to standard output, instead of a line to read.
    #[arg(long)]
    pub jsonl: bool,

    /// Write a file beside each picture, named like it with `.txt`, `.json` or `.xmp` behind: the caption, the whole
    /// record, or the caption as `dc:description`.
    #[arg(long, value_name = "FORM", value_enum)]
    pub sidecar: Option<Sidecar>,

    /// Replace such files that hold something else. Without it they stay, and the picture counts as failed.
    #[arg(long, requires = "sidecar")]
    pub overwrite: bool,

    /// Write the thumbnails into this folder, in folders like those that the pictures have below the current one.
    #[arg(long, value_name = "FOLDER")]
    pub thumbnails: Option<PathBuf>,

    /// Go on where an earlier run stopped: files that it finished, and that have not changed since, are not processed
    /// again. Without a file it takes up the last run with the same paths.
    #[arg(
        long,
        value_name = "JOURNAL",
        num_args = 0..=1,
        require_equals = true
    )]
    pub resume: Option<Option<PathBuf>>,

    /// Keep looking for new and changed files until interrupted. A file is taken once it has stopped growing.
    #[arg(long)]
    pub watch: bool,

    /// Folder for the journals of runs that name none. The default is `.local/state` in the home folder.
    #[arg(long, env = "XDG_STATE_HOME", value_name = "FOLDER")]
    pub state: Option<PathBuf>,

    /// What is done with each picture.
    #[command(flatten)]
    pub pictures: PictureArgs,

    /// What is logged on standard error, as for the server.
    #[arg(
        long,
        env = "PIPELINE_LOG",
        value_name = "FILTER",
        default_value = "warn"
    )]
    pub log: String,
}

/// The form of a file beside a picture.
///
/// ```
/// use pipeline_server::Sidecar;
///
/// assert_eq!(Sidecar::Xmp.extension(), "xmp"); // as in cat.jpg.xmp
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sidecar {
    /// The caption.
    Txt,
    /// The record, as `--jsonl` has it.
    Json,
    /// An XMP packet with the caption as its description.
    Xmp,
}

impl Sidecar {
    /// What is put behind the name of the picture, after a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Txt => "txt",
            Self::Json => "json",
            Self::Xmp => "xmp",
        }
    }
}
