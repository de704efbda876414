//! What the store costs: an acknowledged upload (with its syncs to the disk), reading back from 10,000 images, and finding
//! some of 100,000.

#![allow(clippy::unwrap_used, reason = "a bench may stop at the first error")]

use std::hint::black_box;
use std::io::Write;
use std::num::NonZeroUsize;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pipeline_store::{Filter, Page, Store, StoreConfig};
use rusqlite::{Connection, params};

const UPLOAD_BYTES: usize = 100_000;
const IMAGES: usize = 10_000;
const CAPTIONS: u64 = 100_000;

fn accept(store: &Store, bytes: &[u8]) {
    let mut upload = store.begin_upload().unwrap();
    upload.write_all(bytes).unwrap();
    store.accept(upload, "photo.jpg").unwrap();
}

/// Words of captions; the n-th is rarer than the one before.
const WORDS: [&str; 16] = [
    "a",
    "dog",
    "man",
    "red",
    "street",
    "table",
    "child",
    "water",
    "bicycle",
    "cat",
    "umbrella",
    "guitar",
    "snow",
    "panda",
    "lighthouse",
    "zeppelin",
];

/// The store with [`CAPTIONS`] finished images, written past its own interface: through it, each would wait for the disk.
fn captioned(dir: &std::path::Path) -> Store {
    drop(Store::open(dir, &StoreConfig::default()).unwrap());
    let mut database = Connection::open(dir.join("pipeline.sqlite")).unwrap();
    // An image names its caption and a caption its image: both are there at the end.
    database.pragma_update(None, "foreign_keys", false).unwrap();
    let rows = database.transaction().unwrap();
    for n in 0..CAPTIONS {
        let text: Vec<&str> = (0..10)
            .map(|k| {
                let chance = (n * 10 + k).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
                WORDS[(chance.trailing_ones() as usize).min(WORDS.len() - 1)]
            })
            .collect();
        let seq = (n + 1) as i64;
        let hash = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let metadata = format!(
            r#"{{"width":640,"height":427,"format":"{}","size_bytes":65153,"orientation":1,"exif":{{"make":"Canon"}},"fingerprint":{{"perceptual_hash":"{hash:016x}","thumbhash":"GIoKDYSlqIdPUXd3eEeHh9N/YIkI"}}}}"#,
            if n % 4 == 0 { "png" } else { "jpg" }
        );
        let insert = |sql: &str, params: &[&dyn rusqlite::ToSql]| {
            rows.prepare_cached(sql).unwrap().execute(params).unwrap();
        };
        insert(
            "INSERT INTO captions (image_seq, text, source, model, created_at) VALUES (?1, ?2, 'model', 'tiny', 0)",
            params![seq, text.join(" ")],
        );
        insert(
            "INSERT INTO images (seq, id, original_name, size_bytes, sha256, created_at, state, processed_at, took_ms,
                                 metadata, caption_seq)
             VALUES (?1, ?2, ?3, 65153, randomblob(32), ?1, 'success', ?1, 70, ?4, ?1)",
            params![seq, uuid::Uuid::from_u128(n.into()).to_string(), format!("IMG_{n}.jpg"), metadata],
        );
        for (position, name) in ["small", "medium"].into_iter().enumerate() {
            insert(
                "INSERT INTO thumbnails VALUES (?1, ?2, ?3, 256, 171, 9000, ?2 || '.jpg')",
                params![seq, position as i64, name],
            );
        }
        for stage in ["metadata", "thumbnails", "caption"] {
            insert(
                "INSERT INTO stages VALUES (?1, ?2, NULL, 20.5, 1, ?1)",
                params![seq, stage],
            );
        }
    }
    rows.commit().unwrap();
    drop(database);
    Store::open(dir, &StoreConfig::default()).unwrap()
}

fn find(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let store = captioned(folder.path());
    let mut group = criterion.benchmark_group("find-in-100000");
    group.sample_size(10);
    let page = Page {
        limit: NonZeroUsize::new(50),
        after: None,
    };
    let words = |text: &str| Filter {
        text: Some(text.to_owned()),
        ..Filter::default()
    };
    let cases = [
        ("page-of-all", Filter::default()),
        (
            "page-of-a-status",
            Filter {
                status: Some(pipeline_store::Status::Success),
                ..Filter::default()
            },
        ),
        (
            "page-of-a-format",
            Filter {
                format: Some(pipeline_core::Format::Png),
                ..Filter::default()
            },
        ),
        ("rare-word", words("zeppelin")),
        ("common-word", words("dog")),
        ("word-in-all", words("a")),
        ("two-words", words("red umbrella")),
        ("beginning", words("umbr")),
        (
            "word-and-format",
            Filter {
                format: Some(pipeline_core::Format::Png),
                ..words("cat")
            },
        ),
    ];
    for (name, filter) in &cases {
        let total = store.find(filter, &page).unwrap().total;
        group.bench_function(format!("{name}-{total}"), |b| {
            b.iter(|| store.find(black_box(filter), &page).unwrap());
        });
    }
    let first = store.list(&page).unwrap().images[0].id;
    group.bench_function("similar", |b| {
        b.iter(|| store.similar(black_box(first), 10, 20).unwrap());
    });
    group.bench_function("stats", |b| b.iter(|| store.stats().unwrap()));
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

criterion_group!(benches, store, find);
criterion_main!(benches);
