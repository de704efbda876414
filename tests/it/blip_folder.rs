//! Model folders: every form of weights is read, and what is wrong with a folder is said in one line.

use std::fs;
use std::path::Path;

use pipeline_core::candle_core::{Device, Tensor, safetensors};
use pipeline_core::{Blip, BlipOptions, Cx, Error, GenerationConfig};
use tempfile::TempDir;

use crate::reference::{Tensors, fixtures};
use crate::torch_file;

const FILES: [&str; 4] = [
    "config.json",
    "tokenizer.json",
    "preprocessor_config.json",
    "model.safetensors",
];
const WORDS: &str = "text_decoder.bert.embeddings.word_embeddings.weight";
const OUTPUT: &str = "text_decoder.cls.predictions.decoder.weight";

/// A copy of the reference's folder without `left_out`.
fn folder(left_out: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    for name in FILES.into_iter().filter(|&name| name != left_out) {
        fs::copy(fixtures("blip-reference").join(name), dir.path().join(name)).unwrap();
    }
    dir
}

fn weights() -> Vec<(String, Tensor)> {
    let path = fixtures("blip-reference").join("model.safetensors");
    let mut weights: Vec<_> = safetensors::load(path, &Device::Cpu)
        .unwrap()
        .into_iter()
        .collect();
    weights.sort_by(|a, b| a.0.cmp(&b.0));
    weights
}

fn save(dir: &Path, weights: &[(String, Tensor)]) {
    let weights = weights.iter().cloned().collect();
    safetensors::save(&weights, dir.join("model.safetensors")).unwrap();
}

fn ids(dir: &Path) -> Vec<u32> {
    let blip = Blip::open(dir, &BlipOptions::default()).unwrap();
    let tensors = Tensors::open(&fixtures("blip-reference"));
    let pixels = tensors.get("noise_64x64.pixel_values");
    let encoded = blip.encode(pixels, &Cx::none()).unwrap();
    let config = GenerationConfig {
        num_beams: 3,
        ..Default::default()
    };
    blip.generate(&encoded, &[200, 37], &config, &Cx::none())
        .unwrap()
}

fn failure(dir: &Path) -> String {
    let error: Error = Blip::open(dir, &BlipOptions::default()).unwrap_err();
    assert_eq!(error.code(), "model-failed");
    let report = error.report();
    assert!(
        !report.contains('\n') && !report.contains(dir.parent().unwrap().to_str().unwrap()),
        "{report}"
    );
    report
}

#[test]
fn weights_of_torch_give_the_same_tokens() {
    let dir = folder("model.safetensors");
    torch_file::write(&dir.path().join("pytorch_model.bin"), &weights());
    assert_eq!(ids(dir.path()), ids(&fixtures("blip-reference")));
}

#[test]
fn output_weights_may_be_tied_or_not() {
    let reference = ids(&fixtures("blip-reference"));
    let dir = folder("");
    let mut weights = weights();
    let words = weights
        .iter()
        .find(|(name, _)| name == WORDS)
        .unwrap()
        .1
        .clone();
    weights.push((OUTPUT.to_owned(), words.clone()));
    save(dir.path(), &weights);
    assert_eq!(ids(dir.path()), reference, "the embedding twice");

    weights.last_mut().unwrap().1 = words.neg().unwrap();
    save(dir.path(), &weights);
    assert_ne!(ids(dir.path()), reference, "output weights of its own");

    let untied = folder("");
    let path = untied.path().join("config.json");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        config.replace(
            r#""tie_word_embeddings": true"#,
            r#""tie_word_embeddings": false"#,
        ),
    )
    .unwrap();
    assert!(failure(untied.path()).contains(&format!("`{OUTPUT}` is missing")));
}

#[test]
fn a_missing_file_is_named() {
    for name in FILES {
        let report = failure(folder(name).path());
        assert!(report.contains(&format!("reading {name}: ")), "{report}");
    }
    let report = failure(Path::new("no/such/folder"));
    assert!(
        report.starts_with("caption model `folder`: reading config.json: no such file"),
        "{report}"
    );
}

#[test]
fn a_cut_or_damaged_file_is_named() {
    for name in FILES {
        let dir = folder("");
        let path = dir.path().join(name);
        let bytes = fs::read(&path).unwrap();
        for damaged in [&bytes[..bytes.len() / 2], &bytes[..5], b""] {
            fs::write(&path, damaged).unwrap();
            let report = failure(dir.path());
            assert!(report.contains(&format!("reading {name}: ")), "{report}");
        }
    }
    let dir = folder("model.safetensors");
    let path = dir.path().join("pytorch_model.bin");
    torch_file::write(&path, &weights());
    let bytes = fs::read(&path).unwrap();
    for damaged in [&bytes[..bytes.len() / 2], b"PK\x03\x04 nothing", b""] {
        fs::write(&path, damaged).unwrap();
        let report = failure(dir.path());
        assert!(report.contains("reading pytorch_model.bin: "), "{report}");
    }
}

#[test]
fn weights_that_do_not_fit_the_configuration_are_named() {
    let fixture = fs::read_to_string(fixtures("blip-reference").join("config.json")).unwrap();
    for (from, to, part) in [
        (
            r#""hidden_size": 64"#,
            r#""hidden_size": 128"#,
            "config.json asks for",
        ),
        (
            r#""num_hidden_layers": 3"#,
            r#""num_hidden_layers": 4"#,
            "is missing",
        ),
        (
            r#""vocab_size": 4096"#,
            r#""vocab_size": 1000000"#,
            "config.json asks for [1000000, 64]",
        ),
        (
            r#""image_size": 96"#,
            r#""image_size": 192"#,
            "reading preprocessor_config.json",
        ),
        (
            r#""patch_size": 16"#,
            r#""patch_size": 32"#,
            "patch_embedding",
        ),
    ] {
        let dir = folder("");
        assert!(fixture.contains(from));
        fs::write(dir.path().join("config.json"), fixture.replace(from, to)).unwrap();
        let report = failure(dir.path());
        assert!(report.contains(part), "{to}: {report}");
    }
}

#[test]
fn settings_that_do_not_fit_the_model_are_refused() {
    let dir = fixtures("blip-reference");
    let open = |max_new_tokens, num_beams| {
        let generation = GenerationConfig {
            max_new_tokens,
            num_beams,
            ..Default::default()
        };
        let options = BlipOptions {
            generation: Some(generation),
            prompt: Some(String::new()),
            ..Default::default()
        };
        Blip::open(&dir, &options)
    };
    assert!(open(64, 1).is_ok());
    assert!(
        open(65, 1)
            .unwrap_err()
            .report()
            .contains("the model has 64")
    );
    assert!(open(1, 0).unwrap_err().report().contains("num_beams"));

    let blip = open(1, 1).unwrap();
    let pixels = Tensors::open(&dir);
    let encoded = blip
        .encode(pixels.get("noise_64x64.pixel_values"), &Cx::none())
        .unwrap();
    for prompt in [&[4096][..], &[7; 80]] {
        let error = blip.logits(&encoded, prompt, &Cx::none()).unwrap_err();
        assert!(
            error.report().contains("reading the prompt"),
            "{}",
            error.report()
        );
    }
    let wrong = Tensor::zeros(
        (1, 3, 64, 64),
        pipeline_core::candle_core::DType::F32,
        &Device::Cpu,
    );
    let error = blip.encode(&wrong.unwrap(), &Cx::none()).unwrap_err();
    assert!(
        error.report().contains("the model takes [1, 3, 96, 96]"),
        "{}",
        error.report()
    );
}

#[test]
fn weights_that_are_not_numbers_fail_the_call() {
    let dir = folder("");
    let mut weights = weights();
    let words = weights.iter_mut().find(|(name, _)| name == WORDS).unwrap();
    words.1 = (&words.1 * f64::NAN).unwrap();
    save(dir.path(), &weights);
    let blip = Blip::open(dir.path(), &BlipOptions::default()).unwrap();
    let tensors = Tensors::open(&fixtures("blip-reference"));
    let encoded = blip
        .encode(tensors.get("noise_64x64.pixel_values"), &Cx::none())
        .unwrap();
    let error = blip
        .generate(&encoded, &[], blip.generation(), &Cx::none())
        .unwrap_err();
    assert!(
        error.report().contains("not a number"),
        "{}",
        error.report()
    );
}
