//! candle-transformers' own BLIP as a second witness, independent of transformers.

use std::fs;

use candle_core::{D, DType, Device, Tensor, safetensors};
use candle_nn::VarBuilder;
use candle_transformers::models::blip::{BlipForConditionalGeneration, Config};
use pipeline_core::{Blip, BlipOptions, Cx, GenerationConfig};

use crate::reference::{Tensors, distance, fixtures, values};

const START: u32 = 5;
const STEPS: usize = 12;

fn stock() -> BlipForConditionalGeneration {
    let dir = fixtures("blip-reference");
    let config: Config =
        serde_json::from_slice(&fs::read(dir.join("config.json")).unwrap()).unwrap();
    let mut weights = safetensors::load(dir.join("model.safetensors"), &Device::Cpu).unwrap();
    // It knows no tied weights.
    for (from, to) in [
        (
            "bert.embeddings.word_embeddings.weight",
            "cls.predictions.decoder.weight",
        ),
        ("cls.predictions.bias", "cls.predictions.decoder.bias"),
    ] {
        let tensor = weights[&format!("text_decoder.{from}")].clone();
        weights.insert(format!("text_decoder.{to}"), tensor);
    }
    let weights = VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu);
    BlipForConditionalGeneration::new(&config, weights).unwrap()
}

#[test]
fn the_stock_model_gives_the_same_logits_and_greedy_tokens() {
    let dir = fixtures("blip-reference");
    let tensors = Tensors::open(&dir);
    let ours = Blip::open(&dir, &BlipOptions::default()).unwrap();
    let greedy = GenerationConfig {
        max_new_tokens: STEPS,
        min_new_tokens: STEPS,
        ..Default::default()
    };
    let mut stock = stock();
    for name in [
        "blocks_96x96",
        "gradient_200x120",
        "noise_64x64",
        "tall_31x257",
    ] {
        let pixels = tensors.get(&format!("{name}.pixel_values"));
        let hidden = pixels.apply(stock.vision_model()).unwrap();
        let encoded = ours.encode(pixels, &Cx::none()).unwrap();
        assert!(distance(&values(encoded.hidden_states()), &values(&hidden)) < 1e-4);
        let ids = ours.generate(&encoded, &[], &greedy, &Cx::none()).unwrap();
        assert_eq!(ids.len(), 1 + STEPS);

        // The stock model is led along our sentence, and must find each of its tokens the likeliest.
        stock.reset_kv_cache();
        assert_eq!(ids[0], START);
        for (length, pair) in (1..).zip(ids.windows(2)) {
            let input = Tensor::new(&pair[..1], &Device::Cpu).unwrap();
            let logits = stock
                .text_decoder()
                .forward(&input.unsqueeze(0).unwrap(), &hidden)
                .unwrap();
            let logits = logits.flatten_to(D::Minus2).unwrap().get(0).unwrap();
            let mut logits: Vec<f32> = logits.to_vec1().unwrap();
            let prompt = &ids[1..length];
            let mine = ours.logits(&encoded, prompt, &Cx::none()).unwrap();
            assert!(distance(&mine, &logits) < 1e-3, "{name} at {length}");
            // `min_new_tokens` keeps the end away.
            logits[3] = f32::NEG_INFINITY;
            let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(logits[pair[1] as usize], best, "{name} at {length}");
        }
    }
}
