//! Empty files that have been notes and will be again, in `spare/`.
//!
//! Every upload and every result needs a note for some milliseconds. On some file systems it takes long to make a file
//! where others have just been removed (on ext4 without a journal, in proportion to their number), while a file that gets
//! another name costs the same each time.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempPath;

use super::disk::entries;
use crate::conn::lock;

/// How many are kept: about as many as calls are under way at once.
const MOST: usize = 64;

/// The folder `spare/`.
#[derive(Debug)]
pub(super) struct Spare {
    folder: PathBuf,
    names: Mutex<Vec<OsString>>,
    next: AtomicU64,
}

impl Spare {
    /// What an earlier process has left in `folder` is used again.
    pub(super) fn new(folder: PathBuf) -> Self {
        let left = entries(&folder).unwrap_or_default();
        let names = left.iter().map(fs::DirEntry::file_name).collect();
        Self {
            folder,
            names: Mutex::new(names),
            next: AtomicU64::default(),
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes an empty file of the name `path`, where there is none of that name.
    pub(super) fn take(&self, path: &Path) -> io::Result<()> {
        let spare = lock(&self.names).pop();
        match spare.map(|name| fs::rename(self.folder.join(name), path)) {
            Some(Ok(())) => Ok(()),
            _ => fs::File::create_new(path).map(drop),
        }
    }

    /// Keeps the file for the next call; one too many, or one that cannot be kept, is removed.
    pub(super) fn give(&self, file: TempPath) {
        let mut names = lock(&self.names);
        if names.len() >= MOST {
            return;
        }
        // A name that is there already belongs to another one, or to nobody: either is replaced by an equal.
        let name = OsString::from(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        if file.persist(self.folder.join(&name)).is_ok() {
            names.push(name);
        }
    }
}

/// Whoever copies the folder finds nothing in it that means nothing.
impl Drop for Spare {
    fn drop(&mut self) {
        for name in &*lock(&self.names) {
            fs::remove_file(self.folder.join(name)).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(folder: &Path, name: &str) -> TempPath {
        TempPath::try_from_path(folder.join(name)).unwrap()
    }

    fn count(folder: &Path) -> usize {
        entries(folder).unwrap().len()
    }

    #[test]
    fn a_file_is_used_again_by_the_next_process_too() {
        let dir = tempfile::tempdir().unwrap();
        let (tmp, folder) = (dir.path().join("tmp"), dir.path().join("spare"));
        fs::create_dir(&tmp).unwrap();
        fs::create_dir(&folder).unwrap();
        let spare = Spare::new(folder.clone());
        spare.take(&tmp.join("a")).unwrap();
        spare.give(note(&tmp, "a"));
        assert_eq!((count(&tmp), count(&folder)), (0, 1));
        // A process that was killed takes nothing away.
        std::mem::forget(spare);
        let spare = Spare::new(folder.clone());
        spare.take(&tmp.join("b")).unwrap();
        assert_eq!((count(&tmp), count(&folder)), (1, 0));
        spare.give(note(&tmp, "b"));
        assert_eq!((count(&tmp), count(&folder)), (0, 1));
        drop(spare);
        assert_eq!((count(&tmp), count(&folder)), (0, 0));
    }

    #[test]
    fn no_more_than_some_are_kept_and_none_where_there_is_no_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("spare");
        let spare = Spare::new(folder.clone());
        for round in 0..2 {
            for number in 0..MOST + 1 {
                let path = dir.path().join(number.to_string());
                fs::write(&path, "").unwrap();
                spare.give(TempPath::try_from_path(path).unwrap());
            }
            if round == 0 {
                assert_eq!(count(dir.path()), 0);
                fs::create_dir(&folder).unwrap();
            }
        }
        assert_eq!((count(dir.path()), count(&folder)), (1, MOST));
        // A file that somebody has removed is made anew.
        fs::remove_dir_all(&folder).unwrap();
        let path = dir.path().join("anew");
        spare.take(&path).unwrap();
        assert!(path.is_file());
    }
}
