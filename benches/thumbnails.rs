//! Our side of `thumbnails.py`: for each path on standard input, metadata, fingerprint and both thumbnails by the stock
//! pipeline on one thread, and a line of JSON with the time and the most memory so far. Does nothing without
//! `THUMBNAILS`, which the script sets.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench may stop at the first error, and its output is what it is for"
)]

use std::time::Instant;
use std::{fs, io};

use pipeline_core::{Cx, ImagePipeline, Pipeline, Source, ThumbnailSpec};
use serde_json::json;

fn main() {
    if std::env::var_os("THUMBNAILS").is_none() {
        println!("THUMBNAILS is not set; benches/thumbnails.py sets it");
        return;
    }
    // glibc gives back what is free above twice the largest block that was ever freed, and to get it again is 6 % of a
    // picture. A server has read its model by now.
    drop(std::hint::black_box(Vec::<u8>::with_capacity(20 << 20)));
    let pipeline = ImagePipeline::builder()
        .thumbnails([
            ThumbnailSpec::new("small", 256),
            ThumbnailSpec::new("medium", 512).with_quality(90),
        ])
        .build();
    println!("{}", json!({"peak_kib": peak_kib()}));
    for path in io::stdin().lines() {
        let path = path.unwrap();
        let started = Instant::now();
        let source = Source::from_path(&path).unwrap();
        let made = pipeline.process(&source, &Cx::none()).unwrap();
        let seconds = started.elapsed().as_secs_f64();
        let sizes: Vec<_> = made
            .thumbnails
            .iter()
            .map(|t| (t.width, t.height))
            .collect();
        let answer = json!({"seconds": seconds, "peak_kib": peak_kib(), "sizes": sizes});
        println!("{answer}");
    }
}

/// The most memory that this process has taken so far; null where the system does not tell.
fn peak_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
