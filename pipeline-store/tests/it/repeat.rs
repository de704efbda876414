//! The same bytes, or the same request, a second time.

use std::io::Write;

use pipeline_core::Caption;
use pipeline_store::{CaptionerId, Error, ImageId, Outcome, Store};

use crate::support::{Scratch, TOOK, all_ids, claim, done, files, metadata, thumbnail, try_accept};

fn send(store: &Store, key: Option<&str>, bytes: &[u8]) -> pipeline_store::Result<ImageId> {
    let mut upload = store.begin_upload().unwrap();
    upload.write_all(bytes).unwrap();
    store.accept_once(upload, "cat.jpg", key)
}

#[test]
fn a_key_with_the_same_bytes_is_the_image_that_is_there() {
    let store = Scratch::new();
    let first = send(&store, Some("k"), b"cat").unwrap();
    assert_eq!(send(&store, Some("k"), b"cat").unwrap(), first);
    assert_eq!(all_ids(&store), [first]);
    assert_eq!(store.queue_len().unwrap(), 1);
    assert_eq!(files(&store.path().join("originals")).len(), 1);
    assert!(files(&store.path().join("tmp")).is_empty());
    let refused = send(&store, Some("k"), b"dog").unwrap_err();
    assert!(matches!(refused, Error::KeyReused), "{refused:?}");
    assert_eq!(files(&store.path().join("originals")).len(), 1);
    assert_ne!(send(&store, Some("other"), b"cat").unwrap(), first);
    assert_ne!(send(&store, None, b"cat").unwrap(), first);
    let after = Scratch::in_folder(store.killed());
    assert_eq!(send(&after, Some("k"), b"cat").unwrap(), first);
}

#[test]
fn a_deletion_frees_the_key() {
    let store = Scratch::new();
    let first = send(&store, Some("k"), b"cat").unwrap();
    store.delete(first).unwrap();
    let second = send(&store, Some("k"), b"cat").unwrap();
    assert_ne!(second, first);
    assert_eq!(all_ids(&store), [second]);
    assert_eq!(send(&store, Some("k"), b"cat").unwrap(), second);
    store.delete(second).unwrap();
    send(&store, Some("k"), b"other bytes").unwrap();
}

#[test]
fn a_sender_who_still_has_what_was_lost_may_send_it_again() {
    let store = Scratch::new();
    let lost = send(&store, Some("k"), b"cat").unwrap();
    std::fs::remove_file(store.original_path(lost)).unwrap();
    let job = claim(&store);
    let error = store.original(&job).unwrap_err();
    store.fail(&job, error.code(), "it is gone", TOOK).unwrap();
    let again = send(&store, Some("k"), b"cat").unwrap();
    assert_ne!(again, lost);
    assert_eq!(send(&store, Some("k"), b"cat").unwrap(), again);
    // Any other failure is an answer: the same bytes would fail again.
    store.fail(&claim(&store), "corrupt", "no", TOOK).unwrap();
    assert_eq!(send(&store, Some("k"), b"cat").unwrap(), again);
}

#[test]
fn a_key_is_forgotten_after_a_day() {
    let store = Scratch::new();
    let first = send(&store, Some("k"), b"cat").unwrap();
    let age = |hours: i64| {
        let database = rusqlite::Connection::open(store.database()).unwrap();
        let millis = hours * 3_600_000;
        database
            .execute(
                "UPDATE upload_keys SET created_at = created_at - ?1",
                [millis],
            )
            .unwrap();
    };
    age(23);
    assert_eq!(send(&store, Some("k"), b"cat").unwrap(), first);
    age(1);
    let second = send(&store, Some("k"), b"dog").unwrap();
    assert_ne!(second, first);
    assert_eq!(send(&store, Some("k"), b"dog").unwrap(), second);
}

fn captioner() -> CaptionerId {
    CaptionerId {
        model: "tiny".to_owned(),
        weights_sha256: "ab".repeat(32),
        settings: Some("{}".to_owned()),
    }
}

/// Completes the oldest job, with a caption by [`captioner`].
fn complete_by(store: &Store, captioner: &CaptionerId) {
    let mut caption = Caption::new("a cat", &captioner.model);
    caption.weights_sha256 = Some(captioner.weights_sha256.clone());
    caption.settings.clone_from(&captioner.settings);
    caption.score = Some(-0.25);
    let outcome = Outcome {
        metadata: &metadata(),
        thumbnails: &[thumbnail("small", 256, b"small jpeg")],
        caption: Some(&caption),
        caption_error: None,
    };
    store.complete(&claim(store), &outcome, TOOK).unwrap();
}

#[test]
fn the_same_bytes_give_the_same_result() {
    let store = Scratch::new();
    let first = try_accept(&store, "a", b"bytes").unwrap();
    complete_by(&store, &captioner());
    // What a person wrote about the other image is not this one's.
    store.set_caption(first, Some("my cat")).unwrap();
    try_accept(&store, "b", b"bytes").unwrap();
    let job = claim(&store);
    let reused = store.reusable(&job, &captioner()).unwrap().unwrap();
    assert_eq!(reused.metadata, metadata());
    assert_eq!(
        (&*reused.caption.text, reused.caption.score),
        ("a cat", Some(-0.25))
    );
    assert_eq!(&*reused.thumbnails[0].jpeg, b"small jpeg");
    for other in [
        CaptionerId {
            model: "large".to_owned(),
            ..captioner()
        },
        CaptionerId {
            weights_sha256: "cd".repeat(32),
            ..captioner()
        },
        CaptionerId {
            settings: None,
            ..captioner()
        },
    ] {
        assert!(store.reusable(&job, &other).unwrap().is_none(), "{other:?}");
    }
    try_accept(&store, "c", b"other bytes").unwrap();
    let other = claim(&store);
    assert!(store.reusable(&other, &captioner()).unwrap().is_none());
    store.release(&job).unwrap();
    store.release(&other).unwrap();

    std::fs::remove_dir_all(store.thumbnails_path(first)).unwrap();
    let job = claim(&store);
    assert!(
        store.reusable(&job, &captioner()).unwrap().is_none(),
        "its files are gone"
    );
}

#[test]
fn what_is_asked_for_again_is_really_done_again() {
    let store = Scratch::new();
    for name in ["a", "b"] {
        try_accept(&store, name, b"bytes").unwrap();
        complete_by(&store, &captioner());
    }
    store.reprocess(all_ids(&store)[0]).unwrap();
    let job = claim(&store);
    assert!(store.reusable(&job, &captioner()).unwrap().is_none());
}

#[test]
fn a_caption_of_unknown_weights_is_not_reused() {
    let store = Scratch::new();
    done(&store, "same", "a cat", "tiny");
    try_accept(&store, "b", b"same").unwrap();
    assert!(
        store
            .reusable(&claim(&store), &captioner())
            .unwrap()
            .is_none()
    );
}
