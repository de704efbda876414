//! The flags that say what is done with a picture, the same for a server and for `process`.

use std::num::NonZeroUsize;

use clap::Args;
use clap::builder::{BoolishValueParser, PossibleValuesParser, TypedValueParser};
use pipeline_core::Precision;

/// What is done with each picture.
#[cfg_attr(
    doc,
    doc = r#"

```
use clap::Parser;
use pipeline_server::Args;

let args = Args::parse_from(["my-server", "--model", "none", "--picture-timeout", "30"]);
assert_eq!((&*args.pictures.model, args.pictures.picture_timeout), ("none", 30));
```
"#
)]
#[derive(Debug, Clone, Args)]
pub struct PictureArgs {
    /// Captioning model: `tiny` (built in), `none` (captions are null), a folder with a BLIP checkpoint, or the id of
    /// one on the Hugging Face hub, such as `Salesforce/blip-image-captioning-base`, which is fetched once and cached.
    #[arg(
        long,
        env = "PIPELINE_MODEL",
        value_name = "MODEL",
        default_value = "tiny"
    )]
    pub model: String,

    /// What captions are computed with: `full` is 32-bit floating point, `fast` 16-bit integers, in less time and memory,
    /// for captions that differ now and then.
    #[arg(
        long,
        env = "PIPELINE_PRECISION",
        value_name = "PRECISION",
        default_value = "full",
        value_parser = precision()
    )]
    pub precision: Precision,

    /// Largest picture that is accepted, in bytes; a server answers a larger one with status 413. The default is 64 MiB.
    #[arg(
        long,
        env = "PIPELINE_MAX_UPLOAD_BYTES",
        value_name = "BYTES",
        default_value_t = 64 << 20,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub max_upload_bytes: u64,

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
}

/// Reads a precision. The type is the core's, which knows no command line.
fn precision() -> impl TypedValueParser<Value = Precision> {
    PossibleValuesParser::new(["full", "fast"]).map(|name| match &*name {
        "fast" => Precision::Fast,
        _ => Precision::Full,
    })
}
