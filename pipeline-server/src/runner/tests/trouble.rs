//! Disks that cannot be read or written for longer than any number of tries.

use std::fs;
use std::time::Duration;

use super::rig::{Desk, LOOK, PATIENCE_OF_STORE, Rig};

/// Longer than any pause of the runner or the store.
const LONG: Duration = Duration::from_secs(300);

#[test]
fn a_picture_that_cannot_be_read_holds_up_nobody_and_fails_after_long() {
    let (rig, (bad, innocent)) = Rig::after(|desk| (desk.accept_unreadable().0, desk.accept()));
    rig.until(|| rig.store().next_due().unwrap());
    // After the shortest pause others have their turn, since it may be the trouble of this picture alone.
    rig.forward(Duration::from_secs(1));
    rig.call().write("a cat");
    rig.until(|| rig.caption(innocent));
    let mut passed = Duration::ZERO;
    let code = rig.until(|| {
        rig.forward(LONG);
        passed += LONG;
        rig.failure(bad)
    });
    assert_eq!(code, "store-io-failed");
    assert!(passed >= PATIENCE_OF_STORE, "after {passed:?} already");
    rig.runner.wait_idle().unwrap();
    let mut outcomes = rig.outcomes();
    outcomes.sort();
    let both = ["{outcome=\"store-io-failed\"} 1", "{outcome=\"success\"} 1"];
    assert_eq!(outcomes, both);
}

#[test]
fn a_picture_that_can_be_read_again_succeeds_and_no_attempt_was_counted() {
    let (rig, (id, original)) = Rig::after(Desk::accept_unreadable);
    for claims in 1..=5 {
        rig.until(|| (rig.claims() == [claims]).then_some(()));
        rig.until(|| rig.store().next_due().unwrap());
        rig.forward(LONG);
    }
    fs::remove_dir(&original).unwrap();
    fs::rename(original.with_extension("aside"), &original).unwrap();
    let call = rig.until(|| {
        rig.forward(LONG);
        rig.calls.try_recv().ok()
    });
    call.write("a cat");
    rig.runner.wait_idle().unwrap();
    let stages = rig.store().image(id).unwrap().unwrap().stages;
    assert_eq!(stages.caption.attempts, 1);
    assert_eq!(rig.caption(id).as_deref(), Some("a cat"));
}

#[test]
fn nobody_claims_while_the_disk_is_in_trouble() {
    let (rig, _) = Rig::after(|desk| [(); 3].map(|()| desk.accept_unreadable()));
    // The pauses before the second and the third are a second and two, and nobody asks earlier.
    for (claims, pause) in [([1, 0, 0], 1), ([1, 1, 0], 2)] {
        rig.until(|| (rig.claims() == claims).then_some(()));
        rig.until(|| rig.runner.shared.store.next_due().unwrap());
        rig.forward(Duration::from_millis(999));
        assert_eq!(rig.claims(), claims);
        rig.forward(Duration::from_secs(pause) - Duration::from_millis(999));
    }
    rig.runner.stop();
}

#[test]
fn a_result_that_cannot_be_stored_is_waited_for_and_fails_nothing() {
    let (rig, (id, folder)) = Rig::after(Desk::accept_unwritable);
    rig.call().write("a cat");
    // After some tries the picture is put off, so that others have their turn.
    rig.until(|| {
        rig.forward(LONG);
        assert_eq!(rig.failure(id), None);
        let is_put_off = rig.store().next_due().unwrap().is_some();
        // Or it has been taken up again by now.
        (is_put_off || rig.claims() == [2]).then_some(())
    });
    fs::remove_file(&folder).unwrap();
    let call = rig.until(|| {
        rig.forward(LONG);
        rig.calls.try_recv().ok()
    });
    call.write("a cat");
    rig.runner.wait_idle().unwrap();
    assert_eq!(rig.caption(id).as_deref(), Some("a cat"));
    let stages = rig.store().image(id).unwrap().unwrap().stages;
    assert_eq!(stages.caption.attempts, 1);
    assert_eq!(rig.outcomes(), ["{outcome=\"success\"} 1"]);
}

#[test]
fn a_worker_that_waits_for_the_disk_does_not_hang_and_can_be_stopped() {
    let (mut rig, (id, _)) = Rig::after(Desk::accept_unwritable);
    rig.call().write("a cat");
    for _ in 0..10 {
        rig.until(|| rig.is_waiting().then_some(()));
        rig.pass(LOOK);
    }
    assert_eq!(rig.claims(), [1], "nobody else has it");
    rig.runner.stop();
    let job = rig.store().claim("the next").unwrap().unwrap();
    assert_eq!((job.image_id(), job.attempt()), (id, 1), "it did not count");
}
