//! From pixels to the model's input, as transformers' `BlipImageProcessor` does it.

use std::array;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;
use serde::Deserialize;

/// Resizes to a square, without keeping the aspect and without cropping, and normalises.
#[derive(Debug)]
pub(super) struct Preprocessor {
    side: u32,
    /// What each of the 256 levels becomes, for each channel.
    levels: [[f32; 256]; 3],
}

/// `preprocessor_config.json`. What it leaves out has transformers' default.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Settings {
    do_resize: bool,
    size: Option<Size>,
    resample: u32,
    do_rescale: bool,
    rescale_factor: f64,
    do_normalize: bool,
    image_mean: PerChannel,
    image_std: PerChannel,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            do_resize: true,
            size: None,
            resample: BICUBIC,
            do_rescale: true,
            rescale_factor: 1.0 / 255.0,
            do_normalize: true,
            image_mean: PerChannel::Three([0.481_454_66, 0.457_827_5, 0.408_210_73]),
            image_std: PerChannel::Three([0.268_629_54, 0.261_302_6, 0.275_777_1]),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Size {
    Square(u32),
    Sides { height: u32, width: u32 },
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum PerChannel {
    One(f32),
    Three([f32; 3]),
}

impl PerChannel {
    fn get(&self, channel: usize) -> f32 {
        match self {
            Self::One(value) => *value,
            Self::Three(values) => values[channel],
        }
    }
}

/// Pillow's number for it.
const BICUBIC: u32 = 3;

impl Preprocessor {
    /// Reads `preprocessor_config.json` for a model that takes pictures of `side` pixels.
    pub(super) fn parse(json: &[u8], side: usize) -> Result<Self, String> {
        let settings: Settings = serde_json::from_slice(json).map_err(|e| e.to_string())?;
        if !settings.do_resize {
            return Err("do_resize is false, but the model takes one size only".into());
        }
        if settings.resample != BICUBIC {
            return Err(format!(
                "resample is {}, only {BICUBIC} (bicubic) is known",
                settings.resample
            ));
        }
        let (height, width) = match settings.size {
            None => (384, 384),
            Some(Size::Square(side)) => (side, side),
            Some(Size::Sides { height, width }) => (height, width),
        };
        if height as usize != side || width as usize != side {
            return Err(format!(
                "size is {height}×{width}, but vision_config.image_size in config.json is {side}"
            ));
        }
        Ok(Self {
            side: width,
            levels: array::from_fn(|channel| {
                array::from_fn(|level| settings.normalised(level, channel))
            }),
        })
    }

    pub(super) fn side(&self) -> usize {
        self.side as usize
    }

    /// Resizes and normalises: channels, then rows.
    pub(super) fn pixels(&self, picture: &RgbImage) -> Result<Vec<f32>, String> {
        if picture.is_empty() {
            return Err("it has no pixels".into());
        }
        let side = self.side;
        let (width, height) = picture.dimensions();
        let source = ImageRef::new(width, height, picture.as_raw(), PixelType::U8x3)
            .map_err(|e| e.to_string())?;
        // Width first, as Pillow does: each pass rounds and clips to 8 bits, so that their order shows at sharp edges.
        let mut narrow = Image::new(side, height, PixelType::U8x3);
        let mut square = Image::new(side, side, PixelType::U8x3);
        // Catmull-Rom over the whole footprint of a pixel is what Pillow calls bicubic.
        let bicubic = ResizeAlg::Convolution(FilterType::CatmullRom);
        let options = ResizeOptions::new().resize_alg(bicubic);
        let mut resizer = Resizer::new();
        resizer
            .resize(&source, &mut narrow, &options)
            .and_then(|()| resizer.resize(&narrow, &mut square, &options))
            .map_err(|e| e.to_string())?;
        let (colours, _) = square.buffer().as_chunks::<3>();
        let mut pixels = Vec::with_capacity(3 * colours.len());
        for (channel, levels) in self.levels.iter().enumerate() {
            pixels.extend(colours.iter().map(|rgb| levels[usize::from(rgb[channel])]));
        }
        Ok(pixels)
    }
}

impl Settings {
    fn normalised(&self, level: usize, channel: usize) -> f32 {
        let value = if self.do_rescale {
            // The reference multiplies in double precision, then rounds.
            (level as f64 * self.rescale_factor) as f32
        } else {
            level as f32
        };
        if self.do_normalize {
            (value - self.image_mean.get(channel)) / self.image_std.get(channel)
        } else {
            value
        }
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn a_plain_picture_stays_plain_at_any_size() {
        let settings =
            br#"{"size":4,"do_rescale":false,"image_mean":127.0,"image_std":[128,64,32]}"#;
        let preprocessor = Preprocessor::parse(settings, 4).unwrap();
        for (width, height) in [(1, 1), (4, 4), (3, 500), (500, 2)] {
            let picture = RgbImage::from_pixel(width, height, Rgb([255, 127, 0]));
            let pixels = preprocessor.pixels(&picture).unwrap();
            let expected: Vec<f32> = [1.0, 0.0, -127.0 / 32.0]
                .iter()
                .flat_map(|&v| [v; 16])
                .collect();
            assert_eq!(pixels, expected, "{width}×{height}");
        }
    }

    #[test]
    fn an_empty_file_has_the_defaults_of_transformers() {
        let preprocessor = Preprocessor::parse(b"{}", 384).unwrap();
        let white = (1.0 - 0.481_454_66) / 0.268_629_54;
        assert!((preprocessor.levels[0][255] - white).abs() < 1e-6);
    }

    #[test]
    fn an_empty_picture_is_an_error() {
        let preprocessor = Preprocessor::parse(b"{}", 384).unwrap();
        assert!(preprocessor.pixels(&RgbImage::new(0, 5)).is_err());
    }

    #[test]
    fn what_cannot_work_is_named() {
        for (json, part) in [
            ("{", "EOF"),
            (r#"{"size":{"height":4,"width":8}}"#, "size is 4×8"),
            (r#"{"resample":0}"#, "resample is 0"),
            (r#"{"do_resize":false}"#, "do_resize"),
        ] {
            let error = Preprocessor::parse(json.as_bytes(), 384).unwrap_err();
            assert!(error.contains(part), "{json}: {error}");
        }
    }
}
