//! Which files there are.

use std::collections::HashSet;
use std::fs::{self, DirEntry, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use pipeline_core::Format;

use super::write::TEMPORARY;

/// A file, or a path that should have been one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// As it is shown: what was typed, and what was found under it.
    pub(super) path: PathBuf,
    /// What it is, or why it cannot be read.
    pub(super) state: Result<Stamp, String>,
}

/// By what a file is known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The absolute path, with all links resolved.
    pub(super) real: PathBuf,
    /// In bytes.
    pub(super) size: u64,
    /// When it was last changed, in nanoseconds since 1970.
    pub(super) modified: i64,
}

/// Finds the files that were named, and all JPEG and PNG files in the folders that were named, by their first bytes.
///
/// Each file and each folder is taken once, under the first of its names, so links may go round in circles. In a folder
/// the order is that of the names. The folder `skip` is left out: the thumbnails go there.
pub(super) fn find(paths: &[PathBuf], skip: Option<&Path>) -> Vec<Found> {
    let mut walk = Walk {
        seen: skip.map(Path::to_owned).into_iter().collect(),
        found: Vec::new(),
    };
    for path in paths {
        walk.named(path);
    }
    walk.found
}

struct Walk {
    /// The real paths of what was taken.
    seen: HashSet<PathBuf>,
    found: Vec<Found>,
}

impl Walk {
    fn named(&mut self, path: &Path) {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.folder(path),
            Ok(metadata) if metadata.is_file() => self.file(path, &metadata),
            Ok(_) => self.fail(path, &"neither a file nor a folder"),
            Err(error) => self.fail(path, &error),
        }
    }

    fn folder(&mut self, path: &Path) {
        let entries = path.canonicalize().and_then(|real| {
            if !self.seen.insert(real) {
                return Ok(Vec::new());
            }
            let mut entries: Vec<DirEntry> = fs::read_dir(path)?.collect::<io::Result<_>>()?;
            entries.sort_by_key(DirEntry::file_name);
            Ok(entries)
        });
        match entries {
            Ok(entries) => entries.iter().for_each(|entry| self.entry(entry)),
            Err(error) => self.fail(path, &error),
        }
    }

    fn entry(&mut self, entry: &DirEntry) {
        let path = entry.path();
        let temporary = entry.file_name().to_string_lossy().starts_with(TEMPORARY);
        // A link that leads nowhere, or a file that has just been removed, is none.
        let Ok(metadata) = fs::metadata(&path) else {
            return;
        };
        if metadata.is_dir() {
            self.folder(&path);
        } else if metadata.is_file() && !temporary {
            match is_picture(&path) {
                Ok(true) => self.file(&path, &metadata),
                Ok(false) => {}
                Err(error) => self.fail(&path, &error),
            }
        }
    }

    fn file(&mut self, path: &Path, metadata: &Metadata) {
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) => return self.fail(path, &error),
        };
        if self.seen.insert(real.clone()) {
            self.found.push(Found {
                path: path.to_owned(),
                state: Ok(Stamp {
                    real,
                    size: metadata.len(),
                    modified: modified(metadata),
                }),
            });
        }
    }

    fn fail(&mut self, path: &Path, reason: &dyn ToString) {
        self.found.push(Found {
            path: path.to_owned(),
            state: Err(format!("cannot read a file: {}", reason.to_string())),
        });
    }
}

fn is_picture(path: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(8).read_to_end(&mut start)?;
    Ok(Format::sniff(&start).is_some())
}

/// Zero where the system does not say; the size and the content have to do then.
fn modified(metadata: &Metadata) -> i64 {
    let modified = metadata.modified().ok();
    let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and more";

    fn names(found: &[Found], folder: &Path) -> Vec<String> {
        let name = |found: &Found| {
            let path = found.path.strip_prefix(folder).unwrap_or(&found.path);
            path.display().to_string()
        };
        found.iter().map(name).collect()
    }

    #[test]
    fn folders_are_searched_by_content_in_the_order_of_names() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("b/c")).unwrap();
        fs::create_dir(root.join("thumbs")).unwrap();
        for name in ["d.txt", "a.png", "b/c/x", "thumbs/t.jpg", "b/z.png"] {
            fs::write(root.join(name), PNG).unwrap();
        }
        fs::write(root.join("note.jpg"), "no picture").unwrap();
        fs::write(root.join("empty.jpg"), "").unwrap();
        fs::write(root.join(format!("{TEMPORARY}1")), PNG).unwrap();
        let skip = root.join("thumbs").canonicalize().unwrap();
        let found = find(&[root.to_owned()], Some(&skip));
        assert_eq!(names(&found, root), ["a.png", "b/c/x", "b/z.png", "d.txt"]);
        assert_eq!(found[0].state.as_ref().unwrap().size, PNG.len() as u64);
    }

    #[test]
    fn what_is_named_is_taken_whatever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let (note, none) = (root.join("note"), root.join("none"));
        fs::write(&note, "no picture").unwrap();
        let found = find(&[note.clone(), none, note], None);
        assert_eq!(names(&found, root), ["note", "none"]);
        assert!(found[0].state.is_ok());
        let reason = found[1].state.as_ref().unwrap_err();
        assert!(reason.starts_with("cannot read a file: "), "{reason}");
    }

    #[cfg(unix)]
    #[test]
    fn links_may_go_round_in_circles() {
        use std::os::unix::fs::symlink;

        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        // Every folder leads to every other: were they not counted, there would be thousands of ways.
        for a in 0..8 {
            let path = root.join(format!("{a}"));
            fs::create_dir(&path).unwrap();
            fs::write(path.join("p"), PNG).unwrap();
            symlink("..", path.join("up")).unwrap();
            symlink("nowhere", path.join("lost")).unwrap();
            symlink("p", path.join("q")).unwrap();
            for b in 0..8 {
                symlink(format!("../{b}"), path.join(format!("to{b}"))).unwrap();
            }
        }
        let found = find(&[root.to_owned()], None);
        assert_eq!(found.len(), 8, "{:?}", names(&found, root));
        assert!(found.iter().all(|found| found.state.is_ok()));
    }
}
