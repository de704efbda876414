#![doc = include_str!("../README.md")]

mod budget;
mod caption;
mod cx;
mod decode;
mod error;
mod exif;
mod fingerprint;
mod header;
mod libjpeg;
mod limits;
mod metadata;
mod pipeline;
mod resize;
mod source;
mod stage;
#[cfg(feature = "test-util")]
pub mod testing;
mod thumbnail;

pub use budget::MemoryBudget;
#[cfg(feature = "blip")]
pub use candle_core;
#[cfg(feature = "blip")]
pub use caption::{Blip, BlipOptions, EarlyStopping, Encoded, GenerationConfig, Precision, Tag};
pub use caption::{Caption, CaptionStage, CaptionWarning, Captioner};
pub use cx::{CancelToken, Cx, Pulse};
pub use decode::{Decode, Decoded};
pub use error::{Error, ErrorKind, LimitName, Result, SharedError, report};
pub use exif::{Exif, Gps};
pub use fingerprint::{Fingerprint, FingerprintStage, PerceptualHash, ThumbHash};
pub use image;
pub use limits::Limits;
pub use metadata::{Metadata, MetadataStage};
pub use pipeline::{Analysis, ImagePipeline, ImagePipelineBuilder, Pipeline, Progress};
pub use source::{Digest, Format, Source};
pub use stage::{
    Attempt, BoxStage, CatchPanic, Map, Stage, StageExt, StageFn, StageObserver, Then, Timed,
    stage_fn,
};
pub use thumbnail::{Thumbnail, ThumbnailSpec, ThumbnailStage};
