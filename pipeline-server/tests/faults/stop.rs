//! SIGTERM.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::ledger::{Ledger, files};
use crate::process::{Server, Site, until, upload};

/// The attempts of all pictures in work, after the server has ended.
fn attempts(site: &Site) -> Vec<(String, i64)> {
    let database = site.database();
    let mut select = database
        .prepare("SELECT state, attempts FROM jobs")
        .unwrap();
    let rows = select
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    rows.map(|row| row.unwrap()).collect()
}

fn assert_handed_back(site: &Site, at_least: usize) {
    let attempts = attempts(site);
    assert!(attempts.len() >= at_least, "{attempts:?}");
    for job in attempts {
        assert_eq!(job, ("queued".to_owned(), 0), "handing back is no attempt");
    }
}

/// Stops the server, and returns how long that took. It fails if it never ends; the README says 20 seconds at the most.
fn stop(server: Server) -> Duration {
    let start = Instant::now();
    server.terminate();
    assert_eq!(server.wait(), Some(0));
    start.elapsed()
}

#[test]
fn a_stop_under_load_loses_nothing_and_counts_no_attempt() {
    const CLIENTS: usize = 4;
    const UPLOADS: usize = 40;
    let (site, ledger) = (Site::new(), Mutex::new(Ledger::default()));
    let server = site.start(&["--workers", "1"]);
    let address = server.address.clone();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                for _ in 0..UPLOADS {
                    let Ok(reply) = upload(&address) else { return };
                    if let Some(id) = reply.id() {
                        ledger.lock().unwrap().acknowledge(id);
                    }
                }
            });
        }
        until("the load is on", || {
            let acknowledged = ledger.lock().unwrap().acknowledged();
            (acknowledged >= 20).then_some(())
        });
        println!("stopped in {:?}", stop(server));
    });
    assert_handed_back(&site, 0);
    let mut ledger = ledger.into_inner().unwrap();
    let images = ledger.check(&site);
    for image in &images {
        assert_eq!(image["status"], "success", "{image}");
    }
}

#[test]
fn a_stop_does_not_wait_for_a_worker_that_hangs() {
    let (site, mut ledger) = (Site::new(), Ledger::default());
    let server = site.start(&["--workers", "1"]);
    site.script("captioned", "hang");
    ledger.acknowledge(server.accept());
    ledger.acknowledge(server.accept());
    site.wait_for_hang("captioned");
    println!("stopped in {:?}", stop(server));
    assert_handed_back(&site, 2);
    site.heal();
    for image in ledger.check(&site) {
        assert_eq!(image["status"], "success", "{image}");
    }
}

#[test]
fn a_stop_does_not_wait_for_an_upload_that_hangs() {
    let (site, mut ledger) = (Site::new(), Ledger::default());
    let server = site.start(&["--workers", "1"]);
    site.script("synced", "hang");
    let address = server.address.clone();
    let hung = thread::spawn(move || upload(&address));
    let database = site.database();
    until("the upload waits for the disk", || {
        let sql = "SELECT count(*) FROM images";
        let rows: i64 = database.query_row(sql, [], |row| row.get(0)).unwrap();
        (rows > 0).then_some(())
    });
    site.wait_for_hang("synced");
    println!("stopped in {:?}", stop(server));
    hung.join().unwrap().unwrap_err();
    site.heal();
    for image in ledger.check(&site) {
        assert_eq!(image["status"], "success", "{image}");
    }
}

#[test]
fn a_stop_does_not_wait_for_a_database_that_hangs() {
    let (site, mut ledger) = (Site::new(), Ledger::default());
    let server = site.start(&["--workers", "1"]);
    ledger.acknowledge(server.accept());
    server.finished();
    site.script("database", "hang");
    let address = server.address.clone();
    let hung = thread::spawn(move || upload(&address));
    until("the upload waits for the database", || {
        let originals = files(&site.data().join("originals"));
        (originals.len() > 1).then_some(())
    });
    println!("stopped in {:?}", stop(server));
    hung.join().unwrap().unwrap_err();
    site.heal();
    assert_eq!(ledger.check(&site).len(), 1);
}
