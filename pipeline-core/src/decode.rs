//! From encoded bytes to upright 8-bit sRGB pixels, once for all stages.
//!
//! Both formats follow one policy for damage: a file that ends before its last pixel is refused, as Pillow refuses it;
//! damage that the format lets a decoder step over (a corrupt JPEG block, a text chunk with a wrong checksum) is not.
//! The tests are in `tests/it/pictures.rs` of the workspace, with Pillow as the judge.

mod color;
mod jpeg;
mod png;

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};

use crate::exif::Exif;
use crate::{Cx, Error, Format, Limits, Result, Source, Stage};

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

/// The stage that decodes a JPEG or PNG file.
///
/// EXIF orientation is applied, transparency is put on white, 16-bit samples are scaled, an ICC profile is converted
/// to sRGB, CMYK becomes RGB; of an animation or a multi-picture file the first picture counts.
///
/// ```no_run
/// use pipeline_core::{Cx, Decode, Limits, Source, Stage};
///
/// let picture = Decode::new(Limits::default()).run(&Source::from_path("cat.jpg")?, &Cx::none())?;
/// println!("{:?}", picture.pixels().dimensions());
/// # Ok::<(), pipeline_core::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
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

    fn run(&self, source: &Source, cx: &Cx) -> Result<Decoded> {
        self.limits.check_bytes(source.bytes().len() as u64)?;
        let stored = match source.format() {
            Some(Format::Jpeg) => jpeg::decode(source.bytes(), &self.limits),
            Some(Format::Png) => png::decode(source.bytes(), &self.limits),
            None => Err(Error::UnknownFormat),
        }?;
        cx.check()?;
        Ok(Decoded {
            pixels: upright(stored, Exif::read(source)),
        })
    }
}

/// Stored width and height in pixels, from the header alone.
pub(crate) fn stored_size(source: &Source) -> Result<(u32, u32)> {
    match source.format() {
        Some(Format::Jpeg) => jpeg::stored_size(source.bytes()),
        Some(Format::Png) => png::stored_size(source.bytes()),
        None => Err(Error::UnknownFormat),
    }
}

fn upright(stored: RgbImage, exif: Option<Exif>) -> RgbImage {
    let Some(orientation) = exif.and_then(|exif| Orientation::from_exif(exif.orientation)) else {
        return stored;
    };
    let mut picture = DynamicImage::ImageRgb8(stored);
    picture.apply_orientation(orientation);
    picture.into_rgb8()
}
