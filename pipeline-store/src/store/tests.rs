//! Failures that cannot be had through the public calls.

use std::io::Write;
use std::time::Duration;

use super::*;

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
    let error = store.store_upload(no_file, None).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert_eq!(store.image(id).unwrap(), None);
    assert_eq!(store.queue_len().unwrap(), 0);
}
