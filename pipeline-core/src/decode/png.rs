//! PNG by the `png` crate, row by row, so that memory is bounded by the shrunk picture and not by what a header claims.
//! Of an animated PNG, the default picture counts.

use std::io::{Cursor, ErrorKind};

use png::{
    BitDepth, ColorType, Decoder, DecodingError, InterlaceInfo, Limits as PngLimits, Reader,
    Transformations, expand_interlaced_row,
};

use super::shrink::Shrinker;
use super::{Decode, Stored, Watch, color, on_white};
use crate::header::Header;
use crate::{Cx, Error, Format, Result};

pub(super) fn decode(bytes: &[u8], header: &Header<'_>, stage: &Decode, cx: &Cx) -> Result<Stored> {
    let mut file = open(bytes)?;
    let full_size = file.info().size();
    let samples = Samples::of(&file);
    let shrink = stage.detail.map_or(1, |detail| detail.shrink(full_size));
    let (memory, watch) = stage.admit(memory_bytes(&file, shrink), cx)?;
    // A profile says what the colours are, and only then can they be laid on white.
    let icc = header.icc.as_deref();
    let convert = (samples.are_transparent())
        .then(|| color::Rows::new(icc, samples.channels()))
        .flatten();
    let channels = match convert {
        Some(_) => 3,
        None => samples.channels(),
    };
    let mut picture = Shrinker::new(full_size, channels, shrink);

    let mut line = Vec::new();
    let mut push = |row: &[u8]| {
        line.clear();
        samples.flatten(row, convert.as_ref(), &mut line);
        picture.push(&line);
    };
    if file.info().interlaced {
        let (whole, line_size) = read_passes(&mut file, &watch)?;
        whole.chunks_exact(line_size).for_each(push);
    } else {
        for _ in 0..full_size.1 {
            if let Some(row) = file.next_row().map_err(damaged)? {
                push(row.data());
            }
            watch.check()?;
        }
    }
    check_end(&mut file)?;
    let icc = if convert.is_some() { None } else { icc };
    Ok(Stored {
        pixels: color::to_srgb(picture.finish(), icc),
        full_size,
        shrink,
        memory,
    })
}

/// All rows of an interlaced file, whose passes make sense together only, and the length of each.
fn read_passes(file: &mut Reader<Cursor<&[u8]>>, watch: &Watch<'_>) -> Result<(Vec<u8>, usize)> {
    let too_large = || damaged(DecodingError::LimitsExceeded);
    let size = file.output_buffer_size().ok_or_else(too_large)?;
    let line_size = file
        .output_line_size(file.info().width)
        .ok_or_else(too_large)?;
    let bits = pixel_bytes(file) * 8;
    let mut whole = vec![0; size];
    for _ in 0..rows_of_passes(file.info().size()) {
        if let Some(row) = file.next_interlaced_row().map_err(damaged)?
            && let InterlaceInfo::Adam7(pass) = row.interlace()
        {
            expand_interlaced_row(&mut whole, line_size, row.data(), pass, bits);
        }
        watch.check()?;
    }
    Ok((whole, line_size))
}

/// The rows of all seven passes of an interlaced file.
fn rows_of_passes((width, height): (u32, u32)) -> u32 {
    /// Each pass' first column, first row, and rows from one to the next.
    const PASSES: [(u32, u32, u32); 7] = [
        (0, 0, 8),
        (4, 0, 8),
        (0, 4, 8),
        (2, 0, 4),
        (0, 2, 4),
        (1, 0, 2),
        (0, 1, 2),
    ];
    let there = PASSES.iter().filter(|&&(column, ..)| column < width);
    there
        .map(|&(_, row, step)| height.saturating_sub(row).div_ceil(step))
        .sum()
}

/// Reads what follows the last row: the checksums of the pixels. A file that ends there has lost none of them.
fn check_end(file: &mut Reader<Cursor<&[u8]>>) -> Result<()> {
    match file.next_row() {
        Err(error) if !is_end(&error) => Err(damaged(error)),
        _ => Ok(()),
    }
}

/// The length of a decoded pixel.
fn pixel_bytes(file: &Reader<Cursor<&[u8]>>) -> u8 {
    let (color, depth) = file.output_color_type();
    color.samples() as u8 * if depth == BitDepth::Sixteen { 2 } else { 1 }
}

/// What decoding takes at the most: an interlaced file whole, the shrunk picture, and that picture converted.
fn memory_bytes(file: &Reader<Cursor<&[u8]>>, shrink: u32) -> u64 {
    let (width, height) = file.info().size();
    let pixels =
        |factor: u32| u64::from(width.div_ceil(factor)) * u64::from(height.div_ceil(factor));
    let whole = if file.info().interlaced {
        pixels(1).saturating_mul(pixel_bytes(file).into())
    } else {
        0
    };
    whole.saturating_add(pixels(shrink).saturating_mul(6))
}

fn open(bytes: &[u8]) -> Result<Reader<Cursor<&[u8]>>> {
    let mut decoder = Decoder::new_with_limits(
        Cursor::new(bytes),
        PngLimits {
            bytes: MAX_WORKING_BYTES,
        },
    );
    decoder.set_transformations(Transformations::EXPAND);
    // The header has been read already.
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.ignore_checksums(false);
    let reader = decoder.read_info().map_err(damaged)?;
    // Three bytes a colour; the decoder takes that for granted.
    match &reader.info().palette {
        Some(palette) if palette.is_empty() || palette.len() % 3 != 0 => {
            Err(Error::decode(Format::Png, "the palette is damaged"))
        }
        _ => Ok(reader),
    }
}

/// What the decoder may take for its rows, in bytes. The picture itself is bounded by `Limits`.
const MAX_WORKING_BYTES: usize = 64 << 20;

fn damaged(error: DecodingError) -> Error {
    if is_end(&error) {
        Error::decode(Format::Png, "the file ends before the picture does")
    } else {
        Error::decode(Format::Png, error)
    }
}

fn is_end(error: &DecodingError) -> bool {
    matches!(error, DecodingError::IoError(error) if error.kind() == ErrorKind::UnexpectedEof)
}

/// What the bytes of a decoded row mean. The decoder has expanded palettes, bits and transparent colours.
#[derive(Clone, Copy)]
struct Samples {
    color: ColorType,
    wide: bool,
}

impl Samples {
    fn of(file: &Reader<Cursor<&[u8]>>) -> Self {
        let (color, depth) = file.output_color_type();
        Self {
            color,
            wide: depth == BitDepth::Sixteen,
        }
    }

    fn are_transparent(self) -> bool {
        matches!(self.color, ColorType::GrayscaleAlpha | ColorType::Rgba)
    }

    /// Channels without alpha: 1 for grey, 3 for colour.
    fn channels(self) -> usize {
        if matches!(self.color, ColorType::Grayscale | ColorType::GrayscaleAlpha) {
            1
        } else {
            3
        }
    }

    /// Appends a row as 8-bit samples on white, made RGB before that where there is something to `convert`.
    fn flatten(self, row: &[u8], convert: Option<&color::Rows>, line: &mut Vec<u8>) {
        if self.wide {
            // Scaled, not cut off: 65,535 levels onto 255.
            let scaled =
                row.as_chunks::<2>().0.iter().map(|&wide| {
                    ((u32::from(u16::from_be_bytes(wide)) * 255 + 32_767) / 65_535) as u8
                });
            self.put_on_white(&scaled.collect::<Vec<u8>>(), convert, line);
        } else {
            self.put_on_white(row, convert, line);
        }
    }

    fn put_on_white(self, row: &[u8], convert: Option<&color::Rows>, line: &mut Vec<u8>) {
        if let Some(convert) = convert {
            let pixels = row.chunks_exact(self.channels() + 1);
            let colors: Vec<u8> = pixels
                .clone()
                .flat_map(|pixel| &pixel[..self.channels()])
                .copied()
                .collect();
            convert.convert(&colors, pixels.len(), line);
            for (rgb, pixel) in line.chunks_exact_mut(3).zip(pixels) {
                rgb.iter_mut()
                    .for_each(|level| *level = on_white(*level, pixel[self.channels()]));
            }
            return;
        }
        match self.color {
            ColorType::GrayscaleAlpha => {
                line.extend(
                    row.as_chunks::<2>()
                        .0
                        .iter()
                        .map(|&[level, a]| on_white(level, a)),
                );
            }
            ColorType::Rgba => {
                let pixels = row.as_chunks::<4>().0.iter();
                line.extend(
                    pixels
                        .flat_map(|&[r, g, b, a]| [on_white(r, a), on_white(g, a), on_white(b, a)]),
                );
            }
            _ => line.extend_from_slice(row),
        }
    }
}
