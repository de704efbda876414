//! A whole caption and its parts, for the bundled model and, if `BLIP_MODEL` names its folder, for a BLIP checkpoint.

#![allow(clippy::unwrap_used, reason = "a bench may stop at the first error")]

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use pipeline_core::{Blip, BlipOptions, Captioner, Cx, Decode, Limits, Source, Stage};

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
        let mut group = criterion.benchmark_group(format!("caption/{name}"));
        group.sample_size(10);
        let pixels = model.preprocess(picture.pixels()).unwrap();
        group.bench_function("preprocess", |b| {
            b.iter(|| model.preprocess(black_box(picture.pixels())).unwrap())
        });
        group.bench_function("encode", |b| {
            b.iter(|| model.encode(black_box(&pixels), &cx).unwrap())
        });
        group.bench_function("caption", |b| {
            b.iter(|| model.caption(black_box(picture.pixels()), &cx).unwrap())
        });
        group.bench_function("from-jpeg", |b| {
            b.iter(|| {
                model
                    .caption(decode.run(black_box(&source), &cx).unwrap().pixels(), &cx)
                    .unwrap()
            });
        });
    }
}

criterion_group!(benches, captions);
criterion_main!(benches);
