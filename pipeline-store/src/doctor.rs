//! Examines a data folder: do rows and files agree, and is the database sound? Mends what can be mended.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::blobs::Blobs;
use crate::checks::{self, Row};
use crate::store::{lock_folder, refuse_remains};
use crate::{Error, ImageId, Result, Store, StoreConfig, images, read, schema};

const OP: &str = "examine the data folder";

/// Something in a data folder that should not be so.
///
/// ```
/// use pipeline_store::doctor::{Problem, examine};
/// # use pipeline_store::{Store, StoreConfig};
/// # let folder = tempfile::tempdir()?;
/// # drop(Store::open(folder.path(), &StoreConfig::default())?);
/// # let orphan = folder.path().join("originals/01/0190163d-8694-439b-aea5-966c26f8ad91");
/// # std::fs::create_dir_all(orphan.parent().expect("it is in a folder"))?;
/// # std::fs::write(orphan, "")?;
///
/// for problem in examine(folder.path(), &StoreConfig::default())?.found {
///     println!("{}: {problem}", problem.code());
///     assert!(matches!(problem, Problem::Orphan { .. }));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The database comes from an older release; nothing else was looked at.
    OldVersion {
        /// Its version.
        found: u32,
    },
    /// The database file is damaged.
    Damaged {
        /// What SQLite says.
        what: String,
    },
    /// A file of a call that came to no end.
    LeftOver {
        /// Where it is.
        path: PathBuf,
    },
    /// A file of an image that no row names.
    Orphan {
        /// Where it is.
        path: PathBuf,
    },
    /// The original of an image is gone, or has another size than what was received.
    OriginalLost {
        /// The image.
        id: ImageId,
    },
    /// A thumbnail is gone, or has another size than what was stored.
    ThumbnailLost {
        /// The image.
        id: ImageId,
        /// The name of the thumbnail.
        name: String,
    },
    /// An image is in work, but not in the queue.
    NotQueued {
        /// The image.
        id: ImageId,
    },
    /// An image has its result, but is still in the queue.
    StillQueued {
        /// The image.
        id: ImageId,
    },
    /// The row of an image cannot be read.
    BadRow {
        /// The id, as it is in the database.
        id: String,
    },
}

/// What [`examine`] or [`mend`] found.
///
/// ```
/// use pipeline_store::doctor::examine;
/// # use pipeline_store::{Store, StoreConfig};
/// # let folder = tempfile::tempdir()?;
/// # drop(Store::open(folder.path(), &StoreConfig::default())?);
///
/// let diagnosis = examine(folder.path(), &StoreConfig::default())?;
/// assert!(diagnosis.found.is_empty()); // a sound folder
/// assert_eq!(diagnosis.remaining, diagnosis.found); // nothing was mended
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnosis {
    /// All that was wrong.
    pub found: Vec<Problem>,
    /// What still is.
    pub remaining: Vec<Problem>,
}

/// Looks at the store in the folder `dir`, and changes nothing.
///
/// ```
/// use pipeline_store::doctor::examine;
/// use pipeline_store::{Store, StoreConfig};
///
/// # let folder = tempfile::tempdir()?;
/// let store = Store::open(folder.path(), &StoreConfig::default())?;
/// let error = examine(folder.path(), &StoreConfig::default()).unwrap_err();
/// assert_eq!(error.code(), "store-in-use"); // close it first
/// drop(store);
/// assert!(examine(folder.path(), &StoreConfig::default())?.found.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::InUse`] while another process has the folder open; as [`Store::open`].
pub fn examine(dir: &Path, config: &StoreConfig) -> Result<Diagnosis> {
    let path = dir.join("pipeline.sqlite");
    let blobs = Blobs::new(dir);
    if !path.is_file() && !blobs.has_originals() {
        return Err(Error::open(dir, "there is no database in it"));
    }
    let _lock = lock_folder(dir)?;
    refuse_remains(&path, &blobs)?;
    let failed = |error| Error::sqlite("open the database", &path, error).opening(dir);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(&path, flags).map_err(failed)?;
    schema::set_up_reader(&database, config.busy_timeout).map_err(failed)?;
    let found = match schema::check_version(&database, &path)? {
        schema::LATEST => Examination {
            blobs: &blobs,
            database,
            path,
        }
        .run()?,
        found => vec![Problem::OldVersion { found }],
    };
    Ok(Diagnosis {
        remaining: found.clone(),
        found,
    })
}

/// Looks at the store in the folder `dir` and mends what can be mended: files that belong to nothing go; images whose
/// thumbnails are lost go back to the queue; those that were in work and have lost their originals fail. A database that
/// [`Store::open`] refuses as damaged is left as it is.
///
/// ```
/// use pipeline_store::doctor::mend;
/// # use pipeline_store::{Store, StoreConfig};
/// # let folder = tempfile::tempdir()?;
/// # drop(Store::open(folder.path(), &StoreConfig::default())?);
/// # let orphan = folder.path().join("originals/01/0190163d-8694-439b-aea5-966c26f8ad91");
/// # std::fs::create_dir_all(orphan.parent().expect("it is in a folder"))?;
/// # std::fs::write(orphan, "")?;
///
/// // The folder has a file that belongs to no image.
/// let diagnosis = mend(folder.path(), &StoreConfig::default())?;
/// assert_eq!((diagnosis.found.len(), diagnosis.remaining.len()), (1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`examine`], and if something cannot be written.
pub fn mend(dir: &Path, config: &StoreConfig) -> Result<Diagnosis> {
    let found = examine(dir, config)?.found;
    let is_damaged = |problem: &Problem| matches!(problem, Problem::Damaged { .. });
    let store = match Store::open(dir, config) {
        // Writing to it would make it worse. What was found is told all the same.
        Err(Error::Corrupt { .. }) if found.iter().any(is_damaged) => {
            return Ok(Diagnosis {
                remaining: found.clone(),
                found,
            });
        }
        store => store?,
    };
    for problem in &found {
        store.mend(problem)?;
    }
    // Files of results that were taken back have become orphans by now.
    for part in 0..=u8::MAX {
        store.sweep(part, Duration::ZERO)?;
    }
    drop(store);
    let remaining = examine(dir, config)?.found;
    Ok(Diagnosis { found, remaining })
}

struct Examination<'a> {
    blobs: &'a Blobs,
    database: Connection,
    path: PathBuf,
}

impl Examination<'_> {
    fn run(&self) -> Result<Vec<Problem>> {
        let failed = |error| Error::sqlite(OP, &self.path, error);
        let damages = checks::integrity(&self.database).map_err(failed)?;
        let mut found: Vec<Problem> = damages
            .into_iter()
            .map(|what| Problem::Damaged { what })
            .collect();
        for left in self.blobs.left(Duration::ZERO)? {
            found.push(Problem::LeftOver { path: left.path });
        }
        for part in 0..=u8::MAX {
            let files = self.blobs.found(part)?;
            let rows = images::files(&self.database, &format!("{part:02x}")).map_err(failed)?;
            let orphans = files.into_iter().filter(|file| file.is_orphan(&rows));
            found.extend(orphans.map(|file| Problem::Orphan { path: file.path }));
        }
        for row in checks::rows(&self.database).map_err(failed)? {
            self.row(&row, &mut found)?;
        }
        Ok(found)
    }

    fn row(&self, row: &Row, found: &mut Vec<Problem>) -> Result<()> {
        let failed = |error| Error::sqlite(OP, &self.path, error);
        let bad = || Problem::BadRow { id: row.id.clone() };
        let Ok(id) = row.id.parse::<ImageId>() else {
            found.push(bad());
            return Ok(());
        };
        match read::get(&self.database, id).map_err(failed) {
            Ok(_) => {}
            Err(Error::Corrupt { .. }) => found.push(bad()),
            Err(error) => return Err(error),
        }
        match (row.in_work, row.has_job) {
            (true, false) => found.push(Problem::NotQueued { id }),
            (false, true) => found.push(Problem::StillQueued { id }),
            _ => {}
        }
        if self.blobs.original_size(id) != Some(row.size_bytes) {
            found.push(Problem::OriginalLost { id });
        }
        for thumbnail in checks::thumbnails(&self.database, row.seq).map_err(failed)? {
            if self.blobs.thumbnail_size(id, &thumbnail.file) != Some(thumbnail.size_bytes) {
                let name = thumbnail.name;
                found.push(Problem::ThumbnailLost { id, name });
            }
        }
        Ok(())
    }
}

impl Problem {
    /// A stable kebab-case code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::OldVersion { .. } => "old-version",
            Self::Damaged { .. } => "database-damaged",
            Self::LeftOver { .. } => "left-over",
            Self::Orphan { .. } => "orphan",
            Self::OriginalLost { .. } => "original-lost",
            Self::ThumbnailLost { .. } => "thumbnail-lost",
            Self::NotQueued { .. } => "not-queued",
            Self::StillQueued { .. } => "still-queued",
            Self::BadRow { .. } => "bad-row",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OldVersion { found } => {
                write!(
                    f,
                    "the database has version {found}; the next start brings it up to date"
                )
            }
            Self::Damaged { what } => write!(f, "the database is damaged: {what}"),
            Self::LeftOver { path } => {
                write!(
                    f,
                    "{} was left by a call that came to no end",
                    path.display()
                )
            }
            Self::Orphan { path } => write!(f, "{} belongs to no image", path.display()),
            Self::OriginalLost { id } => write!(f, "the original of image {id} is gone or damaged"),
            Self::ThumbnailLost { id, name } => {
                write!(f, "the thumbnail `{name}` of image {id} is gone or damaged")
            }
            Self::NotQueued { id } => write!(f, "image {id} is in work, but not in the queue"),
            Self::StillQueued { id } => write!(f, "image {id} is done, but still in the queue"),
            Self::BadRow { id } => write!(f, "the row of image {id} cannot be read"),
        }
    }
}
