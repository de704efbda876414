//! What a picture says about itself without its pixels.

use serde::{Deserialize, Serialize};

use crate::{Cx, Error, Format, Result, Source, Stage};

/// Facts from a picture's header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Metadata {
    /// Stored width in pixels, before orientation is applied.
    pub width: u32,
    /// Stored height in pixels, before orientation is applied.
    pub height: u32,
    /// The format that the file's bytes announce.
    pub format: Format,
    /// The size of the encoded file, in bytes.
    pub size_bytes: u64,
    /// EXIF orientation, 1 to 8; 1 where the file has none.
    pub orientation: u8,
}

/// The stage that reads the header.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct MetadataStage {}

impl MetadataStage {
    /// The stage.
    pub fn new() -> Self {
        Self {}
    }
}

impl Stage<Source> for MetadataStage {
    type Out = Metadata;

    fn name(&self) -> &'static str {
        "metadata"
    }

    fn run(&self, _source: &Source, _cx: &Cx) -> Result<Metadata> {
        Err(Error::UnknownFormat)
    }
}
