//! A process that dies, at each step of the work and at random moments.

use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::ledger::Ledger;
use crate::process::{Site, upload};

/// Uploads one picture to a server that dies at `point`, and returns what became of it after the next start: `None` if
/// there is no such picture.
fn die_at(point: &str) -> Option<String> {
    let (site, mut ledger) = (Site::new(), Ledger::default());
    site.script(point, "abort");
    let server = site.start(&["--workers", "1"]);
    if let Some(id) = server.upload().ok().and_then(|reply| reply.id()) {
        ledger.acknowledge(id);
    }
    assert_eq!(server.wait(), None, "it died of a signal");
    site.heal();
    let images = ledger.check(&site);
    assert!(images.len() <= 1);
    images
        .first()
        .map(|image| image["status"].as_str().unwrap().to_owned())
}

#[test]
fn a_death_before_the_commit_leaves_nothing() {
    for point in ["receiving", "renamed"] {
        assert_eq!(die_at(point), None, "{point}");
    }
}

#[test]
fn a_death_beside_the_commit_leaves_all_or_nothing() {
    // The file is synced beside the commit: the row may be there or not, but never half of an image.
    let result = die_at("synced");
    assert!(
        result.is_none() || result.as_deref() == Some("success"),
        "{result:?}"
    );
}

#[test]
fn a_death_after_the_commit_loses_nothing() {
    for point in [
        "committed",
        "claimed",
        "captioned",
        "thumbnail-written",
        "completing",
        "completed",
    ] {
        assert_eq!(die_at(point).as_deref(), Some("success"), "{point}");
    }
}

#[test]
fn a_death_in_the_middle_of_a_deletion_finishes_it() {
    let (site, mut ledger) = (Site::new(), Ledger::default());
    let server = site.start(&[]);
    let id = server.accept();
    server.finished();
    site.script("deleted", "abort");
    server.delete(&id).unwrap_err();
    assert_eq!(server.wait(), None);
    site.heal();
    assert!(ledger.check(&site).is_empty());
}

#[test]
fn a_picture_that_kills_its_worker_twice_fails_and_the_queue_goes_on() {
    let (site, mut ledger) = (Site::new(), Ledger::default());
    let server = site.start(&["--workers", "1"]);
    site.script("claimed", "abort");
    let ids = [server.upload(), server.upload()].map(|reply| reply.ok().and_then(|r| r.id()));
    assert_eq!(server.wait(), None);
    let server = site.spawn(&site.data(), &["--workers", "1"]);
    assert_eq!(server.wait(), None, "it kills the next one, too");
    site.heal();
    for id in ids.iter().flatten() {
        ledger.acknowledge(id.clone());
    }
    let mut images = ledger.check(&site);
    images.reverse();
    assert_eq!(images[0]["status"], "failed", "{images:?}");
    assert_eq!(images[0]["error_code"], "interrupted");
    for innocent in &images[1..] {
        assert_eq!(innocent["status"], "success");
    }
}

#[test]
fn deaths_at_random_moments_break_no_promise() {
    const CLIENTS: usize = 4;
    const UPLOADS: usize = 25;
    let kills = std::env::var_os("FAULT_KILLS");
    let kills: u64 = kills.map_or(10, |kills| kills.to_str().unwrap().parse().unwrap());
    let chance = RandomState::new();
    let site = Site::new();
    let ledger = Mutex::new(Ledger::default());
    for round in 0..kills {
        let random = chance.hash_one(round);
        let moment = Duration::from_millis(random % 400);
        if random.is_multiple_of(7) {
            // While it puts in order what the last one has left.
            let server = site.spawn(&site.data(), &[]);
            wait(moment / 8);
            server.kill();
            assert_eq!(server.wait(), None);
            continue;
        }
        let server = site.start(&[]);
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
            let server = &server;
            let (ledger, address) = (&ledger, &address);
            scope.spawn(move || {
                while let Ok(reply) = server.get("/api/images?limit=20") {
                    let images = reply.json();
                    let images = images.as_array().unwrap();
                    ledger.lock().unwrap().hear(address, images);
                }
            });
            wait(moment);
            server.kill();
        });
        assert_eq!(server.wait(), None);
    }
    let mut ledger = ledger.into_inner().unwrap();
    ledger.check(&site);
    let acknowledged = ledger.acknowledged();
    println!("{kills} kills, {acknowledged} uploads acknowledged");
    assert!(acknowledged > 0);
}

/// Lets a moment pass: which one does not matter, since it is the chance that is tested.
fn wait(moment: Duration) {
    let (_keep, nothing) = mpsc::channel::<()>();
    nothing.recv_timeout(moment).unwrap_err();
}
