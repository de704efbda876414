//! One picture of each kind, decoded and shrunk, against what Pillow 12.1.1 makes of it (`fixtures/pictures/make.py`).
//!
//! Judged here: libjpeg as in mozjpeg-sys 2.2, and the `png` crate 0.18 behind `image` 0.25.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use image::RgbImage;
use pipeline_core::{
    CancelToken, Cx, Decode, Decoded, Error, Limits, MemoryBudget, MetadataStage, Source, Stage,
    ThumbnailSpec, ThumbnailStage,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pictures")
}

fn source(name: &str) -> Source {
    Source::from_path(folder().join(name)).unwrap()
}

fn decode(source: &Source) -> Result<Decoded, Error> {
    Decode::new(Limits::default()).run(source, &Cx::none())
}

fn expected(name: &str) -> RgbImage {
    image::open(folder().join(name)).unwrap().into_rgb8()
}

/// Every input in the folder: each has an `.expected.png` beside it.
fn inputs() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| {
            folder()
                .join(format!("{}.expected.png", stem(name)))
                .exists()
                && !name.contains(".expected")
        })
        .collect();
    names.sort();
    assert!(names.len() >= 45, "only {} inputs", names.len());
    names
}

fn stem(name: &str) -> &str {
    name.split_once('.').unwrap().0
}

/// Mean and largest difference, in levels of 255.
fn difference(a: &RgbImage, b: &RgbImage) -> (f64, u8) {
    assert_eq!(a.dimensions(), b.dimensions());
    let differences = || {
        a.as_raw()
            .iter()
            .zip(b.as_raw())
            .map(|(x, y)| x.abs_diff(*y))
    };
    let mean = differences().map(f64::from).sum::<f64>() / a.as_raw().len() as f64;
    (mean, differences().max().unwrap())
}

#[test]
fn every_kind_of_picture_comes_out_as_pillow_has_it() {
    for name in inputs() {
        let picture =
            decode(&source(&name)).unwrap_or_else(|error| panic!("{name}: {}", error.report()));
        let (mean, most) = difference(
            picture.pixels(),
            &expected(&format!("{}.expected.png", stem(&name))),
        );
        // Plain files are the same to the bit. Conversions of ink and profiles round differently, and the answers for
        // ink and YCCK are those of the picture before JPEG took its share.
        // Of a profile with tables, each reader also interpolates in its own way.
        let kind: Vec<&str> = stem(&name).split('-').collect();
        let (mean_bound, most_bound) = match kind[..] {
            ["cmyk" | "ycck", ..] => (2.0, 24),
            ["icc", "cmyk", ..] => (1.0, 5),
            ["icc", ..] => (0.6, 3),
            _ => (0.0, 0),
        };
        assert!(
            mean <= mean_bound && most <= most_bound,
            "{name}: mean {mean:.3}, most {most}"
        );
    }
}

#[test]
fn sizes_in_the_header_are_the_stored_ones() {
    for name in inputs() {
        let metadata = MetadataStage::new()
            .run(&source(&name), &Cx::none())
            .unwrap();
        let turned = (5..=8).contains(&metadata.orientation);
        assert_eq!(
            (metadata.width, metadata.height),
            if turned { (60, 90) } else { (90, 60) },
            "{name}"
        );
        assert_eq!(
            metadata.format.as_str(),
            name.rsplit_once('.').unwrap().1,
            "{name}"
        );
        let orientation = name
            .strip_prefix("orientation-")
            .map_or(1, |rest| rest.as_bytes()[0] - b'0');
        assert_eq!(metadata.orientation, orientation, "{name}");
    }
}

#[test]
fn a_truncated_file_is_refused_and_nothing_panics() {
    for name in inputs() {
        let whole = source(&name);
        let bytes = whole.bytes();
        for tenth in 0..10 {
            let cut = Source::from(bytes[..bytes.len() * tenth / 10].to_vec());
            match decode(&cut) {
                Err(Error::UnknownFormat | Error::Decode { .. } | Error::Unsupported { .. }) => {}
                // The rest held only what comes after the pixels: further pictures, closing chunks.
                Ok(_) if ["mpo", "apng"].contains(&stem(&name)) => {}
                other => panic!("{name} cut at {tenth}/10: {other:?}"),
            }
            // A header may well be readable without the pixels.
            let _ = MetadataStage::new().run(&cut, &Cx::none());
        }
    }
}

#[test]
fn a_png_that_ends_after_its_pixels_is_whole() {
    // The last chunk, the checksum of the pixels' chunk, and that of the pixels.
    const BEHIND_THE_PIXELS: usize = 12 + 4 + 4;
    for name in ["png-rgb.png", "png-interlaced.png", "png-palette.png"] {
        let whole = source(name);
        let pixels = decode(&whole).unwrap();
        for missing in 1..=BEHIND_THE_PIXELS {
            let bytes = whole.bytes();
            let cut = Source::from(bytes[..bytes.len() - missing].to_vec());
            let cut = decode(&cut).unwrap_or_else(|e| panic!("{name} - {missing}: {}", e.report()));
            assert_eq!(cut.pixels(), pixels.pixels(), "{name} - {missing}");
        }
    }
}

#[test]
fn pixels_that_do_not_fit_their_checksum_are_refused() {
    let whole = source("png-rgb.png");
    let mut bytes = whole.bytes().to_vec();
    let at = bytes.len() - 12 - 4 - 1;
    bytes[at] ^= 1;
    // The chunk's own checksum is right again.
    let kind = bytes.windows(4).position(|kind| kind == b"IDAT").unwrap();
    let crc = crc32(&bytes[kind..=at]);
    bytes[at + 1..at + 5].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(
        decode(&Source::from(bytes)).unwrap_err().code(),
        "decode-failed"
    );
}

/// The checksum of PNG's chunks.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

#[test]
fn a_jpeg_without_its_last_bytes_is_refused() {
    let whole = source("jpeg-420.jpg");
    let cut = Source::from(whole.bytes()[..whole.bytes().len() - 2].to_vec());
    assert_eq!(
        decode(&cut).unwrap_err().report(),
        "cannot decode the jpg picture: the file ends before the picture does"
    );
}

#[test]
fn limits_hold_before_any_pixel_is_decoded() {
    for name in ["jpeg-420.jpg", "png-rgb.png"] {
        // The header says 90 × 60; the body is missing, so only the header can have been read.
        let whole = source(name);
        let header = Source::from(whole.bytes()[..whole.bytes().len() / 2].to_vec());
        let limits = Limits {
            max_pixels: 90 * 60 - 1,
            ..Limits::default()
        };
        let error = Decode::new(limits).run(&header, &Cx::none()).unwrap_err();
        assert_eq!(error.code(), "too-many-pixels", "{name}");
        let limits = Limits {
            max_bytes: 100,
            ..Limits::default()
        };
        assert_eq!(
            Decode::new(limits)
                .run(&whole, &Cx::none())
                .unwrap_err()
                .code(),
            "file-too-large"
        );
    }
}

#[test]
fn thumbnail_sizes_are_pillows() {
    let rows: Vec<[u32; 6]> =
        serde_json::from_str(&fs::read_to_string(folder().join("thumbnails.json")).unwrap())
            .unwrap();
    let stage = ThumbnailStage::new([
        ThumbnailSpec::new("small", 256),
        ThumbnailSpec::new("medium", 512),
    ]);
    for [
        width,
        height,
        small_width,
        small_height,
        medium_width,
        medium_height,
    ] in rows
    {
        let made = stage
            .run(&Decoded::from(RgbImage::new(width, height)), &Cx::none())
            .unwrap();
        let sizes: Vec<_> = made
            .iter()
            .map(|thumbnail| (thumbnail.width, thumbnail.height))
            .collect();
        assert_eq!(
            sizes,
            [(small_width, small_height), (medium_width, medium_height)],
            "{width}×{height}"
        );
    }
}

#[test]
fn thumbnails_look_like_pillows() {
    let photo =
        Source::from_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/photos/coffee.jpg"))
            .unwrap();
    let specs = [
        ThumbnailSpec::new("small", 256),
        ThumbnailSpec::new("medium", 512).with_quality(90),
    ];
    for thumbnail in ThumbnailStage::new(specs)
        .run(&decode(&photo).unwrap(), &Cx::none())
        .unwrap()
    {
        let file = Source::from(thumbnail.jpeg.clone());
        assert_eq!(
            MetadataStage::new()
                .run(&file, &Cx::none())
                .unwrap()
                .orientation,
            1
        );
        let (mean, _) = difference(
            decode(&file).unwrap().pixels(),
            &expected(&format!("coffee.{}.png", thumbnail.name)),
        );
        // The loss of Pillow's own JPEG files of the same thumbnails at the same qualities.
        let pillows = if thumbnail.name.as_ref() == "small" {
            3.629
        } else {
            2.225
        };
        assert!(mean < pillows * 1.05, "{}: mean {mean:.3}", thumbnail.name);
    }
}

#[test]
fn the_files_of_thumbnails_are_pillows() {
    let picture = decode(&source("encoded.png")).unwrap();
    for quality in [85, 90] {
        let stage = ThumbnailStage::new([ThumbnailSpec::new("same", 256).with_quality(quality)]);
        let thumbnails = stage.run(&picture, &Cx::none()).unwrap();
        let ours = decode(&Source::from(thumbnails[0].jpeg.clone())).unwrap();
        let theirs = decode(&source(&format!("encoded.q{quality}.jpg"))).unwrap();
        assert_eq!(ours.pixels(), theirs.pixels(), "quality {quality}");
    }
}

/// A JPEG of `width` × `height` pixels, enlarged from a photo.
fn large_jpeg(width: u32, height: u32) -> Source {
    let photo =
        Source::from_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/photos/rocket.jpg"))
            .unwrap();
    let filter = image::imageops::FilterType::CatmullRom;
    let large = image::imageops::resize(decode(&photo).unwrap().pixels(), width, height, filter);
    let whole =
        ThumbnailStage::new([ThumbnailSpec::new("whole", width.max(height)).with_quality(95)]);
    Source::from(
        whole
            .run(&Decoded::from(large), &Cx::none())
            .unwrap()
            .remove(0)
            .jpeg,
    )
}

#[test]
fn shrinking_while_decoding_changes_neither_sizes_nor_looks() {
    let source = large_jpeg(2_402, 1_599);
    let thumbnails = ThumbnailStage::new([
        ThumbnailSpec::new("small", 256),
        ThumbnailSpec::new("medium", 512),
    ]);
    let full = decode(&source).unwrap();
    let shrunk = Decode::new(Limits::default())
        .keep_at_least(512, 256)
        .run(&source, &Cx::none())
        .unwrap();
    assert_eq!(
        (full.pixels().dimensions(), full.full_size()),
        ((2_402, 1_599), (2_402, 1_599))
    );
    assert_eq!(
        (shrunk.pixels().dimensions(), shrunk.full_size()),
        ((1_201, 800), (2_402, 1_599))
    );
    let made = |picture| thumbnails.run(picture, &Cx::none()).unwrap();
    for (full, shrunk) in made(&full).into_iter().zip(made(&shrunk)) {
        let pixels = |jpeg| decode(&Source::from(jpeg)).unwrap();
        let (mean, _) = difference(pixels(full.jpeg).pixels(), pixels(shrunk.jpeg).pixels());
        assert!(mean < 1.5, "{}: mean {mean:.3}", full.name);
    }
}

#[test]
fn a_png_shrinks_as_pillows_reduce_does() {
    // 90 × 60: by 2 and 3 there are whole squares only, by 4 the last column is half a square.
    for (name, factor) in [
        ("png-rgba.png", 2),
        ("png-gray16.png", 3),
        ("png-interlaced.png", 4),
        ("png-rgb-key.png", 4),
    ] {
        let longer = 90 / factor * 2 / 3;
        let shrunk = Decode::new(Limits::default())
            .keep_at_least(longer, 0)
            .run(&source(name), &Cx::none())
            .unwrap();
        let full = decode(&source(name)).unwrap();
        assert_eq!(shrunk.full_size(), full.full_size());
        assert_eq!(
            shrunk.pixels().dimensions(),
            (90_u32.div_ceil(factor), 60_u32.div_ceil(factor)),
            "{name}"
        );
        let [x, y] = [45 / factor, 30 / factor];
        let square =
            image::imageops::crop_imm(full.pixels(), x * factor, y * factor, factor, factor)
                .to_image();
        for channel in 0..3 {
            let sum: u32 = square
                .pixels()
                .map(|pixel| u32::from(pixel.0[channel]))
                .sum();
            let mean = (sum + factor * factor / 2) / (factor * factor);
            let got = u32::from(shrunk.pixels().get_pixel(x, y).0[channel]);
            assert!(got.abs_diff(mean) <= 1, "{name}: {got} for {mean}");
        }
    }
}

#[test]
fn a_picture_is_never_shrunk_below_what_is_asked_for() {
    let source = large_jpeg(1_200, 400);
    for (longer, shorter, expected) in [
        (256, 0, (600, 200)),
        (800, 0, (1_200, 400)),
        (100, 0, (150, 50)),
        (100, 100, (600, 200)),
        (100, 256, (1_200, 400)),
    ] {
        let picture = Decode::new(Limits::default())
            .keep_at_least(longer, shorter)
            .run(&source, &Cx::none())
            .unwrap();
        assert_eq!(
            picture.pixels().dimensions(),
            expected,
            "{longer}, {shorter}"
        );
    }
}

#[test]
fn decoding_stops_when_nobody_waits() {
    let source = large_jpeg(1_200, 800);
    let token = CancelToken::new();
    token.cancel();
    let error = Decode::new(Limits::default())
        .run(&source, &Cx::none().with_cancel(&token))
        .unwrap_err();
    assert!(matches!(error, Error::Cancelled), "{error:?}");
}

#[test]
fn a_jpeg_with_too_many_scans_is_refused() {
    let progressive = source("jpeg-progressive.jpg");
    let limits = |max_scans| Limits {
        max_scans,
        ..Limits::default()
    };
    let run = |max_scans| Decode::new(limits(max_scans)).run(&progressive, &Cx::none());
    assert_eq!(run(3).unwrap_err().code(), "too-many-scans");
    assert!(run(20).is_ok());
}

#[test]
fn decoders_share_their_memory_and_give_it_back() {
    for name in [
        "jpeg-420.jpg",
        "jpeg-progressive.jpg",
        "png-rgb.png",
        "png-interlaced.png",
    ] {
        let file = source(name);
        let within = |bytes| Decode::new(Limits::default()).with_budget(&MemoryBudget::new(bytes));
        let error = within(90 * 60 * 3).run(&file, &Cx::none()).unwrap_err();
        assert_eq!(error.code(), "too-much-memory", "{name}");
        // Enough for one at a time: a share that is never given back would keep the third waiting for ever.
        let decode = within(90 * 60 * 16);
        let patient = Cx::none().with_timeout(Duration::from_secs(10));
        for _ in 0..3 {
            decode.run(&file, &patient).unwrap();
        }
    }
}
