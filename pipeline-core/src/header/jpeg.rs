//! The segments of a JPEG file.

use std::borrow::Cow;

use super::{Baggage, Header};
use crate::Result;
use crate::exif::Tiff;

const EXIF: &[u8] = b"Exif\0\0";
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
const ICC: &[u8] = b"ICC_PROFILE\0";
/// The index of a multi-picture file (CIPA DC-007).
const MPF: &[u8] = b"MPF\0";

const SOS: u8 = 0xda;

pub(super) fn read(bytes: &[u8], mut baggage: Baggage) -> Result<Header<'_>> {
    let mut header = Header::default();
    let mut profile: Vec<(u8, &[u8])> = Vec::new();
    for (marker, data) in Segments::new(bytes).take_while(|&(marker, _)| marker != SOS) {
        if matches!(marker, 0xe0..=0xef | 0xfe) {
            baggage.add(4 + data.len() as u64)?;
        }
        match marker {
            0xe1 => {
                if let Some(block) = data.strip_prefix(EXIF) {
                    // A block over 64 kB goes on in the next segment.
                    match &mut header.exif {
                        Some(before) => before.to_mut().extend_from_slice(block),
                        none => *none = Some(Cow::Borrowed(block)),
                    }
                } else if let Some(packet) = data.strip_prefix(XMP) {
                    header.xmp = Some(Cow::Borrowed(packet));
                }
            }
            0xe2 => {
                // Each piece of the profile has its number from 1, and the count of all.
                if let Some([number, _count, piece @ ..]) = data.strip_prefix(ICC) {
                    profile.push((*number, piece));
                } else if let Some(index) = data.strip_prefix(MPF) {
                    header.frames = pictures(index).unwrap_or(0);
                }
            }
            _ if is_frame(marker) && header.size.is_none() => {
                if let [_precision, h0, h1, w0, w1, ..] = *data {
                    let side = |high, low| u32::from(u16::from_be_bytes([high, low]));
                    header.size = Some((side(w0, w1), side(h0, h1)));
                }
            }
            _ => {}
        }
    }
    profile.sort_by_key(|&(number, _)| number);
    header.icc = match profile[..] {
        [] => None,
        [(_, whole)] => Some(Cow::Borrowed(whole)),
        _ => {
            let pieces = profile.iter().flat_map(|&(_, piece)| piece);
            Some(Cow::Owned(pieces.copied().collect()))
        }
    };
    Ok(header)
}

/// The number of pictures in a multi-picture file.
fn pictures(index: &[u8]) -> Option<u64> {
    const NUMBER_OF_IMAGES: u16 = 0xb001;
    let count = Tiff::open(index)?
        .first()?
        .field(NUMBER_OF_IMAGES)?
        .uint()?;
    Some(count.into())
}

/// All SOF markers; between them are tables (DHT, DAC) and a reserved one.
fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && ![0xc4, 0xc8, 0xcc].contains(&marker)
}

/// The scans of a JPEG file: in which pieces its picture comes.
pub(crate) struct Scans {
    pub(crate) count: u64,
    /// The components of the picture: 1 for grey, 3 for colour, 4 for inks.
    pub(crate) components: u8,
    /// Whether the picture is whole only after the last, so that a decoder has to keep the coefficients.
    pub(crate) split: bool,
}

impl Scans {
    /// Goes over the whole file.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut scans = Self {
            count: 0,
            components: 0,
            split: false,
        };
        for (marker, data) in Segments::new(bytes) {
            if is_frame(marker) {
                scans.components = data.get(5).copied().unwrap_or(0);
                scans.split |= matches!(marker, 0xc2 | 0xc6 | 0xca | 0xce);
            } else if marker == SOS {
                scans.count += 1;
                scans.split |= data.first().is_some_and(|&n| n < scans.components);
            }
        }
        scans
    }
}

/// Marker and content of each segment up to the end of the first picture, as libjpeg finds them: bytes that belong to no
/// segment, such as those of a scan, are stepped over.
struct Segments<'a> {
    rest: &'a [u8],
}

impl<'a> Segments<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes.get(2..).unwrap_or_default(),
        }
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let prefix = memchr::memchr(0xff, self.rest)?;
            let rest = &self.rest[prefix..];
            let code = rest.iter().position(|&byte| byte != 0xff)?;
            let (marker, rest) = (rest[code], &rest[code + 1..]);
            self.rest = rest;
            match marker {
                // A stuffed byte of a scan, and markers without content.
                0x00 | 0x01 | 0xd0..=0xd8 => {}
                0xd9 => return None,
                _ => {
                    let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
                    let data = rest.get(2..length)?;
                    self.rest = &rest[length..];
                    return Some((marker, data));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(bytes: &[u8]) -> Header<'_> {
        let baggage = Baggage {
            bytes: 0,
            max: 1 << 20,
        };
        read(bytes, baggage).ok().unwrap()
    }

    #[test]
    fn scans_are_those_of_the_first_picture_only() {
        // In order: a scan inside of a segment, a stuffed byte, a restart, a comment with an end in it, a second scan.
        let bytes = b"\xff\xd8\xff\xe1\0\x05\xff\xda\0\xff\xda\0\x03\x01ab\xff\0\xff\xd0cd\xff\xfe\0\x04\xff\xd9\
                      \xff\xff\xda\0\x02ef\xff\xd9\xff\xd8\xff\xda\0\x02gh\xff\xd9";
        assert_eq!(Scans::of(bytes).count, 2);
        assert_eq!(Scans::of(b"\xff\xd8\xff").count, 0);
        assert_eq!(Scans::of(b"").count, 0);
    }

    #[test]
    fn a_split_picture_is_progressive_or_has_its_components_apart() {
        for (frame, components_in_scan, split) in
            [(0xc0, 3, false), (0xc0, 1, true), (0xc2, 3, true)]
        {
            let mut bytes = b"\xff\xd8\xff\xc0\0\x08\x08\0\x01\0\x01\x03\xff\xda\0\x03".to_vec();
            bytes[3] = frame;
            bytes.push(components_in_scan);
            assert_eq!(
                Scans::of(&bytes).split,
                split,
                "{frame:x}, {components_in_scan}"
            );
        }
    }

    #[test]
    fn pieces_of_a_profile_are_put_in_order_and_exif_is_joined() {
        let bytes =
            b"\xff\xd8\xff\xe2\0\x11ICC_PROFILE\0\x02\x02b\xff\xe2\0\x11ICC_PROFILE\0\x01\x02a\
                      \xff\xe1\0\x0aExif\0\0II\xff\xe1\0\x0aExif\0\0*\0\xff\xd9";
        let header = header(bytes);
        assert_eq!(header.icc.as_deref(), Some(&b"ab"[..]));
        assert_eq!(header.exif.as_deref(), Some(&b"II*\0"[..]));
        assert_eq!(header.size, None);
    }

    #[test]
    fn lengths_that_lie_end_the_walk() {
        for bytes in [
            &b"\xff\xd8\xff\xe1\0\0"[..],
            b"\xff\xd8\xff\xe1\0\x01",
            b"\xff\xd8\xff\xe1\xff\xffx",
        ] {
            assert!(header(bytes).exif.is_none());
        }
    }
}
