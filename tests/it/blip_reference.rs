//! The same tokens as transformers' BLIP, on a small model with random weights.
//!
//! `BLIP_REFERENCE` names another folder that `make_reference.py` wrote, with another seed.

use std::path::PathBuf;
use std::sync::LazyLock;

use pipeline_core::{Blip, BlipOptions, Cx, GenerationConfig};
use serde::Deserialize;

use crate::reference::{Tensors, cases, distance, fixtures, png, values};

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    image: String,
    prompt_ids: Vec<u32>,
    generation: GenerationConfig,
    output_ids: Vec<u32>,
}

impl Case {
    fn name(&self) -> &str {
        self.image.trim_end_matches(".png")
    }
}

/// `preprocessor_config.json`, as far as the tolerance needs it.
#[derive(Deserialize)]
struct Preprocessor {
    image_std: [f32; 3],
}

static DIR: LazyLock<PathBuf> = LazyLock::new(|| {
    std::env::var_os("BLIP_REFERENCE").map_or_else(|| fixtures("blip-reference"), PathBuf::from)
});
static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| cases::<Reference>(&DIR).cases);
static TENSORS: LazyLock<Tensors> = LazyLock::new(|| Tensors::open(&DIR));
static BLIP: LazyLock<Blip> = LazyLock::new(|| {
    Blip::open(
        &DIR,
        &BlipOptions {
            prompt: Some(String::new()),
            ..Default::default()
        },
    )
    .unwrap()
});

/// Each picture once.
fn images() -> Vec<&'static str> {
    let mut names: Vec<_> = CASES.iter().map(Case::name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[test]
fn blip_reference_token_ids_are_exact() {
    assert!(!CASES.is_empty());
    for name in images() {
        let pixels = TENSORS.get(&format!("{name}.pixel_values"));
        let encoded = BLIP.encode(pixels, &Cx::none()).unwrap();
        for case in CASES.iter().filter(|case| case.name() == name) {
            let ids = BLIP
                .generate(&encoded, &case.prompt_ids, &case.generation, &Cx::none())
                .unwrap();
            assert_eq!(
                ids, case.output_ids,
                "{name} {:?} {:?}",
                case.prompt_ids, case.generation
            );
        }
    }
}

#[test]
fn blip_reference_hidden_states_and_logits_are_close() {
    let mut largest = [0.0_f32; 2];
    for name in images() {
        let pixels = TENSORS.get(&format!("{name}.pixel_values"));
        let encoded = BLIP.encode(pixels, &Cx::none()).unwrap();
        let hidden = encoded.hidden_states();
        let reference = TENSORS.get(&format!("{name}.vision_hidden"));
        assert_eq!(hidden.shape(), reference.shape());
        largest[0] = largest[0].max(distance(&values(hidden), &values(reference)));
        for case in CASES.iter().filter(|case| case.name() == name) {
            let logits = BLIP
                .logits(&encoded, &case.prompt_ids, &Cx::none())
                .unwrap();
            let reference = TENSORS.values(&format!("{name}.p{}.logits", case.prompt_ids.len()));
            largest[1] = largest[1].max(distance(&logits, &reference));
        }
    }
    println!(
        "hidden states differ by {:e}, logits by {:e}",
        largest[0], largest[1]
    );
    assert!(largest[0] <= 1e-3 && largest[1] <= 1e-3, "{largest:?}");
}

#[test]
fn blip_reference_pixels_are_those_of_the_image_processor() {
    let json = std::fs::read(DIR.join("preprocessor_config.json")).unwrap();
    let scale = serde_json::from_slice::<Preprocessor>(&json)
        .unwrap()
        .image_std;
    for name in images() {
        let picture = png(&DIR.join(format!("{name}.png")));
        let ours = values(&BLIP.preprocess(&picture).unwrap());
        let reference = TENSORS.values(&format!("{name}.pixel_values"));
        let plane = ours.len() / 3;
        let mut far = 0;
        let mut largest = 0.0_f32;
        for (position, (a, b)) in ours.iter().zip(&reference).enumerate() {
            let levels = (a - b).abs() * scale[position / plane] * 255.0;
            largest = largest.max(levels);
            // A level is a level: the half is for rounding.
            far += usize::from(levels > 1.5);
        }
        println!(
            "{name}: at most {largest} levels, {far} of {} over one",
            ours.len()
        );
        assert!(far * 1000 <= ours.len(), "{name}: {far} of {}", ours.len());
    }
}

#[test]
fn blip_reference_from_the_picture_gives_the_reference_s_tokens() {
    // Where the resize is exact, so are the sentences.
    for case in CASES.iter().filter(|case| case.name().ends_with("96x96")) {
        let picture = png(&DIR.join(&case.image));
        let encoded = BLIP
            .encode(&BLIP.preprocess(&picture).unwrap(), &Cx::none())
            .unwrap();
        let ids = BLIP
            .generate(&encoded, &case.prompt_ids, &case.generation, &Cx::none())
            .unwrap();
        assert_eq!(ids, case.output_ids);
    }
}
