//! New images on their way into the database. Those that come while a commit is under way share the next one: a commit
//! waits for the disk, and many senders would otherwise wait one after the other.

use std::sync::Mutex;
use std::sync::mpsc::{SyncSender, sync_channel};

use rusqlite::{Transaction, ffi};

use crate::conn::{Database, lock};
use crate::images::NewImage;
use crate::keys::{self, Known};
use crate::{Result, images, jobs};

/// Images that wait for a commit.
#[derive(Debug, Default)]
pub(crate) struct Intake(Mutex<Vec<Waiting>>);

#[derive(Debug)]
struct Waiting {
    image: NewImage,
    key: Option<String>,
    answer: SyncSender<rusqlite::Result<Known>>,
}

impl Intake {
    /// Stores `image` and queues it, unless `key` came with an image before. `Ok` comes after the commit that it is part
    /// of, and says what was known of the key.
    pub(crate) fn store(&self, db: &Database, image: NewImage, key: Option<&str>) -> Result<Known> {
        let (answer, answered) = sync_channel(1);
        lock(&self.0).push(Waiting {
            image,
            key: key.map(str::to_owned),
            answer,
        });
        let mut writer = db.writer();
        // Whoever has the writer stores all that wait, and answers before it lets go of the writer. If that was another
        // thread, there may be nothing left for this one to do.
        let batch = std::mem::take(&mut *lock(&self.0));
        if !batch.is_empty() {
            let stored = writer.transaction(|tx| insert(tx, &batch));
            for (index, waiting) in batch.into_iter().enumerate() {
                let known = stored.as_ref().map(|known| known[index]);
                // It waits for the writer, so it is there to listen.
                waiting.answer.send(known.map_err(copy)).ok();
            }
        }
        drop(writer);
        answered
            .recv()
            .expect("whoever took the image has answered")
            .map_err(|error| db.sorted("store the upload", error))
    }
}

fn insert(tx: &Transaction<'_>, batch: &[Waiting]) -> rusqlite::Result<Vec<Known>> {
    let one = |Waiting { image, key, .. }: &Waiting| {
        if let Some(key) = key {
            let known = keys::look_up(tx, key, &image.sha256)?;
            if known != Known::New {
                return Ok(known);
            }
            keys::remember(tx, key, &image.sha256, image.id)?;
        }
        let seq = images::insert(tx, image)?;
        jobs::enqueue(tx, seq)?;
        Ok(Known::New)
    };
    batch.iter().map(one).collect()
}

/// The same error for another sender; the library's own type cannot be cloned.
fn copy(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, text) => {
            rusqlite::Error::SqliteFailure(*code, text.clone())
        }
        other => rusqlite::Error::SqliteFailure(
            ffi::Error::new(ffi::SQLITE_ERROR),
            Some(other.to_string()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::{Error, ImageId, StoreConfig};

    const SENDERS: usize = 16;

    fn database(dir: &Path) -> Database {
        let config = StoreConfig {
            busy_timeout: Duration::ZERO,
            ..StoreConfig::default()
        };
        Database::open(&dir.join("pipeline.sqlite"), &config).unwrap()
    }

    fn image() -> NewImage {
        NewImage {
            id: ImageId::random(),
            original_name: "cat.jpg".to_owned(),
            size_bytes: 5,
            sha256: [0; 32],
        }
    }

    /// Sends from many threads while the writer is held, lets go of it once all wait, and returns what each got and
    /// whether its image was to be seen by then.
    fn send_all(intake: &Intake, db: &Database) -> Vec<(Result<()>, bool)> {
        let send = || {
            let image = image();
            let id = image.id;
            let stored = intake.store(db, image, None).map(drop);
            let seen = db.read("look", |tx| images::exists(tx, id)).unwrap();
            (stored, seen)
        };
        thread::scope(|scope| {
            let held = db.writer();
            let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(send)).collect();
            let started = Instant::now();
            while lock(&intake.0).len() < SENDERS {
                assert!(started.elapsed() < Duration::from_secs(60));
                thread::yield_now();
            }
            drop(held);
            let answers = senders.into_iter().map(|sender| sender.join().unwrap());
            answers.collect()
        })
    }

    #[test]
    fn uploads_that_wait_together_share_a_commit() {
        let dir = tempfile::tempdir().unwrap();
        let (db, intake) = (database(dir.path()), Intake::default());
        for round in 1..=10 {
            let before = db.commits();
            for (stored, seen) in send_all(&intake, &db) {
                stored.unwrap();
                assert!(seen, "it was answered before the commit");
            }
            assert_eq!(db.commits(), before + 1, "{SENDERS} uploads");
            let queued = db.read("count", |tx| jobs::count(tx)).unwrap();
            assert_eq!(queued, round * SENDERS as u64);
        }
    }

    #[test]
    fn a_commit_that_fails_fails_for_all() {
        let dir = tempfile::tempdir().unwrap();
        let (db, intake) = (database(dir.path()), Intake::default());
        let other = rusqlite::Connection::open(dir.path().join("pipeline.sqlite")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        for (stored, seen) in send_all(&intake, &db) {
            let error = stored.unwrap_err();
            assert!(matches!(error, Error::Busy { .. }), "{error:?}");
            assert!(!seen);
        }
        other.execute_batch("ROLLBACK").unwrap();
        intake.store(&db, image(), None).unwrap();
        assert_eq!(db.read("count", |tx| jobs::count(tx)).unwrap(), 1);
    }
}
