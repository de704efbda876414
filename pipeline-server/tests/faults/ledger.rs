//! What was promised to clients, and whether it was kept.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::process::{Server, Site};

/// The uploads that were acknowledged, and the results that were told.
#[derive(Default)]
pub(crate) struct Ledger {
    acknowledged: HashSet<String>,
    told: HashMap<String, String>,
    /// Pictures that end the process whenever they are worked on.
    poisons: HashSet<String>,
    /// How often the process was killed from outside. Each time may have hit a picture that was alone in work, the second
    /// time for it.
    kills: usize,
}

impl Ledger {
    /// For a process that is killed `kills` times, whatever it does at that moment.
    pub(crate) fn of_kills(kills: usize) -> Self {
        Self {
            kills,
            ..Self::default()
        }
    }

    /// Expects the picture to fail. No other may.
    pub(crate) fn expect_failure(&mut self, id: &str) {
        self.poisons.insert(id.to_owned());
    }

    pub(crate) fn acknowledge(&mut self, id: String) {
        assert!(self.acknowledged.insert(id), "an id was given twice");
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// Notes results as `address` tells them; what was told before must not change.
    pub(crate) fn hear(&mut self, address: &str, images: &[Value]) {
        for image in images {
            if image["status"] == "processing" {
                continue;
            }
            let id = image["data"]["image_id"].as_str().unwrap().to_owned();
            // Every start has another port.
            let now = image.to_string().replace(address, "HOST");
            if let Some(before) = self.told.insert(id, now.clone()) {
                assert_eq!(now, before, "a result has changed");
            }
        }
    }

    /// Starts a server with nothing to go wrong, and asserts that every promise is kept. Returns the envelopes.
    pub(crate) fn check(&mut self, site: &Site) -> Vec<Value> {
        let server = site.start(&[]);
        let images = server.finished();
        self.hear(&server.address, &images);
        for id in &self.acknowledged {
            assert!(self.told.contains_key(id), "{id} has no result");
        }
        let mut unlucky = 0;
        for image in &images {
            let id = image["data"]["image_id"].as_str().unwrap();
            let is_poison = self.poisons.contains(id);
            if image["status"] == "failed" {
                assert_eq!(image["error_code"], "interrupted", "{image}");
                unlucky += usize::from(!is_poison);
            } else {
                assert!(!is_poison, "{image}");
            }
        }
        assert!(
            unlucky <= self.kills,
            "{unlucky} failed for no reason of their own"
        );
        statistics_are_a_recount(site, &server, &images);
        server.terminate();
        assert_eq!(server.wait(), Some(0));
        files_are_rows(site);
        assert_eq!(site.doctor(), "nothing is wrong\n");
        images
    }
}

fn statistics_are_a_recount(site: &Site, server: &Server, images: &[Value]) {
    let stats = server.get("/api/stats").unwrap().json();
    let total = images.len();
    let count = |status: &str| {
        let of = images.iter().filter(|image| image["status"] == status);
        of.count()
    };
    assert_eq!(stats["total"], total);
    assert_eq!(stats["failed"], count("failed"));
    let rate = 100.0 * count("success") as f64 / total.max(1) as f64;
    assert_eq!(stats["success_rate"], format!("{rate:.2}%"));
    let mean: f64 = site
        .database()
        .query_row(
            "SELECT coalesce(avg(took_ms), 0.0) / 1000 FROM images WHERE state != 'processing'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let told = stats["average_processing_time_seconds"].as_f64().unwrap();
    assert!((told - mean).abs() < 1e-9, "{told} and {mean}");
}

/// Every row has its files, every file its row, and nothing is left in between.
pub(crate) fn files_are_rows(site: &Site) {
    let (data, database) = (site.data(), site.database());
    let select = |sql: &str| -> HashSet<PathBuf> {
        let mut select = database.prepare(sql).unwrap();
        let paths = select
            .query_map([], |row| row.get::<_, String>(0))
            .unwrap()
            .map(|path| PathBuf::from(path.unwrap()));
        paths.collect()
    };
    let originals = select("SELECT substr(id, 1, 2) || '/' || id FROM images");
    assert_eq!(files(&data.join("originals")), originals);
    let thumbnails = select(
        "SELECT substr(id, 1, 2) || '/' || id || '/' || file FROM thumbnails JOIN images ON seq = image_seq",
    );
    assert_eq!(files(&data.join("thumbnails")), thumbnails);
    assert_eq!(files(&data.join("tmp")), HashSet::new());
}

/// All files below `folder`, relative to it.
pub(crate) fn files(folder: &Path) -> HashSet<PathBuf> {
    fn walk(folder: &Path, root: &Path, found: &mut HashSet<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    let mut found = HashSet::new();
    walk(folder, folder, &mut found);
    found
}
