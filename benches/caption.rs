//! A whole caption and its parts on one and on two threads, for the bundled model and, if `BLIP_MODEL` names its folder,
//! for a BLIP checkpoint.
//!
//! `encode` ends with the decoder's keys and values of the picture, `first-token` is the prompt, and `search` all that
//! comes after `encode`: by the number of its steps, that is the time of one.

#![allow(clippy::unwrap_used, reason = "a bench may stop at the first error")]

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use pipeline_core::{Blip, BlipOptions, Captioner, Cx, Decode, Limits, Source, Stage};
use rayon::ThreadPoolBuilder;

const PHOTO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/photos/rocket.jpg");

fn captions(criterion: &mut Criterion) {
    let mut models = vec![(
        "tiny".to_owned(),
        Blip::tiny().expect("the bundled model is sound"),
    )];
    if let Some(folder) = std::env::var_os("BLIP_MODEL") {
        let model = Blip::open(Path::new(&folder), &BlipOptions::default())
            .expect("BLIP_MODEL is a model folder");
        models.push((model.model().to_owned(), model));
    }
    let cx = Cx::none();
    let source = Source::from_path(PHOTO).unwrap();
    let decode = Decode::new(Limits::default());
    let picture = decode.run(&source, &cx).unwrap();
    for (name, model) in models {
        for threads in [1, 2] {
            let pool = ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .expect("threads can be started");
            let mut group = criterion.benchmark_group(format!("caption/{name}/{threads}"));
            group.sample_size(10);
            let pixels = model.preprocess(picture.pixels()).unwrap();
            let encoded = model.encode(&pixels, &cx).unwrap();
            let (prompt, config) = (model.prompt_ids(), model.generation());
            let mut bench = |part: &str, run: &(dyn Fn() + Sync)| {
                group.bench_function(part, |b| pool.install(|| b.iter(run)));
            };
            bench("preprocess", &|| {
                black_box(model.preprocess(black_box(picture.pixels())).unwrap());
            });
            bench("encode", &|| {
                black_box(model.encode(black_box(&pixels), &cx).unwrap());
            });
            bench("first-token", &|| {
                black_box(model.logits(black_box(&encoded), prompt, &cx).unwrap());
            });
            bench("search", &|| {
                let ids = model.generate(black_box(&encoded), prompt, config, &cx);
                black_box(ids.unwrap());
            });
            bench("caption", &|| {
                black_box(model.caption(black_box(picture.pixels()), &cx).unwrap());
            });
            bench("from-jpeg", &|| {
                let picture = decode.run(black_box(&source), &cx).unwrap();
                black_box(model.caption(picture.pixels(), &cx).unwrap());
            });
        }
    }
}

criterion_group!(benches, captions);
criterion_main!(benches);
