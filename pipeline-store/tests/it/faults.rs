//! Folders and databases that are not as they should be.

use std::error::Error as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use pipeline_store::{Error, ImageState, Store, StoreConfig};
use rusqlite::Connection;

use crate::support::{
    Scratch, accept, all_ids, claim, complete, files, get, is_processing, open, try_accept,
};

/// The size of the database's pages, in bytes.
const PAGE: usize = 4096;

fn open_error(dir: &Path) -> Error {
    open(dir).map(|_| ()).unwrap_err()
}

#[test]
fn a_folder_has_one_process() {
    let store = Scratch::new();
    let error = open_error(store.path());
    assert!(matches!(error, Error::InUse { .. }), "{error:?}");
    accept(&store, "the first is not disturbed");
    let clone = Store::clone(&store);
    let folder = store.close();
    assert!(
        matches!(open_error(folder.path()), Error::InUse { .. }),
        "a clone holds the folder too"
    );
    drop(clone);
    open(folder.path()).unwrap();
}

#[test]
fn missing_folders_are_made() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("a/b/c");
    drop(open(&deep).unwrap());
    assert!(deep.join("pipeline.sqlite").is_file());
}

#[test]
fn a_newer_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("pipeline.sqlite");
    Connection::open(&database)
        .and_then(|newer| {
            newer.execute_batch("CREATE TABLE of_the_future (x); PRAGMA user_version = 99")
        })
        .unwrap();
    let before = fs::read(&database).unwrap();
    let error = open_error(dir.path());
    assert!(
        matches!(
            error,
            Error::TooNew {
                found: 99,
                supported: 5
            }
        ),
        "{error:?}"
    );
    assert_eq!(fs::read(&database).unwrap(), before);
    assert_eq!(
        files(dir.path()),
        [Path::new("lock"), Path::new("pipeline.sqlite")]
    );
}

#[test]
fn a_damaged_database_is_refused_and_left_alone() {
    let good = Scratch::new();
    for n in 0..50 {
        accept(&good, &"long name ".repeat(n));
    }
    let good = good.close();
    let good = fs::read(good.path().join("pipeline.sqlite")).unwrap();
    let half = good[..good.len() / 2 / 4096 * 4096].to_vec();
    let bits = good[..511].to_vec();
    for bad in [b"x".to_vec(), bits, vec![b'x'; 100_000], half] {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("pipeline.sqlite");
        fs::write(&database, &bad).unwrap();
        let error = open_error(dir.path());
        assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
        assert!(
            error.to_string().contains("pipeline.sqlite is damaged"),
            "{error}"
        );
        assert!(fs::read(&database).unwrap() == bad, "nothing was written");
    }
}

#[test]
fn a_database_that_is_damaged_in_the_middle_is_refused_and_left_alone() {
    let store = Scratch::new();
    for n in 0..50 {
        accept(&store, &"long name ".repeat(n));
    }
    let database = store.database();
    let folder = store.close();
    let good = fs::read(&database).unwrap();
    let middle = good.len() / 2 / PAGE * PAGE;
    let mut bad = good.clone();
    bad[middle..middle + PAGE].fill(b'x');
    fs::write(&database, &bad).unwrap();
    let error = open_error(folder.path());
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    assert!(fs::read(&database).unwrap() == bad, "it was written to");
    fs::write(&database, &good).unwrap();
    assert_eq!(all_ids(&open(folder.path()).unwrap()).len(), 50);
}

/// A process that was killed leaves a WAL, with all that was written last.
#[test]
fn a_damaged_database_keeps_its_wal() {
    let store = Scratch::new();
    for n in 0..50 {
        accept(&store, &"long name ".repeat(n));
    }
    let store = Scratch::in_folder(store.close());
    accept(&store, "cat.jpg");
    let left = store.killed();
    let database = left.path().join("pipeline.sqlite");
    let wal = left.path().join("pipeline.sqlite-wal");
    let before = fs::read(&wal).unwrap();
    let mut bad = fs::read(&database).unwrap();
    // All but the first page, of which the WAL has a newer form.
    bad[PAGE..].fill(b'x');
    fs::write(&database, &bad).unwrap();
    let error = open_error(left.path());
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    assert!(fs::read(&database).unwrap() == bad, "it was written to");
    assert!(fs::read(&wal).unwrap() == before, "it was written to");
}

#[test]
fn what_an_upload_would_meet_can_be_asked() {
    let store = Scratch::new();
    store.probe_files().unwrap();
    store.probe_database(Duration::ZERO).unwrap();
    assert!(files(&store.path().join("tmp")).is_empty());

    let other = Connection::open(store.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.probe_database(Duration::ZERO).unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error:?}");
    store.probe_files().unwrap();
    other.execute_batch("ROLLBACK").unwrap();
    store.probe_database(Duration::ZERO).unwrap();

    fs::remove_dir(store.path().join("tmp")).unwrap();
    let error = store.probe_files().unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    store.probe_database(Duration::ZERO).unwrap();
}

#[test]
fn a_lost_database_is_not_replaced_by_an_empty_one() {
    let store = Scratch::new();
    let id = accept(&store, "cat.jpg");
    let original = store.original_path(id);
    let database = store.database();
    let folder = store.close();
    fs::write(&database, "").unwrap();
    let error = open_error(folder.path());
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    assert_eq!(fs::read(&database).unwrap(), b"");
    fs::remove_file(&database).unwrap();
    let error = open_error(folder.path());
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    assert!(!database.exists());
    assert!(original.is_file());
}

#[test]
fn a_damaged_row_is_an_error_and_others_are_not_affected() {
    let store = Scratch::new();
    let bad = accept(&store, "bad");
    let good = accept(&store, "good");
    complete(&store, &claim(&store)).unwrap();
    Connection::open(store.database())
        .unwrap()
        .execute(
            "UPDATE images SET metadata = '{' WHERE id = ?1",
            [bad.to_string()],
        )
        .unwrap();
    let error = store.image(bad).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    assert!(is_processing(&store, good));
}

#[test]
fn a_folder_that_cannot_be_used_is_one_clear_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = open_error(&path);
        assert!(matches!(error, Error::Open { .. }), "{error:?}");
        let line = error.to_string();
        assert!(
            line.contains(&*path.to_string_lossy()) && !line.contains('\n'),
            "{line}"
        );
        assert_eq!(error.source().unwrap().to_string(), "not a directory");
    }
    // A folder where the database should be.
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("pipeline.sqlite")).unwrap();
    let error = open_error(dir.path());
    assert!(matches!(error, Error::Open { .. }), "{error:?}");
}

#[test]
fn a_locked_database_is_worth_another_try() {
    let store = Scratch::new();
    let first = accept(&store, "first");
    let job = claim(&store);
    let before = files(&store.path().join("originals"));

    let other = Connection::open(store.database()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = try_accept(&store, "second", b"bytes").map(|_| ());
    let not_claimed = store.claim("worker").map(|_| ());
    for result in [refused, not_claimed, complete(&store, &job)] {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Busy { .. }), "{error:?}");
        assert!(error.is_retryable());
    }
    assert_eq!(all_ids(&store), [first], "reading goes on");
    assert_eq!(files(&store.path().join("originals")), before);
    assert!(files(&store.path().join("tmp")).is_empty());

    other.execute_batch("ROLLBACK").unwrap();
    accept(&store, "second");
    complete(&store, &job).unwrap();
    assert!(matches!(
        get(&store, first).state,
        ImageState::Success { .. }
    ));
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let config = StoreConfig::default();
    assert_eq!(config.busy_timeout.as_secs(), 5);
    assert_eq!(config.readers.get(), 4);
}
