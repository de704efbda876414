//! What a picture says about itself without its pixels.

use imageinfo::{ImageFormat, ImageInfo};
use serde::{Deserialize, Serialize};

use crate::decode::stored_size;
use crate::exif::{Block, Exif};
use crate::stage::catch_panic;
use crate::{Cx, Error, Format, Result, Source, Stage};

/// Facts from a picture's header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Metadata {
    /// Stored width in pixels, before orientation is applied.
    pub width: u32,
    /// Stored height in pixels, before orientation is applied.
    pub height: u32,
    /// The format that the file's bytes announce.
    pub format: Format,
    /// The size of the encoded file, in bytes.
    pub size_bytes: u64,
    /// EXIF orientation, 1 to 8; 1 where the file has none.
    pub orientation: u8,
    /// What the camera wrote, if it wrote anything that can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exif: Option<Box<Exif>>,
}

/// The stage that reads the header. It decodes no pixels and takes microseconds.
///
/// ```no_run
/// use pipeline_core::{Cx, MetadataStage, Source, Stage};
///
/// let metadata = MetadataStage::new().run(&Source::from_path("cat.jpg")?, &Cx::none())?;
/// println!("{} × {} {}", metadata.width, metadata.height, metadata.format);
/// # Ok::<(), pipeline_core::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct MetadataStage {}

impl MetadataStage {
    /// The stage.
    pub fn new() -> Self {
        Self {}
    }
}

impl Stage<Source> for MetadataStage {
    type Out = Metadata;

    fn name(&self) -> &'static str {
        "metadata"
    }

    fn run(&self, source: &Source, _cx: &Cx) -> Result<Metadata> {
        let format = source.format().ok_or(Error::UnknownFormat)?;
        let exif = Block::read(source);
        let (width, height) = match probe(source, format, exif.is_some()) {
            Some(size) => size,
            None => stored_size(source)?,
        };
        let orientation = exif.as_ref().map_or(1, Block::orientation);
        Ok(Metadata {
            width,
            height,
            format,
            size_bytes: source.bytes().len() as u64,
            orientation,
            exif: exif.and_then(|exif| exif.details()).map(Box::new),
        })
    }
}

/// Stored width and height by `imageinfo`, or `None` where its answer is none or not to be trusted.
///
/// Version 0.7.27 swaps the sides of a JPEG by an EXIF reading of its own and refuses one whose EXIF is damaged, so
/// files with EXIF are left to the decoder. It also panics on some files, and never returns on some ICNS files, which
/// is why the magic bytes are looked at first.
fn probe(source: &Source, format: Format, has_exif: bool) -> Option<(u32, u32)> {
    if format == Format::Jpeg && has_exif {
        return None;
    }
    let info = catch_panic("metadata", || {
        Ok(ImageInfo::from_raw_data(source.bytes()).ok())
    })
    .ok()
    .flatten()?;
    let expected = match format {
        Format::Jpeg => ImageFormat::JPEG,
        Format::Png => ImageFormat::PNG,
    };
    let sides = (
        u32::try_from(info.size.width).ok()?,
        u32::try_from(info.size.height).ok()?,
    );
    (info.format == expected && sides.0 > 0 && sides.1 > 0).then_some(sides)
}
