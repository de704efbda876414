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
fn a_death_between_the_two_parts_of_the_work_loses_nothing() {
    for point in ["making-way", "made-way"] {
        let (site, mut ledger) = (Site::new(), Ledger::default());
        // Without captions there is one part only.
        let server = site.start(&["--workers", "1", "--model", "tiny"]);
        site.script("working", "hang");
        let ids = [server.accept(), server.accept()];
        site.script(point, "abort");
        assert_eq!(server.wait(), None, "{point}");
        let kept = "SELECT image_seq FROM jobs WHERE prepared = 1";
        let first: i64 = site
            .database()
            .query_row(kept, [], |row| row.get(0))
            .unwrap();
        assert_eq!(first, 1);
        site.heal();
        for id in ids {
            ledger.acknowledge(id);
        }
        for image in ledger.check(&site) {
            let stages = &image["data"]["stages"];
            assert_eq!(stages["thumbnails"]["attempts"], 1, "{point}: {image}");
        }
    }
}

#[test]
fn a_picture_that_kills_its_worker_twice_fails_alone_and_the_queue_goes_on() {
    for (workers, in_work) in [("1", 1), ("4", 4)] {
        let (site, mut ledger) = (Site::new(), Ledger::default());
        let server = site.start(&["--workers", workers]);
        site.script("working", "hang");
        let ids = [(); 6].map(|()| server.accept());
        // With one worker the first, or else one of those in the middle.
        let poison = &ids[in_work / 2];
        site.wait_until_in_work(in_work);
        let deadly = format!("working-{poison}");
        // The others that are in work come to no end before it does.
        site.script_all(&[("captioned", "hang"), (&deadly, "abort")]);
        assert_eq!(server.wait(), None);
        site.script(&deadly, "abort");
        let server = site.spawn(&site.data(), &["--workers", workers]);
        assert_eq!(server.wait(), None, "it kills the next one, too");
        site.heal();
        ledger.expect_failure(poison);
        for id in &ids {
            ledger.acknowledge(id.clone());
        }
        assert_eq!(ledger.check(&site).len(), ids.len());
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
    let ledger = Mutex::new(Ledger::of_kills(usize::try_from(kills).unwrap()));
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
