//! How much room the data folder has.

use std::io;
use std::path::Path;

/// The bytes that may still be written below `folder`; `None` where the system does not tell.
#[cfg(unix)]
pub(crate) fn free_bytes(folder: &Path) -> io::Result<Option<u64>> {
    let space = rustix::fs::statvfs(folder)?;
    Ok(Some(space.f_bavail.saturating_mul(space.f_frsize)))
}

/// Other systems are asked in ways of their own, which nobody has needed yet.
#[cfg(not(unix))]
pub(crate) fn free_bytes(_folder: &Path) -> io::Result<Option<u64>> {
    Ok(None)
}
