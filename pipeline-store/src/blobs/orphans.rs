//! Files that no row names: what a power failure, or a process that ended in between, has left.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::disk::{entries, if_found, is_older};
use super::temporary::Temporaries;
use super::{Blobs, Left};
use crate::{Error, ImageId, Result};

/// The images of a part of the store, and the files of their thumbnails.
pub(crate) type Rows = HashMap<ImageId, HashSet<String>>;

/// A file of an image, or its folder if that is empty.
#[derive(Debug)]
pub(crate) struct Found {
    /// Where it is.
    pub(crate) path: PathBuf,
    id: ImageId,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Original,
    Thumbnail(String),
    EmptyFolder,
}

impl Blobs {
    /// The files of images whose ids begin with the byte `part`, except those of calls under way. Ask for the rows
    /// after this call, never before: a file whose row is on its way would seem to have none.
    pub(crate) fn found(&self, part: u8) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        self.list(part, &mut found)
            .map_err(|e| Error::io("look for orphans", &self.originals, e))?;
        let busy = self.temporaries.doubted();
        found.retain(|file| !busy.contains(&file.id));
        Ok(found)
    }

    fn list(&self, part: u8, found: &mut Vec<Found>) -> io::Result<()> {
        let shard = format!("{part:02x}");
        for entry in entries(&self.originals.join(&shard))? {
            if let Some(id) = image(&entry) {
                let path = entry.path();
                let kind = Kind::Original;
                found.push(Found { path, id, kind });
            }
        }
        for folder in entries(&self.thumbnails.join(&shard))? {
            let Some(id) = image(&folder) else { continue };
            let files = entries(&folder.path())?;
            if files.is_empty() {
                let path = folder.path();
                let kind = Kind::EmptyFolder;
                found.push(Found { path, id, kind });
            }
            for file in files {
                let kind = Kind::Thumbnail(file.file_name().to_string_lossy().into_owned());
                let path = file.path();
                found.push(Found { path, id, kind });
            }
        }
        Ok(())
    }

    /// Removes `orphan`, and its folder if it was the last in there.
    pub(crate) fn remove_orphan(&self, orphan: &Found) -> Result<()> {
        let path = &orphan.path;
        let removed = match orphan.kind {
            Kind::EmptyFolder => fs::remove_dir(path),
            Kind::Original => fs::remove_file(path),
            Kind::Thumbnail(_) => fs::remove_file(path).map(|()| {
                // A folder with other files in it cannot be removed, and stays.
                path.parent().map(fs::remove_dir);
            }),
        };
        if_found(removed)
            .map(drop)
            .map_err(|e| Error::io("remove an orphan", path, e))
    }

    /// What lies in `tmp/` since `age` or longer and belongs to no call.
    pub(crate) fn left(&self, age: Duration) -> Result<Vec<Left>> {
        let failed = |e| Error::io("look for temporary files", self.temporaries.folder(), e);
        self.temporaries.left(age).map_err(failed)
    }

    /// Clears what [`Blobs::left`] found. `row` gives the files of an image's thumbnails, or none if there is no such
    /// image; files of that image that it does not name go first.
    pub(crate) fn clear(
        &self,
        left: &Left,
        row: impl FnOnce(ImageId) -> Result<Option<HashSet<String>>>,
    ) -> Result<()> {
        if let Some(id) = left.about {
            // Another call may have it in hand by now, and will leave it in order.
            if self.temporaries.doubted().contains(&id) {
                return Ok(());
            }
            self.settle(id, row(id)?.as_ref())?;
        }
        Temporaries::clear(left)
    }

    /// Removes the files of `id` that no row names. One that has a row may be an upload whose sender had no answer, and
    /// comes back for one with the same key: its file is made durable before that.
    fn settle(&self, id: ImageId, row: Option<&HashSet<String>>) -> Result<()> {
        let Some(named) = row else {
            return self.remove(id);
        };
        self.sync_original_if_found(id)?;
        let folder = self.thumbnail_folder(id);
        let failed = |e| Error::io("remove files of an image", &folder, e);
        for file in entries(&folder).map_err(failed)? {
            if !named.contains(&*file.file_name().to_string_lossy()) {
                fs::remove_file(file.path()).map_err(failed)?;
            }
        }
        if named.is_empty() {
            fs::remove_dir(&folder).ok();
        }
        Ok(())
    }
}

impl Found {
    /// Whether no row names the file.
    pub(crate) fn is_orphan(&self, rows: &Rows) -> bool {
        match (rows.get(&self.id), &self.kind) {
            (None, _) | (Some(_), Kind::EmptyFolder) => true,
            (Some(_), Kind::Original) => false,
            (Some(files), Kind::Thumbnail(name)) => !files.contains(name),
        }
    }

    /// Whether the file was written `age` ago or earlier.
    pub(crate) fn is_older(&self, age: Duration) -> bool {
        age.is_zero() || is_older(&self.path, age)
    }
}

/// The image that a file or folder is named after; files of others are not ours to remove.
fn image(entry: &fs::DirEntry) -> Option<ImageId> {
    entry.file_name().to_str()?.parse().ok()
}
