//! A server of one's own for each test, captioners that can be held up, and pictures.

use std::io::Cursor;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use image::{ImageFormat, Rgb, RgbImage};
use pipeline_core::testing::FixedCaptioner;
use pipeline_core::{Caption, CaptionStage, Captioner, Cx, Decode, Limits, Result, Source, Stage};
use pipeline_server::{App, Config};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::http::{BOUNDARY, Form, Reply, Request};

/// The sentence of the captioner that servers have unless told otherwise.
pub(crate) const CAPTION: &str = "red panda cubs";

/// Far longer than anything takes; it turns a hang into a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running server with its data folder.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) app: App,
    running: Running,
    folder: TempDir,
}

struct Running {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// With the default settings and a captioner that always writes [`CAPTION`].
    pub(crate) fn start() -> Self {
        Self::with(
            |_| {},
            Some(CaptionStage::new(FixedCaptioner::new(CAPTION))),
        )
    }

    /// With other settings, or another captioner.
    pub(crate) fn with(change: impl FnOnce(&mut Config), captions: Option<CaptionStage>) -> Self {
        Self::on(tempfile::tempdir().unwrap(), change, captions)
    }

    /// On a folder that may have been used before.
    pub(crate) fn on(
        folder: TempDir,
        change: impl FnOnce(&mut Config),
        captions: Option<CaptionStage>,
    ) -> Self {
        let mut config = Config::new(folder.path().join("data"));
        change(&mut config);
        let app = App::start_with(config, captions).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = app.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let shutdown = async { drop(stopped.await) };
            runtime
                .block_on(pipeline_server::run(listener, served, shutdown))
                .unwrap();
        });
        let running = Running {
            stop: Some(stop),
            thread: Some(thread),
        };
        Self {
            address,
            app,
            running,
            folder,
        }
    }

    /// Stops as on a signal, and hands over the folder.
    pub(crate) fn stop(self) -> TempDir {
        drop(self.running);
        drop(self.app);
        self.folder
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        Request::new(self.address, method, path)
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.request("GET", path).send()
    }

    /// A request to upload a form, whose body is still to come.
    pub(crate) fn form(&self) -> Request {
        self.request("POST", "/api/images").header(
            "Content-Type",
            &format!("multipart/form-data; boundary=\"{BOUNDARY}\""),
        )
    }

    /// A request to upload `body`, which is a whole multipart body.
    pub(crate) fn post(&self, body: Vec<u8>) -> Request {
        self.form().body(body)
    }

    pub(crate) fn upload(&self, name: &str, content_type: &str, bytes: &[u8]) -> Reply {
        self.post(Form::file(name, content_type, bytes)).send()
    }

    /// Uploads a picture that is accepted, and returns its id.
    #[track_caller]
    pub(crate) fn accept(&self, bytes: &[u8]) -> String {
        let content_type = match Source::from(bytes.to_vec()).format() {
            Some(pipeline_core::Format::Png) => "image/png",
            _ => "image/jpeg",
        };
        id_of(&self.upload("picture", content_type, bytes))
    }

    /// Uploads a picture, waits until it is done, and returns its envelope.
    #[track_caller]
    pub(crate) fn process(&self, bytes: &[u8]) -> Value {
        let id = self.accept(bytes);
        self.wait_idle();
        self.envelope(&id)
    }

    #[track_caller]
    pub(crate) fn envelope(&self, id: &str) -> Value {
        let reply = self.get(&format!("/api/images/{id}"));
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    pub(crate) fn stats(&self) -> Value {
        self.get("/api/stats").json()
    }

    /// Waits until no picture is waiting or in work.
    #[track_caller]
    pub(crate) fn wait_idle(&self) {
        let (done, idle) = mpsc::channel();
        let app = self.app.clone();
        thread::spawn(move || done.send(app.wait_idle()).ok());
        idle.recv_timeout(PATIENCE)
            .expect("the queue becomes empty")
            .unwrap();
    }

    /// The number of files below a folder of the data folder, once nothing is in work.
    pub(crate) fn files(&self, folder: &str) -> usize {
        self.wait_idle();
        fn count(path: &std::path::Path) -> usize {
            let entries = std::fs::read_dir(path).map_or_else(|_| Vec::new(), Iterator::collect);
            entries
                .into_iter()
                .map(|entry| entry.unwrap())
                .map(|entry| match entry.file_type().unwrap().is_dir() {
                    true => count(&entry.path()),
                    false => 1,
                })
                .sum()
        }
        count(&self.folder.path().join("data").join(folder))
    }

    /// The data folder.
    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.take().map(|stop| stop.send(()));
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// The id in the answer to an upload.
#[track_caller]
pub(crate) fn id_of(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let body = reply.json();
    assert_eq!(body["status"], "processing");
    assert_eq!(body.as_object().unwrap().len(), 2);
    body["image_id"].as_str().unwrap().to_owned()
}

/// An envelope without the fields that were added to the contract, which have to be there.
#[track_caller]
pub(crate) fn without_additions(mut envelope: Value) -> Value {
    let data = envelope["data"].as_object_mut().unwrap();
    for added in ["uploaded_at", "stages"] {
        assert!(data.remove(added).is_some(), "{added} is missing");
    }
    data.remove("caption_info");
    envelope
}

/// The statistics without what was added to the contract, which has to be there.
#[track_caller]
pub(crate) fn stats_without_additions(mut stats: Value) -> Value {
    let fields = stats.as_object_mut().unwrap();
    for added in ["stages", "recent"] {
        assert!(fields.remove(added).is_some(), "{added} is missing");
    }
    stats
}

/// Waits for what has no event to wait for: something that the server does after a connection is gone.
#[track_caller]
pub(crate) fn until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "it never happened");
        thread::yield_now();
    }
}

/// A captioner made of a function.
pub(crate) struct Custom<F>(pub(crate) F);

impl<F: Fn(&RgbImage, &Cx) -> Result<String> + Send + Sync> Captioner for Custom<F> {
    fn model(&self) -> &str {
        "custom"
    }

    fn caption(&self, picture: &RgbImage, cx: &Cx) -> Result<Caption> {
        (self.0)(picture, cx).map(|text| Caption::new(text, "custom"))
    }
}

/// Holds captions up until it is opened, and tells how many have come so far.
#[derive(Clone, Default)]
pub(crate) struct Gate {
    state: Arc<(Mutex<GateState>, Condvar)>,
}

#[derive(Default)]
struct GateState {
    is_open: bool,
    /// How many captions have come.
    come: usize,
    /// How many may pass though the gate is closed.
    passes: usize,
}

impl Gate {
    pub(crate) fn captions(&self) -> CaptionStage {
        let gate = self.clone();
        CaptionStage::new(Custom(move |_: &RgbImage, cx: &Cx| gate.pass(cx)))
    }

    /// Blocks until `count` captions have come to the gate.
    pub(crate) fn wait_for(&self, count: usize) {
        let (state, changed) = &*self.state;
        let state = state.lock().unwrap();
        let missing = |state: &mut GateState| state.come < count;
        let waited = changed.wait_timeout_while(state, PATIENCE, missing);
        assert!(!waited.unwrap().1.timed_out(), "no caption came");
    }

    pub(crate) fn open(&self) {
        self.change(|state| state.is_open = true);
    }

    /// Lets one caption pass.
    pub(crate) fn let_one_pass(&self) {
        self.change(|state| state.passes += 1);
    }

    fn change(&self, change: impl FnOnce(&mut GateState)) {
        let (state, changed) = &*self.state;
        change(&mut state.lock().unwrap());
        changed.notify_all();
    }

    fn pass(&self, cx: &Cx) -> Result<String> {
        let (state, changed) = &*self.state;
        let mut state = state.lock().unwrap();
        state.come += 1;
        changed.notify_all();
        while !state.is_open && state.passes == 0 {
            cx.check()?;
            // Nobody notifies when the work is cancelled.
            let tick = Duration::from_millis(5);
            state = changed.wait_timeout(state, tick).unwrap().0;
        }
        state.passes = state.passes.saturating_sub(1);
        Ok(CAPTION.to_owned())
    }
}

/// The photo that tests upload unless it matters: 512 × 384 or so, a real JPEG.
pub(crate) const PHOTO: &[u8] = include_bytes!("../../examples/photos/cat.jpg");

/// A PNG file of that size, with a gradient.
pub(crate) fn png(width: u32, height: u32) -> Vec<u8> {
    encode(&pipeline_core::testing::gradient(width, height))
}

/// A PNG file of one colour.
pub(crate) fn plain(width: u32, height: u32, colour: [u8; 3]) -> Vec<u8> {
    encode(&RgbImage::from_pixel(width, height, Rgb(colour)))
}

fn encode(picture: &RgbImage) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}

/// The pixels of a JPEG or PNG file.
pub(crate) fn pixels(file: &[u8]) -> RgbImage {
    let decoded = Decode::new(Limits::default()).run(&Source::from(file.to_vec()), &Cx::none());
    decoded.unwrap().pixels().clone()
}
