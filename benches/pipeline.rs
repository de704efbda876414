//! The stock pipeline on one photo: without captions, with the bundled model, and with a captioner that costs nothing,
//! which leaves the pipeline's own overhead.

#![allow(clippy::unwrap_used, reason = "a bench may stop at the first error")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use pipeline_core::testing::FixedCaptioner;
use pipeline_core::{Blip, CaptionStage, Cx, ImagePipeline, Pipeline, Source, ThumbnailSpec};

const PHOTO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/photos/rocket.jpg");

fn pipelines(criterion: &mut Criterion) {
    let source = Source::from_path(PHOTO).unwrap();
    let builder = ImagePipeline::builder().thumbnails([
        ThumbnailSpec::new("small", 256),
        ThumbnailSpec::new("medium", 512).with_quality(90),
    ]);
    let mut group = criterion.benchmark_group("pipeline");
    group.sample_size(10);
    for (name, pipeline) in [
        ("without-captions", builder.clone().build()),
        (
            "fixed-caption",
            builder
                .clone()
                .captions(CaptionStage::new(FixedCaptioner::new("a photo")))
                .build(),
        ),
        (
            "tiny",
            builder
                .captions(CaptionStage::new(
                    Blip::tiny().expect("the bundled model is sound"),
                ))
                .build(),
        ),
    ] {
        group.bench_function(name, |b| {
            b.iter(|| {
                assert_eq!(
                    pipeline
                        .process(black_box(&source), &Cx::none())
                        .unwrap()
                        .thumbnails
                        .len(),
                    2
                )
            });
        });
    }
}

criterion_group!(benches, pipelines);
criterion_main!(benches);
