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
///
/// A decoder may have shrunk it, within what [`Decode::keep_at_least`] allows; [`Decoded::full_size`] tells the size that
/// it would have had.
#[derive(Debug, Clone)]
pub struct Decoded {
    pixels: RgbImage,
    full_size: (u32, u32),
}

impl Decoded {
    /// The pixels.
    pub fn pixels(&self) -> &RgbImage {
        &self.pixels
    }

    /// Width and height of the upright picture before any shrinking, in pixels.
    pub fn full_size(&self) -> (u32, u32) {
        self.full_size
    }
}

/// Wraps pixels that come from elsewhere.
impl From<RgbImage> for Decoded {
    fn from(pixels: RgbImage) -> Self {
        let full_size = pixels.dimensions();
        Self { pixels, full_size }
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
    detail: Option<Detail>,
}

/// The sides that a shrunk picture must still have, in pixels.
#[derive(Debug, Clone, Copy)]
struct Detail {
    longer: u32,
    shorter: u32,
}

impl Detail {
    /// Whether a picture of these sides is large enough. A filter that shrinks by less than 1.5 would show what the
    /// decoder's own, simpler one did.
    fn is_met_by(self, width: u32, height: u32) -> bool {
        let enough = |side: u32, wanted: u32| u64::from(side) * 2 >= u64::from(wanted) * 3;
        enough(width.max(height), self.longer) && enough(width.min(height), self.shorter)
    }
}

impl Decode {
    /// Decodes pictures within `limits`.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            detail: None,
        }
    }

    /// Lets the decoder shrink a JPEG to 1/2, 1/4 or 1/8 while it decodes, which takes a fraction of the time and memory,
    /// as long as the sides stay at least half as long again as the given ones, in pixels.
    #[must_use]
    pub fn keep_at_least(mut self, longer: u32, shorter: u32) -> Self {
        self.detail = Some(Detail { longer, shorter });
        self
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
            Some(Format::Jpeg) => jpeg::decode(source.bytes(), &self.limits, self.detail, cx),
            Some(Format::Png) => png::decode(source.bytes(), &self.limits),
            None => Err(Error::UnknownFormat),
        };
        // First, since a decoder that was told to stop calls that a damaged file.
        cx.check()?;
        Ok(stored?.upright(Exif::read(source)))
    }
}

/// A picture as its file has it: in sRGB, but not yet turned.
struct Stored {
    pixels: RgbImage,
    /// Width and height in the header; `pixels` may have been shrunk.
    full_size: (u32, u32),
}

impl Stored {
    fn upright(self, exif: Option<Exif>) -> Decoded {
        let Self { pixels, full_size } = self;
        let Some(orientation) = exif.and_then(|exif| Orientation::from_exif(exif.orientation))
        else {
            return Decoded { pixels, full_size };
        };
        let swaps_sides = orientation.to_exif() >= 5;
        let mut picture = DynamicImage::ImageRgb8(pixels);
        picture.apply_orientation(orientation);
        Decoded {
            pixels: picture.into_rgb8(),
            full_size: if swaps_sides {
                (full_size.1, full_size.0)
            } else {
                full_size
            },
        }
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
