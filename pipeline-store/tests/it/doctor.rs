//! What the doctor finds, and what it can mend.

use std::fs;
use std::path::Path;

use pipeline_store::doctor::{Diagnosis, Problem, examine, mend};
use pipeline_store::{Error, ImageId, ImageState, Store, StoreConfig};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::{Scratch, accept, claim, complete, files, get, is_processing};

/// A folder with one image that is done and one that waits, and nobody who has it open.
struct Patient {
    folder: TempDir,
    done: ImageId,
    waiting: ImageId,
}

impl Patient {
    fn new() -> Self {
        let store = Scratch::new();
        let done = accept(&store, "done");
        complete(&store, &claim(&store)).unwrap();
        let waiting = accept(&store, "waiting");
        Self {
            folder: store.close(),
            done,
            waiting,
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self, root: &str, id: ImageId) -> std::path::PathBuf {
        let id = id.to_string();
        self.path().join(root).join(&id[..2]).join(id)
    }

    fn sql(&self, sql: &str) {
        let database = Connection::open(self.path().join("pipeline.sqlite")).unwrap();
        // Rows that the schema does not allow are what this is about.
        database
            .execute_batch("PRAGMA ignore_check_constraints = on; PRAGMA foreign_keys = off")
            .unwrap();
        database.execute_batch(sql).unwrap();
    }

    fn examine(&self) -> Diagnosis {
        examine(self.path(), &StoreConfig::default()).unwrap()
    }

    fn mend(&self) -> Diagnosis {
        mend(self.path(), &StoreConfig::default()).unwrap()
    }

    fn open(&self) -> Store {
        Store::open(self.path(), &StoreConfig::default()).unwrap()
    }

    /// Asserts that one problem is found, changes nothing, and is gone after mending.
    #[track_caller]
    fn is_mended(&self, problem: &Problem) {
        let before = files(self.path());
        let examined = self.examine();
        assert_eq!(examined.found, std::slice::from_ref(problem));
        assert_eq!(examined.remaining, examined.found);
        let sqlite = |path: &&std::path::PathBuf| path.to_string_lossy().contains("sqlite-");
        let after = files(self.path());
        let after: Vec<_> = after.iter().filter(|path| !sqlite(path)).collect();
        let before: Vec<_> = before.iter().filter(|path| !sqlite(path)).collect();
        assert_eq!(after, before);
        let mended = self.mend();
        assert_eq!(mended.found, std::slice::from_ref(problem));
        assert_eq!(mended.remaining, []);
    }
}

#[test]
fn a_sound_folder_has_no_problems() {
    let patient = Patient::new();
    assert_eq!(patient.examine().found, []);
    assert_eq!(patient.mend().found, []);
    let empty = Scratch::new().close();
    let diagnosis = examine(empty.path(), &StoreConfig::default()).unwrap();
    assert_eq!(diagnosis.found, []);
}

#[test]
fn a_folder_in_use_is_left_alone() {
    let store = Scratch::new();
    for look in [examine, mend] {
        let error = look(store.path(), &StoreConfig::default()).unwrap_err();
        assert!(matches!(error, Error::InUse { .. }), "{error:?}");
    }
}

#[test]
fn a_folder_without_a_store_is_not_made_one() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path(), &folder.path().join("missing")] {
        for look in [examine, mend] {
            let error = look(path, &StoreConfig::default()).unwrap_err();
            assert!(matches!(error, Error::Open { .. }), "{error:?}");
        }
    }
    assert!(files(folder.path()).is_empty());
}

#[test]
fn files_that_belong_to_nothing_go() {
    let patient = Patient::new();
    let nobody = "1f4c5a0e-9d1b-4a86-8a39-0c3b7d3f2f11".parse().unwrap();
    let path = patient.file("originals", nobody);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "orphan").unwrap();
    patient.is_mended(&Problem::Orphan { path: path.clone() });
    assert!(!path.exists());

    let path = patient.path().join("tmp/upload.abc");
    fs::write(&path, "half").unwrap();
    patient.is_mended(&Problem::LeftOver { path: path.clone() });
    assert!(!path.exists());
}

#[test]
fn an_image_that_lost_a_thumbnail_is_done_again() {
    let patient = Patient::new();
    let thumbnail = patient.file("thumbnails", patient.done).join("1-1.jpg");
    fs::remove_file(thumbnail).unwrap();
    patient.is_mended(&Problem::ThumbnailLost {
        id: patient.done,
        name: "medium".to_owned(),
    });
    let store = patient.open();
    assert!(is_processing(&store, patient.done));
    let job = claim(&store);
    assert_eq!(job.image_id(), patient.done, "at its old place");
    complete(&store, &job).unwrap();
    assert!(matches!(
        get(&store, patient.done).state,
        ImageState::Success { .. }
    ));
    drop(store);
    assert_eq!(patient.examine().found, []);
}

#[test]
fn an_image_in_work_that_lost_its_original_fails() {
    let patient = Patient::new();
    fs::remove_file(patient.file("originals", patient.waiting)).unwrap();
    let id = patient.waiting;
    let mended = patient.mend();
    assert_eq!(mended.found, [Problem::OriginalLost { id }]);
    // Nothing brings it back, so it stays a problem.
    assert_eq!(mended.remaining, mended.found);
    let store = patient.open();
    let state = get(&store, id).state;
    assert!(matches!(state, ImageState::Failed { code, .. } if code == "original-lost"));
    assert_eq!(store.queue_len().unwrap(), 0);
}

#[test]
fn a_damaged_original_is_found_by_its_size() {
    let patient = Patient::new();
    let id = patient.done;
    fs::write(patient.file("originals", id), "other bytes").unwrap();
    let mended = patient.mend();
    assert_eq!(mended.found, [Problem::OriginalLost { id }]);
    assert_eq!(mended.remaining, mended.found);
    let store = patient.open();
    assert!(matches!(get(&store, id).state, ImageState::Success { .. }));
}

#[test]
fn rows_and_the_queue_are_made_to_agree() {
    let patient = Patient::new();
    patient.sql("DELETE FROM jobs");
    let id = patient.waiting;
    patient.is_mended(&Problem::NotQueued { id });
    assert_eq!(claim(&patient.open()).image_id(), id);

    let patient = Patient::new();
    patient.sql("INSERT INTO jobs (image_seq, state, attempts, claims) VALUES (1, 'queued', 0, 0)");
    patient.is_mended(&Problem::StillQueued { id: patient.done });
    assert_eq!(claim(&patient.open()).image_id(), patient.waiting);
}

#[test]
fn a_row_that_cannot_be_read_is_done_again() {
    let patient = Patient::new();
    patient.sql("UPDATE images SET metadata = '{' WHERE seq = 1");
    let id = patient.done.to_string();
    patient.is_mended(&Problem::BadRow { id });
    assert!(is_processing(&patient.open(), patient.done));
}

#[test]
fn a_database_too_damaged_to_open_is_told_and_left_as_it_is() {
    let patient = Patient::new();
    let path = patient.path().join("pipeline.sqlite");
    let mut bad = fs::read(&path).unwrap();
    // How many pages are free: all that is stored can still be read.
    bad[39] += 1;
    fs::write(&path, &bad).unwrap();
    let diagnosis = patient.mend();
    assert!(
        matches!(&*diagnosis.found, [Problem::Damaged { .. }, ..]),
        "{diagnosis:?}"
    );
    assert_eq!(diagnosis.found, diagnosis.remaining);
    assert!(fs::read(&path).unwrap() == bad, "it was written to");
}

#[test]
fn a_damaged_database_is_told_and_stays_a_problem() {
    let patient = Patient::new();
    patient.sql("INSERT INTO thumbnails VALUES (99, 0, 'small', 1, 1, 1, '1-0.jpg')");
    let mended = patient.mend();
    let what = "a row of `thumbnails` belongs to no image".to_owned();
    assert_eq!(mended.found, [Problem::Damaged { what }]);
    assert_eq!(mended.remaining, mended.found);
}

#[test]
fn an_older_database_is_told_and_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    Connection::open(folder.path().join("pipeline.sqlite"))
        .unwrap()
        .execute_batch(concat!(
            include_str!("../../migrations/0001_init.sql"),
            "PRAGMA user_version = 1"
        ))
        .unwrap();
    let mended = mend(folder.path(), &StoreConfig::default()).unwrap();
    assert_eq!(mended.found, [Problem::OldVersion { found: 1 }]);
    assert_eq!(mended.remaining, []);
}

#[test]
fn codes_and_messages_stay_as_they_are() {
    let id: ImageId = "1f4c5a0e-9d1b-4a86-8a39-0c3b7d3f2f11".parse().unwrap();
    let problems = [
        Problem::OldVersion { found: 1 },
        Problem::Damaged {
            what: "row 1 is odd".to_owned(),
        },
        Problem::LeftOver { path: "t/x".into() },
        Problem::Orphan { path: "o/x".into() },
        Problem::OriginalLost { id },
        Problem::ThumbnailLost {
            id,
            name: "small".to_owned(),
        },
        Problem::NotQueued { id },
        Problem::StillQueued { id },
        Problem::BadRow { id: id.to_string() },
    ];
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| format!("{} | {problem}", problem.code()))
        .collect();
    assert_eq!(
        lines,
        [
            "old-version | the database has version 1; the next start brings it up to date",
            "database-damaged | the database is damaged: row 1 is odd",
            "left-over | t/x was left by a call that came to no end",
            "orphan | o/x belongs to no image",
            "original-lost | the original of image 1f4c5a0e-9d1b-4a86-8a39-0c3b7d3f2f11 is gone or damaged",
            "thumbnail-lost | the thumbnail `small` of image 1f4c5a0e-9d1b-4a86-8a39-0c3b7d3f2f11 is gone or damaged",
            "not-queued | image 1f4c5a0e-9d1b-4a86-8a39-0c3b7d3f2f11 is in work, but not in the queue",
            "still-queued | image 1f4c5a0e-9d1b-4a86-8a39-0c3b7d3f2f11 is done, but still in the queue",
            "bad-row | the row of image 1f4c5a0e-9d1b-4a86-8a39-0c3b7d3f2f11 cannot be read",
        ]
    );
}
