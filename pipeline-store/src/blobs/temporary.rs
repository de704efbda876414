//! What lies in `tmp/`: files on their way to their place, and notes about images whose files may have no row.
//!
//! Those of calls that are under way are known in memory; all others are what a process has left that ended in between.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::{Builder, NamedTempFile, TempPath};

use super::disk::{create_folder, entries, if_found, is_older, sync};
use super::spare::Spare;
use crate::conn::lock;
use crate::{Error, ImageId, Result};

/// The folder `tmp/`.
#[derive(Debug)]
pub(super) struct Temporaries {
    folder: PathBuf,
    in_use: Arc<InUse>,
    spare: Arc<Spare>,
}

/// The names of files that calls under way need.
type InUse = Mutex<HashSet<OsString>>;

/// A file in `tmp/`, which goes when this is dropped.
#[derive(Debug)]
pub(crate) struct Temporary {
    file: NamedTempFile,
    in_use: Arc<InUse>,
}

/// A note in `tmp/` that files of an image may be there without a row.
///
/// It is taken before a file gets its name or a row goes, and dropped when files and rows agree again. A note that is
/// found without its call tells where a process ended in between.
#[derive(Debug)]
pub(crate) struct Doubt {
    note: Option<TempPath>,
    in_use: Arc<InUse>,
    spare: Arc<Spare>,
}

impl Temporaries {
    /// The folder `folder`, with files for notes in `spare`; [`Temporaries::create`] makes both.
    pub(super) fn new(folder: PathBuf, spare: PathBuf) -> Self {
        Self {
            folder,
            in_use: Arc::default(),
            spare: Arc::new(Spare::new(spare)),
        }
    }

    /// Makes the folders that are missing.
    pub(super) fn create(&self) -> io::Result<()> {
        create_folder(&self.folder)?;
        create_folder(self.spare.folder())
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// An empty file whose name begins with `prefix`.
    pub(super) fn file(&self, prefix: &str) -> io::Result<Temporary> {
        let file = Builder::new().prefix(prefix).tempfile_in(&self.folder)?;
        lock(&self.in_use).insert(name(file.path()).to_owned());
        Ok(Temporary {
            file,
            in_use: Arc::clone(&self.in_use),
        })
    }

    /// Notes that files of `id` may be there without a row. The note survives the end of the process; after
    /// [`Temporaries::sync`] a power failure too.
    pub(super) fn doubt(&self, id: ImageId) -> io::Result<Doubt> {
        let prefix = format!("{id}.");
        let mut builder = Builder::new();
        let file = builder.prefix(&prefix).make_in(&self.folder, |path| {
            // The name first: whoever looks into the folder sees a note that is in use.
            lock(&self.in_use).insert(name(path).to_owned());
            self.spare.take(path).inspect_err(|_| {
                lock(&self.in_use).remove(name(path));
            })
        });
        Ok(Doubt {
            note: Some(file?.into_temp_path()),
            in_use: Arc::clone(&self.in_use),
            spare: Arc::clone(&self.spare),
        })
    }

    /// The images that calls under way have in doubt.
    pub(super) fn doubted(&self) -> HashSet<ImageId> {
        let in_use = lock(&self.in_use);
        in_use.iter().filter_map(|name| doubted(name)).collect()
    }

    /// Makes the names durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        sync(&self.folder)
    }

    /// What was left behind `age` ago or earlier.
    pub(super) fn left(&self, age: Duration) -> io::Result<Vec<Left>> {
        // In this order: what was in use when it was seen, and no longer is, has gone by itself.
        let found = entries(&self.folder)?;
        let in_use = lock(&self.in_use).clone();
        let left = found
            .into_iter()
            .filter(|entry| !in_use.contains(&entry.file_name()))
            .map(|entry| Left {
                about: doubted(&entry.file_name()),
                path: entry.path(),
            })
            .filter(|left| age.is_zero() || is_older(&left.path, age));
        Ok(left.collect())
    }

    /// Removes what [`Temporaries::left`] found.
    pub(super) fn clear(left: &Left) -> Result<()> {
        let path = &left.path;
        let removed = match path.is_dir() {
            true => fs::remove_dir_all(path),
            false => fs::remove_file(path),
        };
        if_found(removed)
            .map(drop)
            .map_err(|e| Error::io("clear the temporary files", path, e))
    }
}

/// Something in `tmp/` that belongs to no call.
#[derive(Debug)]
pub(crate) struct Left {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The image whose files may be there without a row.
    pub(crate) about: Option<ImageId>,
}

impl Temporary {
    pub(crate) fn as_file_mut(&mut self) -> &mut fs::File {
        self.file.as_file_mut()
    }

    /// Moves the file to `path`, in place of what is there.
    pub(super) fn persist(mut self, path: &Path) -> io::Result<()> {
        fs::rename(self.file.path(), path)?;
        // It has moved: there is nothing left to remove under its old name.
        self.file.disable_cleanup(true);
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        lock(&self.in_use).remove(name(self.file.path()));
    }
}

impl Doubt {
    /// Leaves the note for the next sweep.
    pub(crate) fn keep(mut self) {
        if let Some(mut note) = self.note.take() {
            note.disable_cleanup(true);
            lock(&self.in_use).remove(name(&note));
        }
    }
}

impl Drop for Doubt {
    fn drop(&mut self) {
        if let Some(note) = self.note.take() {
            let name = name(&note).to_owned();
            self.spare.give(note);
            lock(&self.in_use).remove(&name);
        }
    }
}

fn name(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}

fn doubted(name: &OsStr) -> Option<ImageId> {
    name.to_str()?.split_once('.')?.0.parse().ok()
}
