//! BLIP-base at full size with the settings of the REST interface, for `blip_base.py`, which makes the model, runs
//! transformers on it in turn, and compares tokens and times. Prints one line of JSON; does nothing without `BLIP_BASE`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench may stop at the first error, and its output is what it is for"
)]

use std::path::Path;
use std::time::Instant;

use pipeline_core::candle_core::{Device, Tensor, safetensors};
use pipeline_core::{Blip, BlipOptions, Cx, GenerationConfig, Precision};
use serde_json::{Value, json};

fn main() {
    let Some(folder) = std::env::var_os("BLIP_BASE") else {
        println!("BLIP_BASE is not set; benches/blip_base.py sets it");
        return;
    };
    let folder = Path::new(&folder);
    let pixels = &safetensors::load(folder.join("pixels.safetensors"), &Device::Cpu).unwrap()["pixel_values"];
    let full = measure(folder, pixels, Precision::Full);
    // The peak of the first model, before there is a second one.
    let peak_mb = peak_mb();
    let fast = measure(folder, pixels, Precision::Fast);
    println!(
        "{}",
        json!({ "full": full, "fast": fast, "peak_mb": peak_mb, "matmul_gflops": matmul_gflops() })
    );
}

fn measure(folder: &Path, pixels: &Tensor, precision: Precision) -> Value {
    let started = Instant::now();
    let options = BlipOptions {
        precision,
        ..BlipOptions::default()
    };
    let model = Blip::open(folder, &options).unwrap();
    let load_s = started.elapsed().as_secs_f64();
    let cx = Cx::none();

    // All 20 tokens, so that every run does the same work.
    let contract = GenerationConfig {
        min_new_tokens: 20,
        ..model.generation().clone()
    };
    let greedy = GenerationConfig {
        num_beams: 1,
        max_new_tokens: 10,
        min_new_tokens: 10,
        ..GenerationConfig::default()
    };
    let generate = |prompt: &[u32], config: &GenerationConfig| {
        model
            .generate(&model.encode(pixels, &cx).unwrap(), prompt, config, &cx)
            .unwrap()
    };
    json!({
        "load_s": load_s,
        "encoder_s": median(5, || model.encode(pixels, &cx).unwrap()),
        "contract_s": median(5, || generate(model.prompt_ids(), &contract)),
        "contract_ids": generate(model.prompt_ids(), &contract),
        "greedy10_s": median(5, || generate(&[], &greedy)),
        "greedy10_ids": generate(&[], &greedy),
    })
}

/// The most memory that the process has had, in MB; 0 where the system does not say.
fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or_default() * 1024.0 / 1e6
}

/// The rate of a plain matrix product of the encoder's commonest shape, in GFLOP/s.
fn matmul_gflops() -> f64 {
    let (m, k, n) = (577, 768, 3_072);
    let random = |shape| Tensor::randn(0.0_f32, 1.0, shape, &Device::Cpu).unwrap();
    let (a, b) = (random((m, k)), random((k, n)));
    (2 * m * k * n) as f64 / median(21, || a.matmul(&b).unwrap()) / 1e9
}

/// The median time of `count` runs after one more, in seconds.
fn median<T>(count: usize, run: impl Fn() -> T) -> f64 {
    run();
    let mut times: Vec<f64> = (0..count)
        .map(|_| {
            let started = Instant::now();
            std::hint::black_box(run());
            started.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[count / 2]
}
