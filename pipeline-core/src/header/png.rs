//! The chunks of a PNG file.

use std::borrow::Cow;

use super::{Baggage, Header};
use crate::Result;

/// What a program that knows no `eXIf` chunk calls its EXIF block, in hexadecimal digits.
const RAW_EXIF: &[u8] = b"Raw profile type exif";
const XMP: &[u8] = b"XML:com.adobe.xmp";

/// The length, the type and the checksum.
const FRAME_BYTES: u64 = 12;

pub(super) fn read(bytes: &[u8], mut baggage: Baggage) -> Result<Header<'_>> {
    let mut header = Header::default();
    let mut raw_exif = None;
    let mut frames = 0;
    for (kind, data) in Chunks::new(bytes) {
        // Lower case: a decoder may skip it. `fcTL` and `fdAT` are the further pictures of an animation.
        if kind[0].is_ascii_lowercase() && !matches!(kind, b"fcTL" | b"fdAT") {
            baggage.add(FRAME_BYTES + data.len() as u64)?;
        }
        match kind {
            b"IHDR" => {
                if let Some((width, rest)) = data.split_first_chunk()
                    && let Some(height) = rest.first_chunk()
                {
                    let size = (u32::from_be_bytes(*width), u32::from_be_bytes(*height));
                    header.size.get_or_insert(size);
                }
            }
            b"acTL" => {
                // The format allows fewer than 2³¹; other counts make it a picture without animation.
                let count = data.first_chunk().map_or(0, |&n| u32::from_be_bytes(n));
                header.frames = if count < 1 << 31 { count.into() } else { 0 };
            }
            b"fcTL" => frames += 1,
            b"iCCP" => {
                let profile = Text::compressed(data).map(|text| text.value(&mut baggage));
                if header.icc.is_none() {
                    header.icc = profile.transpose()?.flatten();
                }
            }
            // As in Pillow, the last one counts.
            b"eXIf" => header.exif = Some(Cow::Borrowed(data)),
            b"tEXt" | b"zTXt" | b"iTXt" => {
                let text = match kind {
                    b"tEXt" => Text::plain(data),
                    b"zTXt" => Text::compressed(data),
                    _ => Text::international(data),
                };
                if let Some(text) = text {
                    let keyword = text.keyword;
                    let value = text.value(&mut baggage)?;
                    match keyword {
                        RAW_EXIF => raw_exif = value.and_then(|value| from_raw_profile(&value)),
                        XMP => header.xmp = value,
                        _ => {}
                    }
                }
            }
            b"IEND" => break,
            _ => {}
        }
    }
    header.frames = header.frames.max(frames);
    if header.exif.is_none() {
        header.exif = raw_exif.map(Cow::Owned);
    }
    Ok(header)
}

/// A chunk that has a keyword and a text or a profile.
struct Text<'a> {
    keyword: &'a [u8],
    body: &'a [u8],
    packed: bool,
}

impl<'a> Text<'a> {
    fn plain(data: &'a [u8]) -> Option<Self> {
        let (keyword, body) = split(data)?;
        Some(Self {
            keyword,
            body,
            packed: false,
        })
    }

    fn compressed(data: &'a [u8]) -> Option<Self> {
        let (keyword, rest) = split(data)?;
        // The only method there is.
        let body = rest.strip_prefix(&[0])?;
        Some(Self {
            keyword,
            body,
            packed: true,
        })
    }

    fn international(data: &'a [u8]) -> Option<Self> {
        let (keyword, rest) = split(data)?;
        let (&[packed, method], rest) = rest.split_first_chunk()?;
        let (_language, rest) = split(rest)?;
        let (_translated, body) = split(rest)?;
        (packed == 0 || method == 0).then_some(Self {
            keyword,
            body,
            packed: packed != 0,
        })
    }

    /// The text, unpacked if it was packed; `None` if it is damaged.
    fn value(self, baggage: &mut Baggage) -> Result<Option<Cow<'a, [u8]>>> {
        if self.packed {
            Ok(baggage.unpack(self.body)?.map(Cow::Owned))
        } else {
            Ok(Some(Cow::Borrowed(self.body)))
        }
    }
}

/// What stands before and behind the first zero byte.
fn split(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let zero = memchr::memchr(0, data)?;
    Some((&data[..zero], &data[zero + 1..]))
}

/// Reads an EXIF block in hexadecimal digits: behind an empty line, a line with its name and one with its length.
fn from_raw_profile(text: &[u8]) -> Option<Vec<u8>> {
    let mut lines = text.splitn(4, |&byte| byte == b'\n');
    let digits = lines.nth(3)?.iter().filter(|b| !b.is_ascii_whitespace());
    let values: Option<Vec<u8>> = digits
        .map(|&digit| char::from(digit).to_digit(16).map(|value| value as u8))
        .collect();
    let (pairs, []) = values.as_deref()?.as_chunks::<2>() else {
        return None;
    };
    Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Type and content of each chunk, up to the first that is not whole.
struct Chunks<'a> {
    rest: &'a [u8],
}

impl<'a> Chunks<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes.get(8..).unwrap_or_default(),
        }
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = (&'a [u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = self.rest.split_first_chunk()?;
        let (kind, rest) = rest.split_first_chunk()?;
        let length = u32::from_be_bytes(*length) as usize;
        let data = rest.get(..length)?;
        // A checksum that is missing ends the walk at the next call.
        self.rest = rest.get(length + 4..).unwrap_or_default();
        Some((kind, data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
        for (kind, data) in chunks {
            bytes.extend((data.len() as u32).to_be_bytes());
            bytes.extend([&kind[..], data, b"\0\0\0\0"].concat());
        }
        bytes
    }

    fn header(bytes: &[u8]) -> Header<'_> {
        let baggage = Baggage {
            bytes: 0,
            max: 1 << 20,
        };
        read(bytes, baggage).ok().unwrap()
    }

    #[test]
    fn text_is_found_in_all_three_kinds_of_chunk() {
        let plain = file(&[(b"tEXt", b"XML:com.adobe.xmp\0<x>")]);
        assert_eq!(header(&plain).xmp.as_deref(), Some(&b"<x>"[..]));
        let stored = b"XML:com.adobe.xmp\0\0x\x9c\x01\x01\0\xfe\xffA\0\x42\0\x42";
        assert_eq!(
            header(&file(&[(b"zTXt", stored)])).xmp.as_deref(),
            Some(&b"A"[..])
        );
        let international = file(&[(b"iTXt", b"XML:com.adobe.xmp\0\0\0en\0name\0<y>")]);
        assert_eq!(header(&international).xmp.as_deref(), Some(&b"<y>"[..]));
        for broken in [
            &b""[..],
            b"XML:com.adobe.xmp",
            b"XML:com.adobe.xmp\0\x01\0en",
        ] {
            assert!(
                header(&file(&[(b"iTXt", broken), (b"zTXt", broken)]))
                    .xmp
                    .is_none()
            );
        }
    }

    #[test]
    fn an_exif_chunk_goes_before_a_raw_profile() {
        let raw = b"Raw profile type exif\0\nexif\n 4\n4d4D\n 002a\n";
        let both = file(&[
            (b"tEXt", raw),
            (b"eXIf", b"II"),
            (b"IEND", b""),
            (b"eXIf", b"no"),
        ]);
        assert_eq!(header(&both).exif.as_deref(), Some(&b"II"[..]));
        assert_eq!(
            header(&file(&[(b"tEXt", raw)])).exif.as_deref(),
            Some(&b"MM\0*"[..])
        );
        assert!(from_raw_profile(b"\nexif\n4\n4d4").is_none());
        assert!(from_raw_profile(b"\nexif\n4\n4x").is_none());
    }

    #[test]
    fn frames_are_those_that_are_announced_or_there() {
        let count = |bytes: &[u8]| header(bytes).frames;
        assert_eq!(
            count(&file(&[(b"acTL", b"\0\0\0\x07\0\0\0\0"), (b"fcTL", b"")])),
            7
        );
        assert_eq!(
            count(&file(&[(b"acTL", b"\xff\0\0\0\0\0\0\0"), (b"fcTL", b"")])),
            1
        );
        assert_eq!(count(&file(&[(b"acTL", b"")])), 0);
    }
}
