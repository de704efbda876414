//! The placeholder.

use std::f32::consts::PI;
use std::{array, fmt};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// A ThumbHash: some 25 bytes that a browser turns into a blurred picture of the right shape. Written in base64.
///
/// The format and decoders for it are at <https://evanw.github.io/thumbhash/>.
///
/// ```
/// use pipeline_core::ThumbHash;
///
/// let hash = ThumbHash::try_from("GIoKDYSlqIdPUXd3eEeHh9N/YIkI".to_owned())?;
/// assert_eq!(hash.as_bytes().len(), 21);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ThumbHash(Vec<u8>);

impl ThumbHash {
    /// The bytes, as a decoder wants them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The hash of RGB samples, 3 × width × height of them.
    pub(super) fn of(rgb: &[u8], (width, height): (u32, u32)) -> Self {
        let longer = width.max(height) as f32;
        let count = |side: u32| ((7.0 * side as f32 / longer).round() as usize).max(1);
        let (across, down) = (count(width), count(height));
        let [l, p, q] = frequencies(rgb, (width, height));
        let l = Channel::of(&l, across.max(3), down.max(3));
        let [p, q] = [p, q].map(|frequencies| Channel::of(&frequencies, 3, 3));

        let level = |value: f32, most: f32| (most * value).round() as u64;
        let signed = |value: f32| (31.5 + 31.5 * value).round() as u64;
        let landscape = width > height;
        // 40 bits, the lowest first. The one between the scales would say that there is transparency.
        let head = level(l.mean, 63.0)
            | signed(p.mean) << 6
            | signed(q.mean) << 12
            | level(l.scale, 31.0) << 18
            | (if landscape { down } else { across } as u64) << 24
            | level(p.scale, 63.0) << 27
            | level(q.scale, 63.0) << 33
            | u64::from(landscape) << 39;
        let mut bytes = head.to_le_bytes()[..5].to_vec();
        let digits: Vec<u8> = [l, p, q].into_iter().flat_map(|c| c.digits).collect();
        let pairs = digits.chunks(2);
        bytes.extend(pairs.map(|pair| pair[0] | pair.get(1).unwrap_or(&0) << 4));
        Self(bytes)
    }
}

/// A channel as it is written.
struct Channel {
    mean: f32,
    /// The largest of the other frequencies.
    scale: f32,
    /// The other frequencies, from −`scale` to `scale`, in 4 bits each.
    digits: Vec<u8>,
}

impl Channel {
    /// Of the lowest frequencies, `across` × `down`, those above the diagonal.
    fn of(frequencies: &Frequencies, across: usize, down: usize) -> Self {
        let row = |y: usize| {
            let kept = (0..across).take_while(move |x| x * down < across * (down - y));
            kept.map(move |x| frequencies[y][x])
        };
        let mut values = (0..down).flat_map(row);
        let mean = values.next().unwrap_or_default();
        let rest: Vec<f32> = values.collect();
        let scale = rest
            .iter()
            .fold(0.0, |most: f32, value| most.max(value.abs()));
        let digit = |value: f32| match scale {
            0.0 => 0,
            _ => (15.0 * (0.5 + 0.5 / scale * value)).round() as u8,
        };
        Self {
            mean,
            scale,
            digits: rest.into_iter().map(digit).collect(),
        }
    }
}

/// Cosine sums of a channel, by vertical and horizontal frequency. No more than 7 are used; 8 fill a vector.
type Frequencies = [[f32; 8]; 8];

/// The mean of the picture times each wave, for luminance, yellow − blue and red − green.
///
/// First along the rows, then down. The crate `thumbhash` goes over all pixels for each of them, which was 2 % of the time
/// of a photograph of 12 Mpx; the tests compare with it.
fn frequencies(rgb: &[u8], (width, height): (u32, u32)) -> [Frequencies; 3] {
    let (across, down) = (waves(width), waves(height));
    let mut sums = [Frequencies::default(); 3];
    let rows = rgb.as_chunks::<3>().0.chunks(across.len());
    for (row, down) in rows.zip(&down) {
        let mut line = [[0.0; 8]; 3];
        for (pixel, across) in row.iter().zip(&across) {
            for (line, level) in line.iter_mut().zip(lpq(pixel)) {
                add(line, level, across);
            }
        }
        for (sums, line) in sums.iter_mut().zip(&line) {
            for (sum, &wave) in sums.iter_mut().zip(down) {
                add(sum, wave, line);
            }
        }
    }
    let pixels = (across.len() * down.len()) as f32;
    sums.map(|channel| channel.map(|row| row.map(|sum| sum / pixels)))
}

fn add(sums: &mut [f32; 8], factor: f32, values: &[f32; 8]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += factor * value;
    }
}

/// For each place on a side, the waves of the frequencies 0 to 7.
fn waves(side: u32) -> Vec<[f32; 8]> {
    let wave =
        |at: u32, frequency: usize| (PI / side as f32 * frequency as f32 * (at as f32 + 0.5)).cos();
    (0..side)
        .map(|at| array::from_fn(|frequency| wave(at, frequency)))
        .collect()
}

fn lpq(pixel: &[u8; 3]) -> [f32; 3] {
    let [r, g, b] = pixel.map(|level| f32::from(level) / 255.0);
    [(r + g + b) / 3.0, (r + g) / 2.0 - b, r - g]
}

impl fmt::Display for ThumbHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(&self.0))
    }
}

impl From<ThumbHash> for String {
    fn from(hash: ThumbHash) -> Self {
        hash.to_string()
    }
}

/// Reads what `Display` writes.
impl TryFrom<String> for ThumbHash {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        STANDARD.decode(text).map(Self)
    }
}
