//! What stands in a file around its pixels, found by one walk over its segments or chunks: the size, what the camera
//! wrote, the colour profile. Nothing is copied that can be borrowed, and nothing is unpacked beyond the limit.
//!
//! The walk comes before any decoder sees the file, so that limits hold whatever a decoder would do.

mod jpeg;
mod png;

use std::borrow::Cow;
use std::io::Read;

use flate2::read::ZlibDecoder;

use crate::error::LimitName;
use crate::exif::Block;
use crate::{Error, Format, Limits, Result, Source, limits};

pub(crate) use jpeg::Scans;

/// What a file says before its pixels.
#[derive(Default)]
pub(crate) struct Header<'a> {
    /// Stored width and height in pixels; `None` if the file ends before it says.
    pub(crate) size: Option<(u32, u32)>,
    /// The pictures that the file announces; 0 if it says nothing, which means one.
    pub(crate) frames: u64,
    /// The ICC profile, unpacked.
    pub(crate) icc: Option<Cow<'a, [u8]>>,
    /// The EXIF block, from its TIFF header on.
    exif: Option<Cow<'a, [u8]>>,
    /// The XMP packet.
    xmp: Option<Cow<'a, [u8]>>,
}

impl<'a> Header<'a> {
    /// Reads the header of a file, and refuses one that carries too much beside its pixels.
    pub(crate) fn read(source: &'a Source, limits: &Limits) -> Result<Self> {
        let baggage = Baggage {
            bytes: 0,
            max: limits.max_metadata_bytes,
        };
        match source.format() {
            Some(Format::Jpeg) => jpeg::read(source.bytes(), baggage),
            Some(Format::Png) => png::read(source.bytes(), baggage),
            None => Err(Error::UnknownFormat),
        }
    }

    /// What the camera wrote, if it can be read.
    pub(crate) fn exif(&self) -> Option<Block<'_>> {
        Block::read(self.exif.as_deref()?)
    }

    /// How to turn the stored pixels to see the picture upright, 1 to 8. Like Pillow, this looks into XMP where EXIF
    /// says nothing.
    pub(crate) fn orientation(&self) -> u8 {
        let tag = self.exif().and_then(|block| block.orientation());
        tag.or_else(|| xmp_orientation(self.xmp.as_deref()?))
            .filter(|orientation| (1..=8).contains(orientation))
            .unwrap_or(1)
    }
}

/// The attribute `tiff:Orientation="6"` or the element `<tiff:Orientation>6<`.
fn xmp_orientation(packet: &[u8]) -> Option<u8> {
    const NAME: &[u8] = b"tiff:Orientation";
    memchr::memmem::find_iter(packet, NAME).find_map(|at| {
        let value = &packet[at + NAME.len()..];
        let value = value
            .strip_prefix(b"=\"")
            .or_else(|| value.strip_prefix(b">"))?;
        value
            .first()
            .filter(|digit| digit.is_ascii_digit())
            .map(|digit| digit - b'0')
    })
}

/// Counts what a file carries beside its pixels, in bytes after unpacking.
struct Baggage {
    bytes: u64,
    max: u64,
}

impl Baggage {
    fn add(&mut self, bytes: u64) -> Result<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        limits::check(LimitName::Metadata, self.bytes, self.max)
    }

    /// Unpacks a zlib stream; `None` if it is damaged. What it unpacks to counts.
    fn unpack(&mut self, packed: &[u8]) -> Result<Option<Vec<u8>>> {
        // One byte more than is allowed tells that it is too much.
        let most = (self.max - self.bytes).saturating_add(1);
        let mut unpacked = Vec::new();
        let whole = ZlibDecoder::new(packed)
            .take(most)
            .read_to_end(&mut unpacked);
        self.add(unpacked.len() as u64)?;
        Ok(whole.is_ok().then_some(unpacked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xmp_is_read_as_pillow_reads_it() {
        for (packet, orientation) in [
            (&b"<x tiff:Orientation=\"6\"/>"[..], Some(6)),
            (b"<tiff:Orientation>3</tiff:Orientation>", Some(3)),
            (
                b"tiff:Orientation= tiff:Orientation='2' tiff:Orientation=\"8\"",
                Some(8),
            ),
            (b"tiff:Orientation", None),
            (b"tiff:Orientation=\"x\"", None),
        ] {
            assert_eq!(xmp_orientation(packet), orientation);
        }
    }

    #[test]
    fn what_is_unpacked_is_bounded() {
        let mut packed = Vec::new();
        let zeros = std::io::repeat(0).take(1 << 20);
        flate2::read::ZlibEncoder::new(zeros, flate2::Compression::best())
            .read_to_end(&mut packed)
            .unwrap();
        let baggage = |max| Baggage { bytes: 0, max };
        let whole = baggage(1 << 20).unpack(&packed).unwrap().unwrap();
        assert_eq!(whole.len(), 1 << 20);
        let error = baggage((1 << 20) - 1)
            .unpack(&packed)
            .map(drop)
            .unwrap_err();
        assert_eq!(error.code(), "too-much-metadata");
        let cut = baggage(1 << 20)
            .unpack(&packed[..packed.len() / 2])
            .unwrap();
        assert!(cut.is_none());
    }
}
