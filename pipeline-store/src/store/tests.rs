//! Failures that cannot be had through the public calls.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pipeline_core::Thumbnail;

use super::*;
use crate::blobs::SYNCED;
use crate::conn::lock;
use crate::images::NewImage;

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
    let error = store.store_upload(&no_file, None).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert_eq!(store.image(id).unwrap(), None);
    assert_eq!(store.queue_len().unwrap(), 0);
}

fn send(store: &Store, key: &str) -> Result<ImageId> {
    let mut upload = store.begin_upload().unwrap();
    upload.write_all(b"bytes").unwrap();
    store.accept_once(upload, "cat.jpg", Some(key))
}

fn ids(store: &Store) -> Vec<ImageId> {
    let images = store.list(&Page::default()).unwrap().images;
    images.iter().map(|image| image.id).collect()
}

#[test]
fn a_key_is_no_answer_before_its_upload_is_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        busy_timeout: Duration::ZERO,
        ..StoreConfig::default()
    };
    let store = Store::open(dir.path(), &config).unwrap();
    let first = send(&store, "k").unwrap();
    store.inner.unsettled.enter(first);
    let error = send(&store, "k").unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error:?}");
    assert_eq!(ids(&store), [first]);
    store.inner.unsettled.settle(first);
    assert_eq!(send(&store, "k").unwrap(), first);

    // Its sender was told that it is not stored.
    store.inner.unsettled.set_stuck(first);
    let second = send(&store, "k").unwrap();
    assert_ne!(second, first);
    assert_eq!(ids(&store), [second]);
    assert_eq!(send(&store, "k").unwrap(), second);
}

#[test]
fn an_upload_that_could_not_be_taken_back_goes_with_the_next_sweep() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &StoreConfig::default()).unwrap();
    let (failed, good) = (send(&store, "k").unwrap(), send(&store, "l").unwrap());
    store.inner.unsettled.set_stuck(failed);
    let age = Duration::from_secs(3_600);
    assert_eq!(store.sweep(7, age).unwrap(), 1);
    assert_eq!(ids(&store), [good]);
    assert_eq!(store.inner.blobs.original_size(failed), None);
    assert_eq!(store.sweep(7, age).unwrap(), 0);
}

#[test]
fn an_upload_that_was_cut_off_is_made_durable_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &StoreConfig::default()).unwrap();
    let id = send(&store, "k").unwrap();
    // What a process leaves that ends between the commit and the answer.
    store.inner.blobs.doubt(id).unwrap().keep();
    drop(store);
    synced(dir.path());
    let store = Store::open(dir.path(), &StoreConfig::default()).unwrap();
    let name = id.to_string();
    let original = Path::new("originals").join(&name[..2]).join(&name);
    let now = synced(dir.path());
    assert!(now.contains(&original), "{original:?} of {now:?}");
    assert_eq!(send(&store, "k").unwrap(), id);
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
