//! The pictures that are measured: enlarged photographs with a little grain, the same on every run.

use std::path::Path;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder, RgbImage, imageops};
use pipeline_core::{Cx, Decode, Decoded, Limits, Source, Stage, ThumbnailSpec, ThumbnailStage};

/// Width and height of the pictures: 0.3, 2 and 12 Mpx.
pub(crate) const SIZES: [(u32, u32); 3] = [(640, 480), (1_632, 1_224), (4_000, 3_000)];

fn photo() -> Source {
    Source::from_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/photos/rocket.jpg"))
        .expect("the photo is in the repository")
}

pub(crate) fn picture(width: u32, height: u32) -> RgbImage {
    let photo = Decode::new(Limits::default())
        .run(&photo(), &Cx::none())
        .expect("the photo can be decoded");
    let mut picture = imageops::resize(
        photo.pixels(),
        width,
        height,
        imageops::FilterType::CatmullRom,
    );
    let mut state = 1_u32;
    for sample in picture.iter_mut() {
        // Grain of ±7 levels: without it, an enlarged photo compresses like no real one does.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *sample = sample.saturating_add_signed((state >> 28) as i8 - 8);
    }
    picture
}

pub(crate) fn jpeg(picture: &RgbImage) -> Source {
    let side = picture.width().max(picture.height());
    let stage = ThumbnailStage::new([ThumbnailSpec::new("whole", side).with_quality(90)]);
    let whole = stage
        .run(&Decoded::from(picture.clone()), &Cx::none())
        .expect("the picture can be encoded")
        .remove(0);
    Source::from(whole.jpeg)
}

pub(crate) fn png(picture: &RgbImage) -> Source {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(
            picture.as_raw(),
            picture.width(),
            picture.height(),
            ExtendedColorType::Rgb8,
        )
        .expect("the picture can be encoded");
    Source::from(bytes)
}
