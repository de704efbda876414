//! What the camera wrote, as the REST interface shows it.

use pipeline_core::{Exif, Gps};
use poem_openapi::Object;

/// What the camera wrote about a picture; each field is absent where the file does not say.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, rename = "Exif")]
pub(super) struct ExifBody {
    /// The camera's maker.
    make: Option<String>,
    /// The camera's model.
    model: Option<String>,
    /// The lens.
    lens: Option<String>,
    /// Exposure time in seconds.
    exposure_seconds: Option<f64>,
    /// The f-number of the aperture.
    f_number: Option<f64>,
    /// Sensitivity, as an ISO number.
    iso: Option<u32>,
    /// Focal length in millimetres, not converted to another sensor size.
    focal_length_mm: Option<f64>,
    /// When the picture was taken, by the camera's clock, with its offset where the camera wrote one.
    taken_at: Option<String>,
    /// Where the picture was taken; only if the server is set to show it.
    gps: Option<GpsBody>,
}

/// A place in WGS 84.
#[derive(Debug, Object)]
#[oai(rename = "Gps")]
struct GpsBody {
    /// Degrees, north positive.
    latitude: f64,
    /// Degrees, east positive.
    longitude: f64,
    /// Metres above sea level.
    #[oai(skip_serializing_if_is_none)]
    altitude_m: Option<f64>,
}

impl ExifBody {
    /// `None` if there is nothing to show.
    pub(super) fn new(exif: Exif, show_location: bool) -> Option<Self> {
        let exif = if show_location {
            exif
        } else {
            exif.without_location()
        };
        (exif != Exif::default()).then(|| Self {
            make: exif.make,
            model: exif.model,
            lens: exif.lens,
            exposure_seconds: exif.exposure_seconds,
            f_number: exif.f_number,
            iso: exif.iso,
            focal_length_mm: exif.focal_length_mm,
            taken_at: exif.taken_at,
            gps: exif.gps.map(GpsBody::from),
        })
    }
}

impl From<Gps> for GpsBody {
    fn from(gps: Gps) -> Self {
        Self {
            latitude: gps.latitude,
            longitude: gps.longitude,
            altitude_m: gps.altitude_m,
        }
    }
}
