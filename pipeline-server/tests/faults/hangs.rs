//! Work that does not come back.

use crate::ledger::files_are_rows;
use crate::process::{Site, until};

#[test]
fn a_picture_that_hangs_its_worker_twice_fails_and_the_queue_goes_on() {
    let site = Site::new();
    let server = site.start(&["--workers", "1", "--picture-timeout", "1"]);
    site.script("captioned", "hang");
    let poison = server.accept();
    let failed = until("the picture fails", || {
        let image = server.image(&poison);
        (image["status"] != "processing").then_some(image)
    });
    assert_eq!(failed["error_code"], "worker-hung", "{failed}");
    // Both workers come back, too late.
    site.heal();
    let innocent = server.accept();
    server.finished();
    assert_eq!(server.image(&innocent)["status"], "success");
    assert_eq!(server.image(&poison), failed);
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    files_are_rows(&site);
}

#[test]
fn a_picture_that_hung_once_is_done_by_another_worker() {
    let site = Site::new();
    let server = site.start(&["--workers", "1", "--picture-timeout", "1"]);
    site.script("captioned", "hang");
    let id = server.accept();
    server.wait_for_log("another one takes its place");
    site.heal();
    server.finished();
    assert_eq!(server.image(&id)["status"], "success");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    files_are_rows(&site);
}
