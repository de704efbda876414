//! Files that no row names go; files that a call has in hand stay.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

use pipeline_store::{ImageId, Store};

use crate::support::{Scratch, accept, claim, complete, files};

const AGE: Duration = Duration::from_secs(600);

/// Sweeps all parts.
fn sweep(store: &Store, age: Duration) -> usize {
    (0..=u8::MAX)
        .map(|part| store.sweep(part, age).unwrap())
        .sum()
}

fn write(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "orphan").unwrap();
}

/// Makes a file look old.
fn age(path: &Path) {
    let long_ago = SystemTime::now() - 2 * AGE;
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
}

#[test]
fn orphans_go_and_all_else_stays() {
    let store = Scratch::new();
    accept(&store, "waiting");
    let done = accept(&store, "done");
    let job = claim(&store);
    complete(&store, &job).unwrap();
    complete(&store, &claim(&store)).unwrap();
    accept(&store, "in work");
    let _claimed = claim(&store);
    let before = files(store.path());

    let nobody: ImageId = "1f4c5a0e-9d1b-4a86-8a39-0c3b7d3f2f11".parse().unwrap();
    write(&store.original_path(nobody));
    write(&store.thumbnails_path(nobody).join("1-0.jpg"));
    write(&store.thumbnails_path(done).join("7-0.jpg"));
    write(&store.path().join("tmp/upload.abc"));
    write(&store.path().join("tmp/thumbnails.abc/0.jpg"));
    assert_eq!(sweep(&store, Duration::ZERO), 5);
    assert_eq!(files(store.path()), before);
    assert!(!store.thumbnails_path(nobody).exists());
    assert_eq!(sweep(&store, Duration::ZERO), 0);
}

#[test]
fn files_of_others_stay() {
    let store = Scratch::new();
    let notes = store.path().join("originals/1f/notes.txt");
    write(&notes);
    write(&store.path().join("originals/README"));
    assert_eq!(sweep(&store, Duration::ZERO), 0);
    assert!(notes.is_file());
}

#[test]
fn young_orphans_stay() {
    let store = Scratch::new();
    let nobody = "1f4c5a0e-9d1b-4a86-8a39-0c3b7d3f2f11".parse().unwrap();
    let (orphan, left) = (
        store.original_path(nobody),
        store.path().join("tmp/upload.abc"),
    );
    write(&orphan);
    write(&left);
    assert_eq!(sweep(&store, AGE), 0);
    age(&orphan);
    age(&left);
    assert_eq!(sweep(&store, AGE), 2);
    assert!(!orphan.exists() && !left.exists());
}

#[test]
fn an_upload_in_progress_stays_however_old() {
    let store = Scratch::new();
    let mut upload = store.begin_upload().unwrap();
    upload.write_all(b"half a ").unwrap();
    for path in files(&store.path().join("tmp")) {
        age(&store.path().join("tmp").join(path));
    }
    assert_eq!(sweep(&store, Duration::ZERO), 0);
    upload.write_all(b"picture").unwrap();
    let id = store.accept(upload, "cat.jpg").unwrap();
    assert_eq!(sweep(&store, Duration::ZERO), 0);
    assert_eq!(
        fs::read(store.original_path(id)).unwrap(),
        b"half a picture"
    );
}

#[test]
fn a_dropped_upload_is_forgotten() {
    let store = Scratch::new();
    drop(store.begin_upload().unwrap());
    assert_eq!(sweep(&store, Duration::ZERO), 0);
    assert!(files(&store.path().join("tmp")).is_empty());
}

#[test]
fn a_note_of_a_deletion_that_failed_is_followed_later() {
    let store = Scratch::new();
    let id = accept(&store, "cat.jpg");
    // A folder in place of the file: removing it as a file fails.
    fs::remove_file(store.original_path(id)).unwrap();
    fs::create_dir(store.original_path(id)).unwrap();
    store.delete(id).unwrap_err();
    fs::remove_dir(store.original_path(id)).unwrap();
    fs::write(store.original_path(id), "private").unwrap();
    // The note, and nothing else: the file that it is about goes with it.
    assert_eq!(store.sweep(0, Duration::ZERO).unwrap(), 1);
    assert!(!store.original_path(id).exists());
    assert!(files(&store.path().join("tmp")).is_empty());
}
