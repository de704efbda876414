//! A store of an older release is taken over with all that is in it.

use std::fs;

use pipeline_store::doctor::examine;
use pipeline_store::{CaptionSource, Filter, ImageState, Page, StageState, StoreConfig};
use rusqlite::Connection;

use crate::support::{Scratch, accept, claim, complete, found, get};

const DONE: &str = "1f4c5a0e-9d1b-4a86-8a39-0c3b7d3f2f11";
const FAILED: &str = "2f4c5a0e-9d1b-4a86-8a39-0c3b7d3f2f11";
const WAITING: &str = "3f4c5a0e-9d1b-4a86-8a39-0c3b7d3f2f11";

/// A folder as the second version of the database leaves it.
fn second_version() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let database = Connection::open(folder.path().join("pipeline.sqlite")).unwrap();
    for step in [
        include_str!("../../migrations/0001_init.sql"),
        include_str!("../../migrations/0002_leases.sql"),
    ] {
        database.execute_batch(step).unwrap();
    }
    let metadata = r#"{"width":1,"height":1,"format":"png","size_bytes":1,"orientation":1,"exif":{"make":"Canon"},"fingerprint":{"perceptual_hash":"00ff00000000abcd","thumbhash":"AQIDBAU="}}"#;
    database
        .execute_batch(&format!(
            "INSERT INTO images (id, original_name, size_bytes, sha256, created_at, state, processed_at, took_ms,
                                 metadata, caption, caption_model)
             VALUES ('{DONE}', 'cat.png', 1, zeroblob(32), 5, 'success', 6, 420, '{metadata}', 'a cat', 'tiny');
             INSERT INTO thumbnails VALUES (1, 0, 'small', 1, 1, 1, '2-0.jpg');
             INSERT INTO images (id, original_name, size_bytes, sha256, created_at, state, processed_at, took_ms,
                                 error_code, error_message)
             VALUES ('{FAILED}', 'x', 1, zeroblob(32), 7, 'failed', 8, 1, 'decode-failed', 'it is broken');
             INSERT INTO images (id, original_name, size_bytes, sha256, created_at, state)
             VALUES ('{WAITING}', 'waiting', 1, zeroblob(32), 9, 'processing');
             INSERT INTO jobs VALUES (3, 'queued', 1, 4, NULL, NULL);
             UPDATE sqlite_sequence SET seq = 41;
             PRAGMA user_version = 2"
        ))
        .unwrap();
    drop(database);
    for (place, id, file) in [
        ("thumbnails", DONE, "2-0.jpg"),
        ("originals", DONE, ""),
        ("originals", FAILED, ""),
        ("originals", WAITING, ""),
    ] {
        let path = folder.path().join(place).join(&id[..2]).join(id);
        let path = if file.is_empty() {
            path
        } else {
            path.join(file)
        };
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    folder
}

#[test]
fn a_store_of_the_second_version_is_taken_over() {
    let store = Scratch::in_folder(second_version());
    let [done, failed, waiting] = [DONE, FAILED, WAITING].map(|id| id.parse().unwrap());

    let record = get(&store, done);
    assert_eq!(record.original_name, "cat.png");
    assert_eq!(record.created_at.as_millisecond(), 5);
    let caption = record.caption.unwrap();
    assert_eq!(
        (&*caption.text, caption.model.as_deref()),
        ("a cat", Some("tiny"))
    );
    assert_eq!(caption.source, CaptionSource::Model);
    assert_eq!(caption.created_at.as_millisecond(), 6);
    assert_eq!(record.stages.caption.state, StageState::Success);
    assert_eq!(record.stages.metadata.state, StageState::Success);
    let ImageState::Success {
        took,
        thumbnails,
        caption,
        ..
    } = record.state
    else {
        panic!("it had succeeded");
    };
    assert_eq!((took.as_millis(), thumbnails.len()), (420, 1));
    assert_eq!(caption.unwrap().text, "a cat");
    assert!(store.thumbnail(done, "small").unwrap().is_some());
    assert_eq!(store.captions(done).unwrap().unwrap().len(), 1);

    let state = get(&store, failed).state;
    assert!(matches!(state, ImageState::Failed { code, .. } if code == "decode-failed"));
    assert_eq!(
        get(&store, failed).stages.metadata.state,
        StageState::Failed
    );
    let stats = store.stats().unwrap();
    assert_eq!((stats.total, stats.succeeded, stats.failed), (3, 1, 1));

    let words = |text: &str| Filter {
        text: Some(text.to_owned()),
        ..Filter::default()
    };
    assert_eq!(found(&store, &words("cat")), [done]);
    assert_eq!(found(&store, &words("waiting")), [waiting]);
    let camera = Filter {
        camera: Some("canon".to_owned()),
        ..Filter::default()
    };
    assert_eq!(found(&store, &camera), [done]);
    assert!(store.similar(done, 64, 10).unwrap().unwrap().is_empty());

    let job = claim(&store);
    assert_eq!((job.image_id(), job.attempt()), (waiting, 2));
    complete(&store, &job).unwrap();

    // Its file is still there, so the next one has another name.
    assert!(store.reprocess(done).unwrap());
    complete(&store, &claim(&store)).unwrap();
    let path = store.thumbnail(done, "small").unwrap().unwrap();
    assert!(path.ends_with("3-0.jpg"), "{path:?}");

    // Numbers of images that were deleted are not given again: cursors hold them.
    accept(&store, "new");
    let newest = store.list(&Page {
        limit: Some(1.try_into().unwrap()),
        after: None,
    });
    assert_eq!(newest.unwrap().next.unwrap().to_string(), "42");
}

#[test]
fn a_store_that_was_taken_over_is_sound() {
    let folder = Scratch::in_folder(second_version()).close();
    let diagnosis = examine(folder.path(), &StoreConfig::default()).unwrap();
    assert_eq!(diagnosis.found, []);
}
