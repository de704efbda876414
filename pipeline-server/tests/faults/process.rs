//! The server as a process that may die at any time, and a client that can live with that.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::chunked;

pub(crate) const PHOTO: &[u8] = include_bytes!("../../../examples/photos/cat.jpg");

/// Far longer than anything takes; it turns a hang into a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A data folder, and the script of what is to go wrong.
pub(crate) struct Site {
    folder: TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.data().join("pipeline.sqlite")).unwrap()
    }

    /// Lets `action` happen at the place `point`, from now on and in servers that start later.
    pub(crate) fn script(&self, point: &str, action: &str) {
        self.script_all(&[(point, action)]);
    }

    /// Waits until a server hangs at `point`, as the script told it to.
    #[track_caller]
    pub(crate) fn wait_for_hang(&self, point: &str) {
        let note = self.script_path().with_file_name(format!("{point}.hangs"));
        until("it hangs", || note.exists().then_some(()));
    }

    /// The same for several places.
    pub(crate) fn script_all(&self, lines: &[(&str, &str)]) {
        let line = |(point, action): &(&str, &str)| format!("{point} {action}\n");
        let lines: String = lines.iter().map(line).collect();
        // In one step, so that no server reads a half of it.
        let draft = self.folder.path().join("draft");
        std::fs::write(&draft, lines).unwrap();
        std::fs::rename(draft, self.script_path()).unwrap();
    }

    /// Lets everything go well again.
    pub(crate) fn heal(&self) {
        std::fs::remove_file(self.script_path()).unwrap();
    }

    fn script_path(&self) -> PathBuf {
        self.folder.path().join("script")
    }

    pub(crate) fn start(&self, args: &[&str]) -> Server {
        let mut server = self.spawn(&self.data(), args);
        server.wait_until_ready();
        server
    }

    /// Waits until so many pictures are in work.
    pub(crate) fn wait_until_in_work(&self, count: usize) {
        let database = self.database();
        until("pictures are in work", || {
            let sql = "SELECT count(*) FROM jobs WHERE state = 'running'";
            let running: u32 = database.query_row(sql, [], |row| row.get(0)).unwrap();
            (running as usize >= count).then_some(())
        });
    }

    /// Without waiting until it is ready.
    pub(crate) fn spawn(&self, data: &Path, args: &[&str]) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipeline-server"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PIPELINE_") {
                command.env_remove(name);
            }
        }
        if !args.contains(&"--model") {
            command.args(["--model", "none"]);
        }
        let mut child = command
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(args)
            .env("PIPELINE_FAIL_POINTS", self.script_path())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::<Mutex<Vec<String>>>::default();
        let lines = Arc::clone(&log);
        // A pipe that nobody empties would hold the server up.
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        Server {
            child,
            address: String::new(),
            log,
        }
    }

    /// Runs `pipeline-server doctor`, and returns what it says.
    pub(crate) fn doctor(&self) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_pipeline-server"))
            .args(["doctor", "--data"])
            .arg(self.data())
            .env_remove("PIPELINE_DATA")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    }
}

pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn wait_until_ready(&mut self) {
        let address = |line: &String| {
            let (_, rest) = line.split_once("ready on http://")?;
            Some(rest.split(',').next()?.to_owned())
        };
        let log = Arc::clone(&self.log);
        self.address = until("the server is ready", || {
            assert!(self.child.try_wait().unwrap().is_none(), "{log:?}");
            log.lock().unwrap().iter().find_map(address)
        });
    }

    /// `kill -9`.
    pub(crate) fn kill(&self) {
        self.signal("-KILL");
    }

    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let mut kill = Command::new("kill");
        assert!(kill.args([signal, &pid]).status().unwrap().success());
    }

    /// Waits for the end and returns the exit code, if it was not a signal.
    pub(crate) fn wait(mut self) -> Option<i32> {
        until("the server ends", || self.child.try_wait().unwrap()).code()
    }

    /// Waits until a line of the log contains `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        self.wait_for_logs(text, 1);
    }

    /// Waits until `count` lines of the log contain `text`.
    pub(crate) fn wait_for_logs(&self, text: &str, count: usize) {
        until(text, || {
            let log = self.log.lock().unwrap();
            let lines = log.iter().filter(|line| line.contains(text));
            (lines.count() >= count).then_some(())
        });
    }

    pub(crate) fn get(&self, path: &str) -> io::Result<Reply> {
        request(&self.address, "GET", path, "", b"")
    }

    pub(crate) fn delete(&self, id: &str) -> io::Result<Reply> {
        request(
            &self.address,
            "DELETE",
            &format!("/api/images/{id}"),
            "",
            b"",
        )
    }

    pub(crate) fn upload(&self) -> io::Result<Reply> {
        upload(&self.address)
    }

    /// Uploads a picture that is accepted.
    #[track_caller]
    pub(crate) fn accept(&self) -> String {
        let reply = self.upload().unwrap();
        reply.id().unwrap_or_else(|| panic!("{reply:?}"))
    }

    pub(crate) fn image(&self, id: &str) -> Value {
        self.get(&format!("/api/images/{id}")).unwrap().json()
    }

    /// Waits until no picture is waiting or in work, and returns the envelopes of all.
    pub(crate) fn finished(&self) -> Vec<Value> {
        until("all pictures are done", || {
            let list = self.get("/api/images").unwrap().json();
            let list = list.as_array().unwrap().clone();
            let done = list.iter().all(|image| image["status"] != "processing");
            done.then_some(list)
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that fails must not leave its server behind; one that has ended gives an error here.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let name = format!("{name}:");
        let mut lines = self.head.lines();
        let line = lines.find(|line| line.to_lowercase().starts_with(&name))?;
        Some(line[name.len()..].trim().to_owned())
    }

    /// The id of an upload that was acknowledged.
    pub(crate) fn id(&self) -> Option<String> {
        let id = || self.json()["image_id"].as_str().map(str::to_owned);
        (self.status == 200).then(id).flatten()
    }
}

/// Uploads a photo.
pub(crate) fn upload(address: &str) -> io::Result<Reply> {
    upload_with(address, "")
}

/// Uploads a photo with further header lines, each with its end.
pub(crate) fn upload_with(address: &str, headers: &str) -> io::Result<Reply> {
    let mut body = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.jpg\"\r\n\
                     Content-Type: image/jpeg\r\n\r\n"
        .to_vec();
    body.extend(PHOTO);
    body.extend(b"\r\n--b--\r\n");
    let headers = format!("{headers}Content-Type: multipart/form-data; boundary=b\r\n");
    request(address, "POST", "/api/images", &headers, &body)
}

/// An answer, or an error if the server died before it was complete.
fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> io::Result<Reply> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), body].concat())?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    let cut_off = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let (head, body) = reply.split_once("\r\n\r\n").ok_or_else(cut_off)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let mut reply = Reply {
        status: status.ok_or_else(cut_off)?,
        head: head.to_owned(),
        body: body.to_owned(),
    };
    if reply.header("transfer-encoding").as_deref() == Some("chunked") {
        let whole = chunked::decode(body.as_bytes()).ok_or_else(cut_off)?;
        reply.body = String::from_utf8(whole).map_err(io::Error::other)?;
        return Ok(reply);
    }
    let length = reply.header("content-length");
    let whole = length.is_none_or(|length| length.parse() == Ok(body.len()));
    whole.then_some(reply).ok_or_else(cut_off)
}

/// Looks again and again until there is something.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "it never happened: {what}");
        thread::yield_now();
    }
}
