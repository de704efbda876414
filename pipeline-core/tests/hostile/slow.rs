//! Decoding ends when its time is over.

use std::time::Duration;

use pipeline_core::{Cx, Decode, Limits, MemoryBudget, Source, Stage};

use crate::fixtures;

#[test]
fn no_kind_of_picture_is_decoded_longer_than_allowed() {
    let within = |max_time| Limits {
        max_time,
        ..Limits::default()
    };
    for (name, bytes) in fixtures() {
        let source = Source::from(bytes);
        let decode = |limits| Decode::new(limits).run(&source, &Cx::none());
        let error = decode(within(Duration::ZERO)).unwrap_err();
        assert_eq!(error.code(), "decoding-too-slow", "{name}: {error}");
        assert!(decode(within(Duration::MAX)).is_ok(), "{name}");
    }
}

#[test]
fn the_callers_deadline_has_its_own_name() {
    let limits = Limits {
        max_time: Duration::ZERO,
        ..Limits::default()
    };
    let late = Cx::none().with_timeout(Duration::ZERO);
    for (name, bytes) in fixtures() {
        let error = Decode::new(limits)
            .run(&Source::from(bytes), &late)
            .unwrap_err();
        assert_eq!(error.code(), "deadline-exceeded", "{name}");
    }
}

#[test]
fn a_picture_that_is_given_up_gives_its_memory_back() {
    let budget = MemoryBudget::new(1 << 20);
    let limits = Limits {
        max_time: Duration::ZERO,
        ..Limits::default()
    };
    for (name, bytes) in fixtures() {
        let source = Source::from(bytes);
        let given_up = Decode::new(limits).with_budget(&budget);
        given_up.run(&source, &Cx::none()).unwrap_err();
        // Waits for ever if anything is still held.
        let patient = Cx::none().with_timeout(Duration::from_secs(60));
        let whole = Decode::new(Limits::default()).with_budget(&budget);
        assert!(whole.run(&source, &patient).is_ok(), "{name}");
    }
}
