//! What is done with each picture, by the server and by `process` alike.

use std::time::Duration;

use pipeline_core::{CaptionStage, ImagePipeline, Limits, MemoryBudget, ThumbnailSpec};

use crate::Config;

/// The thumbnails that are made: name, side of the box in pixels, and quality.
pub(crate) const THUMBNAILS: [(&str, u32, u8); 2] = [("small", 256, 85), ("medium", 512, 90)];

/// The pipeline that `config` asks for. `observer` is told how long each stage took.
pub(crate) fn pipeline(
    config: &Config,
    captions: Option<CaptionStage>,
    observer: impl Fn(&'static str, Duration) + Send + Sync + 'static,
) -> ImagePipeline {
    let specs = THUMBNAILS
        .map(|(name, side, quality)| ThumbnailSpec::new(name, side).with_quality(quality));
    let pipeline = ImagePipeline::builder()
        .observe(observer)
        .limits(limits(config))
        .memory(&MemoryBudget::new(config.decode_memory_bytes))
        .thumbnails(specs);
    match captions {
        Some(captions) => pipeline.captions(captions).build(),
        None => pipeline.build(),
    }
}

/// The limits that `config` sets.
pub(crate) fn limits(config: &Config) -> Limits {
    Limits {
        max_bytes: config.max_upload_bytes,
        max_pixels: config.max_pixels,
        ..Limits::default()
    }
}
