//! An upload on its way in.

use std::fmt;
use std::io::{self, Write};

use crate::blobs::Temporary;
use crate::fail_point::fail_point;
use sha2::{Digest, Sha256};

/// A file that is being received: write the bytes into it, then hand it to [`Store::accept`](crate::Store::accept).
///
/// Dropped before that, it leaves nothing behind. [`Error::upload`](crate::Error::upload) converts its errors.
///
/// ```
/// use std::io::Write;
/// # use pipeline_store::{Store, StoreConfig};
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), &StoreConfig::default())?;
///
/// let mut upload = store.begin_upload()?;
/// for block in [b"some bytes", b"more bytes"] {
///     upload.write_all(block)?;
///     if upload.size_bytes() > 1 << 20 {
///         break; // dropped, it leaves nothing behind
///     }
/// }
/// store.accept(upload, "cat.jpg")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "an upload that is dropped is thrown away"]
pub struct Upload {
    // Boxed: a receiver moves the upload from thread to thread with every block.
    file: Box<Temporary>,
    hasher: Sha256,
    size_bytes: u64,
}

/// A received file and what was learnt on the way.
pub(crate) struct Received {
    pub(crate) file: Temporary,
    pub(crate) sha256: [u8; 32],
    pub(crate) size_bytes: u64,
}

impl Upload {
    pub(crate) fn new(file: Temporary) -> Self {
        Self {
            file: Box::new(file),
            hasher: Sha256::new(),
            size_bytes: 0,
        }
    }

    /// The number of bytes written so far.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    pub(crate) fn finish(self) -> Received {
        Received {
            file: *self.file,
            sha256: self.hasher.finalize().into(),
            size_bytes: self.size_bytes,
        }
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        fail_point("receiving")?;
        let written = self.file.as_file_mut().write(bytes)?;
        // Only what reached the file counts: a full disk may take a part of the bytes.
        self.hasher.update(&bytes[..written]);
        self.size_bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_file_mut().flush()
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("size_bytes", &self.size_bytes)
            .finish_non_exhaustive()
    }
}
