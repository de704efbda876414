//! Codes and texts stay, and whoever says it, one thing is one error.

use rusqlite::ffi;

use super::*;

fn broken() -> io::Error {
    io::Error::other("broken")
}

fn said_by_sqlite(code: i32) -> Error {
    let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
    Error::sqlite("count images", Path::new("data/pipeline.sqlite"), error)
}

fn all_errors() -> Vec<Error> {
    vec![
        Error::open(Path::new("data"), broken()),
        Error::InUse {
            path: "data".into(),
        },
        Error::TooNew {
            found: 9,
            supported: 1,
        },
        Error::Migrate {
            source: Box::new(rusqlite_migration::Error::InvalidUserVersion),
        },
        said_by_sqlite(ffi::SQLITE_CORRUPT),
        said_by_sqlite(ffi::SQLITE_BUSY),
        said_by_sqlite(ffi::SQLITE_FULL),
        said_by_sqlite(ffi::SQLITE_READONLY),
        said_by_sqlite(ffi::SQLITE_ERROR),
        Error::io("read the original", Path::new("data/originals"), broken()),
        Error::OriginalLost {
            id: "6f4c5a0e-9d1b-4a86-8a39-0c3b7d3f2f11".parse().unwrap(),
        },
        Error::InWork {
            id: "6f4c5a0e-9d1b-4a86-8a39-0c3b7d3f2f11".parse().unwrap(),
        },
        Error::KeyReused,
        Error::JobLost {
            id: "6f4c5a0e-9d1b-4a86-8a39-0c3b7d3f2f11".parse().unwrap(),
        },
    ]
}

#[test]
fn codes_and_messages_stay_as_they_are() {
    let lines: Vec<String> = all_errors()
        .iter()
        .map(|e| format!("{} | {e}", e.code()))
        .collect();
    assert_eq!(
        lines,
        [
            "store-unusable | cannot use the data folder data; check that it can be written, or choose another",
            "store-in-use | the data folder data is in use by another process; stop that one, or choose another \
             folder",
            "store-too-new | the database has version 9 and this release knows versions up to 1; use the newer \
             release, or choose another data folder",
            "store-migration-failed | cannot bring the database up to date",
            "store-corrupt | cannot count images: the database data/pipeline.sqlite is damaged; restore the data \
             folder from a copy",
            "store-busy | cannot count images: another program has locked the database",
            "store-full | cannot count images: no space left for the data folder",
            "store-unwritable | cannot count images: the data folder cannot be written to",
            "store-failed | cannot count images",
            "store-io-failed | cannot read the original: data/originals",
            "original-lost | the original of image 6f4c5a0e-9d1b-4a86-8a39-0c3b7d3f2f11 is gone or damaged",
            "image-in-work | image 6f4c5a0e-9d1b-4a86-8a39-0c3b7d3f2f11 is in work",
            "idempotency-key-reused | the key came with other bytes before",
            "job-lost | the job of image 6f4c5a0e-9d1b-4a86-8a39-0c3b7d3f2f11 is no longer held",
        ]
    );
}

#[test]
fn only_waiting_helps_against_these() {
    let retryable: Vec<_> = all_errors()
        .iter()
        .filter(|e| e.is_retryable())
        .map(Error::code)
        .collect();
    assert_eq!(
        retryable,
        [
            "store-busy",
            "store-full",
            "store-unwritable",
            "store-io-failed"
        ]
    );
    assert!(said_by_sqlite(ffi::SQLITE_IOERR).is_retryable());
    assert!(said_by_sqlite(ffi::SQLITE_NOMEM).is_retryable());
}

#[test]
fn a_folder_that_cannot_be_written_to_is_one_error_whoever_meets_it() {
    let errors = [
        Error::upload(io::ErrorKind::ReadOnlyFilesystem.into()),
        Error::upload(io::ErrorKind::PermissionDenied.into()),
        said_by_sqlite(ffi::SQLITE_READONLY),
        said_by_sqlite(ffi::SQLITE_CANTOPEN),
    ];
    for error in errors {
        assert!(matches!(error, Error::Unwritable { .. }), "{error:?}");
        let error = error.opening(Path::new("data"));
        assert!(matches!(error, Error::Open { .. }), "{error:?}");
    }
}

#[test]
fn a_full_disk_is_one_error_whoever_meets_it() {
    let full = [
        Error::upload(io::ErrorKind::StorageFull.into()),
        Error::upload(io::ErrorKind::QuotaExceeded.into()),
        said_by_sqlite(ffi::SQLITE_FULL),
        said_by_sqlite(ffi::SQLITE_IOERR_SHMSIZE),
    ];
    for error in full {
        assert!(matches!(error, Error::Full { .. }), "{error:?}");
    }
    assert!(matches!(
        said_by_sqlite(ffi::SQLITE_LOCKED),
        Error::Busy { .. }
    ));
    assert!(matches!(
        said_by_sqlite(ffi::SQLITE_NOTADB),
        Error::Corrupt { .. }
    ));
}
