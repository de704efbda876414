//! Images come back as they went in.

use std::fs;
use std::num::NonZeroUsize;
use std::time::Duration;

use pipeline_core::Caption;
use pipeline_store::{Cursor, ImageId, ImageState, Outcome, Page, Store};

use crate::support::{
    TOOK, accept, all_ids, claim, complete, get, ids, is_processing, metadata, try_accept,
};

pub(super) fn an_empty_store_has_nothing(store: &Store) {
    let list = store.list(&Page::default()).unwrap();
    assert_eq!((list.images.len(), list.next, list.total), (0, None, 0));
    let stats = store.stats().unwrap();
    assert_eq!((stats.total, stats.succeeded, stats.failed), (0, 0, 0));
    assert_eq!(stats.average_processing, None);
    assert_eq!(store.claim("worker").unwrap(), None);
    assert_eq!(store.queue_len().unwrap(), 0);
    let unknown: ImageId = "6f4c5a0e-9d1b-4a86-8a39-0c3b7d3f2f11".parse().unwrap();
    assert_eq!(store.image(unknown).unwrap(), None);
    assert_eq!(store.thumbnail(unknown, "small").unwrap(), None);
    assert!(!store.delete(unknown).unwrap());
}

pub(super) fn an_accepted_image_is_processing(store: &Store) {
    let id = try_accept(store, "cat.jpg", b"abc").unwrap();
    let image = get(store, id);
    assert_eq!(image.id, id);
    assert_eq!(image.original_name, "cat.jpg");
    assert_eq!(image.size_bytes, 3);
    let digest: String = image.sha256.iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(
        digest,
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    assert_eq!(image.state, ImageState::Processing);
    assert_eq!(store.queue_len().unwrap(), 1);
    let job = claim(store);
    assert_eq!((job.image_id(), job.attempt()), (id, 1));
    assert_eq!(store.original(&job).unwrap().bytes(), b"abc");
    assert_eq!(store.queue_len().unwrap(), 1, "claimed images count");
}

pub(super) fn names_are_kept_as_they_are_sent(store: &Store) {
    let long = "long ".repeat(200_000);
    for name in [
        "",
        ".",
        "../../../etc/passwd",
        "/absolute.jpg",
        r"C:\temp\x.png",
        "con",
        r#"quotes ' " ` and '); DROP TABLE images; --"#,
        "nul \0 inside",
        "line\nbreak\r\ttab",
        "кот-猫-🐈.jpg",
        "e\u{301} is not \u{e9}",
        "\u{202e}gpj.exe",
        &long,
    ] {
        let id = accept(store, name);
        assert_eq!(get(store, id).original_name, name);
    }
}

pub(super) fn the_list_is_newest_first_and_whole_without_a_limit(store: &Store) {
    let mut accepted: Vec<_> = (0..150).map(|n| accept(store, &n.to_string())).collect();
    accepted.reverse();
    let list = store.list(&Page::default()).unwrap();
    assert_eq!(ids(&list.images), accepted);
    assert_eq!((list.next, list.total), (None, 150));
    assert_eq!(list.images[0], get(store, accepted[0]));
}

pub(super) fn pages_show_each_image_once(store: &Store) {
    for n in 0..7 {
        accept(store, &n.to_string());
    }
    for job in [claim(store), claim(store)] {
        complete(store, &job).unwrap();
    }
    let whole = store.list(&Page::default()).unwrap().images;
    for limit in [1, 2, 3, 6, 7, 8, usize::MAX] {
        let mut page = Page {
            limit: NonZeroUsize::new(limit),
            after: None,
        };
        let mut seen = Vec::new();
        loop {
            let list = store.list(&page).unwrap();
            assert_eq!(list.total, 7);
            assert!(!list.images.is_empty(), "no page is empty");
            assert!(list.images.len() <= limit);
            seen.extend(list.images);
            let Some(next) = list.next else { break };
            // Through its text, as a URL carries it.
            page.after = Some(next.to_string().parse::<Cursor>().unwrap());
        }
        assert_eq!(seen, whole, "limit {limit}");
    }
}

pub(super) fn pages_do_not_shift_when_images_come_and_go(store: &Store) {
    let accepted: Vec<_> = (0..6).map(|n| accept(store, &n.to_string())).collect();
    let mut page = Page {
        limit: NonZeroUsize::new(2),
        after: None,
    };
    let first = store.list(&page).unwrap();
    assert_eq!(ids(&first.images), [accepted[5], accepted[4]]);
    accept(store, "new");
    // The very image that the cursor was made at, and one of the page to come.
    assert!(store.delete(accepted[4]).unwrap());
    assert!(store.delete(accepted[3]).unwrap());
    page.after = first.next;
    let second = store.list(&page).unwrap();
    assert_eq!(ids(&second.images), [accepted[2], accepted[1]]);
}

pub(super) fn a_result_reads_back_as_it_was_stored(store: &Store) {
    let id = accept(store, "cat.jpg");
    complete(store, &claim(store)).unwrap();
    assert_eq!(store.queue_len().unwrap(), 0);
    let ImageState::Success {
        took,
        metadata: stored,
        thumbnails,
        caption,
        caption_error,
        ..
    } = get(store, id).state
    else {
        panic!("it succeeded");
    };
    assert_eq!(took, TOOK);
    assert_eq!(stored, metadata());
    let thumbnails: Vec<_> = thumbnails
        .iter()
        .map(|t| (t.name.as_str(), t.width, t.height, t.size_bytes))
        .collect();
    assert_eq!(thumbnails, [("small", 256, 1, 10), ("medium", 512, 1, 12)]);
    assert_eq!(caption, Some(Caption::new("a cat", "tiny")));
    assert_eq!(caption_error, None);
}

pub(super) fn a_result_without_a_caption_keeps_the_reason(store: &Store) {
    let id = accept(store, "cat.jpg");
    let outcome = Outcome {
        metadata: &metadata(),
        thumbnails: &[],
        caption: None,
        caption_error: Some("the model failed"),
    };
    store.complete(&claim(store), &outcome, TOOK).unwrap();
    let ImageState::Success {
        thumbnails,
        caption,
        caption_error,
        ..
    } = get(store, id).state
    else {
        panic!("it succeeded");
    };
    assert!(thumbnails.is_empty());
    assert_eq!(caption, None);
    assert_eq!(caption_error.as_deref(), Some("the model failed"));
}

pub(super) fn a_failure_reads_back_as_it_was_stored(store: &Store) {
    let id = accept(store, "cat.jpg");
    let other = accept(store, "dog.jpg");
    store
        .fail(&claim(store), "decode-failed", "it's \"broken\"", TOOK)
        .unwrap();
    let ImageState::Failed {
        took,
        code,
        message,
        ..
    } = get(store, id).state
    else {
        panic!("it failed");
    };
    assert_eq!(took, TOOK);
    assert_eq!(code, "decode-failed");
    assert_eq!(message, "it's \"broken\"");
    assert!(is_processing(store, other), "others are not affected");
}

pub(super) fn thumbnails_are_found_by_their_name_only(store: &Store) {
    let id = accept(store, "cat.jpg");
    assert_eq!(store.thumbnail(id, "small").unwrap(), None);
    complete(store, &claim(store)).unwrap();
    for (name, bytes) in [("small", &b"small jpeg"[..]), ("medium", b"medium jpeg!")] {
        let path = store.thumbnail(id, name).unwrap().unwrap();
        assert_eq!(fs::read(path).unwrap(), bytes);
    }
    for name in ["", "large", "SMALL", "0", "../0", "%", "small\0"] {
        assert_eq!(store.thumbnail(id, name).unwrap(), None, "{name}");
    }
}

pub(super) fn statistics_count_and_average(store: &Store) {
    for n in 0..5 {
        accept(store, &n.to_string());
    }
    complete(store, &claim(store)).unwrap();
    let stats = store.stats().unwrap();
    assert_eq!((stats.total, stats.succeeded, stats.failed), (5, 1, 0));
    assert_eq!(stats.average_processing, Some(0.42));
    // Failures count towards the mean; images in work do not, claimed or not.
    store
        .fail(&claim(store), "code", "message", Duration::from_millis(20))
        .unwrap();
    let _claimed = claim(store);
    let stats = store.stats().unwrap();
    assert_eq!((stats.total, stats.succeeded, stats.failed), (5, 1, 1));
    assert_eq!(stats.average_processing, Some(0.22));
}

pub(super) fn a_mean_is_not_rounded(store: &Store) {
    for (n, took) in [1_000, 1_000, 2_999].into_iter().enumerate() {
        accept(store, &n.to_string());
        let took = Duration::from_micros(took);
        store.fail(&claim(store), "code", "message", took).unwrap();
    }
    // Of 1, 1 and 2 ms: times are whole milliseconds, their mean is not.
    assert_eq!(
        store.stats().unwrap().average_processing,
        Some(4.0 / 3_000.0)
    );
}

pub(super) fn a_deleted_image_is_gone(store: &Store) {
    let done = accept(store, "done");
    let waiting = accept(store, "waiting");
    let kept = accept(store, "kept");
    complete(store, &claim(store)).unwrap();
    for id in [done, waiting] {
        assert!(store.delete(id).unwrap());
        assert!(!store.delete(id).unwrap());
        assert_eq!(store.image(id).unwrap(), None);
        assert_eq!(store.thumbnail(id, "small").unwrap(), None);
    }
    assert_eq!(all_ids(store), [kept]);
    assert_eq!(store.stats().unwrap().total, 1);
    assert_eq!(store.queue_len().unwrap(), 1);
    assert_eq!(claim(store).image_id(), kept);
}
