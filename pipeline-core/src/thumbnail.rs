//! Small JPEG copies.

use std::error::Error as StdError;
use std::sync::Arc;

use bytes::Bytes;
use mozjpeg::{ColorSpace, Compress};
use serde::{Serialize, Serializer};

use crate::error::SharedError;
use crate::resize::bicubic;
use crate::{Cx, Decoded, Error, Result, Stage, libjpeg};

/// A thumbnail that is wanted.
///
/// ```
/// use pipeline_core::ThumbnailSpec;
///
/// let spec = ThumbnailSpec::new("large", 2_048).with_quality(92);
/// assert_eq!((&*spec.name, spec.box_side, spec.quality), ("large", 2_048, 92));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThumbnailSpec {
    /// The name it is stored under, for example "small".
    pub name: Arc<str>,
    /// The side of the square that the picture has to fit into, in pixels.
    pub box_side: u32,
    /// JPEG quality, 1 to 100.
    pub quality: u8,
}

impl ThumbnailSpec {
    /// A thumbnail that fits into a square of `box_side` pixels (at least 1), at quality 85.
    pub fn new(name: impl Into<Arc<str>>, box_side: u32) -> Self {
        Self {
            name: name.into(),
            box_side: box_side.max(1),
            quality: 85,
        }
    }

    /// Sets the JPEG quality; values outside 1 to 100 become the nearest of the two.
    #[must_use]
    pub fn with_quality(mut self, quality: u8) -> Self {
        self.quality = quality.clamp(1, 100);
        self
    }
}

/// A thumbnail that was made: a JPEG file without EXIF, sRGB, upright.
///
/// ```
/// use pipeline_core::image::RgbImage;
/// use pipeline_core::{Cx, Decoded, Format, Stage, ThumbnailSpec, ThumbnailStage};
///
/// let stage = ThumbnailStage::new([ThumbnailSpec::new("small", 256)]);
/// let thumbnails = stage.run(&Decoded::from(RgbImage::new(640, 480)), &Cx::none())?;
/// for thumbnail in &thumbnails {
///     assert_eq!(Format::sniff(&thumbnail.jpeg), Some(Format::Jpeg)); // ready for `fs::write`
///     println!("{}: {} × {}", thumbnail.name, thumbnail.width, thumbnail.height);
/// }
/// # Ok::<(), pipeline_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Thumbnail {
    /// [`ThumbnailSpec::name`].
    #[serde(serialize_with = "text")]
    pub name: Arc<str>,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The encoded file.
    pub jpeg: Bytes,
}

// Serde's own way to write an `Arc` is behind a feature that every crate of a program would get.
fn text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// The stage that makes the thumbnails: bicubic (Catmull-Rom), antialiased, never larger than the picture.
///
/// ```
/// use pipeline_core::image::RgbImage;
/// use pipeline_core::{Cx, Decoded, Stage, ThumbnailSpec, ThumbnailStage};
///
/// let stage = ThumbnailStage::new([ThumbnailSpec::new("small", 256)]);
/// let thumbnails = stage.run(&Decoded::from(RgbImage::new(641, 479)), &Cx::none())?;
/// assert_eq!((thumbnails[0].width, thumbnails[0].height), (256, 191));
/// # Ok::<(), pipeline_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct ThumbnailStage {
    specs: Vec<ThumbnailSpec>,
}

impl ThumbnailStage {
    /// Makes one thumbnail for each of `specs`, in their order.
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

    fn run(&self, picture: &Decoded, cx: &Cx) -> Result<Vec<Thumbnail>> {
        let one = |spec: &ThumbnailSpec| {
            cx.check()?;
            thumbnail(picture, spec).map_err(|source| Error::Thumbnail {
                name: Arc::clone(&spec.name),
                source,
            })
        };
        self.specs.iter().map(one).collect()
    }
}

fn thumbnail(picture: &Decoded, spec: &ThumbnailSpec) -> Result<Thumbnail, SharedError> {
    let (full_width, full_height) = picture.full_size();
    let (width, height) = fit(full_width, full_height, spec.box_side);
    let pixels = picture.pixels();
    let jpeg = if (width, height) == pixels.dimensions() {
        encode(pixels.as_raw(), width, height, spec.quality)
    } else {
        encode(
            &bicubic(pixels, picture.content(), (width, height))?,
            width,
            height,
            spec.quality,
        )
    }?;
    Ok(Thumbnail {
        name: Arc::clone(&spec.name),
        width,
        height,
        jpeg: jpeg.into(),
    })
}

/// The file that libjpeg-turbo, and so Pillow, writes of these pixels: 4:2:0 at every quality, with the shortest codes.
fn encode(rgb: &[u8], width: u32, height: u32, quality: u8) -> Result<Vec<u8>, SharedError> {
    let write = || {
        let mut file = Compress::new(ColorSpace::JCS_RGB);
        // Without the smaller quantisation and the scans of mozjpeg, which take many times as long.
        file.set_fastest_defaults();
        file.set_size(width as usize, height as usize);
        file.set_quality(quality.into());
        file.set_optimize_coding(true);
        let mut rows = file.start_compress(Vec::new())?;
        rows.write_scanlines(rgb)?;
        rows.finish()
    };
    libjpeg::catch(write)
        .map_err(Box::<dyn StdError + Send + Sync>::from)?
        .map_err(|error| Arc::new(error) as SharedError)
}

/// The size of a `width` × `height` picture fitted into a square of side `side`, by the rule of Pillow's `thumbnail`:
/// the longer side becomes `side`, and of the two whole numbers next to the exact shorter side, the one that keeps the
/// aspect best.
pub(crate) fn fit(width: u32, height: u32, side: u32) -> (u32, u32) {
    if width <= side && height <= side {
        return (width, height);
    }
    let aspect = f64::from(width) / f64::from(height);
    let b = f64::from(side);
    if aspect <= 1.0 {
        (nearest(b * aspect, |n| (aspect - n / b).abs()), side)
    } else {
        (
            side,
            nearest(b / aspect, |n| {
                if n == 0.0 {
                    0.0
                } else {
                    (aspect - b / n).abs()
                }
            }),
        )
    }
}

/// Of the floor and the ceiling of `exact`, the one with the smaller error (the floor if equal), but at least 1.
fn nearest(exact: f64, error: impl Fn(f64) -> f64) -> u32 {
    let (floor, ceil) = (exact.floor(), exact.ceil());
    let best = if error(ceil) < error(floor) {
        ceil
    } else {
        floor
    };
    best.max(1.0) as u32
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;

    #[test]
    fn sizes_follow_the_rule() {
        for ((width, height, side), expected) in [
            ((641, 479, 256), (256, 191)),
            ((641, 479, 512), (512, 383)),
            ((257, 255, 256), (256, 254)),
            ((1, 5000, 256), (1, 256)),
            ((5000, 3, 256), (256, 1)),
            ((256, 256, 256), (256, 256)),
            ((10, 20, 256), (10, 20)),
            ((257, 1, 256), (256, 1)),
            ((4000, 3000, 512), (512, 384)),
        ] {
            assert_eq!(
                fit(width, height, side),
                expected,
                "{width}×{height} into {side}"
            );
        }
    }

    #[test]
    fn every_size_stays_in_the_box_and_touches_it() {
        for width in (1..3_000).step_by(37) {
            for height in (1..3_000).step_by(41) {
                for side in [1, 2, 256, 512] {
                    let (w, h) = fit(width, height, side);
                    assert!(w >= 1 && h >= 1 && w <= width && h <= height);
                    assert_eq!(
                        w.max(h),
                        side.min(width.max(height)),
                        "{width}×{height} into {side}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_small_picture_is_not_resized() {
        let stage = ThumbnailStage::new([
            ThumbnailSpec::new("a", 16),
            ThumbnailSpec::new("b", 4).with_quality(90),
        ]);
        let thumbnails = stage
            .run(&Decoded::from(RgbImage::new(8, 6)), &Cx::none())
            .unwrap();
        let sizes: Vec<_> = thumbnails
            .iter()
            .map(|t| (&*t.name, t.width, t.height))
            .collect();
        assert_eq!(sizes, [("a", 8, 6), ("b", 4, 3)]);
        assert!(
            thumbnails
                .iter()
                .all(|t| t.jpeg.starts_with(b"\xff\xd8\xff"))
        );
    }

    #[test]
    fn what_jpeg_cannot_hold_is_an_error() {
        for (width, height) in [(0, 0), (70_000, 1)] {
            let stage = ThumbnailStage::new([ThumbnailSpec::new("huge", 80_000)]);
            let error = stage
                .run(&Decoded::from(RgbImage::new(width, height)), &Cx::none())
                .unwrap_err();
            assert!(matches!(error, Error::Thumbnail { .. }), "{error:?}");
        }
    }
}
