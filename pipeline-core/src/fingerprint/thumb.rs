//! The placeholder.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use thumbhash::rgba_to_thumb_hash;

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

    /// The hash of RGB samples, 3 × width × height of them; neither side over 100 pixels.
    pub(super) fn of(rgb: &[u8], (width, height): (u32, u32)) -> Self {
        let opaque = rgb.as_chunks::<3>().0.iter();
        let rgba: Vec<u8> = opaque.flat_map(|&[r, g, b]| [r, g, b, 255]).collect();
        Self(rgba_to_thumb_hash(width as usize, height as usize, &rgba))
    }
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
