//! What a picture may ask for before it is refused.

use crate::error::LimitName;
use crate::{Error, Result};

/// Bounds that are checked on the file's header, before any pixel is allocated.
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
    /// progressive file has about 10.
    pub max_scans: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 64 << 20,
            max_side: 65_535,
            max_pixels: 178_956_970,
            max_scans: 500,
        }
    }
}

impl Limits {
    /// No bounds at all. Only for pictures that you made yourself.
    pub fn unlimited() -> Self {
        Self {
            max_bytes: u64::MAX,
            max_side: u32::MAX,
            max_pixels: u64::MAX,
            max_scans: u32::MAX,
        }
    }

    /// Checks the size of an encoded file.
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
