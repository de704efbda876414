//! The fields of a TIFF structure, looked up one by one where they stand. Nothing is copied and no directory is read
//! that nobody asks for, so that a hostile block, whose directories overlap, costs no more than an honest one.

/// A structure with its byte order.
#[derive(Clone, Copy)]
pub(crate) struct Tiff<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

/// One list of fields.
#[derive(Clone, Copy)]
pub(crate) struct Directory<'a> {
    tiff: Tiff<'a>,
    entries: &'a [[u8; 12]],
}

/// The value of a field: some items of one type.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    tiff: Tiff<'a>,
    kind: u16,
    items: &'a [u8],
}

impl<'a> Tiff<'a> {
    /// Looks at the header only.
    pub(crate) fn open(bytes: &'a [u8]) -> Option<Self> {
        let big_endian = match bytes.first_chunk()? {
            b"II*\0" => false,
            b"MM\0*" => true,
            _ => return None,
        };
        Some(Self { bytes, big_endian })
    }

    /// The first directory, which the header points to.
    pub(crate) fn first(self) -> Option<Directory<'a>> {
        self.directory(self.u32(self.bytes.get(4..)?)?)
    }

    /// The directory at an offset. Of one that is cut off, the entries that are whole.
    pub(crate) fn directory(self, offset: u32) -> Option<Directory<'a>> {
        let bytes = self.bytes.get(offset as usize..)?;
        let count = usize::from(self.u16(bytes)?);
        let (entries, _) = bytes[2..].as_chunks();
        Some(Directory {
            tiff: self,
            entries: &entries[..count.min(entries.len())],
        })
    }

    fn u16(self, bytes: &[u8]) -> Option<u16> {
        let bytes = *bytes.first_chunk()?;
        Some(if self.big_endian {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        })
    }

    fn u32(self, bytes: &[u8]) -> Option<u32> {
        let bytes = *bytes.first_chunk()?;
        Some(if self.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    fn u64(self, bytes: &[u8]) -> Option<u64> {
        let bytes = *bytes.first_chunk()?;
        Some(if self.big_endian {
            u64::from_be_bytes(bytes)
        } else {
            u64::from_le_bytes(bytes)
        })
    }
}

impl<'a> Directory<'a> {
    /// The first field with this tag whose value lies inside of the structure.
    pub(crate) fn field(self, tag: u16) -> Option<Field<'a>> {
        let mut entries = self.entries.iter();
        entries.find_map(|entry| {
            (self.tiff.u16(entry)? == tag)
                .then(|| self.value(entry))
                .flatten()
        })
    }

    /// The directory that the field with this tag points to.
    pub(crate) fn child(self, tag: u16) -> Option<Self> {
        self.tiff.directory(self.field(tag)?.uint()?)
    }

    fn value(self, entry: &'a [u8; 12]) -> Option<Field<'a>> {
        let kind = self.tiff.u16(&entry[2..])?;
        let item = match kind {
            BYTE | ASCII | SIGNED_BYTE | UNDEFINED => 1,
            SHORT | SIGNED_SHORT => 2,
            LONG | SIGNED_LONG | FLOAT => 4,
            RATIONAL | SIGNED_RATIONAL | DOUBLE => 8,
            _ => return None,
        };
        let length = (self.tiff.u32(&entry[4..])? as usize).checked_mul(item)?;
        let items = if length <= 4 {
            &entry[8..8 + length]
        } else {
            let from = self.tiff.u32(&entry[8..])? as usize;
            self.tiff.bytes.get(from..from.checked_add(length)?)?
        };
        Some(Field {
            tiff: self.tiff,
            kind,
            items,
        })
    }
}

impl<'a> Field<'a> {
    /// The text up to its first zero byte.
    pub(crate) fn ascii(self) -> Option<&'a [u8]> {
        let line = || self.items.split(|&byte| byte == 0).next();
        (self.kind == ASCII).then(line).flatten()
    }

    /// The first item, if it is a whole number and not negative. Some cameras write types with a sign.
    pub(crate) fn uint(self) -> Option<u32> {
        match self.kind {
            BYTE => self.items.first().map(|&byte| byte.into()),
            SHORT => self.tiff.u16(self.items).map(u32::from),
            LONG => self.tiff.u32(self.items),
            SIGNED_BYTE => {
                let byte = self.items.first()?.cast_signed();
                byte.try_into().ok()
            }
            SIGNED_SHORT => self.tiff.u16(self.items)?.cast_signed().try_into().ok(),
            SIGNED_LONG => self.tiff.u32(self.items)?.cast_signed().try_into().ok(),
            _ => None,
        }
    }

    /// The items, if they are fractions or floating-point numbers.
    pub(crate) fn numbers(self) -> impl Iterator<Item = f64> {
        let Self { tiff, kind, items } = self;
        let item = match kind {
            FLOAT => 4,
            RATIONAL | SIGNED_RATIONAL | DOUBLE => 8,
            _ => usize::MAX,
        };
        items.chunks_exact(item).filter_map(move |item| {
            let u32_at = |at: usize| tiff.u32(&item[at..]);
            Some(match kind {
                FLOAT => f64::from(f32::from_bits(u32_at(0)?)),
                DOUBLE => f64::from_bits(tiff.u64(item)?),
                RATIONAL => f64::from(u32_at(0)?) / f64::from(u32_at(4)?),
                _ => f64::from(u32_at(0)?.cast_signed()) / f64::from(u32_at(4)?.cast_signed()),
            })
        })
    }
}

const BYTE: u16 = 1;
const ASCII: u16 = 2;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const RATIONAL: u16 = 5;
const SIGNED_BYTE: u16 = 6;
const UNDEFINED: u16 = 7;
const SIGNED_SHORT: u16 = 8;
const SIGNED_LONG: u16 = 9;
const SIGNED_RATIONAL: u16 = 10;
const FLOAT: u16 = 11;
const DOUBLE: u16 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    /// A big-endian structure whose only field has this type, count and value or offset.
    fn field(kind: u8, count: u8, value: [u8; 4], behind: &[u8]) -> Vec<u8> {
        let mut bytes = b"MM\0*\0\0\0\x08\0\x01\0\x07\0".to_vec();
        bytes.extend([kind, 0, 0, 0, count]);
        bytes.extend(value);
        bytes.extend([0; 4]);
        bytes.extend(behind);
        bytes
    }

    #[test]
    fn every_kind_of_number_is_read() {
        let at_26 = [0, 0, 0, 26];
        for (kind, count, behind, expected) in [
            (5, 1, &[0, 0, 0, 3, 0, 0, 0, 2][..], vec![1.5]),
            (10, 1, &[255, 255, 255, 253, 0, 0, 0, 2], vec![-1.5]),
            (12, 1, &[0x3f, 0xf8, 0, 0, 0, 0, 0, 0], vec![1.5]),
            (
                11,
                2,
                &[0x3f, 0xc0, 0, 0, 0xbf, 0xc0, 0, 0],
                vec![1.5, -1.5],
            ),
            (7, 8, &[0; 8], vec![]),
        ] {
            let bytes = field(kind, count, at_26, behind);
            let field = Tiff::open(&bytes)
                .unwrap()
                .first()
                .unwrap()
                .field(7)
                .unwrap();
            assert_eq!(field.numbers().collect::<Vec<_>>(), expected, "type {kind}");
            assert_eq!((field.uint(), field.ascii()), (None, None));
        }
    }

    #[test]
    fn whole_numbers_may_have_a_type_with_a_sign() {
        for (kind, value, expected) in [
            (1, [6, 0, 0, 0], Some(6)),
            (6, [6, 0, 0, 0], Some(6)),
            (6, [255, 0, 0, 0], None),
            (8, [0, 6, 0, 0], Some(6)),
            (8, [255, 250, 0, 0], None),
            (9, [0, 0, 0, 6], Some(6)),
            (9, [255; 4], None),
        ] {
            let bytes = field(kind, 1, value, b"");
            let directory = Tiff::open(&bytes).unwrap().first().unwrap();
            assert_eq!(directory.field(7).unwrap().uint(), expected, "type {kind}");
        }
    }

    #[test]
    fn values_that_lie_outside_are_not_there() {
        for (kind, count, value) in [(5, 1, [0, 0, 0, 26]), (4, 255, [255; 4]), (99, 1, [0; 4])] {
            let bytes = field(kind, count, value, b"short");
            let directory = Tiff::open(&bytes).unwrap().first().unwrap();
            assert!(directory.field(7).is_none() && directory.child(7).is_none());
        }
        let bytes = field(4, 1, [255; 4], b"");
        let directory = Tiff::open(&bytes).unwrap().first().unwrap();
        assert_eq!(directory.field(7).unwrap().uint(), Some(u32::MAX));
        assert!(directory.child(7).is_none());
        for length in 0..bytes.len() {
            let cut = Tiff::open(&bytes[..length]).and_then(Tiff::first);
            assert!(length >= 22 || cut.and_then(|cut| cut.field(7)).is_none());
        }
    }
}
