//! Files and folders, and when they are on the disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ImageId;

/// `ROOT/<first two digits>/<id>`: folders stay small.
pub(super) fn sharded(root: &Path, id: ImageId) -> PathBuf {
    let name = id.to_string();
    root.join(&name[..2]).join(name)
}

pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// `true` if something was removed, `false` if there was nothing.
pub(super) fn if_found(removed: io::Result<()>) -> io::Result<bool> {
    match removed {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Makes one folder, unless it is there.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

/// The names in a folder; none if there is no such folder.
pub(super) fn entries(folder: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

/// Whether `path` was last written to `age` ago or earlier; `false` if that cannot be told.
pub(super) fn is_older(path: &Path, age: Duration) -> bool {
    let modified = fs::symlink_metadata(path).and_then(|file| file.modified());
    modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|passed| passed >= age))
}

/// Creates `path` and the folders above it, durably.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if path.exists() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    create_folder(parent(path))?;
    fs::create_dir(path)?;
    sync(parent(path))
}

/// Makes a file, or the names in a folder, durable.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    crate::conn::lock(&SYNCED).insert(path.to_owned());
    if cfg!(unix) {
        fs::File::open(path)?.sync_all()
    } else if path.is_dir() {
        // Elsewhere a folder cannot be opened as a file, and its names are written with the files.
        Ok(())
    } else {
        fs::OpenOptions::new().append(true).open(path)?.sync_all()
    }
}

/// What was made durable, for the tests: no process can see what a power failure would take.
#[cfg(test)]
pub(crate) static SYNCED: std::sync::Mutex<std::collections::BTreeSet<PathBuf>> =
    std::sync::Mutex::new(std::collections::BTreeSet::new());
