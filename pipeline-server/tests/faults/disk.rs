//! Disks that are full, read-only or broken, and databases that others have locked. Each time the cause goes by itself,
//! and so does its effect.

use std::process::Command;

use crate::ledger::{files, files_are_rows};
use crate::process::{Server, Site, until};

/// Asserts that an upload is refused for the time being, with `code`.
#[track_caller]
fn assert_refused(server: &Server, code: &str) {
    let reply = server.upload().unwrap();
    assert_eq!(reply.status, 503, "{reply:?}");
    assert_eq!(reply.header("x-error-code").as_deref(), Some(code));
    let retry_after: u32 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!(retry_after > 0);
    assert!(reply.json()["detail"].is_string());
}

/// Asserts that a picture is accepted and done, and that no other is left over.
#[track_caller]
fn assert_sound(site: &Site, server: Server, pictures: usize) {
    server.accept();
    let images = server.finished();
    assert_eq!(images.len(), pictures + 1);
    for image in images {
        assert_eq!(image["status"], "success", "{image}");
    }
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    files_are_rows(site);
}

#[test]
fn an_upload_that_cannot_be_stored_is_refused_and_leaves_nothing() {
    let site = Site::new();
    let server = site.start(&[]);
    for (point, action, code) in [
        ("receiving", "full", "storage-full"),
        ("receiving", "io", "storage-unavailable"),
        ("renamed", "full", "storage-full"),
        ("renamed", "read-only", "storage-unavailable"),
        ("synced", "io", "storage-unavailable"),
        ("database", "full", "storage-full"),
        ("database", "read-only", "storage-unavailable"),
        ("database", "io", "storage-unavailable"),
    ] {
        site.script(point, action);
        assert_refused(&server, code);
        // What befalls an upload is told before it. A file that cannot get to its place or the disk needs a real one.
        if matches!(
            (point, action),
            ("receiving", "full") | ("database", "read-only")
        ) {
            let not_ready = || (server.get("/readyz").unwrap().status == 503).then_some(());
            until("it is not ready", not_ready);
        }
        site.heal();
        for folder in ["originals", "thumbnails", "tmp"] {
            let left = files(&site.data().join(folder));
            assert!(left.is_empty(), "{point} {action}: {left:?}");
        }
        assert_eq!(
            server.get("/api/images").unwrap().json(),
            serde_json::json!([])
        );
    }
    until("it is ready", || {
        (server.get("/readyz").unwrap().status == 200).then_some(())
    });
    assert_sound(&site, server, 0);
}

#[test]
fn a_worker_that_cannot_store_its_result_waits_and_fails_nothing() {
    for (point, action) in [
        ("thumbnail-written", "full"),
        ("thumbnail-written", "read-only"),
        ("thumbnail-written", "io"),
    ] {
        let site = Site::new();
        let server = site.start(&["--workers", "1"]);
        site.script(point, action);
        let id = server.accept();
        server.wait_for_log("cannot write down picture");
        assert_eq!(server.image(&id)["status"], "processing");
        site.heal();
        server.finished();
        assert_eq!(server.image(&id)["status"], "success", "{point} {action}");
        assert_sound(&site, server, 1);
    }
}

#[test]
fn a_disk_that_cannot_be_read_fails_nothing_and_is_asked_less_and_less() {
    let site = Site::new();
    let server = site.start(&["--workers", "2"]);
    site.script("reading", "io");
    let ids = [(); 3].map(|()| server.accept());
    server.wait_for_logs("cannot read the original", 5);
    for id in &ids {
        assert_eq!(server.image(id)["status"], "processing");
    }
    site.heal();
    for image in server.finished() {
        assert_eq!(image["status"], "success", "{image}");
        assert_eq!(image["data"]["stages"]["metadata"]["attempts"], 1);
    }
    assert_sound(&site, server, ids.len());
}

#[test]
fn a_stop_while_the_disk_is_full_keeps_the_picture() {
    let site = Site::new();
    let server = site.start(&["--workers", "1"]);
    site.script("thumbnail-written", "full");
    server.accept();
    server.wait_for_log("cannot write down picture");
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    site.heal();
    let server = site.start(&[]);
    server.finished();
    assert_sound(&site, server, 1);
}

#[test]
fn a_locked_database_is_waited_for() {
    // Every refusal comes after 5 seconds.
    let seconds = std::env::var_os("FAULT_LOCK_SECONDS");
    let seconds: u32 = seconds.map_or(5, |seconds| seconds.to_str().unwrap().parse().unwrap());
    let site = Site::new();
    let server = site.start(&["--workers", "1"]);
    site.script("captioned", "hang");
    let id = server.accept();
    let other = site.database();
    site.wait_until_in_work(1);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    site.heal();
    for _ in 0..seconds.div_ceil(5) {
        assert_refused(&server, "storage-busy");
    }
    server.wait_for_log("cannot write down picture");
    assert_eq!(server.image(&id)["status"], "processing", "reading goes on");
    other.execute_batch("ROLLBACK").unwrap();
    server.finished();
    assert_sound(&site, server, 1);
}

/// A small file system of its own in place of the data folder.
struct SmallDisk<'a>(&'a Site);

impl<'a> SmallDisk<'a> {
    /// `None` if this machine does not let us have one.
    fn mount(site: &'a Site, size: &str) -> Option<Self> {
        std::fs::create_dir(site.data()).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"])
            .arg(site.data())
            .output();
        let mounted = mounted.is_ok_and(|output| output.status.success());
        mounted.then_some(Self(site))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let mut umount = Command::new("umount");
        umount.arg("--lazy").arg(self.0.data()).status().ok();
    }
}

#[test]
fn a_real_disk_that_fills_up_fails_nothing_and_recovers() {
    let site = Site::new();
    let Some(_disk) = SmallDisk::mount(&site, "8m") else {
        println!(
            "SKIPPED: no tmpfs can be mounted here; the injected errors are tested all the same"
        );
        return;
    };
    let filler = site.data().join("filler");
    std::fs::write(&filler, vec![0; 4 << 20]).unwrap();
    let server = site.start(&["--workers", "2"]);
    let mut accepted = 0;
    loop {
        let reply = server.upload().unwrap();
        if reply.status != 200 {
            assert_eq!(reply.status, 503, "{reply:?}");
            let code = reply.header("x-error-code");
            assert_eq!(code.as_deref(), Some("storage-full"));
            assert!(reply.header("retry-after").is_some());
            break;
        }
        accepted += 1;
    }
    assert!(accepted > 0);
    std::fs::remove_file(filler).unwrap();
    server.finished();
    assert_sound(&site, server, accepted);
}
