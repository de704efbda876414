//! Failures that cannot be had through the public calls.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pipeline_core::Thumbnail;

use super::*;
use crate::blobs::SYNCED;
use crate::conn::lock;

#[test]
fn a_full_disk_stores_nothing_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &StoreConfig::default()).unwrap();
    let accept = |name: &str| {
        let mut upload = store.begin_upload().unwrap();
        upload.write_all(b"bytes").unwrap();
        store.accept(upload, name)
    };
    let set_max_pages = |pages: u32| {
        let set = |tx: &rusqlite::Transaction<'_>| {
            tx.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
        };
        store.inner.db.write("set the limit", set).unwrap();
    };
    let first = accept("first").unwrap();
    let job = store.claim("worker").unwrap().unwrap();

    // The smallest limit that SQLite accepts is what the database has now.
    set_max_pages(1);
    let long = "x".repeat(100_000);
    let error = accept(&long).unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error:?}");
    assert!(error.is_retryable());
    let took = Duration::from_millis(1);
    let error = store.fail(&job, "code", &long, took).unwrap_err();
    assert!(matches!(error, Error::Full { .. }), "{error:?}");

    assert_eq!(store.list(&Page::default()).unwrap().images.len(), 1);
    let originals: Vec<_> = fs::read_dir(dir.path().join("originals"))
        .unwrap()
        .flat_map(|shard| fs::read_dir(shard.unwrap().path()).unwrap())
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(originals, [first.to_string()]);
    assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);

    set_max_pages(u32::MAX - 1);
    accept(&long).unwrap();
    store.fail(&job, "code", &long, took).unwrap();
}

#[test]
fn a_row_whose_file_cannot_be_synced_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &StoreConfig::default()).unwrap();
    let no_file = NewImage {
        id: ImageId::random(),
        original_name: "cat.jpg".to_owned(),
        size_bytes: 5,
        sha256: [0; 32],
    };
    let id = no_file.id;
    let error = store.store_upload(no_file).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert_eq!(store.image(id).unwrap(), None);
    assert_eq!(store.queue_len().unwrap(), 0);
}

/// What lies in `data` and was made durable, from the last call to this one.
fn synced(data: &Path) -> BTreeSet<PathBuf> {
    let mut all = lock(&SYNCED);
    let here = |path: &PathBuf| path.strip_prefix(data).ok().map(Path::to_owned);
    let found = all.iter().filter_map(here).collect();
    all.retain(|path| here(path).is_none());
    found
}

#[test]
fn what_is_acknowledged_is_on_the_disk_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &StoreConfig::default()).unwrap();
    synced(dir.path());
    let mut upload = store.begin_upload().unwrap();
    upload.write_all(b"bytes").unwrap();
    let id = store.accept(upload, "cat.jpg").unwrap().to_string();
    let shard = Path::new("originals").join(&id[..2]);
    let accepted = synced(dir.path());
    // The file, its name in the shard, and the shard's name.
    for path in [&shard.join(&id), &shard, Path::new("originals")] {
        assert!(accepted.contains(path), "{path:?} of {accepted:?}");
    }

    let job = store.claim("worker").unwrap().unwrap();
    let thumbnails = [Thumbnail {
        name: "small".into(),
        width: 1,
        height: 1,
        jpeg: vec![1].into(),
    }];
    let names = store.inner.blobs.put_thumbnails(&job, &thumbnails).unwrap();
    let shard = Path::new("thumbnails").join(&id[..2]);
    let stored = synced(dir.path());
    for path in [
        &shard.join(&id).join(&names[0]),
        &shard.join(&id),
        &shard,
        Path::new("thumbnails"),
    ] {
        assert!(stored.contains(path), "{path:?} of {stored:?}");
    }
}
