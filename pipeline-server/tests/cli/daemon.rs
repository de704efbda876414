//! The server as a process, and just enough HTTP to talk to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
#[cfg(target_os = "linux")]
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::chunked;
use crate::line::Line;

pub(crate) const PHOTO: &[u8] = include_bytes!("../../../examples/photos/cat.jpg");
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The binary with arguments, and without any setting of the person who runs the tests.
pub(crate) fn command(args: &[&str]) -> Command {
    prepared(Command::new(env!("CARGO_BIN_EXE_pipeline-server")), args)
}

/// The same, after the shell has carried out `setup`.
pub(crate) fn command_after(setup: &str, args: &[&str]) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{setup}; exec \"$0\" \"$@\""));
    shell.arg(env!("CARGO_BIN_EXE_pipeline-server"));
    prepared(shell, args)
}

fn prepared(mut command: Command, args: &[&str]) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PIPELINE_") {
            command.env_remove(name);
        }
    }
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs the binary to its end. One that does not end, such as a server that should have refused to start, is killed.
pub(crate) fn run(args: &[&str]) -> Output {
    let mut command = command(args);
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let pid = child.id();
    let (tell, told) = channel();
    thread::scope(|scope| {
        scope.spawn(|| tell.send(child.wait_with_output().unwrap()).unwrap());
        told.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            kill(pid, "-KILL");
            panic!("it does not end: {args:?}")
        })
    })
}

fn kill(pid: u32, signal: &str) {
    let status = Command::new("kill")
        .args([signal, &pid.to_string()])
        .status();
    assert!(status.unwrap().success());
}

/// Asserts that the binary stopped because of a fault, and returns the one line that says so.
#[track_caller]
pub(crate) fn fault(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(output.stdout.is_empty());
    let line = text.trim_end().strip_prefix("error: ").unwrap();
    line.to_owned()
}

/// The upload of a JPEG file: a head that still lacks its end, and a body.
pub(crate) fn form(bytes: &[u8]) -> (String, Vec<u8>) {
    let mut body = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.jpg\"\r\n\
                     Content-Type: image/jpeg\r\n\r\n"
        .to_vec();
    body.extend(bytes);
    body.extend(b"\r\n--b--\r\n");
    let head = format!(
        "POST /api/images HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n",
        body.len()
    );
    (head, body)
}

/// A running server.
pub(crate) struct Daemon {
    child: Child,
    /// Reads the log as it comes: a server whose log nobody takes would stand still.
    rest: Option<JoinHandle<Vec<String>>>,
    address: String,
    pub(crate) log: Vec<String>,
}

impl Daemon {
    /// Starts on a free port with `data` as its folder, and waits until it is ready.
    pub(crate) fn start(data: &Path, args: &[&str]) -> Self {
        let base = ["--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
        Self::spawn(&mut command(&[&base[..], args].concat()))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut log = Vec::new();
        let address = loop {
            let mut line = String::new();
            let read = stderr.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "it ended before it was ready: {log:?}");
            log.push(line.trim_end().to_owned());
            if let Some((_, rest)) = line.split_once("ready on http://") {
                break rest.split(',').next().unwrap().to_owned();
            }
        };
        let rest = thread::spawn(move || stderr.lines().map(Result::unwrap).collect());
        Self {
            child,
            rest: Some(rest),
            address,
            log,
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn signal(&self, signal: &str) {
        kill(self.child.id(), signal);
    }

    /// Waits for the end, and returns the exit code and the whole log.
    pub(crate) fn wait(mut self) -> (Option<i32>, Vec<String>) {
        let mut log = std::mem::take(&mut self.log);
        log.extend(self.rest.take().unwrap().join().unwrap());
        (self.child.wait().unwrap().code(), log)
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.exchange(&format!("GET {path} HTTP/1.1\r\n"), b"")
    }

    /// Uploads a JPEG file and returns its id.
    pub(crate) fn upload(&self, bytes: &[u8]) -> String {
        let (head, body) = form(bytes);
        self.exchange(&head, &body)["image_id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// The envelopes of all pictures, once none is in work.
    pub(crate) fn finished(&self) -> Vec<Value> {
        let start = Instant::now();
        loop {
            let Value::Array(list) = self.get("/api/images") else {
                panic!("no array");
            };
            if list.iter().all(|image| image["status"] != "processing") {
                return list;
            }
            assert!(start.elapsed() < PATIENCE, "{list:?}");
            thread::yield_now();
        }
    }

    /// A connection that stays open from one request to the next.
    pub(crate) fn line(&self) -> Line {
        Line::connect(&self.address)
    }

    /// Memory that the process has now, in bytes.
    #[cfg(target_os = "linux")]
    pub(crate) fn memory(&self) -> usize {
        let pages = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).unwrap();
        let resident: usize = pages.split(' ').nth(1).unwrap().parse().unwrap();
        resident * 4096
    }

    /// Where the process has memory mapped or reserved, in ascending order.
    #[cfg(target_os = "linux")]
    pub(crate) fn mapped(&self) -> Vec<Range<usize>> {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", self.child.id())).unwrap();
        let number = |hex| usize::from_str_radix(hex, 16).unwrap();
        maps.lines()
            .map(|line| line.split(' ').next().unwrap().split_once('-').unwrap())
            .map(|(start, end)| number(start)..number(end))
            .collect()
    }

    /// Files and sockets that the process has open now.
    #[cfg(target_os = "linux")]
    pub(crate) fn open_files(&self) -> usize {
        let open = format!("/proc/{}/fd", self.child.id());
        std::fs::read_dir(open).unwrap().count()
    }

    /// Sends a request, whose head still lacks its end, and returns the JSON of its answer.
    pub(crate) fn exchange(&self, head: &str, body: &[u8]) -> Value {
        let reply = self.answer(head, body);
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{reply}");
        match head.contains("transfer-encoding: chunked") {
            true => serde_json::from_slice(&chunked::decode(body.as_bytes()).unwrap()).unwrap(),
            false => serde_json::from_str(body).unwrap(),
        }
    }

    /// The same, with the whole answer as it comes.
    pub(crate) fn answer(&self, head: &str, body: &[u8]) -> String {
        String::from_utf8(self.reply(head, body)).unwrap()
    }

    /// The body of what is at `path`.
    pub(crate) fn download(&self, path: &str) -> Vec<u8> {
        let reply = self.reply(&format!("GET {path} HTTP/1.1\r\n"), b"");
        let head = reply.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
        assert!(reply.starts_with(b"HTTP/1.1 200 "));
        reply[head + 4..].to_vec()
    }

    fn reply(&self, head: &str, body: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut message =
            format!("{head}Host: {}\r\nConnection: close\r\n\r\n", self.address).into_bytes();
        message.extend(body);
        stream.write_all(&message).unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        reply
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A test that fails must not leave its server behind; one that waited for the end gets an error here.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The small random BLIP checkpoint.
pub(crate) fn checkpoint() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/blip-reference")
}
