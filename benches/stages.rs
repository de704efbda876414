//! The stages by kind and size of picture. Throughput is in pixels of the stored picture.

#![allow(clippy::unwrap_used, reason = "a bench may stop at the first error")]

mod corpus;

use std::cell::LazyCell;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pipeline_core::{
    Cx, Decode, Decoded, FingerprintStage, ImagePipeline, Limits, MetadataStage, Pipeline, Stage,
    ThumbnailSpec, ThumbnailStage,
};

fn thumbnails() -> [ThumbnailSpec; 2] {
    [
        ThumbnailSpec::new("small", 256),
        ThumbnailSpec::new("medium", 512).with_quality(90),
    ]
}

/// Metadata, the whole picture, and what a server does: metadata, thumbnails and fingerprint from a shrunk picture.
fn files(criterion: &mut Criterion) {
    let cx = Cx::none();
    let metadata = MetadataStage::new();
    let decode = Decode::new(Limits::default());
    let stock = ImagePipeline::builder().thumbnails(thumbnails()).build();
    for (width, height) in corpus::SIZES {
        // Made only if a bench of this size is wanted: the largest take seconds.
        let picture = LazyCell::new(|| corpus::picture(width, height));
        for (kind, encode) in corpus::KINDS {
            let source = LazyCell::new(|| encode(&picture));
            let mut group = criterion.benchmark_group(kind);
            group.sample_size(10);
            group.throughput(Throughput::Elements(u64::from(width) * u64::from(height)));
            let id = |stage| BenchmarkId::new(stage, format!("{width}x{height}"));
            group.bench_function(id("metadata"), |b| {
                let source = &*source;
                b.iter(|| assert_eq!(metadata.run(black_box(source), &cx).unwrap().width, width));
            });
            group.bench_function(id("decode"), |b| {
                let source = &*source;
                b.iter(|| {
                    let decoded = decode.run(black_box(source), &cx).unwrap();
                    assert_eq!(decoded.pixels().width(), width);
                });
            });
            group.bench_function(id("stock"), |b| {
                let source = &*source;
                b.iter(|| {
                    let analysis = stock.process(black_box(source), &cx).unwrap();
                    assert_eq!(analysis.thumbnails[0].width, 256);
                });
            });
        }
    }
}

/// What is made of pixels that are there already.
fn pixels(criterion: &mut Criterion) {
    let cx = Cx::none();
    let thumbnails = ThumbnailStage::new(thumbnails());
    let fingerprint = FingerprintStage::new();
    let mut group = criterion.benchmark_group("pixels");
    group.sample_size(10);
    for (width, height) in corpus::SIZES {
        let decoded = LazyCell::new(|| Decoded::from(corpus::picture(width, height)));
        group.throughput(Throughput::Elements(u64::from(width) * u64::from(height)));
        let id = |stage| BenchmarkId::new(stage, format!("{width}x{height}"));
        group.bench_function(id("thumbnails"), |b| {
            let decoded = &*decoded;
            b.iter(|| {
                let made = thumbnails.run(black_box(decoded), &cx).unwrap();
                assert_eq!(made[0].width, 256);
            });
        });
        group.bench_function(id("fingerprint"), |b| {
            let decoded = &*decoded;
            b.iter(|| fingerprint.run(black_box(decoded), &cx).unwrap());
        });
    }
}

criterion_group!(benches, files, pixels);
criterion_main!(benches);
