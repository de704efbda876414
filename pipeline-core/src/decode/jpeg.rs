//! JPEG by libjpeg, the decoder that every other reader of JPEG is measured against.
//!
//! It is C code, built by the C compiler alone. Of the decoders in Rust, zune-jpeg 0.5.15 turns some sound files green
//! and jpeg-decoder refuses some sampling factors; neither gives the pixels that Pillow gives.

use std::io::{self, BufRead, Read};
use std::panic::catch_unwind;

use image::{DynamicImage, GrayImage, RgbImage};
use mozjpeg::{ColorSpace, Decompress, Marker};

use super::color::{self, Cmyk};
use super::{Detail, Stored};
use crate::{Cx, Error, Format, Limits, Result};

/// ICC profiles come in APP2 segments, Adobe's note on CMYK in APP14.
const MARKERS: &[Marker] = &[Marker::APP(2), Marker::APP(14)];
const ICC_TAG: &[u8] = b"ICC_PROFILE\0";

pub(super) fn stored_size(bytes: &[u8]) -> Result<(u32, u32)> {
    with_libjpeg(|| Ok(size(&open(bytes, &Cx::none())?)))
}

pub(super) fn decode(
    bytes: &[u8],
    limits: &Limits,
    detail: Option<Detail>,
    cx: &Cx,
) -> Result<Stored> {
    with_libjpeg(|| {
        let mut file = open(bytes, cx)?;
        let full_size = size(&file);
        limits.check_size(full_size.0, full_size.1)?;
        file.scale(eighths(full_size, detail));
        let icc = icc_profile(&file);
        let icc = icc.as_deref();
        let pixels = match file.color_space() {
            ColorSpace::JCS_GRAYSCALE => {
                let (width, height, samples) = read(file, ColorSpace::JCS_GRAYSCALE)?;
                let gray = GrayImage::from_raw(width, height, samples).ok_or_else(short)?;
                color::to_srgb(DynamicImage::ImageLuma8(gray), icc)
            }
            ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK => {
                let inverted = has_adobe_marker(&file);
                let (width, height, samples) = read(file, ColorSpace::JCS_CMYK)?;
                Cmyk {
                    width,
                    height,
                    samples,
                    inverted,
                }
                .into_srgb(icc)
            }
            _ => {
                let (width, height, samples) = read(file, ColorSpace::JCS_RGB)?;
                let rgb = RgbImage::from_raw(width, height, samples).ok_or_else(short)?;
                color::to_srgb(DynamicImage::ImageRgb8(rgb), icc)
            }
        };
        Ok(Stored { pixels, full_size })
    })
}

/// How far libjpeg is to shrink the picture, in eighths: the least of 1, 2, 4 and 8 that leaves enough detail.
fn eighths((width, height): (u32, u32), detail: Option<Detail>) -> u8 {
    let shrunk = |side: u32, eighths: u8| (u64::from(side) * u64::from(eighths)).div_ceil(8) as u32;
    let enough = |&eighths: &u8| {
        detail
            .is_some_and(|detail| detail.is_met_by(shrunk(width, eighths), shrunk(height, eighths)))
    };
    [1, 2, 4].into_iter().find(enough).unwrap_or(8)
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

fn open<'a>(bytes: &'a [u8], cx: &'a Cx) -> Result<Decompress<WholeFile<'a>>> {
    let file = WholeFile { rest: bytes, cx };
    Decompress::with_markers(MARKERS)
        .from_reader(file)
        .map_err(|e| Error::decode(Format::Jpeg, e))
}

fn size<R>(file: &Decompress<R>) -> (u32, u32) {
    // JPEG writes each side in 16 bits.
    (file.width() as u32, file.height() as u32)
}

/// Width, height and samples.
fn read<R: BufRead>(file: Decompress<R>, space: ColorSpace) -> Result<(u32, u32, Vec<u8>)> {
    // `finish` would also read what stands behind the picture, which nobody needs.
    let read = || -> io::Result<_> {
        let mut rows = file.to_colorspace(space)?;
        Ok((
            rows.width() as u32,
            rows.height() as u32,
            rows.read_scanlines::<u8>()?,
        ))
    };
    read().map_err(|e| Error::decode(Format::Jpeg, e))
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

/// A file in memory that fails at its end, and when nobody waits for the picture any more.
///
/// At an end without error, libjpeg would make up the rest of the picture in grey and say nothing.
struct WholeFile<'a> {
    rest: &'a [u8],
    cx: &'a Cx,
}

/// How many bytes libjpeg gets between two looks at the [`Cx`]; a few milliseconds of work at the most.
const PIECE: usize = 16 << 10;

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
        self.cx.check().map_err(io::Error::other)?;
        Ok(&self.rest[..self.rest.len().min(PIECE)])
    }

    fn consume(&mut self, count: usize) {
        self.rest.consume(count);
    }
}
