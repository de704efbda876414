//! What earlier runs have finished: a file of JSON lines, each appended as soon as its picture is done, so that a kill at
//! any moment costs the pictures in work and no others.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use pipeline_core::Source;
use serde::{Deserialize, Serialize};

use super::files::Stamp;
use super::record::{Record, Status};

/// An open journal. It is locked: two runs never share one.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    finished: HashMap<Key, Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    file: Key,
    size: u64,
    modified: i64,
    /// What else decides about the result.
    settings: String,
    record: Record,
    /// The file that was written beside it, with its digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sidecar: Option<(Key, String)>,
    /// Another line says that it was told.
    #[serde(skip)]
    told: bool,
}

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    /// The records of these files were told. They are written down before, and some wait for an earlier one.
    Told {
        told: Vec<Key>,
    },
    Entry(Box<Entry>),
}

/// What is written down about a file.
#[derive(Debug)]
pub(super) struct Note<'a> {
    /// How it was before it was read.
    pub(super) stamp: &'a Stamp,
    pub(super) settings: &'a str,
    pub(super) record: &'a Record,
    /// The file that was written beside it, with its digest.
    pub(super) sidecar: Option<(PathBuf, String)>,
}

/// A path, whatever its bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
enum Key {
    Text(String),
    Bytes(Vec<u8>),
}

impl Key {
    fn new(path: &Path) -> Self {
        match path.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Bytes(path.as_os_str().as_encoded_bytes().to_vec()),
        }
    }

    /// The path, where it is text.
    fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Text(text) => Some(text.into()),
            Self::Bytes(_) => None,
        }
    }
}

impl Journal {
    /// Opens the journal at `path`, or makes it. With `afresh`, what it says is forgotten.
    pub(super) fn open(path: &Path, afresh: bool) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other("another run has it open"),
            TryLockError::Error(error) => error,
        })?;
        if afresh {
            file.set_len(0)?;
        }
        let finished = read(&mut file)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            finished,
        })
    }

    /// The record of a file that an earlier run with the same settings finished, if the file is still the same: by its
    /// size and time, or else by its bytes. With it, whether it was told.
    pub(super) fn finished(&self, stamp: &Stamp, settings: &str) -> Option<(&Record, bool)> {
        let entry = self.finished.get(&Key::new(&stamp.real))?;
        let fits = entry.size == stamp.size
            && entry.settings == settings
            && entry.record.status == Status::Success;
        let same = || {
            let source = Source::from_path(&stamp.real).ok()?;
            Some(entry.record.sha256()? == source.sha256().to_string())
        };
        (fits && (entry.modified == stamp.modified || same() == Some(true)))
            .then_some((&entry.record, entry.told))
    }

    /// The files that earlier runs wrote beside pictures, with their digests.
    pub(super) fn sidecars(&self) -> HashMap<PathBuf, String> {
        let entries = self.finished.values();
        let sidecars = entries.filter_map(|entry| entry.sidecar.as_ref());
        sidecars
            .filter_map(|(key, digest)| Some((key.path()?, digest.clone())))
            .collect()
    }

    /// Writes down what came out for a file.
    pub(super) fn append(&mut self, note: Note<'_>) -> io::Result<()> {
        let sidecar = note.sidecar;
        self.write(&Line::Entry(Box::new(Entry {
            file: Key::new(&note.stamp.real),
            size: note.stamp.size,
            modified: note.stamp.modified,
            settings: note.settings.to_owned(),
            record: note.record.clone(),
            sidecar: sidecar.map(|(path, digest)| (Key::new(&path), digest)),
            told: false,
        })))
    }

    /// Writes down that the records of these files were told.
    pub(super) fn told<'s>(&mut self, stamps: impl Iterator<Item = &'s Stamp>) -> io::Result<()> {
        let told: Vec<Key> = stamps.map(|stamp| Key::new(&stamp.real)).collect();
        match told.is_empty() {
            true => Ok(()),
            false => self.write(&Line::Told { told }),
        }
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        let mut line = serde_json::to_vec(line)?;
        line.push(b'\n');
        self.file.write_all(&line)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the journal: there is nothing to go on with.
    pub(super) fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

/// Reads all whole lines and cuts off a torn one, after which the next line would be lost, too.
fn read(file: &mut File) -> io::Result<HashMap<Key, Entry>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let whole = bytes
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |end| end + 1);
    let mut finished: HashMap<Key, Entry> = HashMap::new();
    for line in bytes[..whole].split(|&byte| byte == b'\n') {
        if line.is_empty() {
            continue;
        }
        // The file may be any that was named with --resume; nothing of it is cut off then.
        let line: Line = serde_json::from_slice(line)
            .map_err(|error| io::Error::other(format!("it is no journal: {error}")))?;
        match line {
            Line::Entry(entry) => drop(finished.insert(entry.file.clone(), *entry)),
            Line::Told { told } => {
                for key in told {
                    if let Some(entry) = finished.get_mut(&key) {
                        entry.told = true;
                    }
                }
            }
        }
    }
    if whole == 0 && !bytes.is_empty() && !bytes.starts_with(b"{") {
        return Err(io::Error::other("it is no journal"));
    }
    file.set_len(whole as u64)?;
    file.seek(SeekFrom::Start(whole as u64))?;
    Ok(finished)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SETTINGS: &str = "tiny";

    fn stamp(path: &Path, modified: i64) -> Stamp {
        Stamp {
            real: path.to_owned(),
            size: 5,
            modified,
        }
    }

    fn note<'a>(stamp: &'a Stamp, record: &'a Record) -> Note<'a> {
        Note {
            stamp,
            settings: SETTINGS,
            record,
            sidecar: None,
        }
    }

    fn record(path: &Path) -> Record {
        let sha256 = Source::from("photo").sha256().to_string();
        serde_json::from_value(json!({
            "path": path, "status": "success", "metadata": { "sha256": sha256 }, "thumbnails": {}, "error": null
        }))
        .unwrap()
    }

    #[test]
    fn a_torn_line_is_forgotten_and_the_next_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("new/journal");
        let [a, b, c] = ["a", "b", "c"].map(|name| folder.path().join(name));
        let mut journal = Journal::open(&at, false).unwrap();
        for path in [&a, &b] {
            journal
                .append(note(&stamp(path, 1), &record(path)))
                .unwrap();
        }
        drop(journal);
        let bytes = fs::read(&at).unwrap();
        fs::write(&at, &bytes[..bytes.len() - 9]).unwrap();

        let mut journal = Journal::open(&at, false).unwrap();
        assert!(journal.finished(&stamp(&a, 1), SETTINGS).is_some());
        assert!(journal.finished(&stamp(&b, 1), SETTINGS).is_none());
        journal.append(note(&stamp(&c, 1), &record(&c))).unwrap();
        drop(journal);
        let journal = Journal::open(&at, false).unwrap();
        assert!(journal.finished(&stamp(&a, 1), SETTINGS).is_some());
        assert!(journal.finished(&stamp(&c, 1), SETTINGS).is_some());
        drop(journal);
        let journal = Journal::open(&at, true).unwrap();
        assert!(journal.finished(&stamp(&a, 1), SETTINGS).is_none());
        journal.remove().unwrap();
        assert!(!at.exists());
    }

    #[test]
    fn a_file_is_the_same_by_its_time_or_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (at, photo) = (folder.path().join("journal"), folder.path().join("photo"));
        fs::write(&photo, "photo").unwrap();
        let mut journal = Journal::open(&at, false).unwrap();
        journal
            .append(note(&stamp(&photo, 1), &record(&photo)))
            .unwrap();
        drop(journal);
        let journal = Journal::open(&at, false).unwrap();
        assert!(journal.finished(&stamp(&photo, 1), SETTINGS).is_some());
        assert!(journal.finished(&stamp(&photo, 2), SETTINGS).is_some());
        assert!(
            journal
                .finished(&stamp(&photo, 1), "another model")
                .is_none()
        );
        fs::write(&photo, "other").unwrap();
        assert!(journal.finished(&stamp(&photo, 2), SETTINGS).is_none());
    }

    #[test]
    fn failed_pictures_are_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let (at, photo) = (folder.path().join("journal"), folder.path().join("photo"));
        let mut journal = Journal::open(&at, false).unwrap();
        let failed = Record::failed(&photo, "io-failed", "gone");
        journal.append(note(&stamp(&photo, 1), &failed)).unwrap();
        drop(journal);
        let journal = Journal::open(&at, false).unwrap();
        assert!(journal.finished(&stamp(&photo, 1), SETTINGS).is_none());
    }

    #[test]
    fn what_is_no_journal_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("photo");
        for text in ["\u{1}\u{2}", "a\nb\n", "{\"file\":3}\n"] {
            fs::write(&at, text).unwrap();
            let error = Journal::open(&at, false).unwrap_err();
            assert!(error.to_string().contains("no journal"), "{error}");
            assert_eq!(fs::read_to_string(&at).unwrap(), text);
        }
    }

    #[test]
    fn what_was_not_told_is_known_and_so_are_the_files_beside_pictures() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("journal");
        let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
        let beside = folder.path().join("b.txt");
        let mut journal = Journal::open(&at, false).unwrap();
        for path in [&a, &b] {
            let (stamp, record) = (stamp(path, 1), record(path));
            let sidecar = (path == &b).then(|| (beside.clone(), "digest".to_owned()));
            let note = Note {
                sidecar,
                ..note(&stamp, &record)
            };
            journal.append(note).unwrap();
        }
        journal.told([&stamp(&a, 1)].into_iter()).unwrap();
        drop(journal);
        let journal = Journal::open(&at, false).unwrap();
        let told = |path| {
            journal
                .finished(&stamp(path, 1), SETTINGS)
                .map(|(_, told)| told)
        };
        assert_eq!((told(&a), told(&b)), (Some(true), Some(false)));
        assert_eq!(
            journal.sidecars(),
            HashMap::from([(beside, "digest".to_owned())])
        );
    }

    #[test]
    fn two_runs_never_share_one() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("journal");
        let first = Journal::open(&at, false).unwrap();
        let error = Journal::open(&at, true).unwrap_err();
        assert!(error.to_string().contains("another run"), "{error}");
        drop(first);
        Journal::open(&at, false).unwrap();
    }
}
