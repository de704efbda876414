//! The EXIF block of a picture. A damaged one counts as absent: it never fails the picture.

use std::io::Cursor;

use ::exif::{In, Reader, Tag};

use crate::Source;

/// What this crate uses of an EXIF block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exif {
    /// How to turn the stored pixels to see the picture upright, 1 to 8.
    pub(crate) orientation: u8,
}

impl Exif {
    /// Reads the EXIF block of a JPEG (APP1) or PNG (`eXIf`); `None` where there is none that can be read.
    pub(crate) fn read(source: &Source) -> Option<Self> {
        let fields = Reader::new()
            .continue_on_error(true)
            .read_from_container(&mut Cursor::new(source.bytes()))
            .or_else(|error| error.distill_partial_result(|_ignored| {}))
            .ok()?;
        let orientation = fields
            .get_field(Tag::Orientation, In::PRIMARY)
            .and_then(|field| field.value.get_uint(0))
            .and_then(|value| u8::try_from(value).ok())
            .filter(|value| (1..=8).contains(value))
            .unwrap_or(1);
        Some(Self { orientation })
    }
}
