//! Stores to test, and things to put into them.

use std::fs;
use std::io::Write;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pipeline_core::{Caption, Metadata, Thumbnail};
use pipeline_store::{
    Filter, ImageId, ImageRecord, ImageState, Job, Outcome, Page, Store, StoreConfig,
};
use tempfile::TempDir;

/// A store in a folder of its own, which goes with it.
pub(crate) struct Scratch {
    store: Option<Store>,
    dir: TempDir,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self::in_folder(tempfile::tempdir().unwrap())
    }

    pub(crate) fn in_folder(dir: TempDir) -> Self {
        Self {
            store: Some(open(dir.path()).unwrap()),
            dir,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path().join("pipeline.sqlite")
    }

    pub(crate) fn original_path(&self, id: ImageId) -> PathBuf {
        sharded(&self.path().join("originals"), id)
    }

    pub(crate) fn thumbnails_path(&self, id: ImageId) -> PathBuf {
        sharded(&self.path().join("thumbnails"), id)
    }

    /// Closes the store in an orderly way; the folder stays.
    pub(crate) fn close(mut self) -> TempDir {
        self.store = None;
        self.dir
    }

    /// What a start after `kill -9` finds: the files as they are while the store is still open.
    pub(crate) fn killed(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(self.path(), copy.path());
        assert!(copy.path().join("pipeline.sqlite-wal").exists());
        copy
    }
}

impl Deref for Scratch {
    type Target = Store;

    fn deref(&self) -> &Store {
        self.store.as_ref().unwrap()
    }
}

fn sharded(root: &Path, id: ImageId) -> PathBuf {
    let id = id.to_string();
    root.join(&id[..2]).join(id)
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Opens a store that does not wait for locks.
pub(crate) fn open(dir: &Path) -> pipeline_store::Result<Store> {
    let config = StoreConfig {
        busy_timeout: Duration::ZERO,
        ..StoreConfig::default()
    };
    Store::open(dir, &config)
}

/// All files below `dir`, relative to it, sorted.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    fn walk(dir: &Path, root: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    walk(dir, dir, &mut found);
    found.sort();
    found
}

pub(crate) fn try_accept(
    store: &Store,
    name: &str,
    bytes: &[u8],
) -> pipeline_store::Result<ImageId> {
    let mut upload = store.begin_upload()?;
    upload.write_all(bytes).unwrap();
    store.accept(upload, name)
}

pub(crate) fn accept(store: &Store, name: &str) -> ImageId {
    try_accept(store, name, name.as_bytes()).unwrap()
}

pub(crate) fn claim(store: &Store) -> Job {
    store.claim("worker").unwrap().expect("an image waits")
}

pub(crate) fn get(store: &Store, id: ImageId) -> ImageRecord {
    store.image(id).unwrap().expect("the image is there")
}

/// The ids of a page.
pub(crate) fn ids(images: &[ImageRecord]) -> Vec<ImageId> {
    images.iter().map(|image| image.id).collect()
}

pub(crate) fn all_ids(store: &Store) -> Vec<ImageId> {
    ids(&store.list(&Page::default()).unwrap().images)
}

pub(crate) fn is_processing(store: &Store, id: ImageId) -> bool {
    get(store, id).state == ImageState::Processing
}

/// As a pipeline would make it; the type has no constructor.
pub(crate) fn metadata() -> Metadata {
    serde_json::from_str(
        r#"{"width": 640, "height": 480, "format": "jpg", "size_bytes": 9, "orientation": 6,
            "fingerprint": {"perceptual_hash": "00ff00000000abcd", "thumbhash": "AQIDBAU="}}"#,
    )
    .unwrap()
}

pub(crate) fn thumbnail(name: &str, width: u32, jpeg: &[u8]) -> Thumbnail {
    Thumbnail {
        name: Arc::from(name),
        width,
        height: 1,
        jpeg: jpeg.to_vec().into(),
    }
}

pub(crate) const TOOK: Duration = Duration::from_millis(420);

/// Completes `job` with a caption and the thumbnails "small" and "medium".
pub(crate) fn complete(store: &Store, job: &Job) -> pipeline_store::Result<()> {
    let outcome = Outcome {
        metadata: &metadata(),
        thumbnails: &[
            thumbnail("small", 256, b"small jpeg"),
            thumbnail("medium", 512, b"medium jpeg!"),
        ],
        caption: Some(&Caption::new("a cat", "tiny")),
        caption_error: None,
    };
    store.complete(job, &outcome, TOOK)
}

/// Metadata of a picture by `make`, with the hash `hash`.
pub(crate) fn metadata_of(format: &str, make: &str, hash: u64) -> Metadata {
    serde_json::from_str(&format!(
        r#"{{"width": 640, "height": 480, "format": "{format}", "size_bytes": 9, "orientation": 1,
             "exif": {{"make": "{make}", "model": "X-1"}},
             "fingerprint": {{"perceptual_hash": "{hash:016x}", "thumbhash": "AQIDBAU="}}}}"#
    ))
    .unwrap()
}

/// Accepts an image and completes it with `caption` by the model `model`.
pub(crate) fn done(store: &Store, name: &str, caption: &str, model: &str) -> ImageId {
    done_with(
        store,
        name,
        &metadata(),
        Some(&Caption::new(caption, model)),
    )
}

/// Accepts an image and completes it.
pub(crate) fn done_with(
    store: &Store,
    name: &str,
    metadata: &Metadata,
    caption: Option<&Caption>,
) -> ImageId {
    let id = accept(store, name);
    let outcome = Outcome {
        metadata,
        thumbnails: &[thumbnail("small", 256, b"small jpeg")],
        caption,
        caption_error: None,
    };
    store.complete(&claim(store), &outcome, TOOK).unwrap();
    id
}

/// The ids of the images that `filter` holds for, newest first.
pub(crate) fn found(store: &Store, filter: &Filter) -> Vec<ImageId> {
    let listing = store.find(filter, &Page::default()).unwrap();
    assert_eq!(listing.total, listing.images.len() as u64);
    ids(&listing.images)
}
