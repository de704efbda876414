//! From encoded bytes to upright 8-bit sRGB pixels, once for all stages.

use image::RgbImage;

use crate::{Cx, Error, Limits, Result, Source, Stage};

/// A decoded picture: upright, sRGB, 8 bits a channel, transparent parts on white.
#[derive(Debug, Clone)]
pub struct Decoded {
    pixels: RgbImage,
}

impl Decoded {
    /// The pixels.
    pub fn pixels(&self) -> &RgbImage {
        &self.pixels
    }
}

/// Wraps pixels that come from elsewhere.
impl From<RgbImage> for Decoded {
    fn from(pixels: RgbImage) -> Self {
        Self { pixels }
    }
}

/// The stage that decodes.
#[derive(Debug, Clone)]
pub struct Decode {
    limits: Limits,
}

impl Decode {
    /// Decodes pictures within `limits`.
    pub fn new(limits: Limits) -> Self {
        Self { limits }
    }
}

impl Stage<Source> for Decode {
    type Out = Decoded;

    fn name(&self) -> &'static str {
        "decode"
    }

    fn run(&self, source: &Source, _cx: &Cx) -> Result<Decoded> {
        self.limits.check_bytes(source.bytes().len() as u64)?;
        Err(Error::UnknownFormat)
    }
}
