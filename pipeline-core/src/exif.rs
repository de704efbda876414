//! The EXIF block of a picture. A damaged one counts as absent: it never fails the picture.

use std::io::Cursor;

use ::exif::{DateTime, Field, In, Rational, Reader, SRational, Tag, Value};
use serde::{Deserialize, Serialize};

use crate::Source;

/// What a camera wrote about a picture. Each field is absent where the file does not say.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Exif {
    /// The camera's maker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub make: Option<String>,
    /// The camera's model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The lens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lens: Option<String>,
    /// Exposure time in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposure_seconds: Option<f64>,
    /// The f-number of the aperture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f_number: Option<f64>,
    /// Sensitivity, as an ISO number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iso: Option<u32>,
    /// Focal length in millimetres, not converted to another sensor size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub focal_length_mm: Option<f64>,
    /// When the picture was taken, by the camera's clock: `2024-03-10T10:00:00`, with an offset such as `+01:00` behind
    /// it where the camera wrote one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<String>,
    /// Where the picture was taken. Handle with care: it may be somebody's home.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gps: Option<Gps>,
}

impl Exif {
    /// The same without the place.
    #[must_use]
    pub fn without_location(mut self) -> Self {
        self.gps = None;
        self
    }
}

/// A place on Earth, in the datum WGS 84.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Gps {
    /// Degrees, north positive.
    pub latitude: f64,
    /// Degrees, east positive.
    pub longitude: f64,
    /// Metres above sea level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub altitude_m: Option<f64>,
}

/// An EXIF block that could be read, at least in part.
pub(crate) struct Block {
    fields: ::exif::Exif,
}

impl Block {
    /// Finds the EXIF block of a JPEG (APP1) or PNG (`eXIf`).
    pub(crate) fn read(source: &Source) -> Option<Self> {
        let fields = Reader::new()
            .continue_on_error(true)
            .read_from_container(&mut Cursor::new(source.bytes()))
            .or_else(|error| error.distill_partial_result(|_ignored| {}))
            .ok()?;
        Some(Self { fields })
    }

    /// How to turn the stored pixels to see the picture upright, 1 to 8; 1 if the block does not say.
    pub(crate) fn orientation(&self) -> u8 {
        let value = self
            .field(Tag::Orientation)
            .and_then(|field| field.value.get_uint(0));
        value
            .and_then(|value| u8::try_from(value).ok())
            .filter(|value| (1..=8).contains(value))
            .unwrap_or(1)
    }

    /// The rest, or `None` if nothing of it is there.
    pub(crate) fn details(&self) -> Option<Exif> {
        let details = Exif {
            make: self.text(Tag::Make),
            model: self.text(Tag::Model),
            lens: self.text(Tag::LensModel),
            exposure_seconds: self.number(Tag::ExposureTime),
            f_number: self.number(Tag::FNumber),
            iso: self
                .field(Tag::PhotographicSensitivity)
                .and_then(|field| field.value.get_uint(0)),
            focal_length_mm: self.number(Tag::FocalLength),
            taken_at: self.taken_at(),
            gps: self.gps(),
        };
        (details != Exif::default()).then_some(details)
    }

    fn field(&self, tag: Tag) -> Option<&Field> {
        self.fields.get_field(tag, In::PRIMARY)
    }

    fn ascii(&self, tag: Tag) -> Option<&[u8]> {
        match &self.field(tag)?.value {
            Value::Ascii(lines) => lines.first().map(Vec::as_slice),
            _ => None,
        }
    }

    fn text(&self, tag: Tag) -> Option<String> {
        /// Longer than any camera's name; what is longer is not meant to be read.
        const MOST_CHARS: usize = 200;
        let text = String::from_utf8_lossy(self.ascii(tag)?);
        let text: String = text
            .chars()
            .filter(|c| !c.is_control())
            .take(MOST_CHARS)
            .collect();
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// All numbers of a field, in whichever type they were written; `None` if one of them is not finite, since cameras
    /// write 0/0 for "unknown".
    fn numbers(&self, tag: Tag) -> Option<Vec<f64>> {
        let numbers: Vec<f64> = match &self.field(tag)?.value {
            Value::Rational(values) => values.iter().map(Rational::to_f64).collect(),
            Value::SRational(values) => values.iter().map(SRational::to_f64).collect(),
            Value::Float(values) => values.iter().copied().map(f64::from).collect(),
            Value::Double(values) => values.clone(),
            _ => return None,
        };
        numbers
            .iter()
            .all(|number| number.is_finite())
            .then_some(numbers)
    }

    fn number(&self, tag: Tag) -> Option<f64> {
        self.numbers(tag)?.first().copied()
    }

    fn taken_at(&self) -> Option<String> {
        let mut time = DateTime::from_ascii(self.ascii(Tag::DateTimeOriginal)?).ok()?;
        if let Some(offset) = self.ascii(Tag::OffsetTimeOriginal) {
            // Without a sound offset, it is the camera's local time.
            time.parse_offset(offset).ok();
        }
        let DateTime {
            year,
            month,
            day,
            hour,
            minute,
            second,
            ..
        } = time;
        let sound = (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hour < 24
            && minute < 60
            && second <= 60;
        let offset = time.offset.map_or_else(String::new, |minutes| {
            let sign = if minutes < 0 { '-' } else { '+' };
            format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
        });
        sound.then(|| {
            format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{offset}")
        })
    }

    fn gps(&self) -> Option<Gps> {
        let degrees = |value: Tag, reference: Tag, negative: u8, most: f64| {
            let parts = self.numbers(value)?;
            let degrees: f64 = parts
                .iter()
                .zip([1.0, 60.0, 3_600.0])
                .map(|(part, unit)| part / unit)
                .sum();
            let sign = if self.ascii(reference)?.first() == Some(&negative) {
                -1.0
            } else {
                1.0
            };
            (degrees <= most).then_some(sign * degrees)
        };
        let latitude = degrees(Tag::GPSLatitude, Tag::GPSLatitudeRef, b'S', 90.0)?;
        let longitude = degrees(Tag::GPSLongitude, Tag::GPSLongitudeRef, b'W', 180.0)?;
        let below_sea = self
            .field(Tag::GPSAltitudeRef)
            .and_then(|field| field.value.get_uint(0))
            == Some(1);
        let altitude_m = self
            .number(Tag::GPSAltitude)
            .map(|metres| if below_sea { -metres } else { metres });
        Some(Gps {
            latitude,
            longitude,
            altitude_m,
        })
    }
}

#[cfg(test)]
mod tests {
    use ::exif::experimental::Writer;

    use super::*;

    /// A JPEG of nothing but an EXIF block with these fields.
    fn jpeg(fields: &[(Tag, Value)]) -> Source {
        let fields: Vec<Field> = fields
            .iter()
            .map(|(tag, value)| Field {
                tag: *tag,
                ifd_num: In::PRIMARY,
                value: value.clone(),
            })
            .collect();
        let mut writer = Writer::new();
        fields.iter().for_each(|field| writer.push_field(field));
        let mut tiff = Cursor::new(Vec::new());
        writer.write(&mut tiff, false).unwrap();
        let block = [b"Exif\0\0", &tiff.into_inner()[..]].concat();
        let length = u16::try_from(block.len() + 2).unwrap().to_be_bytes();
        Source::from([&b"\xff\xd8\xff\xe1"[..], &length, &block, b"\xff\xd9"].concat())
    }

    fn ascii(text: &str) -> Value {
        Value::Ascii(vec![text.as_bytes().to_vec()])
    }

    fn rational(parts: &[(u32, u32)]) -> Value {
        Value::Rational(
            parts
                .iter()
                .map(|&(num, denom)| Rational { num, denom })
                .collect(),
        )
    }

    #[test]
    fn what_cameras_write_is_read() {
        let block = Block::read(&jpeg(&[
            (Tag::Make, ascii("Maker \0")),
            (Tag::Model, ascii("X-1")),
            (Tag::Orientation, Value::Short(vec![6])),
            (Tag::ExposureTime, rational(&[(1, 250)])),
            (Tag::FNumber, rational(&[(28, 10)])),
            (Tag::PhotographicSensitivity, Value::Short(vec![400])),
            (Tag::FocalLength, rational(&[(0, 0)])),
            (Tag::DateTimeOriginal, ascii("2024:03:10 10:00:00")),
            (Tag::OffsetTimeOriginal, ascii("-03:30")),
            (Tag::GPSLatitude, rational(&[(48, 1), (30, 1), (36, 1)])),
            (Tag::GPSLatitudeRef, ascii("N")),
            (Tag::GPSLongitude, rational(&[(2, 1), (15, 1), (0, 1)])),
            (Tag::GPSLongitudeRef, ascii("W")),
        ]))
        .unwrap();
        assert_eq!(block.orientation(), 6);
        assert_eq!(
            serde_json::to_value(block.details().unwrap()).unwrap(),
            serde_json::json!({
                "make": "Maker", "model": "X-1", "exposure_seconds": 0.004, "f_number": 2.8, "iso": 400,
                "taken_at": "2024-03-10T10:00:00-03:30", "gps": {"latitude": 48.51, "longitude": -2.25},
            })
        );
    }

    #[test]
    fn nonsense_is_dropped() {
        let block = Block::read(&jpeg(&[
            (Tag::Orientation, Value::Short(vec![9])),
            (Tag::Make, ascii("\u{1}\u{2}")),
            (Tag::DateTimeOriginal, ascii("0000:00:00 00:00:00")),
            (Tag::GPSLatitude, rational(&[(91, 1)])),
            (Tag::GPSLatitudeRef, ascii("N")),
        ]))
        .unwrap();
        assert_eq!((block.orientation(), block.details()), (1, None));
        assert!(Block::read(&Source::from("no picture")).is_none());
    }
}
