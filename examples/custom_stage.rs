//! A stage of your own beside the stock ones; the result is typed all the way:
//! `cargo run --example custom_stage -- photo.jpg`

use pipeline_core::{
    Cx, Decode, Decoded, Limits, Metadata, MetadataStage, Pipeline, Result, Source, Stage,
    StageExt, Thumbnail, ThumbnailSpec, ThumbnailStage,
};

/// The mean colour of a picture.
struct MeanColor;

impl Stage<Decoded> for MeanColor {
    type Out = [u8; 3];

    fn name(&self) -> &'static str {
        "mean-color"
    }

    fn run(&self, picture: &Decoded, _cx: &Cx) -> Result<[u8; 3]> {
        let mut sums = [0_u64; 3];
        for pixel in picture.pixels().pixels() {
            for (sum, level) in sums.iter_mut().zip(pixel.0) {
                *sum += u64::from(level);
            }
        }
        let count = u64::from(picture.pixels().width()) * u64::from(picture.pixels().height());
        Ok(sums.map(|sum| (sum / count.max(1)) as u8))
    }
}

struct Record {
    metadata: Metadata,
    thumbnails: Vec<Thumbnail>,
    color: [u8; 3],
}

#[allow(clippy::print_stdout, reason = "the example's output")]
fn main() -> Result<()> {
    let path = std::env::args()
        .nth(1)
        .unwrap_or("examples/photos/coffee.jpg".into());
    // A tuple of stages runs on the same input: the header is read from the file, the rest from one decode.
    let pixels = (
        ThumbnailStage::new([ThumbnailSpec::new("small", 256)]),
        MeanColor,
    );
    let pipeline = (
        MetadataStage::new(),
        Decode::new(Limits::default()).then(pixels),
    )
        .map(|(metadata, (thumbnails, color))| Record {
            metadata,
            thumbnails,
            color,
        });

    let record: Record = pipeline.process(&Source::from_path(path)?, &Cx::none())?;
    println!("{} × {}", record.metadata.width, record.metadata.height);
    println!(
        "thumbnail of {} × {}",
        record.thumbnails[0].width, record.thumbnails[0].height
    );
    println!(
        "mean colour #{:02x}{:02x}{:02x}",
        record.color[0], record.color[1], record.color[2]
    );
    Ok(())
}
