//! Hashes of pictures, against ImageHash 4.3.2 and a ThumbHash in numpy (`fixtures/pictures/hashes.py`).

use std::path::{Path, PathBuf};
use std::{array, fs};

use pipeline_core::image::imageops::{self, FilterType};
use pipeline_core::image::{Rgb, RgbImage};
use pipeline_core::{
    Cx, Decode, Decoded, Fingerprint, FingerprintStage, ImagePipeline, Limits, Pipeline, Source,
    Stage, StageExt, ThumbnailSpec, ThumbnailStage,
};
use serde::Deserialize;

use crate::support::Server;

#[derive(Deserialize)]
struct Row {
    file: String,
    sha256: String,
    phash: String,
    thumbhash: String,
}

fn rows() -> Vec<(Row, Source)> {
    let pictures = root().join("tests/fixtures/pictures");
    let json = fs::read_to_string(pictures.join("hashes.json")).unwrap();
    let rows: Vec<Row> = serde_json::from_str(&json).unwrap();
    let open = |row: Row| {
        let photo = root().join("examples/photos").join(&row.file);
        let path = if photo.exists() {
            photo
        } else {
            pictures.join(&row.file)
        };
        (row, Source::from_path(path).unwrap())
    };
    rows.into_iter().map(open).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn fingerprint(source: &Source) -> Fingerprint {
    Decode::new(Limits::default())
        .then(FingerprintStage::new())
        .process(source, &Cx::none())
        .unwrap()
}

fn photo(name: &str) -> Decoded {
    let path = root().join(format!("examples/photos/{name}.jpg"));
    Decode::new(Limits::default())
        .run(&Source::from_path(path).unwrap(), &Cx::none())
        .unwrap()
}

fn jpeg(picture: &RgbImage, quality: u8) -> Source {
    let side = picture.width().max(picture.height());
    let whole = ThumbnailStage::new([ThumbnailSpec::new("whole", side).with_quality(quality)]);
    let made = whole
        .run(&Decoded::from(picture.clone()), &Cx::none())
        .unwrap();
    Source::from(made[0].jpeg.clone())
}

fn hash(picture: &RgbImage) -> Fingerprint {
    FingerprintStage::new()
        .run(&Decoded::from(picture.clone()), &Cx::none())
        .unwrap()
}

#[test]
fn hashes_are_those_of_other_programs() {
    for (row, source) in rows() {
        assert_eq!(source.sha256().to_string(), row.sha256, "{}", row.file);
        let made = fingerprint(&source);
        let theirs = u64::from_str_radix(&row.phash, 16).unwrap();
        let bits = (made.perceptual_hash.bits() ^ theirs).count_ones();
        // ImageHash shrinks by Lanczos, and in one step.
        assert!(bits <= 4, "{}: {bits} bits differ", row.file);
        assert_eq!(made.thumbhash.to_string(), row.thumbhash, "{}", row.file);
    }
}

#[test]
fn the_same_picture_saved_again_has_nearly_the_same_hash() {
    for name in ["astronaut", "cat", "coffee", "rocket"] {
        let original = photo(name).pixels().clone();
        let hash_of_original = hash(&original).perceptual_hash;
        let (width, height) = original.dimensions();
        let mut brighter = original.clone();
        for sample in brighter.iter_mut() {
            *sample = sample.saturating_add(12);
        }
        let resized = |w, h| imageops::resize(&original, w, h, FilterType::Triangle);
        let copies = [
            fingerprint(&jpeg(&original, 30)),
            hash(&resized(width / 3, height / 3)),
            hash(&resized(width * 2, height * 2)),
            hash(&brighter),
        ];
        let distances = copies.map(|copy| copy.perceptual_hash.distance(hash_of_original));
        assert!(
            distances.iter().all(|&distance| distance <= 6),
            "{name}: {distances:?}"
        );
    }
}

#[test]
fn different_pictures_have_different_hashes() {
    let photos = ["astronaut", "cat", "coffee", "rocket"].map(|name| photo(name).pixels().clone());
    let mut hashes: Vec<Fingerprint> = photos.iter().map(hash).collect();
    hashes.push(hash(&imageops::flip_horizontal(&photos[1])));
    hashes.push(hash(&imageops::rotate90(&photos[1])));
    for (i, one) in hashes.iter().enumerate() {
        for other in &hashes[..i] {
            let distance = one.perceptual_hash.distance(other.perceptual_hash);
            assert!(distance >= 16, "{one:?} {other:?}: {distance}");
            assert_ne!(one.thumbhash, other.thumbhash);
        }
    }
}

#[test]
fn shrinking_while_decoding_keeps_the_hashes() {
    let large = imageops::resize(
        photo("coffee").pixels(),
        2_400,
        1_600,
        FilterType::CatmullRom,
    );
    let source = jpeg(&large, 90);
    let full = fingerprint(&source);
    let stock = |specs: &[ThumbnailSpec]| {
        ImagePipeline::builder()
            .thumbnails(specs.to_vec())
            .build()
            .process(&source, &Cx::none())
            .unwrap()
            .metadata
            .fingerprint
            .unwrap()
    };
    for specs in [
        &[][..],
        &[ThumbnailSpec::new("tiny", 8)],
        &[ThumbnailSpec::new("m", 512)],
    ] {
        let distance = stock(specs).perceptual_hash.distance(full.perceptual_hash);
        assert!(distance <= 4, "{specs:?}: {distance}");
    }
}

#[test]
fn placeholders_of_all_shapes_are_those_of_the_crate() {
    let mut digits = (0, 0);
    for (width, height) in (1..=100).flat_map(|side| [(side, 100), (100, side), (side, side)]) {
        // Nothing in it is even: a frequency of nothing is half-way between two digits.
        let picture = RgbImage::from_fn(width, height, |x, y| {
            Rgb([3, 5, 11]
                .map(|n| (x * x * n + y * y * (n + 1) + x * y + 9 * y) as u8 / 2 + n as u8))
        });
        let rgba: Vec<u8> = picture
            .pixels()
            .flat_map(|p| [p[0], p[1], p[2], 255])
            .collect();
        let theirs = thumbhash::rgba_to_thumb_hash(width as usize, height as usize, &rgba);
        let ours = hash(&picture).thumbhash.as_bytes().to_vec();
        assert_eq!(ours.len(), theirs.len(), "{width}×{height}");
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            for (ours, theirs) in [(ours & 15, theirs & 15), (ours >> 4, theirs >> 4)] {
                assert!(ours.abs_diff(theirs) <= 1, "{width}×{height}");
                digits.0 += 1;
                digits.1 += usize::from(ours != theirs);
            }
        }
    }
    // The crate's sums are longer and less exact, which decides what is nearly half.
    assert!(digits.1 * 1_000 <= digits.0, "{digits:?}");
}

#[test]
fn a_placeholder_has_the_colours_and_the_shape_of_its_picture() {
    let picture = RgbImage::from_fn(90, 60, |x, _| {
        Rgb(if x < 45 { [220, 40, 30] } else { [20, 60, 200] })
    });
    let bytes = hash(&picture).thumbhash.as_bytes().to_vec();
    let (width, height, rgba) = thumbhash::thumb_hash_to_rgba(&bytes).unwrap();
    assert_eq!((width, height), (32, 23));
    let at = |x: usize| -> [u8; 3] { array::from_fn(|c| rgba[(height / 2 * width + x) * 4 + c]) };
    let ([r, _, b], [r2, _, b2]) = (at(4), at(width - 5));
    assert!(
        r > 160 && b < 90 && r2 < 90 && b2 > 160,
        "{:?}",
        (at(4), at(27))
    );
}

#[test]
fn the_interface_shows_all_three() {
    let server = Server::start();
    let (row, source) = rows().remove(1);
    let metadata = server.process(source.bytes())["data"]["metadata"].take();
    assert_eq!(metadata["sha256"], row.sha256);
    assert_eq!(metadata["thumbhash"], row.thumbhash);
    let hash = metadata["perceptual_hash"].as_str().unwrap();
    assert_eq!(hash, fingerprint(&source).perceptual_hash.to_string());
}
