//! The files beside the database: originals and thumbnails.
//!
//! A file is complete when it appears under its name, and is never replaced by another one's. Names are made of ids and
//! numbers alone.

mod disk;
mod orphans;
mod spare;
mod temporary;

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use pipeline_core::Thumbnail;

use crate::conn::lock;
use crate::fail_point::fail_point;
use crate::{Error, ImageId, Job, Result};
#[cfg(test)]
pub(crate) use disk::SYNCED;
use disk::{if_found, make_folder, parent, sharded};
use temporary::Temporaries;

pub(crate) use disk::{create_folder, sync};
pub(crate) use temporary::{Doubt, Left, Temporary};

/// The folders for files, all on one file system.
#[derive(Debug)]
pub(crate) struct Blobs {
    originals: PathBuf,
    thumbnails: PathBuf,
    temporaries: Temporaries,
    /// Subfolders that are known to be on the disk.
    durable: Mutex<HashSet<PathBuf>>,
}

impl Blobs {
    /// The folders in `dir`, which [`Blobs::create`] makes.
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            originals: dir.join("originals"),
            thumbnails: dir.join("thumbnails"),
            temporaries: Temporaries::new(dir.join("tmp"), dir.join("spare")),
            durable: Mutex::default(),
        }
    }

    /// Makes the folders that are missing.
    pub(crate) fn create(&self) -> io::Result<()> {
        create_folder(&self.originals)?;
        create_folder(&self.thumbnails)?;
        self.temporaries.create()
    }

    /// Whether there are originals, without creating anything.
    pub(crate) fn has_originals(&self) -> bool {
        fs::read_dir(&self.originals).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// An empty file that goes when it is dropped.
    pub(crate) fn temporary(&self) -> Result<Temporary> {
        let failed = |e| Error::io("begin an upload", self.temporaries.folder(), e);
        self.temporaries.file("upload.").map_err(failed)
    }

    /// Notes that files of `id` may be there without a row. The note survives the end of the process; after
    /// [`Blobs::sync_doubts`] a power failure too.
    pub(crate) fn doubt(&self, id: ImageId) -> Result<Doubt> {
        self.temporaries.doubt(id).map_err(|e| self.no_note(e))
    }

    /// Makes the notes durable.
    pub(crate) fn sync_doubts(&self) -> Result<()> {
        self.temporaries.sync().map_err(|e| self.no_note(e))
    }

    fn no_note(&self, source: io::Error) -> Error {
        Error::io("note a change of files", self.temporaries.folder(), source)
    }

    /// Makes `file` the original of `id`. It may be lost until [`Blobs::sync_original`] has returned.
    pub(crate) fn place_original(&self, id: ImageId, file: Temporary) -> Result<()> {
        let path = self.original(id);
        make_folder(parent(&path))
            .and_then(|()| file.persist(&path))
            .and_then(|()| fail_point("renamed"))
            .map_err(|e| Error::io("store the upload", &path, e))
    }

    /// Makes the original of `id` durable.
    pub(crate) fn sync_original(&self, id: ImageId) -> Result<()> {
        let path = self.original(id);
        self.sync_below(&self.originals, &path, &[&path])
            .and_then(|()| fail_point("synced"))
            .map_err(|e| Error::io("store the upload", &path, e))
    }

    /// Makes the original of `id` durable, if there is one.
    pub(crate) fn sync_original_if_found(&self, id: ImageId) -> Result<()> {
        let path = self.original(id);
        match self.sync_below(&self.originals, &path, &[&path]) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("store the upload", &path, e))
            }
            _ => Ok(()),
        }
    }

    /// Reads the original of `id`, if there is one.
    pub(crate) fn read_original(&self, id: ImageId) -> Result<Option<Vec<u8>>> {
        let path = self.original(id);
        match fail_point("reading").and_then(|()| fs::read(&path)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io("read the original", &path, e)),
        }
    }

    /// The size of the original of `id`, in bytes, if there is one.
    pub(crate) fn original_size(&self, id: ImageId) -> Option<u64> {
        size(&self.original(id))
    }

    /// Stores the thumbnails that the holder of `job` made, durably, and returns the names of the files. The files of
    /// another holder have other names.
    pub(crate) fn put_thumbnails(
        &self,
        job: &Job,
        thumbnails: &[Thumbnail],
    ) -> Result<Vec<String>> {
        if thumbnails.is_empty() {
            return Ok(Vec::new());
        }
        let folder = self.thumbnail_folder(job.id);
        let put = || -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            let mut files = Vec::new();
            make_folder(parent(&folder))?;
            make_folder(&folder)?;
            for (position, thumbnail) in thumbnails.iter().enumerate() {
                let mut file = self.temporaries.file("thumbnail.")?;
                file.as_file_mut().write_all(&thumbnail.jpeg)?;
                fail_point("thumbnail-written")?;
                let name = format!("{}-{position}.jpg", job.claim);
                file.persist(&folder.join(&name))?;
                files.push(folder.join(&name));
                names.push(name);
            }
            let all: Vec<&Path> = files.iter().chain([&folder]).map(AsRef::as_ref).collect();
            self.sync_below(&self.thumbnails, &folder, &all)?;
            Ok(names)
        };
        put().map_err(|e| Error::io("store the thumbnails", &folder, e))
    }

    /// Removes what [`Blobs::put_thumbnails`] has stored, or a part of it; where that fails, the next sweep does it.
    pub(crate) fn take_back_thumbnails(&self, job: &Job, count: usize, doubt: Doubt) {
        let folder = self.thumbnail_folder(job.id);
        let mut all_gone = true;
        for position in 0..count {
            let file = folder.join(format!("{}-{position}.jpg", job.claim));
            all_gone &= if_found(fs::remove_file(file)).is_ok();
        }
        // Files of another holder keep the folder.
        fs::remove_dir(&folder).ok();
        if !all_gone {
            doubt.keep();
        }
    }

    /// Removes thumbnails of `id` that no row names any more; where that fails, the next sweep does it.
    pub(crate) fn remove_thumbnails(&self, id: ImageId, files: &[String], doubt: Doubt) {
        let folder = self.thumbnail_folder(id);
        let mut all_gone = true;
        for file in files {
            all_gone &= if_found(fs::remove_file(folder.join(file))).is_ok();
        }
        // Files of the next holder keep the folder.
        fs::remove_dir(&folder).ok();
        if !all_gone {
            doubt.keep();
        }
    }

    /// Reads a thumbnail, if it is there.
    pub(crate) fn read_thumbnail(&self, id: ImageId, file: &str) -> Option<Vec<u8>> {
        fs::read(self.thumbnail(id, file)).ok()
    }

    /// Where a thumbnail is.
    pub(crate) fn thumbnail(&self, id: ImageId, file: &str) -> PathBuf {
        self.thumbnail_folder(id).join(file)
    }

    /// Where a thumbnail is, if it is there. A disk that does not answer is not taken for a file that is gone.
    pub(crate) fn find_thumbnail(&self, id: ImageId, file: &str) -> Result<Option<PathBuf>> {
        let path = self.thumbnail(id, file);
        match fs::metadata(&path) {
            Ok(found) => Ok(found.is_file().then_some(path)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Io {
                op: "find a thumbnail",
                path,
                source,
            }),
        }
    }

    /// The size of a thumbnail, in bytes, if it is there.
    pub(crate) fn thumbnail_size(&self, id: ImageId, file: &str) -> Option<u64> {
        size(&self.thumbnail(id, file))
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

    /// Removes all files of `id` after a call failed; where that fails too, the next sweep does it.
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
        for path in files.iter().chain([&folder]) {
            sync(path)?;
        }
        if !lock(&self.durable).contains(folder) {
            sync(root)?;
            lock(&self.durable).insert(folder.to_owned());
        }
        Ok(())
    }
}

/// The size of a file in bytes, if there is one of that name.
fn size(path: &Path) -> Option<u64> {
    let file = fs::metadata(path).ok()?;
    file.is_file().then_some(file.len())
}
