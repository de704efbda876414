//! What lies in the folder.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use pipeline_store::{Error, ImageState, Outcome, Page, Upload};

use crate::support::{
    Scratch, TOOK, accept, all_ids, claim, complete, files, get, metadata, open, thumbnail,
};

/// All files but the empty ones that wait for their next use.
fn names(dir: &Path) -> Vec<String> {
    let text = |path: PathBuf| path.to_str().unwrap().replace('\\', "/");
    let names = files(dir).into_iter().map(text);
    names.filter(|name| !name.starts_with("spare/")).collect()
}

#[test]
fn an_original_is_the_bytes_under_the_id() {
    let store = Scratch::new();
    let id = accept(&store, "cat.jpg");
    assert_eq!(fs::read(store.original_path(id)).unwrap(), b"cat.jpg");
    assert_eq!(names(&store.path().join("originals")).len(), 1);
    assert!(names(&store.path().join("tmp")).is_empty());
}

#[test]
fn names_of_senders_never_become_paths() {
    let store = Scratch::new();
    for name in ["../../evil", "/tmp/evil", "evil/evil", "evil\0evil", "evil"] {
        accept(&store, name);
    }
    let outside = store.path().parent().unwrap();
    assert!(!outside.join("evil").exists());
    for name in names(store.path()) {
        assert!(!name.contains("evil"), "{name}");
    }
    assert_eq!(names(&store.path().join("originals")).len(), 5);
}

#[test]
fn names_of_thumbnails_never_become_paths() {
    let store = Scratch::new();
    let id = accept(&store, "cat.jpg");
    let outcome = Outcome {
        metadata: &metadata(),
        thumbnails: &[thumbnail("../../../evil", 1, b"jpeg")],
        caption: None,
        caption_error: None,
    };
    store.complete(&claim(&store), &outcome, TOOK).unwrap();
    let path = store.thumbnail(id, "../../../evil").unwrap().unwrap();
    assert_eq!(path, store.thumbnails_path(id).join("1-0.jpg"));
    assert_eq!(fs::read(path).unwrap(), b"jpeg");
}

#[cfg(unix)]
#[test]
fn a_thumbnail_that_cannot_be_looked_at_is_not_one_that_is_gone() {
    let store = Scratch::new();
    let id = accept(&store, "cat.jpg");
    complete(&store, &claim(&store)).unwrap();
    let path = store.thumbnail(id, "small").unwrap().unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(store.thumbnail(id, "small").unwrap(), None);
    // A link in a circle is an error that even root meets.
    std::os::unix::fs::symlink(&path, &path).unwrap();
    let error = store.thumbnail(id, "small").unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert!(error.is_retryable());
}

#[test]
fn a_dropped_upload_leaves_nothing() {
    let store = Scratch::new();
    let before = names(store.path());
    let mut upload: Upload = store.begin_upload().unwrap();
    upload.write_all(&[7; 100_000]).unwrap();
    assert_eq!(upload.size_bytes(), 100_000);
    assert_ne!(names(store.path()), before);
    drop(upload);
    assert_eq!(names(store.path()), before);
    assert!(all_ids(&store).is_empty());
}

#[test]
fn thumbnail_files_and_rows_are_the_same() {
    let store = Scratch::new();
    for n in 0..3 {
        accept(&store, &n.to_string());
        complete(&store, &claim(&store)).unwrap();
    }
    let mut from_rows = Vec::new();
    for image in store.list(&Page::default()).unwrap().images {
        let ImageState::Success { thumbnails, .. } = image.state else {
            panic!("all succeeded");
        };
        for thumbnail in thumbnails {
            let path = store.thumbnail(image.id, &thumbnail.name).unwrap().unwrap();
            assert_eq!(fs::metadata(&path).unwrap().len(), thumbnail.size_bytes);
            from_rows.push(path.strip_prefix(store.path()).unwrap().to_owned());
        }
    }
    from_rows.sort();
    let found: Vec<_> = files(store.path())
        .into_iter()
        .filter(|path| path.starts_with("thumbnails"))
        .collect();
    assert_eq!(found, from_rows);
    assert_eq!(found.len(), 6);
}

#[test]
fn a_deleted_image_leaves_no_file() {
    let store = Scratch::new();
    let before = names(store.path());
    let done = accept(&store, "done");
    complete(&store, &claim(&store)).unwrap();
    let waiting = accept(&store, "waiting");
    assert_eq!(names(store.path()).len(), before.len() + 4);
    assert!(store.delete(done).unwrap());
    assert!(store.delete(waiting).unwrap());
    assert_eq!(names(store.path()), before);
}

#[test]
fn the_result_of_a_deleted_image_leaves_no_file() {
    let store = Scratch::new();
    let before = names(store.path());
    let id = accept(&store, "cat.jpg");
    let job = claim(&store);
    assert!(store.delete(id).unwrap());
    assert!(complete(&store, &job).is_err());
    assert_eq!(names(store.path()), before);
}

#[test]
fn a_missing_thumbnail_file_is_no_thumbnail() {
    let store = Scratch::new();
    let id = accept(&store, "cat.jpg");
    complete(&store, &claim(&store)).unwrap();
    fs::remove_file(store.thumbnail(id, "small").unwrap().unwrap()).unwrap();
    assert_eq!(store.thumbnail(id, "small").unwrap(), None);
    assert!(store.thumbnail(id, "medium").unwrap().is_some());
}

#[test]
fn a_lost_original_is_an_error_of_that_image() {
    let store = Scratch::new();
    let damages: [fn(&Path); 3] = [
        |path| fs::remove_file(path).unwrap(),
        |path| fs::write(path, "cat.jp").unwrap(),
        |path| fs::write(path, "\0\0\0\0\0\0\0").unwrap(),
    ];
    for damage in damages {
        let id = accept(&store, "cat.jpg");
        damage(&store.original_path(id));
        let job = claim(&store);
        let error = store.original(&job).unwrap_err();
        assert!(matches!(error, Error::OriginalLost { .. }), "{error:?}");
        store.fail(&job, error.code(), "gone", TOOK).unwrap();
    }
}

#[test]
fn an_upload_that_cannot_be_stored_leaves_nothing() {
    let store = Scratch::new();
    // A file where the folder should be: nothing can be renamed into it.
    fs::remove_dir(store.path().join("originals")).unwrap();
    fs::write(store.path().join("originals"), b"").unwrap();
    let mut upload = store.begin_upload().unwrap();
    upload.write_all(b"bytes").unwrap();
    let error = store.accept(upload, "cat.jpg").unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert!(all_ids(&store).is_empty());
    assert_eq!(store.queue_len().unwrap(), 0);
}

#[test]
fn closing_folds_the_log_into_the_database() {
    let store = Scratch::new();
    let id = accept(&store, "cat.jpg");
    // A reader that has read holds on to the log.
    get(&store, id);
    let folder = store.close();
    let left = files(folder.path());
    let expected = left.iter().filter(|path| !path.starts_with("originals"));
    assert_eq!(
        expected.collect::<Vec<_>>(),
        ["lock", "pipeline.sqlite"].map(Path::new),
        "one file to copy"
    );
    assert_eq!(get(&open(folder.path()).unwrap(), id).id, id);
}
