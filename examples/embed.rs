//! The whole pipeline in an app of your own: `cargo run --release --example embed -- photo.jpg`

use pipeline_core::{Blip, CaptionStage, Cx, ImagePipeline, Pipeline, Source, ThumbnailSpec};

#[allow(clippy::print_stdout, reason = "the example's output")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args()
        .nth(1)
        .unwrap_or("examples/photos/coffee.jpg".into());
    let pipeline = ImagePipeline::builder()
        .thumbnails([ThumbnailSpec::new("small", 256)])
        .captions(CaptionStage::new(Blip::tiny()?))
        .build();
    let analysis = pipeline.process(&Source::from_path(&path)?, &Cx::none())?;
    println!("{:?}", analysis.metadata);
    println!("{} bytes of thumbnail", analysis.thumbnails[0].jpeg.len());
    println!("{}", analysis.caption.expect("captions are on")?.text);
    Ok(())
}
