//! The EXIF block of a picture. A damaged one counts as absent: it never fails the picture.

mod tiff;
mod time;

use serde::{Deserialize, Serialize};

pub(crate) use tiff::Tiff;
use tiff::{Directory, Field};
use time::taken_at;

/// What a camera wrote about a picture. Each field is absent where the file does not say.
///
/// ```
/// use pipeline_core::Exif;
///
/// let mut exif = Exif::default();
/// exif.make = Some("Acme".to_owned());
/// assert_eq!(serde_json::to_string(&exif.without_location())?, r#"{"make":"Acme"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
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
///
/// ```
/// use pipeline_core::Gps;
///
/// let place: Gps = serde_json::from_str(r#"{"latitude": 52.5163, "longitude": 13.3777}"#)?;
/// assert!(place.latitude > 0.0); // north of the equator
/// assert_eq!(place.altitude_m, None);
/// # Ok::<(), serde_json::Error>(())
/// ```
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
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    primary: Directory<'a>,
    camera: Option<Directory<'a>>,
    place: Option<Directory<'a>>,
}

impl<'a> Block<'a> {
    /// Reads a block that starts with its TIFF header.
    pub(crate) fn read(mut bytes: &'a [u8]) -> Option<Self> {
        // Some programs keep the mark of a JPEG segment where it does not belong.
        while let Some(rest) = bytes.strip_prefix(b"Exif\0\0") {
            bytes = rest;
        }
        let primary = Tiff::open(bytes)?.first()?;
        Some(Self {
            primary,
            camera: primary.child(tag::EXIF_DIRECTORY),
            place: primary.child(tag::GPS_DIRECTORY),
        })
    }

    /// How to turn the stored pixels to see the picture upright: 1 to 8, or nonsense.
    pub(crate) fn orientation(&self) -> Option<u8> {
        let value = self.primary.field(tag::ORIENTATION)?;
        Some(
            value
                .uint()
                .map_or(1, |value| value.try_into().unwrap_or(1)),
        )
    }

    /// The rest, or `None` if nothing of it is there.
    pub(crate) fn details(&self) -> Option<Exif> {
        let number = |tag| numbers(self.camera, tag)?.first().copied();
        let details = Exif {
            make: text(Some(self.primary), tag::MAKE),
            model: text(Some(self.primary), tag::MODEL),
            lens: text(self.camera, tag::LENS_MODEL),
            exposure_seconds: number(tag::EXPOSURE_TIME),
            f_number: number(tag::F_NUMBER),
            iso: field(self.camera, tag::SENSITIVITY).and_then(Field::uint),
            focal_length_mm: number(tag::FOCAL_LENGTH),
            taken_at: taken_at(
                ascii(self.camera, tag::TAKEN_AT).unwrap_or_default(),
                ascii(self.camera, tag::TAKEN_AT_OFFSET),
            ),
            gps: self.gps(),
        };
        (details != Exif::default()).then_some(details)
    }

    fn gps(&self) -> Option<Gps> {
        let degrees = |value, reference, negative: u8, most: f64| {
            let parts = numbers(self.place, value)?;
            let units = [1.0, 60.0, 3_600.0];
            let degrees: f64 = parts
                .iter()
                .zip(units)
                .map(|(part, unit)| part / unit)
                .sum();
            let sign = if ascii(self.place, reference)?.first() == Some(&negative) {
                -1.0
            } else {
                1.0
            };
            (degrees <= most).then_some(sign * degrees)
        };
        let latitude = degrees(tag::LATITUDE, tag::LATITUDE_REF, b'S', 90.0)?;
        let longitude = degrees(tag::LONGITUDE, tag::LONGITUDE_REF, b'W', 180.0)?;
        let below_sea = field(self.place, tag::ALTITUDE_REF).and_then(Field::uint) == Some(1);
        let altitude =
            numbers(self.place, tag::ALTITUDE).and_then(|metres| metres.first().copied());
        Some(Gps {
            latitude,
            longitude,
            altitude_m: altitude.map(|metres| if below_sea { -metres } else { metres }),
        })
    }
}

fn field(directory: Option<Directory<'_>>, tag: u16) -> Option<Field<'_>> {
    directory?.field(tag)
}

fn ascii(directory: Option<Directory<'_>>, tag: u16) -> Option<&[u8]> {
    field(directory, tag)?.ascii()
}

fn text(directory: Option<Directory<'_>>, tag: u16) -> Option<String> {
    /// Longer than any camera's name; what is longer is not meant to be read.
    const MOST_CHARS: usize = 200;
    let text = String::from_utf8_lossy(ascii(directory, tag)?);
    let text: String = text
        .chars()
        .filter(|c| !c.is_control())
        .take(MOST_CHARS)
        .collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Up to three numbers of a field; `None` if one of them is not finite, since cameras write 0/0 for "unknown".
fn numbers(directory: Option<Directory<'_>>, tag: u16) -> Option<Vec<f64>> {
    let numbers: Vec<f64> = field(directory, tag)?.numbers().take(3).collect();
    let finite = numbers.iter().all(|number| number.is_finite());
    (finite && !numbers.is_empty()).then_some(numbers)
}

/// The numbers of the fields (CIPA DC-008).
mod tag {
    pub(super) const MAKE: u16 = 0x010f;
    pub(super) const MODEL: u16 = 0x0110;
    pub(super) const ORIENTATION: u16 = 0x0112;
    pub(super) const EXIF_DIRECTORY: u16 = 0x8769;
    pub(super) const GPS_DIRECTORY: u16 = 0x8825;
    pub(super) const EXPOSURE_TIME: u16 = 0x829a;
    pub(super) const F_NUMBER: u16 = 0x829d;
    pub(super) const SENSITIVITY: u16 = 0x8827;
    pub(super) const TAKEN_AT: u16 = 0x9003;
    pub(super) const TAKEN_AT_OFFSET: u16 = 0x9011;
    pub(super) const FOCAL_LENGTH: u16 = 0x920a;
    pub(super) const LENS_MODEL: u16 = 0xa434;
    pub(super) const LATITUDE_REF: u16 = 1;
    pub(super) const LATITUDE: u16 = 2;
    pub(super) const LONGITUDE_REF: u16 = 3;
    pub(super) const LONGITUDE: u16 = 4;
    pub(super) const ALTITUDE_REF: u16 = 5;
    pub(super) const ALTITUDE: u16 = 6;
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use ::exif::experimental::Writer;
    use ::exif::{Field, In, Rational, Tag, Value};

    use super::*;

    /// A block with these fields, by another program.
    fn block(fields: &[(Tag, Value)]) -> Vec<u8> {
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
        tiff.into_inner()
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
        let bytes = block(&[
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
        ]);
        let block = Block::read(&bytes).unwrap();
        assert_eq!(block.orientation(), Some(6));
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
        let bytes = block(&[
            (Tag::Orientation, Value::Short(vec![9])),
            (Tag::Make, ascii("\u{1}\u{2}")),
            (Tag::DateTimeOriginal, ascii("0000:00:00 00:00:00")),
            (Tag::GPSLatitude, rational(&[(91, 1)])),
            (Tag::GPSLatitudeRef, ascii("N")),
        ]);
        let block = Block::read(&bytes).unwrap();
        assert_eq!((block.orientation(), block.details()), (Some(9), None));
        assert!(Block::read(b"no block").is_none());
    }
}
