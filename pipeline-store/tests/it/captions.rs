//! Captions by models and by people.

use pipeline_core::{Caption, CaptionWarning};
use pipeline_store::{CaptionSource, Error, ImageId, ImageState, Outcome, Store};

use crate::support::{
    Scratch, TOOK, accept, claim, complete, done, done_with, files, get, is_processing, metadata,
    thumbnail,
};

/// Texts with their sources, newest first; the current one is marked.
fn history(store: &Store, id: ImageId) -> Vec<(String, CaptionSource, bool)> {
    let all = store.captions(id).unwrap().unwrap();
    all.into_iter()
        .map(|caption| (caption.text, caption.source, caption.is_current))
        .collect()
}

fn current(store: &Store, id: ImageId) -> Option<String> {
    let record = get(store, id);
    if let ImageState::Success { caption, .. } = &record.state {
        let shown = caption.as_ref().map(|caption| &caption.text);
        assert_eq!(shown, record.caption.as_ref().map(|caption| &caption.text));
    }
    record.caption.map(|caption| caption.text)
}

fn again(store: &Store, id: ImageId, text: &str) {
    assert!(store.reprocess(id).unwrap());
    let job = claim(store);
    assert_eq!(job.image_id(), id);
    let outcome = Outcome {
        metadata: &metadata(),
        thumbnails: &[thumbnail("small", 256, b"again")],
        caption: Some(&Caption::new(text, "large")),
        caption_error: None,
    };
    store.complete(&job, &outcome, TOOK).unwrap();
}

#[test]
fn a_model_s_caption_keeps_what_made_it() {
    let store = Scratch::new();
    let mut caption = Caption::new("a cat a cat a cat", "tiny");
    caption.score = Some(-0.5);
    caption.warning = Some(CaptionWarning::Repetition);
    caption.weights_sha256 = Some("ab".repeat(32));
    caption.settings = Some(r#"{"num_beams":3}"#.to_owned());
    let id = done_with(&store, "cat.jpg", &metadata(), Some(&caption));
    let ImageState::Success { caption: read, .. } = get(&store, id).state else {
        panic!("it succeeded");
    };
    assert_eq!(read.as_ref(), Some(&caption));
    let record = get(&store, id).caption.unwrap();
    assert_eq!(record.source, CaptionSource::Model);
    assert_eq!(record.model.as_deref(), Some("tiny"));
    assert_eq!(
        (record.score, record.warning.as_deref()),
        (Some(-0.5), Some("repetition"))
    );
    assert_eq!(record.weights_sha256, caption.weights_sha256);
    assert_eq!(record.settings, caption.settings);
}

#[test]
fn a_person_s_text_is_never_overwritten_by_a_run() {
    use CaptionSource::{Human, Model};
    let store = Scratch::new();
    let id = done(&store, "cat.jpg", "a dog", "tiny");
    assert!(store.set_caption(id, Some("a cat")).unwrap());
    assert_eq!(current(&store, id).as_deref(), Some("a cat"));
    again(&store, id, "a wolf");
    assert_eq!(current(&store, id).as_deref(), Some("a cat"));
    let text = |text: &str, source, current| (text.to_owned(), source, current);
    assert_eq!(
        history(&store, id),
        [
            text("a wolf", Model, false),
            text("a cat", Human, true),
            text("a dog", Model, false)
        ]
    );
    assert!(store.set_caption(id, None).unwrap());
    assert_eq!(current(&store, id).as_deref(), Some("a wolf"));
    again(&store, id, "a lynx");
    assert_eq!(current(&store, id).as_deref(), Some("a lynx"));
    assert_eq!(history(&store, id).len(), 4);
}

#[test]
fn without_a_model_s_caption_dropping_a_person_s_leaves_none() {
    let store = Scratch::new();
    let id = done_with(&store, "cat.jpg", &metadata(), None);
    assert!(store.set_caption(id, Some("a cat")).unwrap());
    assert_eq!(current(&store, id).as_deref(), Some("a cat"));
    assert!(store.set_caption(id, None).unwrap());
    assert_eq!(current(&store, id), None);
    assert_eq!(history(&store, id).len(), 1);
}

#[test]
fn nothing_is_changed_while_the_image_is_in_work() {
    let store = Scratch::new();
    let id = accept(&store, "cat.jpg");
    let refused = store.set_caption(id, Some("x")).unwrap_err();
    assert!(matches!(refused, Error::InWork { .. }), "{refused:?}");
    let refused = store.reprocess(id).unwrap_err();
    assert!(matches!(refused, Error::InWork { .. }), "{refused:?}");
    assert_eq!(history(&store, id), []);
    let nobody: ImageId = "6f4c5a0e-9d1b-4a86-8a39-0c3b7d3f2f11".parse().unwrap();
    assert!(!store.set_caption(nobody, Some("x")).unwrap());
    assert!(!store.reprocess(nobody).unwrap());
    assert_eq!(store.captions(nobody).unwrap(), None);
}

#[test]
fn an_image_that_is_done_again_leaves_no_files_and_no_holder_comes_back() {
    let store = Scratch::new();
    let id = accept(&store, "cat.jpg");
    let old = claim(&store);
    complete(&store, &old).unwrap();
    assert!(store.reprocess(id).unwrap());
    assert!(is_processing(&store, id));
    assert_eq!(files(&store.path().join("thumbnails")).len(), 0);
    assert_eq!(store.thumbnail(id, "small").unwrap(), None);
    assert_eq!(files(&store.path().join("tmp")).len(), 0);
    let new = claim(&store);
    assert_eq!(new.attempt(), 1);
    let lost = complete(&store, &old).unwrap_err();
    assert!(matches!(lost, Error::JobLost { .. }), "{lost:?}");
    complete(&store, &new).unwrap();
    let path = store.thumbnail(id, "small").unwrap().unwrap();
    assert!(path.ends_with("2-0.jpg"), "{path:?}");
}

#[test]
fn captions_go_with_their_image() {
    let store = Scratch::new();
    let id = done(&store, "cat.jpg", "a cat", "tiny");
    store.set_caption(id, Some("my cat")).unwrap();
    store.delete(id).unwrap();
    let database = rusqlite::Connection::open(store.database()).unwrap();
    for table in ["captions", "stages", "image_text", "thumbnails"] {
        let count = format!("SELECT count(*) FROM {table}");
        let left: i64 = database.query_row(&count, [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0, "{table}");
    }
}
