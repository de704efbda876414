//! JPEG by libjpeg, the decoder that every other reader of JPEG is measured against.
//!
//! It is C code, built by the C compiler alone. Of the decoders in Rust, zune-jpeg 0.5.15 turns some sound files green
//! and jpeg-decoder refuses some sampling factors; neither gives the pixels that Pillow gives.

use std::io::{self, BufRead, Read};

use image::{DynamicImage, GrayImage, RgbImage};
use mozjpeg::{ColorSpace, ColorSpaceExt, Decompress};

use super::color::{self, Cmyk};
use super::{Decode, Detail, Stored, Watch};
use crate::header::{Header, Scans};
use crate::{Cx, Error, Format, LimitName, Result, libjpeg, limits};

pub(super) fn decode(bytes: &[u8], header: &Header<'_>, stage: &Decode, cx: &Cx) -> Result<Stored> {
    // Where the header has no size, libjpeg says what is wrong with it.
    let full_size = header.size.unwrap_or_default();
    let pixels = u64::from(full_size.0) * u64::from(full_size.1);
    let scans = Scans::of(bytes);
    let most_scans = stage.limits.scans_for(pixels).into();
    limits::check(LimitName::Scans, scans.count, most_scans)?;
    let shrink = shrink(full_size, stage.detail);
    let (memory, watch) = stage.admit(memory_bytes(full_size, shrink, &scans), cx)?;

    let decoded = libjpeg::catch(|| {
        let mut file = Decompress::new_reader(WholeFile::new(bytes, &scans, &watch))
            .map_err(|e| Error::decode(Format::Jpeg, e))?;
        // JPEG writes each side in 16 bits.
        if (file.width() as u32, file.height() as u32) != full_size {
            return Err(Error::decode(Format::Jpeg, "it has more than one size"));
        }
        file.scale(8 / shrink);
        let icc = header.icc.as_deref();
        match file.color_space() {
            ColorSpace::JCS_GRAYSCALE => {
                let (width, height, samples) = read(file, ColorSpace::JCS_GRAYSCALE, &watch)?;
                let gray = GrayImage::from_raw(width, height, samples).ok_or_else(short)?;
                Ok(color::to_srgb(DynamicImage::ImageLuma8(gray), icc))
            }
            ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK => {
                let (width, height, samples) = read(file, ColorSpace::JCS_CMYK, &watch)?;
                let inks = Cmyk {
                    width,
                    height,
                    samples,
                };
                Ok(inks.into_srgb(icc))
            }
            _ => {
                let (width, height, samples) = read(file, ColorSpace::JCS_RGB, &watch)?;
                let rgb = RgbImage::from_raw(width, height, samples).ok_or_else(short)?;
                Ok(color::to_srgb(DynamicImage::ImageRgb8(rgb), icc))
            }
        }
    })
    .unwrap_or_else(|message| Err(from_libjpeg(&message)));
    // First, since libjpeg calls it a damaged file when it is told to stop.
    watch.check()?;
    Ok(Stored {
        pixels: decoded?,
        full_size,
        shrink: shrink.into(),
        memory,
    })
}

/// What decoding takes at the most: the coefficients if they come in several scans, and the picture, converted.
fn memory_bytes((width, height): (u32, u32), shrink: u8, scans: &Scans) -> u64 {
    let pixels =
        |factor: u32| u64::from(width.div_ceil(factor)) * u64::from(height.div_ceil(factor));
    let samples = u64::from(scans.components);
    let coefficients = if scans.split {
        pixels(1) * samples * 2
    } else {
        0
    };
    coefficients + pixels(shrink.into()) * (samples + 6)
}

/// The factor by which libjpeg is to shrink the picture: the largest it does well that leaves enough detail.
fn shrink((width, height): (u32, u32), detail: Option<Detail>) -> u8 {
    let enough = |&factor: &u8| {
        let factor = u32::from(factor);
        detail.is_some_and(|detail| detail.allows((width, height), factor))
    };
    [8, 4, 2].into_iter().find(enough).unwrap_or(1)
}

fn from_libjpeg(message: &str) -> Error {
    if message.starts_with("Unsupported JPEG data precision") {
        Error::Unsupported {
            format: Format::Jpeg,
            what: "more than 8 bits a sample",
        }
    } else if message.starts_with("Unsupported JPEG process") {
        Error::Unsupported {
            format: Format::Jpeg,
            what: "lossless or hierarchical coding",
        }
    } else if message.starts_with("Input file read error") {
        Error::decode(Format::Jpeg, "the file ends before the picture does")
    } else {
        Error::decode(Format::Jpeg, message)
    }
}

/// Width, height and samples.
fn read<R: BufRead>(
    file: Decompress<R>,
    space: ColorSpace,
    watch: &Watch<'_>,
) -> Result<(u32, u32, Vec<u8>)> {
    /// How many rows libjpeg makes between two looks at the watch.
    const ROWS: usize = 64;
    let failed = |e| Error::decode(Format::Jpeg, e);
    // `finish` would also read what stands behind the picture, which nobody needs.
    let mut rows = file.to_colorspace(space).map_err(failed)?;
    let (width, height) = (rows.width(), rows.height());
    let line = width * space.num_components();
    let mut samples = vec![0; line * height];
    for strip in samples.chunks_mut((line * ROWS).max(1)) {
        watch.check()?;
        rows.read_scanlines_into(strip).map_err(failed)?;
    }
    Ok((width as u32, height as u32, samples))
}

fn short() -> Error {
    Error::decode(Format::Jpeg, "too few samples")
}

/// A file in memory that fails at its end, and when nobody waits for the picture any more.
///
/// At an end without error, libjpeg would make up the rest of the picture in grey and say nothing.
struct WholeFile<'a> {
    rest: &'a [u8],
    piece: usize,
    watch: &'a Watch<'a>,
}

impl<'a> WholeFile<'a> {
    /// libjpeg gets a picture in one piece where it can, since it slows down towards the end of each. Of a split one it
    /// reads all scans before it gives the first row, so that only the pieces can end that: a few bytes may be work on
    /// the whole picture, hence many small ones.
    fn new(bytes: &'a [u8], scans: &Scans, watch: &'a Watch<'a>) -> Self {
        let piece = if scans.split {
            (bytes.len() / 256).clamp(64, 16 << 10)
        } else {
            bytes.len()
        };
        Self {
            rest: bytes,
            piece,
            watch,
        }
    }
}

impl Read for WholeFile<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.rest.read(into)
    }
}

impl BufRead for WholeFile<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.rest.is_empty() {
            return Err(io::Error::other("end of file"));
        }
        self.watch.check().map_err(io::Error::other)?;
        Ok(&self.rest[..self.rest.len().min(self.piece)])
    }

    fn consume(&mut self, count: usize) {
        self.rest.consume(count);
    }
}
