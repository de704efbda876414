//! PNG by the `image` crate. Of an animated PNG, the default picture counts.

use std::io::Cursor;

use image::codecs::png::PngDecoder;
use image::error::ImageError;
use image::{DynamicImage, ImageDecoder};

use super::{Stored, color};
use crate::{Error, Format, Limits, Result};

pub(super) fn stored_size(bytes: &[u8]) -> Result<(u32, u32)> {
    Ok(open(bytes)?.dimensions())
}

pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<Stored> {
    let mut file = open(bytes)?;
    let (width, height) = file.dimensions();
    limits.check_size(width, height)?;
    // A profile that cannot be read, like one that cannot be used, counts as absent.
    let icc = file.icc_profile().unwrap_or(None);
    let picture = DynamicImage::from_decoder(file).map_err(damaged)?;
    let pixels = color::to_srgb(picture, icc.as_deref());
    Ok(Stored {
        pixels,
        full_size: (width, height),
    })
}

fn open(bytes: &[u8]) -> Result<PngDecoder<Cursor<&[u8]>>> {
    // The picture's own size is bounded by `Limits`; this bounds what its text chunks and profile may take.
    let mut bound = image::Limits::no_limits();
    bound.max_alloc = Some(MAX_ANCILLARY_BYTES);
    PngDecoder::with_limits(Cursor::new(bytes), bound).map_err(damaged)
}

/// Decompressed text chunks and profile, in bytes.
const MAX_ANCILLARY_BYTES: u64 = 64 << 20;

fn damaged(error: ImageError) -> Error {
    match error {
        ImageError::Unsupported(_) => Error::Unsupported {
            format: Format::Png,
            what: "this variant of PNG",
        },
        ImageError::Decoding(inner) => Error::decode(Format::Png, inner),
        other => Error::decode(Format::Png, other),
    }
}
