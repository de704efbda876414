//! Files that mean harm, against the stock pipeline. They have a process to themselves, so that its memory, which
//! counts what C code takes as well, is theirs.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, too")]

mod bombs;
mod files;
mod flips;
#[allow(unreachable_pub, reason = "a crate of its own for the fuzzer")]
#[path = "../../fuzz/src/lib.rs"]
mod fuzz;
mod seeds;
mod slow;

use std::fs;
use std::path::{Path, PathBuf};

use pipeline_core::ThumbnailSpec;
use pipeline_core::{Analysis, Cx, ImagePipeline, Limits, MemoryBudget, Pipeline, Result, Source};

/// What all of these tests together may take, in bytes; they run at the same time.
const MEMORY: u64 = 512 << 20;

/// The thumbnails and the memory of a server as it comes.
fn pipeline(limits: Limits) -> ImagePipeline {
    ImagePipeline::builder()
        .limits(limits)
        .memory(&MemoryBudget::new(MEMORY / 2))
        .thumbnails([
            ThumbnailSpec::new("small", 256),
            ThumbnailSpec::new("medium", 512).with_quality(90),
        ])
        .build()
}

fn process(bytes: Vec<u8>) -> Result<Analysis> {
    pipeline(Limits::default()).process(&Source::from(bytes), &Cx::none())
}

/// One picture of each kind, with its name.
fn fixtures() -> Vec<(String, Vec<u8>)> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/pictures");
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|kind| kind == "jpg" || kind == "png")
        })
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read(path).unwrap())
        })
        .filter(|(name, _)| !name.contains(".expected") && !name.starts_with("coffee"))
        .collect();
    files.sort();
    assert!(files.len() >= 45, "only {} pictures", files.len());
    files
}

/// The most memory that this process has taken so far, in bytes; `None` where the system does not tell.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

#[track_caller]
fn assert_little_memory(after: &str) {
    if let Some(peak) = peak_memory() {
        assert!(peak < MEMORY, "{after}: {} MiB taken", peak >> 20);
    }
}
