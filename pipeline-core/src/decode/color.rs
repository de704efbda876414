//! Whatever a file's samples mean, made 8-bit sRGB on white.

use image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};
use moxcms::{ColorProfile, DataColorSpace, Layout, Transform8BitExecutor, TransformOptions};
use std::sync::Arc;

type Transform = Arc<Transform8BitExecutor>;

/// Converts grey or RGB samples of 8 or 16 bits, with or without alpha, by the ICC profile if it fits them.
pub(super) fn to_srgb(picture: DynamicImage, icc: Option<&[u8]>) -> RgbImage {
    // 16-bit samples are scaled to 8 bits by these conversions, not cut off.
    match (picture.color().has_color(), picture.color().has_alpha()) {
        (false, false) => {
            let gray = picture.into_luma8();
            match transform(icc, DataColorSpace::Gray, Layout::Gray, Layout::Rgb) {
                Some(transform) => apply(
                    &transform,
                    gray.as_raw(),
                    gray.dimensions(),
                    3,
                    RgbImage::from_raw,
                ),
                None => spread(&gray),
            }
        }
        (false, true) => {
            let gray = picture.into_luma_alpha8();
            match transform(icc, DataColorSpace::Gray, Layout::GrayAlpha, Layout::Rgba) {
                Some(transform) => flatten(&apply(
                    &transform,
                    gray.as_raw(),
                    gray.dimensions(),
                    4,
                    RgbaImage::from_raw,
                )),
                None => flatten_gray(&gray),
            }
        }
        (true, false) => {
            let rgb = picture.into_rgb8();
            match transform(icc, DataColorSpace::Rgb, Layout::Rgb, Layout::Rgb) {
                Some(transform) => apply(
                    &transform,
                    rgb.as_raw(),
                    rgb.dimensions(),
                    3,
                    RgbImage::from_raw,
                ),
                None => rgb,
            }
        }
        (true, true) => {
            let rgba = picture.into_rgba8();
            match transform(icc, DataColorSpace::Rgb, Layout::Rgba, Layout::Rgba) {
                Some(transform) => flatten(&apply(
                    &transform,
                    rgba.as_raw(),
                    rgba.dimensions(),
                    4,
                    RgbaImage::from_raw,
                )),
                None => flatten(&rgba),
            }
        }
    }
}

/// Four inks a pixel, as libjpeg gives them.
pub(super) struct Cmyk {
    pub(super) width: u32,
    pub(super) height: u32,
    /// 4 × width × height samples: cyan, magenta, yellow, black.
    pub(super) samples: Vec<u8>,
    /// Adobe's programs write 255 for no ink and say so with a marker; without it, 0 is no ink.
    pub(super) inverted: bool,
}

impl Cmyk {
    pub(super) fn into_srgb(mut self, icc: Option<&[u8]>) -> RgbImage {
        if self.inverted {
            for sample in &mut self.samples {
                *sample = 255 - *sample;
            }
        }
        // The transform's name for four channels is `Rgba`, whatever they mean.
        if let Some(transform) = transform(icc, DataColorSpace::Cmyk, Layout::Rgba, Layout::Rgb) {
            return apply(
                &transform,
                &self.samples,
                (self.width, self.height),
                3,
                RgbImage::from_raw,
            );
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
fn transform(
    icc: Option<&[u8]>,
    space: DataColorSpace,
    from: Layout,
    to: Layout,
) -> Option<Transform> {
    let profile = ColorProfile::new_from_slice(icc?)
        .ok()
        .filter(|profile| profile.color_space == space)?;
    let transform = profile
        .create_transform_8bit(
            from,
            &ColorProfile::new_srgb(),
            to,
            TransformOptions::default(),
        )
        .ok()?;
    if space == DataColorSpace::Rgb && is_identity(&transform, from.channels()) {
        None
    } else {
        Some(transform)
    }
}

/// Whether the transform changes no colour by more than one level. Most profiles in photographs are sRGB itself, and
/// converting them would cost time and add rounding.
fn is_identity(transform: &Transform, channels: usize) -> bool {
    const LEVELS: [u8; 6] = [0, 51, 102, 153, 204, 255];
    let mut colors = Vec::new();
    for r in LEVELS {
        for g in LEVELS {
            for b in LEVELS {
                colors.extend_from_slice(&[r, g, b, 255][..channels]);
            }
        }
    }
    let mut converted = vec![0; colors.len()];
    transform.transform(&colors, &mut converted).is_ok()
        && colors
            .iter()
            .zip(&converted)
            .all(|(before, after)| before.abs_diff(*after) <= 1)
}

fn apply<I>(
    transform: &Transform,
    samples: &[u8],
    (width, height): (u32, u32),
    channels: usize,
    image: impl FnOnce(u32, u32, Vec<u8>) -> Option<I>,
) -> I {
    let mut converted = vec![0; width as usize * height as usize * channels];
    transform
        .transform(samples, &mut converted)
        .expect("both sides have one entry for each pixel");
    image(width, height, converted).expect("the buffer was made for this size")
}

fn spread(gray: &GrayImage) -> RgbImage {
    let rgb = gray.as_raw().iter().flat_map(|&level| [level; 3]).collect();
    RgbImage::from_raw(gray.width(), gray.height(), rgb).expect("three samples for each pixel")
}

fn flatten(rgba: &RgbaImage) -> RgbImage {
    let rgb = rgba.as_raw().as_chunks::<4>().0.iter();
    let rgb = rgb
        .flat_map(|&[r, g, b, a]| [on_white(r, a), on_white(g, a), on_white(b, a)])
        .collect();
    RgbImage::from_raw(rgba.width(), rgba.height(), rgb).expect("three samples for each pixel")
}

fn flatten_gray(gray: &GrayAlphaImage) -> RgbImage {
    let rgb = gray
        .as_raw()
        .as_chunks::<2>()
        .0
        .iter()
        .flat_map(|&[level, a]| [on_white(level, a); 3])
        .collect();
    RgbImage::from_raw(gray.width(), gray.height(), rgb).expect("three samples for each pixel")
}

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
    fn sixteen_bits_are_scaled() {
        let gray = image::ImageBuffer::from_pixel(1, 1, image::Luma([0x8080_u16]));
        assert_eq!(
            to_srgb(DynamicImage::ImageLuma16(gray), None)
                .get_pixel(0, 0)
                .0,
            [0x80; 3]
        );
    }

    #[test]
    fn inks_darken() {
        let cmyk = |samples: [u8; 4], inverted| {
            Cmyk {
                width: 1,
                height: 1,
                samples: samples.to_vec(),
                inverted,
            }
            .into_srgb(None)
            .get_pixel(0, 0)
            .0
        };
        assert_eq!(cmyk([0, 0, 0, 0], false), [255; 3]);
        assert_eq!(cmyk([255, 255, 255, 255], true), [255; 3]);
        assert_eq!(cmyk([255, 0, 0, 0], false), [0, 255, 255]);
        assert_eq!(cmyk([0, 0, 0, 255], false), [0; 3]);
    }
}
