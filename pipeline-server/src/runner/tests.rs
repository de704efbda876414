//! Workers that hang, dawdle and come back too late. The time is a number that the tests set.

use std::io::Write;
use std::sync::atomic::AtomicI64;
use std::sync::mpsc::{Receiver, Sender, channel};

use jiff::Timestamp;
use pipeline_core::image::RgbImage;
use pipeline_core::{Caption, CaptionStage, Captioner, Cx, Error as CoreError, ThumbnailSpec};
use pipeline_store::{ImageId, ImageState, StoreConfig};
use tempfile::TempDir;

use super::*;

const PHOTO: &[u8] = include_bytes!("../../../examples/photos/cat.jpg");
const LEASE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_secs(10);
const DEADLINE: Duration = Duration::from_secs(600);
/// Far longer than anything takes; it turns a hang into a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// A runner whose captions are written, and whose time passes, as the test says.
struct Rig {
    runner: Runner,
    calls: Receiver<Call>,
    millis: Arc<AtomicI64>,
    last: Timestamp,
    _folder: TempDir,
}

/// A caption that a worker waits for.
struct Call {
    orders: Sender<Order>,
    checked: Receiver<bool>,
    #[cfg(target_os = "linux")]
    nice: i32,
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
    fn check(&self) -> bool {
        self.orders.send(Order::Check).unwrap();
        self.checked.recv_timeout(PATIENCE).unwrap()
    }

    fn write(&self, text: &'static str) {
        self.orders.send(Order::Write(text)).unwrap();
    }
}

impl Rig {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let millis = Arc::new(AtomicI64::new(0));
        let shown = Arc::clone(&millis);
        let clock =
            Clock::new(move || Timestamp::from_millisecond(shown.load(Ordering::SeqCst)).unwrap());
        let config = StoreConfig {
            lease: LEASE,
            clock: clock.clone(),
            ..StoreConfig::default()
        };
        let store = Store::open(folder.path(), &config).unwrap();
        let (tell, calls) = channel();
        let pipeline = ImagePipeline::builder()
            .thumbnails([ThumbnailSpec::new("small", 64)])
            .captions(CaptionStage::new(Puppet(Mutex::new(tell))))
            .build();
        let settings = Settings {
            workers: 1,
            optional_captions: false,
            captioner: None,
            deadline: DEADLINE,
            lease: LEASE,
            clock,
        };
        let (metrics, events) = (Arc::new(Metrics::new(None)), Arc::new(Events::new(1)));
        Self {
            runner: Runner::without_watch(store, pipeline, settings, metrics, events).unwrap(),
            calls,
            millis,
            last: Timestamp::UNIX_EPOCH,
            _folder: folder,
        }
    }

    fn store(&self) -> &Store {
        &self.runner.shared.store
    }

    fn accept(&self) -> ImageId {
        let mut upload = self.store().begin_upload().unwrap();
        upload.write_all(PHOTO).unwrap();
        let id = self.store().accept(upload, "cat.jpg").unwrap();
        self.runner.wake();
        id
    }

    fn call(&self) -> Call {
        self.calls.recv_timeout(PATIENCE).unwrap()
    }

    /// Lets time pass, with a look at the workers at its end.
    fn pass(&mut self, time: Duration) {
        let millis = i64::try_from(time.as_millis()).unwrap();
        self.millis.fetch_add(millis, Ordering::SeqCst);
        self.last = self.runner.shared.look_after_workers(self.last);
    }

    /// As long as it takes until a silent worker is given up.
    fn hang(&mut self) {
        for _ in 0..8 {
            self.pass(LOOK);
        }
    }

    fn caption(&self, id: ImageId) -> Option<String> {
        match self.store().image(id).unwrap().unwrap().state {
            ImageState::Success { caption, .. } => caption.map(|caption| caption.text),
            _ => None,
        }
    }

    fn failure(&self, id: ImageId) -> Option<String> {
        match self.store().image(id).unwrap().unwrap().state {
            ImageState::Failed { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Waits until no more than `count` threads are there, those that were given up included.
    fn wait_for_threads(&self, count: usize) {
        let started = Instant::now();
        // The runner has one of these itself.
        while Arc::strong_count(&self.runner.shared) > count + 1 {
            assert!(started.elapsed() < PATIENCE, "a thread does not end");
            thread::yield_now();
        }
    }
}

#[test]
fn a_worker_that_lost_its_lease_writes_nothing() {
    let mut rig = Rig::new();
    let id = rig.accept();
    let first = rig.call();
    rig.hang();
    let second = rig.call();
    second.write("by the second");
    rig.runner.wait_idle().unwrap();
    let done = rig.store().image(id).unwrap();
    let thumbnail = rig.store().thumbnail(id, "small").unwrap().unwrap();
    let modified = std::fs::metadata(&thumbnail).unwrap().modified().unwrap();

    first.write("by the first");
    rig.wait_for_threads(1);
    assert_eq!(rig.store().image(id).unwrap(), done);
    assert_eq!(rig.caption(id).as_deref(), Some("by the second"));
    assert_eq!(
        std::fs::metadata(&thumbnail).unwrap().modified().unwrap(),
        modified
    );
    let beside = std::fs::read_dir(thumbnail.parent().unwrap()).unwrap();
    assert_eq!(beside.count(), 1, "files of the first were left");
}

#[test]
fn a_picture_that_hangs_its_worker_twice_fails_and_the_queue_goes_on() {
    let mut rig = Rig::new();
    let poison = rig.accept();
    let innocent = rig.accept();
    let _first = rig.call();
    rig.hang();
    assert_eq!(rig.failure(poison), None, "one attempt is left");
    let _second = rig.call();
    rig.hang();
    assert_eq!(rig.failure(poison).as_deref(), Some("worker-hung"));
    rig.call().write("a cat");
    rig.runner.wait_idle().unwrap();
    assert_eq!(rig.caption(innocent).as_deref(), Some("a cat"));
}

#[test]
fn a_worker_that_makes_progress_keeps_its_picture() {
    let mut rig = Rig::new();
    let id = rig.accept();
    let call = rig.call();
    for _ in 0..50 {
        assert!(call.check());
        rig.pass(LOOK);
    }
    call.write("a cat");
    rig.runner.wait_idle().unwrap();
    assert_eq!(rig.caption(id).as_deref(), Some("a cat"));
    assert!(rig.calls.try_recv().is_err(), "nobody else had it");
}

#[test]
fn a_process_that_stood_still_hangs_nobody() {
    let mut rig = Rig::new();
    let id = rig.accept();
    let call = rig.call();
    assert!(call.check());
    rig.pass(LOOK);
    rig.pass(DEADLINE / 2);
    rig.pass(LOOK);
    call.write("a cat");
    rig.runner.wait_idle().unwrap();
    assert_eq!(rig.caption(id).as_deref(), Some("a cat"));
}

#[test]
fn a_picture_that_takes_too_long_twice_fails() {
    let mut rig = Rig::new();
    let slow = rig.accept();
    let innocent = rig.accept();
    for _ in 0..2 {
        assert_eq!(rig.failure(slow), None);
        let call = rig.call();
        for _ in 0..59 {
            assert!(call.check());
            rig.pass(LOOK);
        }
        assert!(call.check(), "there is time left");
        rig.pass(LOOK);
        assert!(!call.check(), "it is too late");
    }
    rig.call().write("a cat");
    rig.runner.wait_idle().unwrap();
    assert_eq!(rig.failure(slow).as_deref(), Some("deadline-exceeded"));
    assert_eq!(rig.caption(innocent).as_deref(), Some("a cat"));
}

#[cfg(target_os = "linux")]
#[test]
fn workers_let_requests_go_first() {
    let rig = Rig::new();
    rig.accept();
    let call = rig.call();
    assert!(call.nice >= worker::NICE, "{}", call.nice);
}

#[test]
fn a_deleted_picture_is_let_go_of() {
    let mut rig = Rig::new();
    let id = rig.accept();
    let call = rig.call();
    assert!(rig.store().delete(id).unwrap());
    assert!(call.check());
    rig.pass(LOOK);
    assert!(!call.check());
    rig.runner.wait_idle().unwrap();
}

#[test]
fn a_worker_that_does_not_stop_is_left_behind_and_its_picture_handed_back() {
    let rig = Rig::new();
    let id = rig.accept();
    let call = rig.call();
    rig.runner.stop_within(Duration::ZERO);
    let job = rig.store().claim("the next").unwrap().unwrap();
    assert_eq!((job.image_id(), job.attempt()), (id, 1), "it did not count");
    call.write("too late");
    rig.wait_for_threads(0);
    assert_eq!(rig.caption(id), None);
    assert!(rig.store().is_held(&job).unwrap());
}
