//! A captioner of your own in place of BLIP, checked against the captioner's contract:
//! `cargo run --example custom_captioner -- photo.jpg`
//!
//! This one only judges the light. Yours may call a service: it runs on the worker's thread, which may block.

use pipeline_core::image::RgbImage;
use pipeline_core::{
    Caption, CaptionStage, Captioner, Cx, ImagePipeline, Pipeline, Result, Source, testing,
};

struct LightMeter;

impl Captioner for LightMeter {
    fn model(&self) -> &str {
        "light-meter-1"
    }

    fn caption(&self, picture: &RgbImage, _cx: &Cx) -> Result<Caption> {
        let samples = picture.as_raw();
        let mean = samples.iter().map(|&level| u64::from(level)).sum::<u64>()
            / samples.len().max(1) as u64;
        let light = match mean {
            0..64 => "a dark picture",
            64..192 => "a picture in ordinary light",
            _ => "a bright picture",
        };
        Ok(Caption::new(light, self.model()))
    }
}

#[allow(clippy::print_stdout, reason = "the example's output")]
fn main() -> Result<()> {
    testing::captioner_contract(&LightMeter);

    let path = std::env::args()
        .nth(1)
        .unwrap_or("examples/photos/coffee.jpg".into());
    let pipeline = ImagePipeline::builder()
        .captions(CaptionStage::new(LightMeter))
        .build();
    let analysis = pipeline.process(&Source::from_path(path)?, &Cx::none())?;
    let caption = analysis.caption.expect("captions are on")?;
    println!("{} (by {})", caption.text, caption.model);
    Ok(())
}
