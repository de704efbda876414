//! What a picture may ask for before it is refused.

use std::time::Duration;

use crate::error::LimitName;
use crate::{Error, Result};

/// Bounds that are checked on the file's header, before any pixel is allocated; only time is watched while decoding.
///
/// A bound is inclusive: a picture that is exactly at it passes.
///
/// ```
/// let limits = pipeline_core::Limits { max_pixels: 50_000_000, ..Default::default() };
/// assert!(limits.check_size(10_000, 5_000).is_ok());
/// assert_eq!(limits.check_size(10_000, 5_001).unwrap_err().code(), "too-many-pixels");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The size of the encoded file, in bytes. Default: 64 MiB.
    pub max_bytes: u64,
    /// The longer side, in pixels. Default: 65,535, the most that JPEG can say.
    pub max_side: u32,
    /// Width × height, in pixels. Default: 178,956,970, where Pillow refuses as well.
    pub max_pixels: u64,
    /// The scans of a JPEG file: each can make the decoder go over the whole picture again. Default: 500; a usual
    /// progressive file has about 10. Large pictures get fewer, see [`Limits::scans_for`].
    pub max_scans: u32,
    /// What a file carries beside its pixels, in bytes after unpacking: EXIF, XMP, colour profile, texts, all together.
    /// Default: 16 MiB.
    pub max_metadata_bytes: u64,
    /// The pictures that a file announces, of which only the first is decoded. Default: 10,000.
    pub max_frames: u32,
    /// The time that decoding one picture may take, waiting for memory not counted. Default: 30 seconds.
    pub max_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            max_side: 65_535,
            max_pixels: 178_956_970,
            max_scans: 500,
            max_metadata_bytes: 16 << 20,
            max_frames: 10_000,
            max_time: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// No bounds at all. Only for pictures that you made yourself.
    ///
    /// ```
    /// use pipeline_core::Limits;
    ///
    /// // One bound of your own and no others.
    /// let limits = Limits { max_side: 4_096, ..Limits::unlimited() };
    /// assert!(limits.check_size(4_096, 4_096).is_ok());
    /// ```
    pub fn unlimited() -> Self {
        Self {
            max_bytes: u64::MAX,
            max_side: u32::MAX,
            max_pixels: u64::MAX,
            max_scans: u32::MAX,
            max_metadata_bytes: u64::MAX,
            max_frames: u32::MAX,
            max_time: Duration::MAX,
        }
    }

    /// Checks the size of an encoded file.
    ///
    /// ```
    /// let limits = pipeline_core::Limits::default();
    /// assert!(limits.check_bytes(64 << 20).is_ok());
    /// assert_eq!(limits.check_bytes((64 << 20) + 1).unwrap_err().code(), "file-too-large");
    /// ```
    ///
    /// # Errors
    /// [`Error::Limit`] if it is over [`Limits::max_bytes`].
    pub fn check_bytes(&self, size_bytes: u64) -> Result<()> {
        check(LimitName::Bytes, size_bytes, self.max_bytes)
    }

    /// Checks a picture's sides, in pixels.
    ///
    /// # Errors
    /// [`Error::Limit`] if a side or their product is over its bound.
    pub fn check_size(&self, width: u32, height: u32) -> Result<()> {
        check(
            LimitName::Side,
            width.max(height).into(),
            self.max_side.into(),
        )?;
        check(
            LimitName::Pixels,
            u64::from(width) * u64::from(height),
            self.max_pixels,
        )
    }

    /// How many scans a JPEG of so many pixels may have: [`Limits::max_scans`], but together no more than 2³⁰ pixels, or
    /// 12 scans where even those are more. A scan may take a few bytes of the file and a second of the decoder.
    ///
    /// ```
    /// let limits = pipeline_core::Limits::default();
    /// assert_eq!(limits.scans_for(640 * 480), 500);
    /// assert_eq!(limits.scans_for(12_000_000), 89);
    /// assert_eq!(limits.scans_for(178_956_970), 12);
    /// assert_eq!(pipeline_core::Limits::unlimited().scans_for(12_000_000), u32::MAX);
    /// ```
    pub fn scans_for(&self, pixels: u64) -> u32 {
        const SCANNED_PIXELS: u64 = 1 << 30;
        const ALWAYS: u32 = 12;
        if self.max_scans == u32::MAX {
            return self.max_scans;
        }
        let together = u32::try_from(SCANNED_PIXELS / pixels.max(1)).unwrap_or(u32::MAX);
        self.max_scans.min(together.max(ALWAYS))
    }
}

pub(crate) fn check(limit: LimitName, actual: u64, max: u64) -> Result<()> {
    if actual > max {
        Err(Error::Limit { limit, actual, max })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_at_the_bound_passes() {
        let limits = Limits {
            max_bytes: 10,
            max_side: 4,
            max_pixels: 12,
            ..Limits::default()
        };
        assert!(limits.check_bytes(10).is_ok() && limits.check_bytes(11).is_err());
        assert!(limits.check_size(4, 3).is_ok());
        assert_eq!(
            limits.check_size(5, 1).unwrap_err().code(),
            "picture-too-wide"
        );
        assert_eq!(
            limits.check_size(4, 4).unwrap_err().code(),
            "too-many-pixels"
        );
    }

    #[test]
    fn the_largest_sides_do_not_overflow() {
        assert!(Limits::unlimited().check_size(u32::MAX, u32::MAX).is_ok());
        assert!(Limits::default().check_size(u32::MAX, u32::MAX).is_err());
    }
}
