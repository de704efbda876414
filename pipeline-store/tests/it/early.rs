//! What a stage found is there before the work is done, and survives it.

use std::fs;
use std::time::Duration;

use pipeline_core::Caption;
use pipeline_store::{Error, ImageId, ImageState, Job, Outcome, StageName, StageState, Store};

use crate::support::{
    Scratch, TOOK, accept, claim, files, get, is_processing, metadata, thumbnail,
};

const MS: Duration = Duration::from_millis(3);

fn keep_all(store: &Store, job: &Job) {
    store.keep_metadata(job, &metadata(), MS).unwrap();
    let thumbnails = [thumbnail("small", 256, b"early")];
    store
        .keep_thumbnails(job, &metadata(), &thumbnails, 2 * MS)
        .unwrap();
}

fn states(store: &Store, id: ImageId) -> [StageState; 3] {
    let stages = get(store, id).stages;
    [stages.metadata, stages.thumbnails, stages.caption].map(|stage| stage.state)
}

/// All but the thumbnails.
fn finish(store: &Store, job: &Job) {
    let outcome = Outcome {
        metadata: &metadata(),
        thumbnails: &[],
        caption: Some(&Caption::new("a cat", "tiny")),
        caption_error: None,
    };
    store.complete(job, &outcome, TOOK).unwrap();
}

#[test]
fn stages_end_one_after_the_other() {
    use StageState::{Running, Success, Waiting};
    let store = Scratch::new();
    let id = accept(&store, "cat.jpg");
    assert_eq!(states(&store, id), [Waiting, Waiting, Waiting]);
    let job = claim(&store);
    assert_eq!(states(&store, id), [Running, Waiting, Waiting]);
    store.keep_metadata(&job, &metadata(), MS).unwrap();
    assert_eq!(states(&store, id), [Success, Running, Waiting]);
    let partial = get(&store, id).partial.unwrap();
    assert_eq!(
        (partial.metadata, partial.thumbnails.len()),
        (Some(metadata()), 0)
    );
    let thumbnails = [thumbnail("small", 256, b"early")];
    store
        .keep_thumbnails(&job, &metadata(), &thumbnails, 2 * MS)
        .unwrap();
    assert_eq!(states(&store, id), [Success, Success, Running]);
    assert_eq!(get(&store, id).partial.unwrap().thumbnails[0].size_bytes, 5);
    assert!(is_processing(&store, id));
    let path = store.thumbnail(id, "small").unwrap().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"early");
    store
        .time_stage(&job, StageName::Caption, 5 * MS, None)
        .unwrap();
    finish(&store, &job);
    assert_eq!(states(&store, id), [Success, Success, Success]);
    let record = get(&store, id);
    assert_eq!(record.partial, None);
    let stages = record.stages;
    let times = [&stages.metadata, &stages.thumbnails, &stages.caption].map(|stage| stage.took);
    assert_eq!(times, [Some(MS), Some(2 * MS), Some(5 * MS)]);
    assert!(stages.caption.finished_at.is_some());
    assert_eq!(
        (stages.caption.attempts, stages.caption.error_code),
        (1, None)
    );
    assert_eq!(
        store.thumbnail(id, "small").unwrap(),
        Some(path),
        "the same file"
    );
    let stats = store.stats().unwrap().stages;
    assert_eq!(stats.map(|stage| stage.count), [1, 1, 1]);
    assert_eq!(
        stats.map(|stage| stage.mean_ms),
        [Some(3.0), Some(6.0), Some(15.0)]
    );
}

#[test]
fn what_was_kept_survives_a_kill_and_is_not_made_again() {
    let before = Scratch::new();
    let id = accept(&before, "cat.jpg");
    let first = claim(&before);
    assert_eq!(before.kept(&first).unwrap(), None);
    keep_all(&before, &first);
    let after = Scratch::in_folder(before.killed());
    let job = claim(&after);
    assert_eq!(job.attempt(), 2);
    assert_eq!(after.kept(&job).unwrap().unwrap().metadata, metadata());
    let stages = get(&after, id).stages;
    assert_eq!(
        (stages.thumbnails.attempts, stages.caption.attempts),
        (1, 2)
    );
    finish(&after, &job);
    let path = after.thumbnail(id, "small").unwrap().unwrap();
    assert_eq!(fs::read(path).unwrap(), b"early");
    assert_eq!(files(&after.path().join("thumbnails")).len(), 1);
    assert_eq!(get(&after, id).stages.thumbnails.took, Some(2 * MS));
}

#[test]
fn whoever_lost_the_job_keeps_nothing() {
    let store = Scratch::new();
    let id = accept(&store, "cat.jpg");
    let first = claim(&store);
    store.release(&first).unwrap();
    let second = claim(&store);
    let thumbnails = [thumbnail("small", 256, b"late")];
    let refused = [
        store.keep_metadata(&first, &metadata(), MS),
        store.keep_thumbnails(&first, &metadata(), &thumbnails, MS),
        store.time_stage(&first, StageName::Caption, MS, None),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(Error::JobLost { .. })), "{refused:?}");
    }
    assert_eq!(get(&store, id).partial.unwrap().metadata, None);
    assert!(files(&store.path().join("thumbnails")).is_empty());
    keep_all(&store, &second);
    finish(&store, &second);
}

#[test]
fn a_failure_says_which_stage_and_keeps_what_was_found() {
    use StageState::{Failed, Skipped, Success};
    let store = Scratch::new();
    let id = accept(&store, "cat.jpg");
    let job = claim(&store);
    keep_all(&store, &job);
    store
        .time_stage(&job, StageName::Caption, MS, Some("model-failed"))
        .unwrap();
    store
        .fail(&job, "model-failed", "out of ink", TOOK)
        .unwrap();
    assert_eq!(states(&store, id), [Success, Success, Failed]);
    let caption = get(&store, id).stages.caption;
    assert_eq!(caption.error_code.as_deref(), Some("model-failed"));
    assert_eq!(caption.took, Some(MS));
    assert!(matches!(get(&store, id).state, ImageState::Failed { .. }));

    let broken = accept(&store, "broken.jpg");
    store
        .fail(&claim(&store), "decode-failed", "it is broken", TOOK)
        .unwrap();
    assert_eq!(states(&store, broken), [Failed, Skipped, Skipped]);
    let metadata = get(&store, broken).stages.metadata;
    assert_eq!(metadata.error_code.as_deref(), Some("decode-failed"));
}

#[test]
fn an_image_that_is_done_again_begins_anew() {
    use StageState::Waiting;
    let store = Scratch::new();
    let id = accept(&store, "cat.jpg");
    let job = claim(&store);
    keep_all(&store, &job);
    finish(&store, &job);
    assert!(store.reprocess(id).unwrap());
    assert_eq!(states(&store, id), [Waiting, Waiting, Waiting]);
    let job = claim(&store);
    assert_eq!(store.kept(&job).unwrap(), None);
    keep_all(&store, &job);
    finish(&store, &job);
    assert_eq!(files(&store.path().join("thumbnails")).len(), 1);
}

#[test]
fn a_stage_that_was_never_wanted_is_skipped() {
    let store = Scratch::new();
    let id = accept(&store, "cat.jpg");
    let job = claim(&store);
    keep_all(&store, &job);
    let outcome = Outcome {
        metadata: &metadata(),
        thumbnails: &[],
        caption: None,
        caption_error: None,
    };
    store.complete(&job, &outcome, TOOK).unwrap();
    let caption = get(&store, id).stages.caption;
    assert_eq!((caption.state, caption.attempts), (StageState::Skipped, 0));
}

#[test]
fn the_last_hour_is_told_minute_by_minute() {
    let store = Scratch::new();
    accept(&store, "done");
    let job = claim(&store);
    keep_all(&store, &job);
    finish(&store, &job);
    accept(&store, "failed");
    store.fail(&claim(&store), "code", "message", TOOK).unwrap();
    accept(&store, "waiting");
    let recent = store.stats().unwrap().recent;
    assert_eq!(recent.len(), 60);
    let sums = recent.iter().fold((0, 0), |(done, failed), minute| {
        (done + minute.done, failed + minute.failed)
    });
    assert_eq!(sums, (1, 1));
    for pair in recent.windows(2) {
        let apart = pair[1].minute.duration_since(pair[0].minute);
        assert_eq!(apart.as_secs(), 60);
    }
}
