//! A runner whose captions are written, and whose time passes, as the test says.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::mpsc::{Receiver, Sender, channel};

use jiff::Timestamp;
use pipeline_core::image::RgbImage;
use pipeline_core::{Caption, CaptionStage, Captioner, Cx, Error as CoreError, ThumbnailSpec};
use pipeline_store::{ImageId, ImageState, StoreConfig};
use tempfile::TempDir;

use crate::runner::*;

const PHOTO: &[u8] = include_bytes!("../../../../examples/photos/cat.jpg");
pub(super) const LEASE: Duration = Duration::from_secs(60);
pub(super) const LOOK: Duration = Duration::from_secs(10);
/// For how long a picture is put off in all.
pub(super) const PATIENCE_OF_STORE: Duration = Duration::from_secs(3_600);
pub(super) const DEADLINE: Duration = Duration::from_secs(600);
/// Far longer than anything takes; it turns a hang into a failure.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A runner whose captions are written, and whose time passes, as the test says.
pub(super) struct Rig {
    pub(super) runner: Runner,
    pub(super) calls: Receiver<Call>,
    /// How many pictures were decoded, some of them twice.
    pub(super) decodes: Arc<AtomicU64>,
    /// How long that takes.
    pub(super) decode_millis: Arc<AtomicI64>,
    millis: Arc<AtomicI64>,
    last: Timestamp,
    desk: Desk,
    _folder: TempDir,
}

/// A store with nobody at work.
pub(super) struct Desk {
    pub(super) store: Store,
    path: PathBuf,
}

/// A caption that a worker waits for.
pub(super) struct Call {
    orders: Sender<Order>,
    checked: Receiver<bool>,
    #[cfg(target_os = "linux")]
    pub(super) nice: i32,
}

enum Order {
    Check,
    Write(&'static str),
}

struct Puppet(Mutex<Sender<Call>>);

impl Captioner for Puppet {
    fn model(&self) -> &str {
        "puppet"
    }

    fn caption(&self, _: &RgbImage, cx: &Cx) -> pipeline_core::Result<Caption> {
        let (orders, received) = channel();
        let (tell, checked) = channel();
        let call = Call {
            orders,
            checked,
            #[cfg(target_os = "linux")]
            nice: rustix::process::getpriority_process(None).unwrap(),
        };
        self.0.lock().unwrap().send(call).ok();
        for order in received {
            match order {
                Order::Check => {
                    let result = cx.check();
                    tell.send(result.is_ok()).ok();
                    result?;
                }
                Order::Write(text) => return Ok(Caption::new(text, "puppet")),
            }
        }
        Err(CoreError::Cancelled)
    }
}

impl Call {
    /// Lets the stage look at its `Cx`; `false` if it was told to stop there.
    pub(super) fn check(&self) -> bool {
        self.orders.send(Order::Check).unwrap();
        self.checked.recv_timeout(PATIENCE).unwrap()
    }

    pub(super) fn write(&self, text: &'static str) {
        self.orders.send(Order::Write(text)).unwrap();
    }
}

impl Desk {
    pub(super) fn accept(&self) -> ImageId {
        let mut upload = self.store.begin_upload().unwrap();
        upload.write_all(PHOTO).unwrap();
        self.store.accept(upload, "cat.jpg").unwrap()
    }

    /// A picture whose file cannot be read, and that file: a folder is in its place, which is another error than none.
    pub(super) fn accept_unreadable(&self) -> (ImageId, PathBuf) {
        let id = self.accept();
        let original = self.shard("originals", id).join(id.to_string());
        fs::rename(&original, original.with_extension("aside")).unwrap();
        fs::create_dir(&original).unwrap();
        (id, original)
    }

    /// A picture whose thumbnails cannot be stored, and the file that is in the way.
    pub(super) fn accept_unwritable(&self) -> (ImageId, PathBuf) {
        let id = self.accept();
        let folder = self.shard("thumbnails", id);
        fs::write(&folder, "in the way").unwrap();
        (id, folder)
    }

    /// The part of a folder that this picture's files are in.
    fn shard(&self, folder: &str, id: ImageId) -> PathBuf {
        self.path.join(folder).join(&id.to_string()[..2])
    }
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::after(|_| {}).0
    }

    /// After `prepare` has done something to the folder, and before the worker sees it.
    pub(super) fn after<T>(prepare: impl FnOnce(&Desk) -> T) -> (Self, T) {
        Self::in_folder(tempfile::tempdir().unwrap(), prepare)
    }

    /// One worker, on a folder that may have been used before.
    pub(super) fn in_folder<T>(folder: TempDir, prepare: impl FnOnce(&Desk) -> T) -> (Self, T) {
        let millis = Arc::new(AtomicI64::new(0));
        let shown = Arc::clone(&millis);
        let clock =
            Clock::new(move || Timestamp::from_millisecond(shown.load(Ordering::SeqCst)).unwrap());
        let config = StoreConfig {
            lease: LEASE,
            patience: PATIENCE_OF_STORE,
            clock: clock.clone(),
            ..StoreConfig::default()
        };
        let store = Store::open(folder.path(), &config).unwrap();
        let (tell, calls) = channel();
        let (decodes, decode_millis) = <(Arc<AtomicU64>, Arc<AtomicI64>)>::default();
        let (counted, takes) = (Arc::clone(&decodes), Arc::clone(&decode_millis));
        let hand = Arc::clone(&millis);
        let pipeline = ImagePipeline::builder()
            .thumbnails([ThumbnailSpec::new("small", 64)])
            .captions(CaptionStage::new(Puppet(Mutex::new(tell))))
            .observe(move |stage, _| {
                if stage == "decode" {
                    counted.fetch_add(1, Ordering::SeqCst);
                    hand.fetch_add(takes.load(Ordering::SeqCst), Ordering::SeqCst);
                }
            })
            .build();
        let settings = Settings {
            workers: 1,
            has_captions: true,
            optional_captions: false,
            captioner: None,
            deadline: DEADLINE,
            lease: LEASE,
            clock,
        };
        let desk = Desk {
            store: store.clone(),
            path: folder.path().to_owned(),
        };
        let prepared = prepare(&desk);
        let (metrics, events) = (Arc::new(Metrics::new(None)), Arc::new(Events::new(1)));
        let rig = Self {
            runner: Runner::without_watch(store, pipeline, settings, metrics, events).unwrap(),
            calls,
            decodes,
            decode_millis,
            millis,
            last: Timestamp::UNIX_EPOCH,
            desk,
            _folder: folder,
        };
        (rig, prepared)
    }

    pub(super) fn store(&self) -> &Store {
        &self.runner.shared.store
    }

    pub(super) fn accept(&self) -> ImageId {
        let id = self.desk.accept();
        self.runner.wake();
        id
    }

    /// How often each picture that is in work was claimed, the oldest first.
    pub(super) fn claims(&self) -> Vec<u32> {
        let database = self.desk.path.join("pipeline.sqlite");
        let database = rusqlite::Connection::open(database).unwrap();
        let mut select = database
            .prepare("SELECT claims FROM jobs ORDER BY image_seq")
            .unwrap();
        let claims = select.query_map([], |row| row.get(0)).unwrap();
        claims.map(|claims| claims.unwrap()).collect()
    }

    /// The lines of the metrics that count pictures by how they ended.
    pub(super) fn outcomes(&self) -> Vec<String> {
        let now = crate::metrics::Now {
            queue: 0,
            webhooks: 0,
            oldest: Duration::ZERO,
            receiving: 0,
            receiving_bytes: 0,
        };
        let text = self.runner.shared.metrics.render(&now);
        let lines = text
            .lines()
            .filter_map(|line| line.strip_prefix("pipeline_pictures_total"));
        lines.map(str::to_owned).collect()
    }

    /// Puts the clock forward, and lets those look at it who wait for a time.
    pub(super) fn forward(&self, time: Duration) {
        let millis = i64::try_from(time.as_millis()).unwrap();
        self.millis.fetch_add(millis, Ordering::SeqCst);
        self.runner.shared.announce(|_| {});
    }

    /// Whether a worker waits for the store, with its picture in hand.
    pub(super) fn is_waiting(&self) -> bool {
        let state = lock(&self.runner.shared.state);
        let slots = state
            .threads
            .iter()
            .filter_map(|thread| thread.slot.as_ref());
        let mut works = slots.filter_map(|slot| slot.work());
        works.any(|work| work.waiting.load(Ordering::SeqCst))
    }

    /// Looks again and again until there is something.
    #[track_caller]
    pub(super) fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(started.elapsed() < PATIENCE, "it never happened");
            thread::yield_now();
        }
    }

    pub(super) fn call(&self) -> Call {
        self.calls.recv_timeout(PATIENCE).unwrap()
    }

    /// Lets time pass, with a look at the workers at its end.
    pub(super) fn pass(&mut self, time: Duration) {
        self.forward(time);
        self.last = self.runner.shared.look_after_workers(self.last);
    }

    /// As long as it takes until a silent worker is given up.
    pub(super) fn hang(&mut self) {
        for _ in 0..8 {
            self.pass(LOOK);
        }
    }

    pub(super) fn caption(&self, id: ImageId) -> Option<String> {
        match self.store().image(id).unwrap().unwrap().state {
            ImageState::Success { caption, .. } => caption.map(|caption| caption.text),
            _ => None,
        }
    }

    pub(super) fn failure(&self, id: ImageId) -> Option<String> {
        match self.store().image(id).unwrap().unwrap().state {
            ImageState::Failed { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Waits until no more than `count` threads are there, those that were given up included.
    pub(super) fn wait_for_threads(&self, count: usize) {
        let started = Instant::now();
        // The runner has one of these itself.
        while Arc::strong_count(&self.runner.shared) > count + 1 {
            assert!(started.elapsed() < PATIENCE, "a thread does not end");
            thread::yield_now();
        }
    }
}
