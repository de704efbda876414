//! The hash that pictures which look alike share: the signs of their lowest frequencies.

use std::array;
use std::f64::consts::PI;
use std::fmt;

use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::decode::Content;
use crate::error::SharedError;
use crate::resize::bicubic;

/// A 64-bit pHash, written as 16 hexadecimal digits.
///
/// The picture in grey is made 32 × 32 pixels; of its discrete cosine transform, the 8 × 8 lowest frequencies give a bit
/// each, row by row, the first the highest: whether the frequency is above the median of the 64. The `phash` of Python's
/// ImageHash is made in the same way, so that the two differ by the few bits that another resize makes.
///
/// Of a picture that was saved again or resized, few bits differ; of two unrelated ones, about 32. It is no proof that
/// two pictures are the same.
///
/// ```
/// use pipeline_core::PerceptualHash;
///
/// let hash = PerceptualHash::try_from("bb8320376c0f3637".to_owned())?;
/// let other = PerceptualHash::try_from("bb8320376c0f3630".to_owned())?;
/// assert_eq!(hash.distance(other), 3);
/// assert_eq!(hash.to_string(), "bb8320376c0f3637");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PerceptualHash(u64);

impl PerceptualHash {
    /// All 64 bits.
    ///
    /// ```
    /// use pipeline_core::PerceptualHash;
    ///
    /// let hash = PerceptualHash::try_from("bb8320376c0f3637".to_owned())?;
    /// assert_eq!(hash.bits(), 0xbb83_2037_6c0f_3637); // as a database would store it
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The number of bits that differ, 0 to 64.
    pub fn distance(self, other: Self) -> u32 {
        (self.0 ^ other.0).count_ones()
    }

    /// The hash of RGB samples, 3 × width × height of them.
    pub(super) fn of(rgb: &[u8], (width, height): (u32, u32)) -> Result<Self, SharedError> {
        let picture =
            RgbImage::from_raw(width, height, rgb.to_vec()).expect("three samples for each pixel");
        let square = bicubic(&picture, Content::whole(&picture), (SIDE, SIDE))?;
        let luma: Vec<i64> = square.as_chunks::<3>().0.iter().map(luma).collect();
        let frequencies = low_frequencies(&luma);
        let mut sorted = frequencies;
        sorted.sort_unstable();
        let twice_the_median = sorted[31] + sorted[32];
        Ok(Self(frequencies.iter().fold(0, |bits, &frequency| {
            bits << 1 | u64::from(2 * frequency > twice_the_median)
        })))
    }
}

impl fmt::Display for PerceptualHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl From<PerceptualHash> for String {
    fn from(hash: PerceptualHash) -> Self {
        hash.to_string()
    }
}

/// Reads what `Display` writes.
impl TryFrom<String> for PerceptualHash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        u64::from_str_radix(&text, 16)
            .ok()
            .filter(|_| digits)
            .map(Self)
            .ok_or("not 16 hexadecimal digits")
    }
}

/// The side of the square that is transformed, and the frequencies that are kept in each direction.
const SIDE: u32 = 32;
const KEPT: usize = 8;

/// ITU-R 601, in the whole numbers that Pillow uses.
fn luma(&[r, g, b]: &[u8; 3]) -> i64 {
    (i64::from(r) * 19_595 + i64::from(g) * 38_470 + i64::from(b) * 7_471 + 0x8000) >> 16
}

/// The lowest frequencies of a square of samples, row by row, in whole numbers: what is zero is exactly zero, so that
/// no rounding decides the bits of a plain picture.
fn low_frequencies(samples: &[i64]) -> [i64; KEPT * KEPT] {
    let side = SIDE as usize;
    let waves: [[i64; SIDE as usize]; KEPT] = array::from_fn(|frequency| {
        array::from_fn(|at| {
            let angle = PI * frequency as f64 * (2 * at + 1) as f64 / (2 * side) as f64;
            (angle.cos() * 4_096.0).round() as i64
        })
    });
    let transform = |line: &mut dyn Iterator<Item = i64>, wave: &[i64]| -> i64 {
        line.zip(wave).map(|(sample, weight)| sample * weight).sum()
    };
    let rows: Vec<[i64; KEPT]> = samples
        .chunks_exact(side)
        .map(|row| array::from_fn(|u| transform(&mut row.iter().copied(), &waves[u])))
        .collect();
    array::from_fn(|at| {
        let (v, u) = (at / KEPT, at % KEPT);
        transform(&mut rows.iter().map(|row| row[u]), &waves[v])
    })
}
