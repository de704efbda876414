//! The same bits, whatever the number of threads.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::Command;

use pipeline_core::{Blip, BlipOptions, Cx};

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
    hasher.finish()
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
