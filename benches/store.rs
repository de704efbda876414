//! What the store costs: an acknowledged upload (with its syncs to the disk), and reading back from 10,000 images.

#![allow(clippy::unwrap_used, reason = "a bench may stop at the first error")]

use std::hint::black_box;
use std::io::Write;
use std::num::NonZeroUsize;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pipeline_store::{Page, Store, StoreConfig};

const UPLOAD_BYTES: usize = 100_000;
const IMAGES: usize = 10_000;

fn accept(store: &Store, bytes: &[u8]) {
    let mut upload = store.begin_upload().unwrap();
    upload.write_all(bytes).unwrap();
    store.accept(upload, "photo.jpg").unwrap();
}

fn store(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let mut group = criterion.benchmark_group("store");
    group.sample_size(10);

    let uploads = Store::open(&folder.path().join("uploads"), &StoreConfig::default()).unwrap();
    let bytes = vec![0x55; UPLOAD_BYTES];
    group.throughput(Throughput::Bytes(UPLOAD_BYTES as u64));
    group.bench_function("accept", |b| b.iter(|| accept(&uploads, black_box(&bytes))));

    let full = Store::open(&folder.path().join("full"), &StoreConfig::default()).unwrap();
    for _ in 0..IMAGES {
        accept(&full, b"small");
        let job = full.claim("worker").unwrap().unwrap();
        full.fail(
            &job,
            "unknown-format",
            "not a JPEG or PNG file",
            Duration::ZERO,
        )
        .unwrap();
    }
    let page = Page {
        limit: NonZeroUsize::new(50),
        after: None,
    };
    group.throughput(Throughput::Elements(50));
    group.bench_function("list-50-of-10000", |b| {
        b.iter(|| assert_eq!(full.list(black_box(&page)).unwrap().images.len(), 50));
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("stats-of-10000", |b| {
        b.iter(|| assert_eq!(full.stats().unwrap().failed, IMAGES as u64));
    });
}

criterion_group!(benches, store);
criterion_main!(benches);
