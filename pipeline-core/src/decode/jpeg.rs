//! JPEG by libjpeg, the decoder that every other reader of JPEG is measured against.
//!
//! It is C code, built by the C compiler alone. Of the decoders in Rust, zune-jpeg 0.5.15 turns some sound files green
//! and jpeg-decoder refuses some sampling factors; neither gives the pixels that Pillow gives.

use std::io::{self, BufRead, Read};
use std::panic::catch_unwind;

use image::{DynamicImage, GrayImage, RgbImage};
use mozjpeg::{ColorSpace, Decompress, Marker};

use super::color::{self, Cmyk};
use crate::{Error, Format, Limits, Result};

/// ICC profiles come in APP2 segments, Adobe's note on CMYK in APP14.
const MARKERS: &[Marker] = &[Marker::APP(2), Marker::APP(14)];
const ICC_TAG: &[u8] = b"ICC_PROFILE\0";

pub(super) fn stored_size(bytes: &[u8]) -> Result<(u32, u32)> {
    with_libjpeg(|| Ok(size(&open(bytes)?)))
}

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<RgbImage> {
    with_libjpeg(|| {
        let file = open(bytes)?;
        let (width, height) = size(&file);
        limits.check_size(width, height)?;
        let icc = icc_profile(&file);
        let icc = icc.as_deref();
        match file.color_space() {
            ColorSpace::JCS_GRAYSCALE => {
                let samples = read(file, ColorSpace::JCS_GRAYSCALE)?;
                let gray = GrayImage::from_raw(width, height, samples).ok_or_else(short)?;
                Ok(color::to_srgb(DynamicImage::ImageLuma8(gray), icc))
            }
            ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK => {
                let inverted = has_adobe_marker(&file);
                let samples = read(file, ColorSpace::JCS_CMYK)?;
                Ok(Cmyk {
                    width,
                    height,
                    samples,
                    inverted,
                }
                .into_srgb(icc))
            }
            _ => {
                let samples = read(file, ColorSpace::JCS_RGB)?;
                let rgb = RgbImage::from_raw(width, height, samples).ok_or_else(short)?;
                Ok(color::to_srgb(DynamicImage::ImageRgb8(rgb), icc))
            }
        }
    })
}

/// libjpeg reports an error by unwinding with its message; this makes an [`Error`] of it.
fn with_libjpeg<T>(work: impl FnOnce() -> Result<T> + std::panic::UnwindSafe) -> Result<T> {
    catch_unwind(work).unwrap_or_else(|panic| match panic.downcast::<String>() {
        Ok(message) => Err(from_libjpeg(
            message.trim_start_matches("libjpeg fatal error: "),
        )),
        Err(foreign) => std::panic::resume_unwind(foreign),
    })
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

fn open(bytes: &[u8]) -> Result<Decompress<WholeFile<'_>>> {
    Decompress::with_markers(MARKERS)
        .from_reader(WholeFile { rest: bytes })
        .map_err(|e| Error::decode(Format::Jpeg, e))
}

fn size<R>(file: &Decompress<R>) -> (u32, u32) {
    // JPEG writes each side in 16 bits.
    (file.width() as u32, file.height() as u32)
}

fn read(file: Decompress<WholeFile<'_>>, space: ColorSpace) -> Result<Vec<u8>> {
    // `finish` would also read what stands behind the picture, which nobody needs.
    let rows = file
        .to_colorspace(space)
        .and_then(|mut rows| rows.read_scanlines::<u8>());
    rows.map_err(|e| Error::decode(Format::Jpeg, e))
}

fn short() -> Error {
    Error::decode(Format::Jpeg, "too few samples")
}

/// Puts together the profile's pieces; each segment has the tag, its number from 1, and the count of all.
fn icc_profile<R>(file: &Decompress<R>) -> Option<Vec<u8>> {
    let mut pieces: Vec<(u8, &[u8])> = file
        .markers()
        .filter(|segment| segment.marker == Marker::APP(2))
        .filter_map(|segment| segment.data.strip_prefix(ICC_TAG))
        .filter_map(|piece| match piece {
            [number, _count, data @ ..] => Some((*number, data)),
            _ => None,
        })
        .collect();
    pieces.sort_by_key(|&(number, _)| number);
    (!pieces.is_empty()).then(|| pieces.iter().flat_map(|&(_, data)| data).copied().collect())
}

fn has_adobe_marker<R>(file: &Decompress<R>) -> bool {
    file.markers()
        .any(|segment| segment.marker == Marker::APP(14) && segment.data.starts_with(b"Adobe"))
}

/// A file in memory that fails at its end.
///
/// At an end without error, libjpeg would make up the rest of the picture in grey and say nothing.
struct WholeFile<'a> {
    rest: &'a [u8],
}

impl Read for WholeFile<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.rest.read(into)
    }
}

impl BufRead for WholeFile<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.rest.is_empty() {
            Err(io::Error::other("end of file"))
        } else {
            Ok(self.rest)
        }
    }

    fn consume(&mut self, count: usize) {
        self.rest.consume(count);
    }
}
