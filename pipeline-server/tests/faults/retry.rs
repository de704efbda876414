//! Uploads that are sent again with their key while it is still open what becomes of the first.

use std::thread;

use crate::ledger::files_are_rows;
use crate::process::{Reply, Server, Site, until, upload_with};

fn upload(address: &str) -> Reply {
    upload_with(address, "Idempotency-Key: k\r\n").unwrap()
}

/// Waits until the row of the first upload can be found, and returns its id.
fn wait_for_row(site: &Site) -> String {
    let database = site.database();
    until("the row is there", || {
        let select = "SELECT id FROM images";
        database.query_row(select, [], |row| row.get(0)).ok()
    })
}

/// Lets an upload fail that then cannot be taken back, and returns its id.
fn stuck_upload(site: &Site, server: &Server) -> String {
    site.script("synced", "hang-first");
    let address = server.address.clone();
    let first = thread::spawn(move || upload(&address));
    let stuck = wait_for_row(site);
    site.wait_for_hang("synced");
    site.script_all(&[("synced", "io"), ("database", "io")]);
    assert_eq!(first.join().unwrap().status, 503);
    stuck
}

/// Asserts that `id` is the only picture, and done.
fn assert_only(site: &Site, server: Server, id: &str) {
    let images = server.finished();
    assert_eq!(images.len(), 1, "{images:?}");
    assert_eq!(images[0]["data"]["image_id"], id);
    assert_eq!(images[0]["status"], "success", "{}", images[0]);
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    files_are_rows(site);
    assert_eq!(site.doctor(), "nothing is wrong\n");
}

#[test]
fn no_retry_is_acknowledged_before_the_upload_is_on_the_disk() {
    let site = Site::new();
    let server = site.start(&["--workers", "1"]);
    site.script("synced", "hang-first");
    let address = server.address.clone();
    let first = thread::spawn(move || upload(&address));
    let lost = wait_for_row(&site);
    site.wait_for_hang("synced");
    let retry = upload(&server.address);
    assert_eq!(retry.status, 503, "{retry:?}");
    assert_eq!(
        retry.header("x-error-code").as_deref(),
        Some("storage-busy")
    );
    assert!(retry.header("retry-after").is_some());
    site.script("synced", "io");
    assert_eq!(first.join().unwrap().status, 503);
    site.heal();
    let id = upload(&server.address).id().unwrap();
    assert_ne!(id, lost, "it was taken back");
    assert_only(&site, server, &id);
}

#[test]
fn a_retry_that_has_waited_is_the_upload_that_came_first() {
    let site = Site::new();
    let server = site.start(&["--workers", "1"]);
    site.script("synced", "hang-first");
    let send = || {
        let address = server.address.clone();
        thread::spawn(move || upload(&address))
    };
    let first = send();
    let row = wait_for_row(&site);
    site.wait_for_hang("synced");
    let retry = send();
    site.heal();
    for reply in [first.join().unwrap(), retry.join().unwrap()] {
        assert_eq!(reply.id().as_deref(), Some(&*row), "{reply:?}");
    }
    assert_only(&site, server, &row);
}

#[test]
fn an_upload_that_cannot_be_taken_back_loses_no_file_and_answers_no_retry() {
    let site = Site::new();
    let server = site.start(&["--workers", "1"]);
    let stuck = stuck_upload(&site, &server);
    let original = site.data().join("originals").join(&stuck[..2]).join(&stuck);
    assert!(original.is_file(), "its row is there");
    site.heal();
    let id = upload(&server.address).id().unwrap();
    assert_ne!(id, stuck);
    // The note about the first one is for the next start.
    server.finished();
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    assert_only(&site, site.start(&[]), &id);
}

#[test]
fn an_upload_that_cannot_be_taken_back_is_whole_after_a_kill() {
    let site = Site::new();
    let server = site.start(&["--workers", "1"]);
    let stuck = stuck_upload(&site, &server);
    server.kill();
    assert_eq!(server.wait(), None);
    site.heal();
    let server = site.start(&[]);
    assert_eq!(upload(&server.address).id().as_deref(), Some(&*stuck));
    assert_only(&site, server, &stuck);
}
