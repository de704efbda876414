//! The pictures that are measured: enlarged photographs with a little grain, the same on every run.

use std::path::Path;

use image::{RgbImage, imageops};
use jpeg_encoder::{Encoder, SamplingFactor};
use pipeline_core::{Cx, Decode, Limits, Source, Stage};

/// Width and height of the pictures: 0.3, 2, 12 and 48 Mpx.
pub(crate) const SIZES: [(u32, u32); 4] =
    [(640, 480), (1_632, 1_224), (4_000, 3_000), (8_000, 6_000)];

/// A name, and how a picture is written in that kind of file.
pub(crate) type Kind = (&'static str, fn(&RgbImage) -> Source);

/// The kinds of file that are decoded in different ways.
pub(crate) const KINDS: [Kind; 7] = [
    ("jpeg-420", jpeg),
    ("jpeg-444", |picture| {
        encoded(picture, |encoder| {
            encoder.set_sampling_factor(SamplingFactor::R_4_4_4);
        })
    }),
    ("jpeg-progressive", |picture| {
        encoded(picture, |encoder| encoder.set_progressive(true))
    }),
    ("jpeg-gray", jpeg_gray),
    ("png-rgb", png),
    ("png-rgba", png_rgba),
    ("png-palette", png_palette),
];

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

fn jpeg(picture: &RgbImage) -> Source {
    encoded(picture, |encoder| {
        encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
    })
}

fn encoded(picture: &RgbImage, set: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Source {
    write_jpeg(picture, picture.as_raw(), jpeg_encoder::ColorType::Rgb, set)
}

fn jpeg_gray(picture: &RgbImage) -> Source {
    let gray = imageops::grayscale(picture);
    write_jpeg(
        picture,
        gray.as_raw(),
        jpeg_encoder::ColorType::Luma,
        |_| {},
    )
}

fn write_jpeg(
    picture: &RgbImage,
    samples: &[u8],
    color: jpeg_encoder::ColorType,
    set: impl FnOnce(&mut Encoder<&mut Vec<u8>>),
) -> Source {
    let side = |pixels: u32| u16::try_from(pixels).expect("the sides fit into a JPEG");
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 90);
    set(&mut encoder);
    let (width, height) = (side(picture.width()), side(picture.height()));
    encoder
        .encode(samples, width, height, color)
        .expect("the picture can be encoded");
    Source::from(bytes)
}

fn png(picture: &RgbImage) -> Source {
    write_png(picture, picture.as_raw(), png::ColorType::Rgb)
}

fn png_rgba(picture: &RgbImage) -> Source {
    let pixels = picture.as_raw().as_chunks::<3>().0.iter();
    let rgba: Vec<u8> = pixels
        .flat_map(|&[r, g, b]| [r, g, b, 255 - r / 2])
        .collect();
    write_png(picture, &rgba, png::ColorType::Rgba)
}

fn png_palette(picture: &RgbImage) -> Source {
    let pixels = picture.as_raw().as_chunks::<3>().0.iter();
    let sixth = |level: u8| level / 43;
    let indices: Vec<u8> = pixels
        .map(|&[r, g, b]| sixth(r) * 36 + sixth(g) * 6 + sixth(b))
        .collect();
    write_png(picture, &indices, png::ColorType::Indexed)
}

fn write_png(picture: &RgbImage, samples: &[u8], color: png::ColorType) -> Source {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, picture.width(), picture.height());
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    if color == png::ColorType::Indexed {
        let cube = (0..216_u8).flat_map(|i| [i / 36, i / 6 % 6, i % 6].map(|sixth| sixth * 51));
        encoder.set_palette(cube.collect::<Vec<u8>>());
    }
    let mut file = encoder.write_header().expect("the picture can be encoded");
    file.write_image_data(samples)
        .expect("the picture can be encoded");
    drop(file);
    Source::from(bytes)
}
