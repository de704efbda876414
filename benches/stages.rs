//! Metadata, decode and thumbnails, by format and size. Throughput is in pixels of the stored picture.

#![allow(clippy::unwrap_used, reason = "a bench may stop at the first error")]

mod corpus;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use image::RgbImage;
use pipeline_core::{
    Cx, Decode, Decoded, Limits, MetadataStage, Source, Stage, ThumbnailSpec, ThumbnailStage,
};

fn stages(criterion: &mut Criterion) {
    let cx = Cx::none();
    let metadata = MetadataStage::new();
    let decode = Decode::new(Limits::default());
    let thumbnails = ThumbnailStage::new([
        ThumbnailSpec::new("small", 256),
        ThumbnailSpec::new("medium", 512).with_quality(90),
    ]);
    let pictures = corpus::SIZES.map(|(width, height)| corpus::picture(width, height));

    for (format, encode) in [
        ("jpg", corpus::jpeg as fn(&RgbImage) -> Source),
        ("png", corpus::png),
    ] {
        let mut group = criterion.benchmark_group(format);
        group.sample_size(10);
        for picture in &pictures {
            let (width, height) = picture.dimensions();
            let source = encode(picture);
            let id = |stage| BenchmarkId::new(stage, format!("{width}x{height}"));
            group.throughput(Throughput::Elements(u64::from(width) * u64::from(height)));
            group.bench_function(id("metadata"), |b| {
                b.iter(|| assert_eq!(metadata.run(black_box(&source), &cx).unwrap().width, width));
            });
            group.bench_function(id("decode"), |b| {
                b.iter(|| {
                    assert_eq!(
                        decode
                            .run(black_box(&source), &cx)
                            .unwrap()
                            .pixels()
                            .width(),
                        width
                    )
                });
            });
        }
    }

    let mut group = criterion.benchmark_group("thumbnails");
    group.sample_size(10);
    for picture in pictures {
        let (width, height) = picture.dimensions();
        let decoded = Decoded::from(picture);
        group.throughput(Throughput::Elements(u64::from(width) * u64::from(height)));
        group.bench_function(format!("{width}x{height}"), |b| {
            b.iter(|| {
                assert_eq!(
                    thumbnails.run(black_box(&decoded), &cx).unwrap()[0].width,
                    256
                )
            });
        });
    }
}

criterion_group!(benches, stages);
criterion_main!(benches);
