//! The same bits, whatever the number of threads.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::Command;
use std::thread;

use pipeline_core::{
    Blip, BlipOptions, CaptionStage, Cx, ImagePipeline, Pipeline, Source, ThumbnailSpec,
};

use crate::reference::{Tensors, fixtures, values};

const MARK: &str = "fingerprint ";

/// Everything that both models compute on one picture, as one number.
fn fingerprint() -> u64 {
    let tiny = (Blip::tiny().unwrap(), "tiny-reference", "cat.jpg");
    let dir = fixtures("blip-reference");
    let blip = Blip::open(&dir, &BlipOptions::default()).unwrap();
    let blip = (blip, "blip-reference", "noise_64x64");
    let mut hasher = DefaultHasher::new();
    for (model, dir, name) in [tiny, blip] {
        let tensors = Tensors::open(&fixtures(dir));
        let pixels = tensors.get(&format!("{name}.pixel_values"));
        let encoded = model.encode(pixels, &Cx::none()).unwrap();
        let logits = model.logits(&encoded, &[7, 8, 9], &Cx::none()).unwrap();
        for value in values(encoded.hidden_states()).iter().chain(&logits) {
            value.to_bits().hash(&mut hasher);
        }
        model
            .generate(&encoded, &[], model.generation(), &Cx::none())
            .unwrap()
            .hash(&mut hasher);
    }
    for photo in ["cat", "coffee"] {
        analysis(&pipeline(), photo).hash(&mut hasher);
    }
    hasher.finish()
}

/// With all that a server makes of a picture.
fn pipeline() -> ImagePipeline {
    ImagePipeline::builder()
        .thumbnails([
            ThumbnailSpec::new("small", 256),
            ThumbnailSpec::new("medium", 512).with_quality(90),
        ])
        .captions(CaptionStage::new(Blip::tiny().unwrap()))
        .build()
}

/// All that comes out for a photo, thumbnails included.
fn analysis(pipeline: &ImagePipeline, photo: &str) -> String {
    let path = format!("{}/examples/photos/{photo}.jpg", env!("CARGO_MANIFEST_DIR"));
    let source = Source::from_path(path).unwrap();
    let analysis = pipeline.process(&source, &Cx::none()).unwrap();
    assert!(analysis.caption.as_ref().unwrap().is_ok());
    serde_json::to_string(&analysis).unwrap()
}

#[test]
fn the_same_bytes_give_the_same_result_whatever_runs_beside_them() {
    let pipeline = pipeline();
    let photos = ["cat", "coffee", "rocket", "cat"];
    let alone = photos.map(|photo| analysis(&pipeline, photo));
    assert_eq!(alone[0], alone[3]);
    assert_ne!(alone[0], alone[1]);
    let together: Vec<String> = thread::scope(|scope| {
        let start = |photo| {
            scope.spawn({
                let pipeline = &pipeline;
                move || analysis(pipeline, photo)
            })
        };
        let threads = photos.map(start).into_iter();
        threads.map(|thread| thread.join().unwrap()).collect()
    });
    assert!(together == alone);
}

#[test]
fn prints_its_fingerprint() {
    println!("{MARK}{:x}", fingerprint());
}

#[test]
fn one_two_and_five_threads_give_the_same_bits() {
    // The number of threads is settled once in a process: each needs its own.
    let run = |threads: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "threads::prints_its_fingerprint", "--nocapture"])
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let start = text.find(MARK).unwrap_or_else(|| panic!("{text}")) + MARK.len();
        text[start..].lines().next().unwrap().to_owned()
    };
    let one = run("1");
    assert_eq!(run("2"), one);
    assert_eq!(run("5"), one);
}
