//! The bundled model gives its published reference.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use pipeline_core::testing::captioner_contract;
use pipeline_core::{
    Blip, CancelToken, Captioner, Cx, Decode, GenerationConfig, Limits, Source, Stage,
};
use serde::Deserialize;

use crate::reference::{Tensors, cases, distance, fixtures, values};

#[derive(Deserialize)]
struct Case {
    image: String,
    tags: Vec<(u32, f32)>,
    greedy: Sentence,
    beam3: Sentence,
}

#[derive(Deserialize)]
struct Sentence {
    ids: Vec<u32>,
    text: String,
}

/// The id of `[DEC]`, which begins each sentence.
const START: u32 = 5;

static TINY: LazyLock<Blip> = LazyLock::new(|| Blip::tiny().unwrap());
static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| cases(&fixtures("tiny-reference")));
static TENSORS: LazyLock<Tensors> = LazyLock::new(|| Tensors::open(&fixtures("tiny-reference")));

#[test]
fn tiny_features_hidden_states_and_logits_are_close() {
    for case in &*CASES {
        let tensor = |part: &str| TENSORS.get(&format!("{}.{part}", case.image));
        let encoded = TINY.encode(tensor("pixel_values"), &Cx::none()).unwrap();
        let logits = TINY.logits(&encoded, &[], &Cx::none()).unwrap();
        let features = encoded.features().unwrap();
        assert_eq!(features.shape(), tensor("backbone").shape());
        assert_eq!(
            encoded.hidden_states().shape(),
            tensor("vision_hidden").shape()
        );
        let distances = [
            distance(&values(features), &values(tensor("backbone"))),
            distance(
                &values(encoded.hidden_states()),
                &values(tensor("vision_hidden")),
            ),
            distance(&logits, &values(tensor("first_logits"))),
        ];
        println!(
            "{}: features, hidden states, logits differ by {distances:?}",
            case.image
        );
        assert!(
            distances.iter().all(|&d| d <= 1e-3),
            "{}: {distances:?}",
            case.image
        );
    }
}

#[test]
fn tiny_tags_are_exact() {
    for case in &*CASES {
        let pixels = TENSORS.get(&format!("{}.pixel_values", case.image));
        let encoded = TINY.encode(pixels, &Cx::none()).unwrap();
        let classes: Vec<u32> = encoded.tags().iter().map(|tag| tag.class).collect();
        let expected: Vec<u32> = case.tags.iter().map(|&(class, _)| class).collect();
        assert_eq!(classes, expected, "{}", case.image);
        for (tag, (_, probability)) in encoded.tags().iter().zip(&case.tags) {
            assert!(
                (tag.probability - probability).abs() < 2e-5,
                "{}: {tag:?}",
                case.image
            );
        }
    }
}

#[test]
fn tiny_token_ids_and_sentences_are_exact() {
    let greedy = GenerationConfig {
        num_beams: 1,
        ..TINY.generation().clone()
    };
    assert_eq!(TINY.generation().num_beams, 3);
    for case in &*CASES {
        let pixels = TENSORS.get(&format!("{}.pixel_values", case.image));
        let encoded = TINY.encode(pixels, &Cx::none()).unwrap();
        for (config, expected) in [(&greedy, &case.greedy), (TINY.generation(), &case.beam3)] {
            let ids = TINY.generate(&encoded, &[], config, &Cx::none()).unwrap();
            assert_eq!(ids[0], START);
            assert_eq!(ids[1..], expected.ids, "{} {config:?}", case.image);
            assert_eq!(TINY.text(&ids[1..]).unwrap(), expected.text);
        }
    }
}

#[test]
fn tiny_keeps_the_captioner_s_contract() {
    captioner_contract(&*TINY);
    assert_eq!(TINY.model(), "tiny");
}

#[test]
fn tiny_stops_when_nobody_waits() {
    let token = CancelToken::new();
    let cx = Cx::none().with_cancel(&token);
    let picture = pipeline_core::testing::gradient(32, 32);
    let pixels = TINY.preprocess(&picture).unwrap();
    let encoded = TINY.encode(&pixels, &cx).unwrap();
    token.cancel();
    let errors = [
        TINY.caption(&picture, &cx).unwrap_err(),
        TINY.encode(&pixels, &cx).unwrap_err(),
        TINY.logits(&encoded, &[], &cx).unwrap_err(),
        TINY.generate(&encoded, &[], TINY.generation(), &cx)
            .unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.code(), "cancelled");
    }
}

#[test]
fn tiny_pixels_from_the_files_are_those_of_the_reference() {
    let decode = Decode::new(Limits::default());
    for case in &*CASES {
        let file = Source::from_path(photos().join(&case.image)).unwrap();
        let picture = decode.run(&file, &Cx::none()).unwrap();
        let ours = values(&TINY.preprocess(picture.pixels()).unwrap());
        let reference = TENSORS.values(&format!("{}.pixel_values", case.image));
        assert_eq!(ours.len(), reference.len());
        // A level of 255 is 1/128 after normalising; the half is for rounding.
        let far = |(a, b): &(&f32, &f32)| (*a - *b).abs() * 128.0 > 2.5;
        let far = ours.iter().zip(&reference).filter(far).count();
        assert!(
            far * 1000 <= ours.len(),
            "{}: {far} of {}",
            case.image,
            ours.len()
        );
    }
}

fn photos() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/photos")
}
