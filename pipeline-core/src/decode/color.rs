//! Whatever a file's samples mean, made 8-bit sRGB.

use std::sync::Arc;

use image::{DynamicImage, GrayImage, RgbImage};
use moxcms::{ColorProfile, DataColorSpace, Layout, Transform8BitExecutor, TransformOptions};

use super::over_255;

type Transform = Arc<Transform8BitExecutor>;

/// Converts grey or RGB samples of 8 bits, by the ICC profile if it fits them.
pub(super) fn to_srgb(picture: DynamicImage, icc: Option<&[u8]>) -> RgbImage {
    if picture.color().has_color() {
        let rgb = picture.into_rgb8();
        match transform(icc, DataColorSpace::Rgb, Layout::Rgb) {
            Some(transform) => apply(&transform, rgb.as_raw(), rgb.dimensions()),
            None => rgb,
        }
    } else {
        let gray = picture.into_luma8();
        match transform(icc, DataColorSpace::Gray, Layout::Gray) {
            Some(transform) => apply(&transform, gray.as_raw(), gray.dimensions()),
            None => spread(&gray),
        }
    }
}

/// Converts rows of one picture whose colours have to be sRGB before something else is done to them.
pub(super) struct Rows(Transform);

impl Rows {
    /// `None` if there is nothing to convert: the samples are sRGB as they are.
    pub(super) fn new(icc: Option<&[u8]>, channels: usize) -> Option<Self> {
        let (space, layout) = match channels {
            1 => (DataColorSpace::Gray, Layout::Gray),
            _ => (DataColorSpace::Rgb, Layout::Rgb),
        };
        transform(icc, space, layout).map(Self)
    }

    /// Appends the row as RGB.
    pub(super) fn convert(&self, row: &[u8], pixels: usize, converted: &mut Vec<u8>) {
        let from = converted.len();
        converted.resize(from + 3 * pixels, 0);
        self.0
            .transform(row, &mut converted[from..])
            .expect("both sides have one entry for each pixel");
    }
}

/// Four inks a pixel, as libjpeg gives them.
pub(super) struct Cmyk {
    pub(super) width: u32,
    pub(super) height: u32,
    /// 4 × width × height samples: cyan, magenta, yellow, black. As in all programs that follow Adobe's, 255 is no ink;
    /// like Pillow and libvips, this does not ask for Adobe's marker, which some files have lost.
    pub(super) samples: Vec<u8>,
}

impl Cmyk {
    pub(super) fn into_srgb(mut self, icc: Option<&[u8]>) -> RgbImage {
        for sample in &mut self.samples {
            *sample = 255 - *sample;
        }
        // The transform's name for four channels is `Rgba`, whatever they mean.
        if let Some(transform) = transform(icc, DataColorSpace::Cmyk, Layout::Rgba) {
            return apply(&transform, &self.samples, (self.width, self.height));
        }
        let rgb = self
            .samples
            .as_chunks::<4>()
            .0
            .iter()
            .flat_map(|&[c, m, y, k]| {
                let light = |ink: u8| over_255(u32::from(255 - ink) * u32::from(255 - k));
                [light(c), light(m), light(y)]
            });
        RgbImage::from_raw(self.width, self.height, rgb.collect())
            .expect("three samples for each pixel")
    }
}

/// A transform to sRGB, or `None` if there is nothing to convert: no profile, a damaged one, one for other samples than
/// the file has, or one that is sRGB by another name.
fn transform(icc: Option<&[u8]>, space: DataColorSpace, from: Layout) -> Option<Transform> {
    let profile = ColorProfile::new_from_slice(icc?)
        .ok()
        .filter(|profile| profile.color_space == space)?;
    let options = TransformOptions::default();
    let transform = profile
        .create_transform_8bit(from, &ColorProfile::new_srgb(), Layout::Rgb, options)
        .ok()?;
    if space == DataColorSpace::Rgb && is_identity(&transform) {
        None
    } else {
        Some(transform)
    }
}

/// Whether the transform changes no colour by more than one level. Most profiles in photographs are sRGB itself, and
/// converting them would cost time and add rounding.
fn is_identity(transform: &Transform) -> bool {
    const LEVELS: [u8; 6] = [0, 51, 102, 153, 204, 255];
    let colors: Vec<u8> = LEVELS
        .iter()
        .flat_map(|&r| {
            LEVELS
                .iter()
                .flat_map(move |&g| LEVELS.iter().flat_map(move |&b| [r, g, b]))
        })
        .collect();
    let mut converted = vec![0; colors.len()];
    transform.transform(&colors, &mut converted).is_ok()
        && colors
            .iter()
            .zip(&converted)
            .all(|(before, after)| before.abs_diff(*after) <= 1)
}

fn apply(transform: &Transform, samples: &[u8], (width, height): (u32, u32)) -> RgbImage {
    let mut converted = RgbImage::new(width, height);
    transform
        .transform(samples, &mut converted)
        .expect("both sides have one entry for each pixel");
    converted
}

fn spread(gray: &GrayImage) -> RgbImage {
    let rgb = gray.as_raw().iter().flat_map(|&level| [level; 3]).collect();
    RgbImage::from_raw(gray.width(), gray.height(), rgb).expect("three samples for each pixel")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_srgb_profile_changes_nothing_and_a_wide_one_does() {
        let srgb = ColorProfile::new_srgb().encode().unwrap();
        let wide = ColorProfile::new_display_p3().encode().unwrap();
        let red = || DynamicImage::ImageRgb8(RgbImage::from_pixel(2, 1, image::Rgb([200, 40, 40])));
        assert_eq!(to_srgb(red(), Some(&srgb)).get_pixel(0, 0).0, [200, 40, 40]);
        let [r, g, _] = to_srgb(red(), Some(&wide)).get_pixel(0, 0).0;
        assert!(r > 210 && g < 30, "{r} {g}");
    }

    #[test]
    fn a_damaged_or_unfit_profile_is_ignored() {
        let gray = || DynamicImage::ImageLuma8(GrayImage::from_pixel(1, 1, image::Luma([90])));
        let rgb_profile = ColorProfile::new_display_p3().encode().unwrap();
        for icc in [&b"nonsense"[..], &rgb_profile[..200], &rgb_profile] {
            assert_eq!(to_srgb(gray(), Some(icc)).get_pixel(0, 0).0, [90, 90, 90]);
        }
    }

    #[test]
    fn inks_darken() {
        let cmyk = |samples: [u8; 4]| {
            let inks = Cmyk {
                width: 1,
                height: 1,
                samples: samples.to_vec(),
            };
            inks.into_srgb(None).get_pixel(0, 0).0
        };
        assert_eq!(cmyk([255; 4]), [255; 3]);
        assert_eq!(cmyk([0, 255, 255, 255]), [0, 255, 255]);
        assert_eq!(cmyk([255, 255, 255, 0]), [0; 3]);
    }
}
