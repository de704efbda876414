//! Captions every picture of a folder, on all cores, and goes on past the ones it cannot read:
//! `cargo run --release --example caption_folder -- examples/photos [MODEL_FOLDER]`

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, thread};

use pipeline_core::{
    Blip, BlipOptions, CaptionStage, Cx, Decode, Limits, Pipeline, Source, StageExt,
};

#[allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the example's output"
)]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().unwrap_or("examples/photos".into());
    let model = match args.next() {
        Some(model) => Blip::open(Path::new(&model), &BlipOptions::default())?,
        None => Blip::tiny()?,
    };
    let pipeline = Decode::new(Limits::default()).then(CaptionStage::new(model));

    let mut files: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    files.retain(|path| path.is_file());
    files.sort();

    // One model serves all threads; each takes the next file when it is done with one.
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let caption = Source::from_path(path)
                        .and_then(|source| pipeline.process(&source, &Cx::none()));
                    match caption {
                        Ok(caption) => println!("{}\t{}", path.display(), caption.text),
                        Err(error) => eprintln!("{}\t{}", path.display(), error.report()),
                    }
                }
            });
        }
    });
    Ok(())
}
