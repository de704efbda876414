//! Images are found by words, by conditions and by their looks.

use std::num::NonZeroUsize;

use jiff::Timestamp;
use pipeline_core::{Caption, Format};
use pipeline_store::{Filter, ImageId, Page, StageName, Status, Store};

use crate::support::{
    Scratch, TOOK, accept, claim, done, done_with, found, ids, is_processing, metadata_of,
    thumbnail, try_accept,
};

fn words(text: &str) -> Filter {
    Filter {
        text: Some(text.to_owned()),
        ..Filter::default()
    }
}

#[test]
fn words_of_captions_and_names_are_found_together_and_the_last_may_be_cut_off() {
    let store = Scratch::new();
    let panda = done(
        &store,
        "IMG_1234.jpg",
        "two red panda cubs on a tree",
        "tiny",
    );
    let cat = done(&store, "Café-été.png", "a cat under a red umbrella", "tiny");
    let waiting = accept(&store, "panda waiting.jpg");
    for (text, expected) in [
        ("panda", vec![waiting, panda]),
        ("PAND", vec![waiting, panda]),
        ("red", vec![cat, panda]),
        ("red panda", vec![panda]),
        ("panda red", vec![panda]),
        ("img_1234", vec![panda]),
        ("1234.jp", vec![panda]),
        ("jpg tree", vec![panda]),
        ("cafe ete", vec![cat]),
        ("umbrel", vec![cat]),
        ("pan red", vec![]),
        ("dog", vec![]),
        ("", vec![waiting, cat, panda]),
        (" \t ", vec![waiting, cat, panda]),
    ] {
        assert_eq!(found(&store, &words(text)), expected, "{text:?}");
    }
}

#[test]
fn whatever_is_asked_for_is_no_error() {
    let store = Scratch::new();
    done(&store, "cat.jpg", "a cat AND a dog", "tiny");
    for text in [
        "\"",
        "\"\"",
        "'",
        "*",
        "a*",
        "^cat",
        "-cat",
        "+",
        "(",
        ")",
        "((",
        "NEAR(a b)",
        "AND",
        "OR",
        "NOT",
        "cat AND",
        "name:cat",
        "caption : cat",
        "{name}: cat",
        "\0",
        "a\0b",
        "%",
        "_",
        ";",
        "cat\" OR \"1\"=\"1",
        "'; DROP TABLE images; --",
        "\u{202e}",
        "🐈",
        "猫",
        "e\u{301}",
        "\\",
        "cat \"dog",
        "....",
        "--",
        "\u{fffd}",
        &"cat ".repeat(5_000),
        &"x".repeat(100_000),
    ] {
        store.find(&words(text), &Page::default()).unwrap();
    }
    let all = "a cat and a dog";
    assert_eq!(found(&store, &words(&all.to_uppercase())).len(), 1);
}

#[test]
fn what_is_changed_or_gone_is_found_no_more() {
    let store = Scratch::new();
    let id = done(&store, "x.jpg", "a cat", "tiny");
    let other = done(&store, "y.jpg", "a cat", "tiny");
    assert!(store.set_caption(id, Some("a lynx")).unwrap());
    assert_eq!(found(&store, &words("cat")), [other]);
    assert_eq!(found(&store, &words("lynx")), [id]);
    store.delete(other).unwrap();
    assert!(found(&store, &words("cat")).is_empty());
    assert!(store.set_caption(id, None).unwrap());
    assert_eq!(found(&store, &words("cat")), [id]);
    assert!(found(&store, &words("lynx")).is_empty());
}

/// One image of each kind, newest last.
fn kinds(store: &Store) -> [ImageId; 4] {
    let canon = metadata_of("jpg", "Canon", 0);
    let nikon = metadata_of("png", "NIKON Corp.", 1);
    let first = done_with(store, "1", &canon, Some(&Caption::new("a cat", "tiny")));
    let second = done_with(store, "22", &nikon, None);
    let failed = accept(store, "333");
    store.fail(&claim(store), "code", "message", TOOK).unwrap();
    let waiting = accept(store, "4444");
    [first, second, failed, waiting]
}

#[test]
fn every_condition_holds_alone_and_with_others() {
    let store = Scratch::new();
    let [first, second, failed, waiting] = kinds(&store);
    let none = Filter::default();
    let text = |text: &str| Some(text.to_owned());
    let long_ago = Timestamp::UNIX_EPOCH;
    let cases = [
        (none.clone(), vec![waiting, failed, second, first]),
        (
            Filter {
                status: Some(Status::Success),
                ..none.clone()
            },
            vec![second, first],
        ),
        (
            Filter {
                status: Some(Status::Failed),
                ..none.clone()
            },
            vec![failed],
        ),
        (
            Filter {
                status: Some(Status::Processing),
                ..none.clone()
            },
            vec![waiting],
        ),
        (
            Filter {
                format: Some(Format::Jpeg),
                ..none.clone()
            },
            vec![first],
        ),
        (
            Filter {
                format: Some(Format::Png),
                ..none.clone()
            },
            vec![second],
        ),
        (
            Filter {
                camera: text("nikon"),
                ..none.clone()
            },
            vec![second],
        ),
        (
            Filter {
                camera: text("x-1"),
                ..none.clone()
            },
            vec![second, first],
        ),
        (
            Filter {
                camera: text("%"),
                ..none.clone()
            },
            vec![],
        ),
        (
            Filter {
                has_caption: Some(true),
                ..none.clone()
            },
            vec![first],
        ),
        (
            Filter {
                has_caption: Some(false),
                ..none.clone()
            },
            vec![waiting, failed, second],
        ),
        (
            Filter {
                min_bytes: Some(2),
                max_bytes: Some(3),
                ..none.clone()
            },
            vec![failed, second],
        ),
        (
            Filter {
                max_bytes: Some(u64::MAX),
                ..none.clone()
            },
            vec![waiting, failed, second, first],
        ),
        (
            Filter {
                since: Some(long_ago),
                ..none.clone()
            },
            vec![waiting, failed, second, first],
        ),
        (
            Filter {
                since: Some(Timestamp::MAX),
                ..none.clone()
            },
            vec![],
        ),
        (
            Filter {
                until: Some(long_ago),
                ..none.clone()
            },
            vec![],
        ),
        (
            Filter {
                model: text("tiny"),
                ..none.clone()
            },
            vec![first],
        ),
        (
            Filter {
                model_not: text("tiny"),
                ..none.clone()
            },
            vec![waiting, failed, second],
        ),
        (
            Filter {
                model_not: text("other"),
                ..none.clone()
            },
            vec![waiting, failed, second, first],
        ),
        (
            Filter {
                missing: vec![StageName::Caption],
                ..none.clone()
            },
            vec![waiting, failed, second],
        ),
        (
            Filter {
                missing: vec![StageName::Metadata],
                ..none.clone()
            },
            vec![waiting, failed],
        ),
        (
            Filter {
                missing: vec![StageName::Thumbnails],
                ..none.clone()
            },
            vec![waiting, failed],
        ),
        (
            Filter {
                text: text("cat"),
                status: Some(Status::Success),
                format: Some(Format::Jpeg),
                camera: text("canon"),
                has_caption: Some(true),
                ..none.clone()
            },
            vec![first],
        ),
        (
            Filter {
                text: text("cat"),
                format: Some(Format::Png),
                ..none
            },
            vec![],
        ),
    ];
    for (filter, expected) in cases {
        assert_eq!(found(&store, &filter), expected, "{filter:?}");
    }
}

#[test]
fn pages_of_what_is_found_show_each_image_once() {
    let store = Scratch::new();
    for n in 0..9 {
        let name = if n % 2 == 0 { "even.jpg" } else { "odd.jpg" };
        done(&store, name, "a cat", "tiny");
    }
    for filter in [
        words("even"),
        Filter {
            has_caption: Some(true),
            ..words("even")
        },
        Filter {
            status: Some(Status::Success),
            ..Filter::default()
        },
    ] {
        let whole = found(&store, &filter);
        assert!(whole.len() >= 5);
        let mut page = Page {
            limit: NonZeroUsize::new(2),
            after: None,
        };
        let mut seen = Vec::new();
        loop {
            let listing = store.find(&filter, &page).unwrap();
            assert_eq!(listing.total, whole.len() as u64);
            seen.extend(ids(&listing.images));
            match listing.next {
                Some(next) => page.after = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, whole);
    }
}

#[test]
fn the_most_alike_come_first() {
    let store = Scratch::new();
    let picture = |hash| {
        let metadata = metadata_of("jpg", "Canon", hash);
        done_with(&store, &hash.to_string(), &metadata, None)
    };
    let own = picture(0xff00);
    let far = picture(!0xff00);
    let three = picture(0xff07);
    let same = picture(0xff00);
    let one = picture(0xff01);
    let unknown = accept(&store, "waiting");
    let similar = |id, distance, limit| -> Vec<(u32, ImageId)> {
        let found = store.similar(id, distance, limit).unwrap().unwrap();
        let pairs = found
            .into_iter()
            .map(|found| (found.distance, found.image.id));
        pairs.collect()
    };
    assert_eq!(similar(own, 3, 10), [(0, same), (1, one), (3, three)]);
    assert_eq!(similar(own, 2, 10), [(0, same), (1, one)]);
    assert_eq!(similar(own, 64, 1), [(0, same)]);
    assert_eq!(similar(own, 64, 10).last(), Some(&(64, far)));
    assert_eq!(similar(unknown, 64, 10), []);
    store.delete(own).unwrap();
    assert_eq!(store.similar(own, 64, 10).unwrap(), None);
}

#[test]
fn what_the_filter_holds_for_is_done_again_and_nothing_in_work_is_touched() {
    let store = Scratch::new();
    let [first, second, failed, waiting] = kinds(&store);
    let job = claim(&store);
    assert_eq!(job.image_id(), waiting);
    let all = Filter::default();
    let dry = store.reprocess_all(&all, true).unwrap();
    assert_eq!((dry.matched, dry.queued), (3, 0));
    assert_eq!(store.queue_len().unwrap(), 1);
    let missing = Filter {
        missing: vec![StageName::Caption],
        ..Filter::default()
    };
    let done = store.reprocess_all(&missing, false).unwrap();
    assert_eq!((done.matched, done.queued), (2, 2));
    assert!(is_processing(&store, second) && is_processing(&store, failed));
    assert!(!is_processing(&store, first));
    assert!(store.is_held(&job).unwrap());
    // New uploads go first, and only they are counted as such.
    let new = try_accept(&store, "new", b"new").unwrap();
    assert_eq!(store.queue_len().unwrap(), 4);
    assert_eq!(store.uploads_in_work().unwrap(), 2);
    let order: Vec<_> = (0..3).map(|_| claim(&store).image_id()).collect();
    assert_eq!(order, [new, second, failed]);
}

#[test]
fn words_find_what_is_done_again_by_its_older_caption() {
    let store = Scratch::new();
    let id = done(&store, "x.jpg", "a cat", "tiny");
    assert!(store.reprocess(id).unwrap());
    assert_eq!(found(&store, &words("cat")), [id]);
    let thumbnails = [thumbnail("small", 1, b"new")];
    let outcome = pipeline_store::Outcome {
        metadata: &metadata_of("jpg", "Canon", 7),
        thumbnails: &thumbnails,
        caption: Some(&Caption::new("a lynx", "large")),
        caption_error: None,
    };
    store.complete(&claim(&store), &outcome, TOOK).unwrap();
    assert!(found(&store, &words("cat")).is_empty());
    assert_eq!(found(&store, &words("lynx")), [id]);
}
