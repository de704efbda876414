//! From encoded bytes to upright 8-bit sRGB pixels, once for all stages.
//!
//! Both formats follow one policy for damage: a file that ends before its last pixel is refused, as Pillow refuses it;
//! damage that the format lets a decoder step over (a corrupt JPEG block, a text chunk with a wrong checksum) is not.
//! The tests are in `tests/it/pictures.rs` of the workspace, with Pillow as the judge.

mod color;
mod jpeg;
mod png;
mod shrink;

use std::sync::Arc;
use std::time::{Duration, Instant};

use image::metadata::Orientation;
use image::{DynamicImage, RgbImage};

use crate::budget::Reservation;
use crate::error::LimitName;
use crate::header::Header;
use crate::{Cx, Error, Format, Limits, MemoryBudget, Result, Source, Stage, limits};

/// A decoded picture: upright, sRGB, 8 bits a channel, transparent parts on white.
///
/// It may have been shrunk, within what [`Decode::keep_at_least`] allows; [`Decoded::full_size`] tells the size that it
/// would have had.
///
/// ```
/// use pipeline_core::Decoded;
/// use pipeline_core::image::RgbImage;
///
/// let picture = Decoded::from(RgbImage::new(64, 48)); // pixels from elsewhere
/// assert_eq!(picture.pixels().dimensions(), (64, 48));
/// assert_eq!(picture.full_size(), (64, 48)); // nothing was shrunk
/// ```
#[derive(Debug, Clone)]
pub struct Decoded {
    pixels: RgbImage,
    full_size: (u32, u32),
    content: Content,
    /// The pixels' share of a budget, held as long as any clone of them.
    _memory: Option<Arc<Reservation>>,
}

/// The part of the pixels that the full picture covers. Where a side is no multiple of the factor it was shrunk by, the
/// last pixel is covered in part only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Content {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Content {
    /// All of the pixels.
    pub(crate) fn whole(pixels: &RgbImage) -> Self {
        let (width, height) = (f64::from(pixels.width()), f64::from(pixels.height()));
        Self {
            left: 0.0,
            top: 0.0,
            width,
            height,
        }
    }
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

    pub(crate) fn content(&self) -> Content {
        self.content
    }
}

/// Wraps pixels that come from elsewhere.
impl From<RgbImage> for Decoded {
    fn from(pixels: RgbImage) -> Self {
        Self {
            full_size: pixels.dimensions(),
            content: Content::whole(&pixels),
            pixels,
            _memory: None,
        }
    }
}

/// The stage that decodes a JPEG or PNG file.
///
/// EXIF orientation is applied, transparency is put on white, 16-bit samples are scaled, an ICC profile is converted
/// to sRGB, CMYK becomes RGB; of an animation or a multi-picture file the first picture counts.
///
/// ```
/// use pipeline_core::{Cx, Decode, Limits, Source, Stage};
///
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let path = folder.path().join("cat.png");
/// # pipeline_core::image::RgbImage::new(64, 48).save(&path).expect("a picture can be written");
/// let picture = Decode::new(Limits::default()).run(&Source::from_path(&path)?, &Cx::none())?;
/// assert_eq!(picture.pixels().dimensions(), (64, 48));
/// # Ok::<(), pipeline_core::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Decode {
    limits: Limits,
    detail: Option<Detail>,
    budget: Option<MemoryBudget>,
}

/// The sides that a shrunk picture must still have, in pixels.
#[derive(Debug, Clone, Copy)]
struct Detail {
    longer: u32,
    shorter: u32,
}

impl Detail {
    /// Whether a picture of this size may be shrunk by `factor`. A filter that then shrinks by less than 1.5 would show
    /// what the decoder's own, simpler one did.
    fn allows(self, (width, height): (u32, u32), factor: u32) -> bool {
        let enough = |side: u32, wanted: u64| u64::from(side / factor) * 2 >= wanted * 3;
        let (longer, shorter) = (width.max(height), width.min(height));
        // What becomes of the shorter side of a strip, which may be a pixel or two.
        let in_box = u64::from(shorter) * u64::from(self.longer) / u64::from(longer.max(1));
        enough(longer, self.longer.into())
            && enough(shorter, in_box.max(1).max(self.shorter.into()))
    }

    /// The largest whole factor by which a picture of this size may be shrunk.
    fn shrink(self, size: (u32, u32)) -> u32 {
        let most = size.0.max(size.1);
        (2..=most)
            .take_while(|&factor| self.allows(size, factor))
            .last()
            .unwrap_or(1)
    }
}

impl Decode {
    /// Decodes pictures within `limits`.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Lets the decoder shrink a picture while it decodes, which takes a fraction of the time and memory, as long as its
    /// sides stay at least half as long again as the given ones, in pixels.
    ///
    /// ```
    /// use pipeline_core::{Cx, Decode, Limits, Source, Stage};
    ///
    /// # let folder = tempfile::tempdir().expect("a temporary folder");
    /// # let path = folder.path().join("cat.png");
    /// # pipeline_core::image::RgbImage::new(640, 480).save(&path).expect("a picture can be written");
    /// let decode = Decode::new(Limits::default()).keep_at_least(64, 0);
    /// let picture = decode.run(&Source::from_path(&path)?, &Cx::none())?;
    /// assert!(picture.pixels().width() < 640); // enough for a thumbnail of 64 pixels
    /// assert_eq!(picture.full_size(), (640, 480));
    /// # Ok::<(), pipeline_core::Error>(())
    /// ```
    #[must_use]
    pub fn keep_at_least(mut self, longer: u32, shorter: u32) -> Self {
        self.detail = Some(Detail {
            longer: longer.max(1),
            shorter,
        });
        self
    }

    /// Takes the memory for decoding out of `budget`, and waits while too little is left.
    ///
    /// ```
    /// use pipeline_core::{Cx, Decode, Limits, MemoryBudget, Source, Stage};
    ///
    /// # let folder = tempfile::tempdir().expect("a temporary folder");
    /// # let path = folder.path().join("cat.png");
    /// # pipeline_core::image::RgbImage::new(640, 480).save(&path).expect("a picture can be written");
    /// let budget = MemoryBudget::new(1_000); // bytes, shared by all that decode with it
    /// let decode = Decode::new(Limits::default()).with_budget(&budget);
    /// let error = decode.run(&Source::from_path(&path)?, &Cx::none()).unwrap_err();
    /// assert_eq!(error.code(), "too-much-memory");
    /// # Ok::<(), pipeline_core::Error>(())
    /// ```
    #[must_use]
    pub fn with_budget(mut self, budget: &MemoryBudget) -> Self {
        self.budget = Some(budget.clone());
        self
    }

    /// Waits for the memory that decoding takes; then the time for it begins.
    fn admit<'a>(&self, memory_bytes: u64, cx: &'a Cx) -> Result<(Option<Reservation>, Watch<'a>)> {
        let budget = self.budget.as_ref();
        let memory = budget
            .map(|budget| budget.reserve(memory_bytes, cx))
            .transpose()?;
        let watch = Watch {
            cx,
            started: Instant::now(),
            max_time: self.limits.max_time,
        };
        Ok((memory, watch))
    }

    /// Refuses a file for what its header says.
    fn check(&self, header: &Header<'_>) -> Result<()> {
        let max_frames = self.limits.max_frames.into();
        limits::check(LimitName::Frames, header.frames, max_frames)?;
        match header.size {
            Some((width, height)) => self.limits.check_size(width, height),
            // The decoder knows better what is wrong.
            None => Ok(()),
        }
    }
}

impl Stage<Source> for Decode {
    type Out = Decoded;

    fn name(&self) -> &'static str {
        "decode"
    }

    fn run(&self, source: &Source, cx: &Cx) -> Result<Decoded> {
        self.limits.check_bytes(source.bytes().len() as u64)?;
        let header = Header::read(source, &self.limits)?;
        self.check(&header)?;
        let stored = match source.format() {
            Some(Format::Jpeg) => jpeg::decode(source.bytes(), &header, self, cx),
            Some(Format::Png) => png::decode(source.bytes(), &header, self, cx),
            None => Err(Error::UnknownFormat),
        };
        let orientation = Orientation::from_exif(header.orientation());
        Ok(stored?.upright(orientation.unwrap_or(Orientation::NoTransforms)))
    }
}

/// Says when a decoder has to stop: when nobody waits any more, or when it has taken too long.
#[derive(Debug, Clone, Copy)]
struct Watch<'a> {
    cx: &'a Cx,
    started: Instant,
    max_time: Duration,
}

impl Watch<'_> {
    fn check(&self) -> Result<()> {
        self.cx.check()?;
        let took = self.started.elapsed();
        if took >= self.max_time {
            let millis = |time: Duration| time.as_millis().try_into().unwrap_or(u64::MAX);
            return Err(Error::Limit {
                limit: LimitName::Time,
                actual: millis(took),
                max: millis(self.max_time),
            });
        }
        Ok(())
    }
}

/// A picture as its file has it: in sRGB, but not yet turned.
struct Stored {
    pixels: RgbImage,
    /// Width and height in the header.
    full_size: (u32, u32),
    /// The factor by which `pixels` are smaller, the last pixel of a side counted in full.
    shrink: u32,
    memory: Option<Reservation>,
}

impl Stored {
    fn upright(self, orientation: Orientation) -> Decoded {
        use Orientation::{
            FlipHorizontal, FlipVertical, Rotate90, Rotate90FlipH, Rotate180, Rotate270,
            Rotate270FlipH,
        };

        let swaps_sides = matches!(
            orientation,
            Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH
        );
        let (width, height) = self.full_size;
        let full_size = if swaps_sides {
            (height, width)
        } else {
            (width, height)
        };
        let mut picture = DynamicImage::ImageRgb8(self.pixels);
        picture.apply_orientation(orientation);
        let pixels = picture.into_rgb8();

        // The partly covered pixels were the last of their side; turning may have made them the first.
        let side = |full: u32| f64::from(full) / f64::from(self.shrink);
        let (covered_width, covered_height) = (side(full_size.0), side(full_size.1));
        let last_is_left = matches!(
            orientation,
            FlipHorizontal | Rotate180 | Rotate90 | Rotate270FlipH
        );
        let last_is_top = matches!(
            orientation,
            FlipVertical | Rotate180 | Rotate270 | Rotate270FlipH
        );
        let first = |is_first: bool, all: u32, covered: f64| {
            if is_first {
                f64::from(all) - covered
            } else {
                0.0
            }
        };
        let content = Content {
            left: first(last_is_left, pixels.width(), covered_width),
            top: first(last_is_top, pixels.height(), covered_height),
            width: covered_width,
            height: covered_height,
        };
        let memory = self.memory.map(|mut memory| {
            memory.keep(pixels.as_raw().len() as u64);
            Arc::new(memory)
        });
        Decoded {
            pixels,
            full_size,
            content,
            _memory: memory,
        }
    }
}

/// A level as it looks on white.
fn on_white(level: u8, alpha: u8) -> u8 {
    over_255(u32::from(level) * u32::from(alpha) + 255 * u32::from(255 - alpha))
}

/// Rounded division of a product of two 8-bit levels.
fn over_255(product: u32) -> u8 {
    ((product + 127) / 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transparent_is_white_and_opaque_is_unchanged() {
        assert_eq!(
            (on_white(7, 0), on_white(7, 255), on_white(0, 128)),
            (255, 7, 127)
        );
    }

    #[test]
    fn the_content_moves_with_the_pixels() {
        // 5 × 3 shrunk by 2 is 3 × 2, of which 2.5 × 1.5 are covered; what the file has last is covered in part.
        for (exif, left, top) in [
            (1, 0.0, 0.0),
            (2, 0.5, 0.0),
            (3, 0.5, 0.5),
            (4, 0.0, 0.5),
            (5, 0.0, 0.0),
            (6, 0.5, 0.0),
            (7, 0.5, 0.5),
            (8, 0.0, 0.5),
        ] {
            let mut pixels = RgbImage::new(3, 2);
            pixels.put_pixel(2, 1, image::Rgb([255; 3]));
            let picture = Stored {
                pixels,
                full_size: (5, 3),
                shrink: 2,
                memory: None,
            }
            .upright(Orientation::from_exif(exif).unwrap());
            let Content {
                left: l,
                top: t,
                width,
                height,
            } = picture.content();
            assert_eq!((l, t), (left, top), "orientation {exif}");
            let (all_width, all_height) = picture.pixels().dimensions();
            let x = if left > 0.0 { 0 } else { all_width - 1 };
            let y = if top > 0.0 { 0 } else { all_height - 1 };
            assert_eq!(
                picture.pixels().get_pixel(x, y).0,
                [255; 3],
                "orientation {exif}"
            );
            assert_eq!(
                if exif < 5 {
                    (width, height)
                } else {
                    (height, width)
                },
                (2.5, 1.5)
            );
        }
    }

    #[test]
    fn detail_bounds_the_factor() {
        let shrink = |longer, shorter, size| Detail { longer, shorter }.shrink(size);
        assert_eq!(shrink(512, 0, (4_000, 3_000)), 5);
        assert_eq!(shrink(512, 384, (4_000, 3_000)), 5);
        assert_eq!(shrink(512, 384, (3_000, 600)), 1);
        assert_eq!(shrink(512, 0, (700, 700)), 1);
        // A strip becomes 512 × 1, to which all three rows have to give their shares.
        assert_eq!(shrink(512, 0, (3_000, 3)), 1);
        assert_eq!(shrink(1, 0, (1, 1)), 1);
    }
}
