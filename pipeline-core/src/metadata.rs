//! What a picture says about itself, mostly without its pixels.

use imageinfo::{ImageFormat, ImageInfo};
use serde::{Deserialize, Serialize};

use crate::exif::Exif;
use crate::header::Header;
use crate::stage::catch_panic;
use crate::{Cx, Error, Fingerprint, Format, Limits, Result, Source, Stage};

/// Facts about a picture.
///
/// ```
/// use pipeline_core::{Cx, Format, MetadataStage, Source, Stage};
///
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let path = folder.path().join("cat.png");
/// # pipeline_core::image::RgbImage::new(64, 48).save(&path).expect("a picture can be written");
/// let metadata = MetadataStage::new().run(&Source::from_path(&path)?, &Cx::none())?;
/// assert_eq!((metadata.width, metadata.height), (64, 48));
/// assert_eq!((metadata.format, metadata.orientation), (Format::Png, 1));
/// # Ok::<(), pipeline_core::Error>(())
/// ```
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
    /// EXIF orientation, 1 to 8; 1 where the file has none, in EXIF or XMP.
    pub orientation: u8,
    /// What the camera wrote, if it wrote anything that can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exif: Option<Box<Exif>>,
    /// Two hashes of the pixels; `None` where none were decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
}

/// The stage that reads the header. It decodes no pixels and takes microseconds, and so leaves
/// [`Metadata::fingerprint`] to others.
///
/// ```
/// use pipeline_core::{Cx, MetadataStage, Source, Stage};
///
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let path = folder.path().join("cat.png");
/// # pipeline_core::image::RgbImage::new(64, 48).save(&path).expect("a picture can be written");
/// let metadata = MetadataStage::new().run(&Source::from_path(&path)?, &Cx::none())?;
/// println!("{} × {} {}", metadata.width, metadata.height, metadata.format); // 64 × 48 png
/// # Ok::<(), pipeline_core::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct MetadataStage {
    limits: Limits,
}

impl MetadataStage {
    /// The stage, with default [`Limits`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the limits. Of these, the stage itself keeps to [`Limits::max_metadata_bytes`].
    ///
    /// ```
    /// use pipeline_core::{Limits, MetadataStage};
    ///
    /// let stage = MetadataStage::new().with_limits(Limits { max_metadata_bytes: 1 << 20, ..Limits::default() });
    /// # drop(stage);
    /// ```
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

impl Stage<Source> for MetadataStage {
    type Out = Metadata;

    fn name(&self) -> &'static str {
        "metadata"
    }

    fn run(&self, source: &Source, _cx: &Cx) -> Result<Metadata> {
        let format = source.format().ok_or(Error::UnknownFormat)?;
        let header = Header::read(source, &self.limits)?;
        let exif = header.exif();
        let (width, height) = header
            .size
            .and_then(|size| probe(source, format, exif.is_some()).or(Some(size)))
            .filter(|&(width, height)| width > 0 && height > 0)
            .ok_or_else(|| Error::decode(format, "the file does not say how large it is"))?;
        Ok(Metadata {
            width,
            height,
            format,
            size_bytes: source.bytes().len() as u64,
            orientation: header.orientation(),
            exif: exif.and_then(|exif| exif.details()).map(Box::new),
            fingerprint: None,
        })
    }
}

/// Stored width and height by `imageinfo`, or `None` where its answer is none or not to be trusted.
///
/// Version 0.7.27 swaps the sides of a JPEG by an EXIF reading of its own and refuses one whose EXIF is damaged, so
/// files with EXIF are left to [`Header`]. It also panics on files that end in their header, and never returns on some
/// ICNS files, which is why it is asked only where [`Header`] knows the magic bytes and a size.
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
