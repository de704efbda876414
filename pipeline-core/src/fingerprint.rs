//! What a picture looks like, in a few bytes: a hash to find it again by, and a placeholder to show before it is there.
//!
//! Both are made of the upright sRGB pixels that the thumbnails are made of. The judge is in `tests/it/fingerprints.rs`
//! of the workspace.

mod perceptual;
mod thumb;

use serde::{Deserialize, Serialize};

pub use perceptual::PerceptualHash;
pub use thumb::ThumbHash;

use crate::error::SharedError;
use crate::resize::bicubic;
use crate::thumbnail::fit;
use crate::{Cx, Decoded, Error, Result, Stage};

/// The side of the square that a picture is fitted into before it is hashed, in pixels: ThumbHash takes no more.
pub(crate) const SIDE: u32 = 100;

/// Two hashes of a picture's pixels.
///
/// ```
/// use pipeline_core::image::RgbImage;
/// use pipeline_core::{Cx, Decoded, FingerprintStage, Stage};
///
/// let picture = Decoded::from(RgbImage::new(64, 48));
/// let fingerprint = FingerprintStage::new().run(&picture, &Cx::none())?;
/// println!("{}", fingerprint.perceptual_hash); // 16 hexadecimal digits
/// println!("{}", fingerprint.thumbhash); // base64, for a placeholder in a page
/// # Ok::<(), pipeline_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Fingerprint {
    /// Nearly the same for pictures that look nearly the same.
    pub perceptual_hash: PerceptualHash,
    /// A blurred copy of the picture to show while the picture itself is loading.
    pub thumbhash: ThumbHash,
}

/// The stage that makes a [`Fingerprint`].
///
/// ```
/// use pipeline_core::{Cx, Decode, FingerprintStage, Limits, Pipeline, Source, StageExt};
///
/// # let folder = tempfile::tempdir().expect("a temporary folder");
/// # let (cat, small_cat) = (folder.path().join("cat.png"), folder.path().join("cat-small.png"));
/// # for (path, side) in [(&cat, 200_u32), (&small_cat, 100)] {
/// #     let disc = |x: u32, y: u32| (x.abs_diff(side / 3).pow(2) + y.abs_diff(side / 2).pow(2)) * 16 < side * side;
/// #     let pixel = |x, y| pipeline_core::image::Rgb([if disc(x, y) { 230 } else { 30 }; 3]);
/// #     pipeline_core::image::RgbImage::from_fn(side, side, pixel).save(path).expect("it can be written");
/// # }
/// let hashes = Decode::new(Limits::default()).then(FingerprintStage::new());
/// let one = hashes.process(&Source::from_path(&cat)?, &Cx::none())?;
/// let other = hashes.process(&Source::from_path(&small_cat)?, &Cx::none())?;
/// assert!(one.perceptual_hash.distance(other.perceptual_hash) < 10); // of 64 bits
/// # Ok::<(), pipeline_core::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct FingerprintStage {}

impl FingerprintStage {
    /// The stage.
    pub fn new() -> Self {
        Self {}
    }
}

impl Stage<Decoded> for FingerprintStage {
    type Out = Fingerprint;

    fn name(&self) -> &'static str {
        "fingerprint"
    }

    fn run(&self, picture: &Decoded, cx: &Cx) -> Result<Fingerprint> {
        cx.check()?;
        let (width, height) = picture.full_size();
        let size = fit(width, height, SIDE);
        let fingerprint = || -> Result<_, SharedError> {
            let small = bicubic(picture.pixels(), picture.content(), size)?;
            Ok(Fingerprint {
                perceptual_hash: PerceptualHash::of(&small, size)?,
                thumbhash: ThumbHash::of(&small, size),
            })
        };
        fingerprint().map_err(|source| Error::Stage {
            stage: self.name(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;

    fn fingerprint(picture: RgbImage) -> Fingerprint {
        FingerprintStage::new()
            .run(&Decoded::from(picture), &Cx::none())
            .unwrap()
    }

    #[test]
    fn every_shape_has_one() {
        for (width, height) in [(1, 1), (1, 3_000), (3_000, 1), (101, 100), (7, 31)] {
            let made = fingerprint(RgbImage::from_fn(width, height, |x, y| {
                Rgb([x as u8, y as u8, 90])
            }));
            let json = serde_json::to_string(&made).unwrap();
            assert_eq!(serde_json::from_str::<Fingerprint>(&json).unwrap(), made);
        }
    }

    #[test]
    fn nothing_in_a_picture_is_nothing_in_its_hash() {
        for level in [1, 90, 255] {
            let plain = fingerprint(RgbImage::from_pixel(300, 200, Rgb([level; 3])));
            assert_eq!(plain.perceptual_hash.to_string(), "8000000000000000");
        }
    }

    #[test]
    fn hashes_are_written_as_clients_expect_them() {
        let json = r#"{"perceptual_hash":"00ff00000000abcd","thumbhash":"AQIDBAU="}"#;
        let parsed: Fingerprint = serde_json::from_str(json).unwrap();
        assert_eq!(parsed.perceptual_hash.bits(), 0x00ff_0000_0000_abcd);
        assert_eq!(parsed.thumbhash.as_bytes(), [1, 2, 3, 4, 5]);
        assert_eq!(serde_json::to_string(&parsed).unwrap(), json);
        for bad in ["", "ff", "+0ff00000000abcd", "zzff00000000abcd"] {
            assert!(PerceptualHash::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        assert!(ThumbHash::try_from("AQID BAU=".to_owned()).is_err());
    }

    #[test]
    fn a_picture_without_pixels_is_refused() {
        let error = FingerprintStage::new()
            .run(&Decoded::from(RgbImage::new(0, 0)), &Cx::none())
            .unwrap_err();
        assert_eq!(
            error.report(),
            "stage `fingerprint` failed: it has no pixels"
        );
    }
}
