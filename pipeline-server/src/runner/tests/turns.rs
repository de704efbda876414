//! What is quick goes first, and captions have their share all the same.

use std::sync::atomic::Ordering;
use std::time::Duration;

use pipeline_store::{ImageId, ImageState, StageState};

use super::rig::{Call, DEADLINE, LOOK, Rig};
use crate::runner::worker::QUICK_PASSES;

/// How many of these pictures have thumbnails and are in work.
fn prepared(rig: &Rig, ids: &[ImageId]) -> usize {
    let is_prepared = |id: &&ImageId| {
        let image = rig.store().image(**id).unwrap().unwrap();
        image.state == ImageState::Processing
            && image.stages.thumbnails.state == StageState::Success
    };
    ids.iter().filter(is_prepared).count()
}

#[test]
fn all_have_thumbnails_before_the_second_caption_and_captions_are_oldest_first() {
    let rig = Rig::new();
    let first = rig.accept();
    let call = rig.call();
    let ids: Vec<_> = (0..6).map(|_| rig.accept()).collect();
    assert_eq!(prepared(&rig, &ids), 0, "its worker is at the caption");
    call.write("the first");
    // The last of them goes on at once, since it is decoded; the others wait in their old order.
    let call = rig.call();
    assert_eq!(prepared(&rig, &ids), 6);
    assert_eq!(rig.caption(first).as_deref(), Some("the first"));
    call.write("the last");
    for id in &ids[..5] {
        let call = rig.call();
        let stages = rig.store().image(*id).unwrap().unwrap().stages;
        assert_eq!(stages.caption.state, StageState::Running);
        assert_eq!(stages.caption.attempts, 1, "it was put back");
        call.write("in turn");
    }
    rig.runner.wait_idle().unwrap();
    let captions: Vec<_> = ids.iter().map(|id| rig.caption(*id)).collect();
    assert_eq!(captions[5].as_deref(), Some("the last"));
    assert!(
        captions[..5]
            .iter()
            .all(|text| text.as_deref() == Some("in turn"))
    );
}

#[test]
fn captions_have_their_share_however_many_uploads_come() {
    let quick = QUICK_PASSES as usize;
    let (rig, ids) = Rig::after(|desk| -> Vec<_> {
        let accepted = (0..2 * quick + 2).map(|_| desk.accept());
        accepted.collect()
    });
    for turn in 1..=2 {
        let call = rig.call();
        // One of those that were prepared has its caption by the second turn.
        assert_eq!(prepared(&rig, &ids), turn * quick - (turn - 1));
        let oldest = rig.store().image(ids[turn - 1]).unwrap().unwrap();
        assert_eq!(oldest.stages.caption.state, StageState::Running);
        call.write("a cat");
    }
    rig.runner.stop();
}

#[test]
fn a_picture_that_is_alone_goes_straight_through() {
    let rig = Rig::new();
    let id = rig.accept();
    rig.call().write("a cat");
    rig.runner.wait_idle().unwrap();
    assert_eq!(rig.caption(id).as_deref(), Some("a cat"));
    assert_eq!(rig.decodes.load(Ordering::SeqCst), 1);
}

/// Two pictures of which the first has been put back, and the caption of it that is to be written. Whatever is decoded
/// takes 100 seconds.
fn put_back() -> (Rig, ImageId, Call) {
    let rig = Rig::new();
    rig.decode_millis.store(100_000, Ordering::SeqCst);
    rig.accept();
    let call = rig.call();
    let ids = [rig.accept(), rig.accept()];
    call.write("out of the way");
    let call = rig.call();
    assert_eq!(prepared(&rig, &ids), 2);
    call.write("the last");
    let call = rig.call();
    (rig, ids[0], call)
}

#[test]
fn the_time_of_both_parts_is_added() {
    let (mut rig, id, call) = put_back();
    rig.pass(LOOK);
    call.write("a cat");
    rig.runner.wait_idle().unwrap();
    let ImageState::Success { took, .. } = rig.store().image(id).unwrap().unwrap().state else {
        panic!("it has its caption");
    };
    assert_eq!(took, Duration::from_secs(200) + LOOK);
    assert_eq!(rig.decodes.load(Ordering::SeqCst), 4, "one of them twice");
}

#[test]
fn the_time_limit_is_for_both_parts_together() {
    let (mut rig, _, call) = put_back();
    let left = DEADLINE - Duration::from_secs(200);
    for _ in 1..left.as_secs() / LOOK.as_secs() {
        rig.pass(LOOK);
        assert!(call.check(), "there is time left");
    }
    rig.pass(LOOK);
    assert!(!call.check(), "it is too late");
    rig.runner.stop();
}
