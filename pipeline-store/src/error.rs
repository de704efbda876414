//! What can go wrong, told apart by what helps: waiting, making room, an operator, or nothing.
//!
//! [`Error::code`] goes on the wire and never changes its meaning. `Display` is one lower-case clause that does not
//! repeat its source; it may hold paths, so it is for logs and not for clients.

#[cfg(test)]
mod tests;

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::ImageId;

/// The result of every fallible call in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a store could not do what it was asked for.
///
/// ```
/// use pipeline_store::{Error, Store, StoreConfig};
///
/// # let folder = tempfile::tempdir()?;
/// # let store = Store::open(folder.path(), &StoreConfig::default())?;
/// match store.begin_upload().and_then(|upload| store.accept(upload, "cat.jpg")) {
///     Ok(id) => println!("{id}"),
///     Err(error) if error.is_retryable() => println!("try again later: {}", error.code()),
///     Err(Error::Corrupt { path, .. }) => println!("restore {} from a copy", path.display()),
///     Err(error) => return Err(error.into()),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data folder or a file in it cannot be created, read or written.
    #[error("cannot use the data folder {}; check that it can be written, or choose another", path.display())]
    Open {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: BoxError,
    },
    /// Another process has the data folder open.
    #[error("the data folder {} is in use by another process; stop that one, or choose another folder", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The database comes from a newer release. Nothing was written.
    #[error(
        "the database has version {found} and this release knows versions up to {supported}; \
         use the newer release, or choose another data folder"
    )]
    TooNew {
        /// The version of the database.
        found: u32,
        /// The newest version that this release knows.
        supported: u32,
    },
    /// The database could not be brought to the version of this release.
    #[error("cannot bring the database up to date")]
    Migrate {
        /// What went wrong; the database is as it was before.
        source: Box<rusqlite_migration::Error>,
    },
    /// The database, or a row of it, is damaged.
    #[error("cannot {op}: the database {} is damaged; restore the data folder from a copy", path.display())]
    Corrupt {
        /// What was attempted.
        op: &'static str,
        /// The database file.
        path: PathBuf,
        /// What was found.
        source: BoxError,
    },
    /// Another program held the database for longer than
    /// [`StoreConfig::busy_timeout`](crate::StoreConfig::busy_timeout). Worth trying again.
    #[error("cannot {op}: another program has locked the database")]
    Busy {
        /// What was attempted.
        op: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The disk, or the quota on it, is full. Worth trying again once there is room.
    #[error("cannot {op}: no space left for the data folder")]
    Full {
        /// What was attempted.
        op: &'static str,
        /// What SQLite or the system said.
        source: BoxError,
    },
    /// The data folder cannot be written to any more: it has become read-only, or somebody took the right to write
    /// away. Worth trying again once that is mended.
    #[error("cannot {op}: the data folder cannot be written to")]
    Unwritable {
        /// What was attempted.
        op: &'static str,
        /// What SQLite or the system said.
        source: BoxError,
    },
    /// SQLite failed in another way, such as an error of the disk.
    #[error("cannot {op}")]
    Sqlite {
        /// What was attempted.
        op: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A file beside the database could not be read or written.
    #[error("cannot {op}: {}", path.display())]
    Io {
        /// What was attempted.
        op: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file of an accepted image is gone, or is not what was received.
    #[error("the original of image {id} is gone or damaged")]
    OriginalLost {
        /// The image.
        id: ImageId,
    },
    /// The image is in work, and nothing may change it meanwhile.
    #[error("image {id} is in work")]
    InWork {
        /// The image.
        id: ImageId,
    },
    /// A key came with other bytes before; see [`Store::accept_once`](crate::Store::accept_once).
    #[error("the key came with other bytes before")]
    KeyReused,
    /// The job is no longer the caller's: its image was deleted, or it has a result, or it was handed back.
    #[error("the job of image {id} is no longer held")]
    JobLost {
        /// The image.
        id: ImageId,
    },
}

impl Error {
    /// Wraps an error of writing to an [`Upload`](crate::Upload), so that a full disk is [`Error::Full`] there too.
    ///
    /// ```
    /// use std::io::Write;
    /// use pipeline_store::Error;
    /// # use pipeline_store::{Store, StoreConfig};
    /// # let folder = tempfile::tempdir()?;
    /// # let store = Store::open(folder.path(), &StoreConfig::default())?;
    ///
    /// let mut upload = store.begin_upload()?;
    /// upload.write_all(b"some bytes").map_err(Error::upload)?;
    /// # store.accept(upload, "cat.jpg")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn upload(source: io::Error) -> Self {
        Self::io("write the upload", Path::new("tmp"), source)
    }

    /// A stable kebab-case code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Open { .. } => "store-unusable",
            Self::InUse { .. } => "store-in-use",
            Self::TooNew { .. } => "store-too-new",
            Self::Migrate { .. } => "store-migration-failed",
            Self::Corrupt { .. } => "store-corrupt",
            Self::Busy { .. } => "store-busy",
            Self::Full { .. } => "store-full",
            Self::Unwritable { .. } => "store-unwritable",
            Self::Sqlite { .. } => "store-failed",
            Self::Io { .. } => "store-io-failed",
            Self::OriginalLost { .. } => "original-lost",
            Self::InWork { .. } => "image-in-work",
            Self::KeyReused => "idempotency-key-reused",
            Self::JobLost { .. } => "job-lost",
        }
    }

    /// Whether the same call may succeed later with nothing changed by the caller: a lock may go, somebody may make
    /// room or mend the disk. Nothing was stored.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Full { .. } | Self::Unwritable { .. } | Self::Io { .. } => {
                true
            }
            Self::Sqlite { source, .. } => matches!(
                source.sqlite_error_code(),
                Some(ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory)
            ),
            _ => false,
        }
    }

    pub(crate) fn open(path: &Path, source: impl Into<BoxError>) -> Self {
        Self::Open {
            path: path.to_owned(),
            source: source.into(),
        }
    }

    /// An error on the way to an open store, where a folder that cannot be written to will stay so.
    pub(crate) fn opening(self, dir: &Path) -> Self {
        match self {
            Self::Unwritable { source, .. } => Self::open(dir, source),
            error => error,
        }
    }

    pub(crate) fn corrupt(op: &'static str, path: &Path, source: impl Into<BoxError>) -> Self {
        Self::Corrupt {
            op,
            path: path.to_owned(),
            source: source.into(),
        }
    }

    pub(crate) fn io(op: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full {
                op,
                source: source.into(),
            },
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Self::Unwritable {
                    op,
                    source: source.into(),
                }
            }
            _ => Self::Io {
                op,
                path: path.to_owned(),
                source,
            },
        }
    }

    /// Sorts what SQLite said; `path` is the database.
    pub(crate) fn sqlite(op: &'static str, path: &Path, source: rusqlite::Error) -> Self {
        match &source {
            // A row that does not read back as what was written.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..) => return Self::corrupt(op, path, source),
            // The index of the WAL is a file that has to grow, and SQLite has no better word for "no room" there.
            rusqlite::Error::SqliteFailure(error, _)
                if error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE =>
            {
                return Self::Full {
                    op,
                    source: source.into(),
                };
            }
            _ => {}
        }
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { op, source },
            Some(ErrorCode::DiskFull) => Self::Full {
                op,
                source: source.into(),
            },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::corrupt(op, path, source)
            }
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                Self::Unwritable {
                    op,
                    source: source.into(),
                }
            }
            _ => Self::Sqlite { op, source },
        }
    }
}
