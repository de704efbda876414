//! The files beside the database: originals and thumbnails.
//!
//! A file is complete when it appears under its name. Names are made of ids and numbers alone.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use pipeline_core::Thumbnail;
use tempfile::{Builder, NamedTempFile};

use crate::beside::beside;
use crate::conn::lock;
use crate::{Error, ImageId, Result};

/// The folders for files, all on one file system.
#[derive(Debug)]
pub(crate) struct Blobs {
    originals: PathBuf,
    thumbnails: PathBuf,
    tmp: PathBuf,
    /// Subfolders that are known to be on the disk.
    durable: Mutex<HashSet<PathBuf>>,
}

/// A note in `tmp/` that files of an image may be there without a row.
///
/// It is taken before a file gets its name or a row goes, and dropped when files and rows agree again. A note that is
/// found when a store is opened tells where a process ended in between.
#[derive(Debug)]
pub(crate) struct Doubt(NamedTempFile);

impl Blobs {
    /// The folders in `dir`, which [`Blobs::create`] makes.
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            originals: dir.join("originals"),
            thumbnails: dir.join("thumbnails"),
            tmp: dir.join("tmp"),
            durable: Mutex::default(),
        }
    }

    /// Makes the folders that are missing.
    pub(crate) fn create(&self) -> io::Result<()> {
        create_folder(&self.originals)?;
        create_folder(&self.thumbnails)?;
        create_folder(&self.tmp)
    }

    /// Whether there are originals, without creating anything.
    pub(crate) fn has_originals(&self) -> bool {
        fs::read_dir(&self.originals).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// An empty file that goes when it is dropped.
    pub(crate) fn temporary(&self) -> Result<NamedTempFile> {
        Builder::new()
            .prefix("upload.")
            .tempfile_in(&self.tmp)
            .map_err(|e| Error::io("begin an upload", &self.tmp, e))
    }

    /// Notes that files of `id` may be there without a row. The note survives the end of the process; after
    /// [`Blobs::sync_doubts`] a power failure too.
    pub(crate) fn doubt(&self, id: ImageId) -> Result<Doubt> {
        Builder::new()
            .prefix(&format!("{id}."))
            .tempfile_in(&self.tmp)
            .map(Doubt)
            .map_err(|e| Error::io("note a change of files", &self.tmp, e))
    }

    /// Makes the notes durable.
    pub(crate) fn sync_doubts(&self) -> Result<()> {
        sync(&self.tmp).map_err(|e| Error::io("note a change of files", &self.tmp, e))
    }

    /// Empties `tmp/`. Files of an image that a note names are removed unless `has_row` knows the image.
    pub(crate) fn sweep(&self, has_row: impl Fn(ImageId) -> Result<bool>) -> Result<()> {
        let failed = |e| Error::io("clear the temporary files", &self.tmp, e);
        for entry in fs::read_dir(&self.tmp).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if let Some(id) = doubted(&entry.file_name())
                && !has_row(id)?
            {
                self.remove(id)?;
            }
            let path = entry.path();
            if entry.file_type().map_err(failed)?.is_dir() {
                fs::remove_dir_all(path).map_err(failed)?;
            } else {
                fs::remove_file(path).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Makes `file` the original of `id`. It may be lost until [`Blobs::sync_original`] has returned.
    pub(crate) fn place_original(&self, id: ImageId, file: NamedTempFile) -> Result<()> {
        let path = self.original(id);
        let failed = |e| Error::io("store the upload", &path, e);
        make_parent(&path).map_err(failed)?;
        file.persist(&path).map_err(|e| failed(e.error))?;
        Ok(())
    }

    /// Makes the original of `id` durable.
    pub(crate) fn sync_original(&self, id: ImageId) -> Result<()> {
        let path = self.original(id);
        self.sync_below(&self.originals, &path, &[&path])
            .map_err(|e| Error::io("store the upload", &path, e))
    }

    /// Reads the original of `id`, if there is one.
    pub(crate) fn read_original(&self, id: ImageId) -> Result<Option<Vec<u8>>> {
        let path = self.original(id);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("read the original", &path, e)),
        }
    }

    /// Stores the thumbnails of `id`, durably and all at once; what an interrupted attempt left is replaced.
    pub(crate) fn put_thumbnails(&self, id: ImageId, thumbnails: &[Thumbnail]) -> Result<()> {
        let path = self.thumbnail_folder(id);
        let failed = |e| Error::io("store the thumbnails", &path, e);
        let staged = Builder::new()
            .prefix("thumbnails.")
            .tempdir_in(&self.tmp)
            .map_err(failed)?;
        for (position, thumbnail) in thumbnails.iter().enumerate() {
            fs::write(staged.path().join(file_name(position)), &thumbnail.jpeg).map_err(failed)?;
        }
        make_parent(&path).map_err(failed)?;
        // A folder cannot be renamed onto one that has files in it.
        if_found(fs::remove_dir_all(&path)).map_err(failed)?;
        fs::rename(staged.path(), &path).map_err(failed)?;
        // The folder has moved: there is nothing left to remove under its old name.
        let _ = staged.keep();
        let files: Vec<PathBuf> = (0..thumbnails.len())
            .map(|position| path.join(file_name(position)))
            .collect();
        let all: Vec<&Path> = files.iter().chain([&path]).map(PathBuf::as_path).collect();
        self.sync_below(&self.thumbnails, &path, &all)
            .map_err(failed)
    }

    /// Where the thumbnail at `position` is.
    pub(crate) fn thumbnail(&self, id: ImageId, position: usize) -> PathBuf {
        self.thumbnail_folder(id).join(file_name(position))
    }

    /// Removes all files of `id`, durably; having none is fine.
    pub(crate) fn remove(&self, id: ImageId) -> Result<()> {
        let original = self.original(id);
        let thumbnails = self.thumbnail_folder(id);
        for (path, removed) in [
            (&original, fs::remove_file(&original)),
            (&thumbnails, fs::remove_dir_all(&thumbnails)),
        ] {
            let failed = |e| Error::io("remove files of an image", path, e);
            if if_found(removed).map_err(failed)? {
                sync(parent(path)).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Removes all files of `id` after a call failed; where that fails too, the next [`Blobs::sweep`] does it.
    pub(crate) fn undo(&self, id: ImageId, doubt: Doubt) {
        if self.remove(id).is_err() {
            doubt.keep();
        }
    }

    fn original(&self, id: ImageId) -> PathBuf {
        sharded(&self.originals, id)
    }

    fn thumbnail_folder(&self, id: ImageId) -> PathBuf {
        sharded(&self.thumbnails, id)
    }

    /// Makes `files` durable, and the name of `path` in the folder that holds it below `root`.
    fn sync_below(&self, root: &Path, path: &Path, files: &[&Path]) -> io::Result<()> {
        let folder = parent(path);
        let is_known = lock(&self.durable).contains(folder);
        let mut all = files.to_vec();
        all.push(folder);
        if !is_known {
            all.push(root);
        }
        sync_all(&all)?;
        if !is_known {
            lock(&self.durable).insert(folder.to_owned());
        }
        Ok(())
    }
}

impl Doubt {
    /// Leaves the note for the next [`Blobs::sweep`].
    pub(crate) fn keep(mut self) {
        self.0.disable_cleanup(true);
    }
}

/// `ROOT/<first two digits>/<id>`: folders stay small.
fn sharded(root: &Path, id: ImageId) -> PathBuf {
    let name = id.to_string();
    root.join(&name[..2]).join(name)
}

fn file_name(position: usize) -> String {
    format!("{position}.jpg")
}

fn doubted(name: &OsStr) -> Option<ImageId> {
    name.to_str()?.split_once('.')?.0.parse().ok()
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// `true` if something was removed, `false` if there was nothing.
fn if_found(removed: io::Result<()>) -> io::Result<bool> {
    match removed {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

/// Makes the folder that `path` is in.
fn make_parent(path: &Path) -> io::Result<()> {
    match fs::create_dir(parent(path)) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
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

/// Makes files, and the names in folders, durable: all at once, since a disk that is told to flush takes about as long
/// for one as for several.
fn sync_all(paths: &[&Path]) -> io::Result<()> {
    match paths {
        [] => Ok(()),
        [one] => sync(one),
        [first, others @ ..] => {
            let (others, first) = beside(|| sync_all(others), || sync(first));
            first.and(others)
        }
    }
}

/// Makes a file, or the names in a folder, durable.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        fs::File::open(path)?.sync_all()
    } else if path.is_dir() {
        // Elsewhere a folder cannot be opened as a file, and its names are written with the files.
        Ok(())
    } else {
        fs::OpenOptions::new().append(true).open(path)?.sync_all()
    }
}
