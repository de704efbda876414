//! The encoded picture, as it came in.

use std::path::Path;
use std::sync::Arc;
use std::{fmt, fs};

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::{Error, Result};

/// The encoded bytes of one picture. Cheap to clone: clones share the bytes.
///
/// ```
/// use pipeline_core::{Format, Source};
///
/// let source = Source::from(b"\x89PNG\r\n\x1a\n...".to_vec());
/// assert_eq!(source.format(), Some(Format::Png));
/// ```
#[derive(Clone)]
pub struct Source {
    bytes: Bytes,
}

impl Source {
    /// Reads a whole file into memory.
    ///
    /// ```
    /// use pipeline_core::Source;
    ///
    /// let file = tempfile::NamedTempFile::new().expect("a temporary file");
    /// let source = Source::from_path(file.path())?;
    /// assert!(source.bytes().is_empty());
    /// assert_eq!(Source::from_path("no/such/file.jpg").unwrap_err().code(), "io-failed");
    /// # Ok::<(), pipeline_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        fs::read(path).map(Self::from).map_err(|e| Error::Io {
            path: path.to_owned(),
            source: Arc::new(e),
        })
    }

    /// The encoded bytes.
    ///
    /// ```
    /// use pipeline_core::Source;
    ///
    /// assert_eq!(Source::from("GIF89a").bytes(), b"GIF89a");
    /// ```
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the first bytes announce, or `None` if neither JPEG nor PNG. File names and media types play no part.
    pub fn format(&self) -> Option<Format> {
        Format::sniff(&self.bytes)
    }

    /// Computes the SHA-256 of the bytes. Two files with the same digest are the same file.
    ///
    /// ```
    /// let digest = pipeline_core::Source::from("abc").sha256().to_string();
    /// assert_eq!(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    /// ```
    pub fn sha256(&self) -> Digest {
        Digest(Sha256::digest(&self.bytes).into())
    }
}

impl<T: Into<Bytes>> From<T> for Source {
    fn from(bytes: T) -> Self {
        Self {
            bytes: bytes.into(),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("format", &self.format())
            .field("size_bytes", &self.bytes.len())
            .finish()
    }
}

/// The SHA-256 of a file, written as 64 hexadecimal digits.
///
/// ```
/// use pipeline_core::{Digest, Source};
///
/// let digest = Source::from("abc").sha256();
/// assert_eq!(digest, Digest::from(*digest.as_bytes())); // 32 bytes to store
/// assert!(digest.to_string().starts_with("ba7816bf")); // 64 digits to show
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Digest {
    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Wraps a digest that was computed elsewhere.
impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A file format that this crate reads.
///
/// ```
/// use pipeline_core::Format;
///
/// let format = Format::sniff(b"\xff\xd8\xff\xe0...").expect("it begins like a JPEG file");
/// assert_eq!((format, format.as_str()), (Format::Jpeg, "jpg"));
/// assert_eq!(Format::sniff(b"GIF89a"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Format {
    /// JPEG, multi-picture JPEG (MPO) included. Written "jpg".
    #[serde(rename = "jpg")]
    Jpeg,
    /// PNG, animated PNG included. Written "png".
    #[serde(rename = "png")]
    Png,
}

impl Format {
    /// Reads the format from the first bytes of a file: `FF D8 FF` or the 8 bytes of the PNG signature.
    pub fn sniff(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(b"\xff\xd8\xff") {
            Some(Self::Jpeg)
        } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else {
            None
        }
    }

    /// "jpg" or "png".
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_magic_bytes_decide() {
        assert_eq!(Format::sniff(b"\xff\xd8\xff\xe0"), Some(Format::Jpeg));
        assert_eq!(Format::sniff(b"\x89PNG\r\n\x1a\n"), Some(Format::Png));
        for other in [
            &b""[..],
            b"\xff\xd8",
            b"\x89PNG",
            b"icns\0\0\0\0",
            b"GIF89a",
            b"RIFF",
        ] {
            assert_eq!(Format::sniff(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Source::from_path("no/such.jpg").unwrap_err();
        assert!(
            error.report().starts_with("cannot read no/such.jpg: "),
            "{}",
            error.report()
        );
    }
}
