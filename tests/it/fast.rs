//! The fast mode against the exact one: how often the captions are the same.

use image::{RgbImage, imageops};
use pipeline_core::{Blip, BlipOptions, Captioner, Cx, Decode, Limits, Precision, Source, Stage};

const PHOTOS: [&str; 4] = ["astronaut", "cat", "coffee", "rocket"];

fn photo(name: &str) -> RgbImage {
    let path = format!("{}/examples/photos/{name}.jpg", env!("CARGO_MANIFEST_DIR"));
    let source = Source::from_path(path).unwrap();
    let decoded = Decode::new(Limits::default())
        .run(&source, &Cx::none())
        .unwrap();
    decoded.pixels().clone()
}

/// Parts of a photo, of different sizes and places, the same in each run.
fn parts(photo: &RgbImage, count: u32) -> impl Iterator<Item = RgbImage> {
    (0..count).map(move |part| {
        let share = |of: u32, percent: u32| of * percent / 100;
        let (width, height) = (
            share(photo.width(), 50 + part * 7 % 45),
            share(photo.height(), 50 + part * 11 % 45),
        );
        let x = share(photo.width() - width, part * 37 % 101);
        let y = share(photo.height() - height, part * 53 % 101);
        imageops::crop_imm(photo, x, y, width, height).to_image()
    })
}

/// `FAST_PARTS` sets how many parts of each photo are compared; the README quotes the share for 60.
#[test]
fn fast_captions_are_nearly_always_the_exact_ones() {
    let count = std::env::var_os("FAST_PARTS")
        .and_then(|count| count.to_str()?.parse().ok())
        .unwrap_or(6);
    let open = |precision| {
        Blip::tiny_with(&BlipOptions {
            precision,
            ..BlipOptions::default()
        })
        .unwrap()
    };
    let (exact, fast) = (open(Precision::Full), open(Precision::Fast));
    let (mut same, mut all) = (0, 0);
    for photo in PHOTOS.map(photo) {
        for part in parts(&photo, count) {
            let caption = |model: &Blip| model.caption(&part, &Cx::none()).unwrap().text;
            same += u32::from(caption(&exact) == caption(&fast));
            all += 1;
        }
    }
    println!("{same} of {all} captions are the same");
    assert!(same * 10 >= all * 9, "only {same} of {all} are the same");
}
