//! The store without the server: put photos in, work on the queue, read the results back:
//! `cargo run --release --example store_and_query`

use std::io::Write;
use std::time::Instant;

use pipeline_core::{Blip, CaptionStage, Cx, ImagePipeline, Pipeline, ThumbnailSpec};
use pipeline_store::{ImageState, Outcome, Page, Store, StoreConfig};

#[allow(clippy::print_stdout, reason = "the example's output")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path(), &StoreConfig::default())?;
    for name in ["cat.jpg", "coffee.jpg"] {
        let mut upload = store.begin_upload()?;
        upload.write_all(&std::fs::read(format!("examples/photos/{name}"))?)?;
        store.accept(upload, name)?;
    }

    let pipeline = ImagePipeline::builder()
        .thumbnails([ThumbnailSpec::new("small", 256)])
        .captions(CaptionStage::new(Blip::tiny()?))
        .build();
    while let Some(job) = store.claim("worker")? {
        let started = Instant::now();
        match pipeline.process(&store.original(&job)?, &Cx::none()) {
            Ok(analysis) => {
                let caption = analysis.caption.expect("captions are on");
                let outcome = Outcome {
                    metadata: &analysis.metadata,
                    thumbnails: &analysis.thumbnails,
                    caption: caption.as_ref().ok(),
                    caption_error: caption.as_ref().err().map(|error| error.code()),
                };
                store.complete(&job, &outcome, started.elapsed())?;
            }
            Err(error) => store.fail(&job, error.code(), &error.report(), started.elapsed())?,
        }
    }

    for image in store.list(&Page::default())?.images {
        if let ImageState::Success {
            caption: Some(caption),
            thumbnails,
            ..
        } = image.state
        {
            println!(
                "{}: {} ({} thumbnail)",
                image.original_name,
                caption.text,
                thumbnails.len()
            );
        }
    }
    println!("{:?}", store.stats()?);
    Ok(())
}
