//! Fetching a model, from a small server that answers as the hub does.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use sha1::Digest as _;
use sha2::Digest as _;
use tempfile::TempDir;

use crate::daemon::{Daemon, PHOTO, checkpoint, command, fault};

pub(crate) const MODEL: &str = "someone/small-blip";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Answers requests for the files of [`checkpoint`] until the process ends, and remembers which were asked for.
pub(crate) struct Hub {
    pub(crate) endpoint: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    /// `missing` files are not there.
    pub(crate) fn start(missing: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), missing, &log);
            }
        });
        Self { endpoint, asked }
    }

    fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.dedup();
        asked
    }
}

/// One request, one answer, one connection.
fn answer(stream: TcpStream, missing: &[&str], asked: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(&stream).lines().map(|line| line.unwrap());
    let request = lines.next().unwrap();
    let path = request.split(' ').nth(1).unwrap();
    let range = lines
        .by_ref()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            line.to_lowercase()
                .strip_prefix("range: bytes=")
                .map(str::to_owned)
        })
        .last();
    let file = path.strip_prefix(&format!("/{MODEL}/resolve/main/"));
    let bytes = file
        .filter(|file| !missing.contains(file))
        .and_then(|file| fs::read(checkpoint().join(file)).ok());
    if let Some(file) = file {
        asked.lock().unwrap().push(file.to_owned());
    }
    let mut stream = &stream;
    let (Some(bytes), Some(file)) = (bytes, file) else {
        stream
            .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
        return;
    };
    let range = range.unwrap();
    let (first, last) = range.split_once('-').unwrap();
    let first: usize = first.parse().unwrap();
    let last = last.parse().unwrap_or(bytes.len() - 1);
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nETag: \"{}\"\r\nX-Repo-Commit: {COMMIT}\r\n\
         Content-Range: bytes {first}-{last}/{}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        etag(file, &bytes),
        bytes.len(),
        last - first + 1
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&bytes[first..=last]).unwrap();
}

/// What the hub calls a file: by its SHA-256 if it is large, and else as git does.
fn etag(file: &str, bytes: &[u8]) -> String {
    let hash: Vec<u8> = match file {
        "model.safetensors" => sha2::Sha256::digest(bytes).to_vec(),
        _ => {
            let head = format!("blob {}\0", bytes.len());
            sha1::Digest::finalize(sha1::Sha1::new_with_prefix(head).chain_update(bytes)).to_vec()
        }
    };
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A server with `MODEL` and a cache of its own.
fn server(folder: &TempDir, endpoint: &str) -> Command {
    let data = folder.path().join("data");
    let mut command = command(&[
        "--listen",
        "127.0.0.1:0",
        "--data",
        data.to_str().unwrap(),
        "--model",
        MODEL,
    ]);
    command
        .env("HF_ENDPOINT", endpoint)
        .env("HF_HOME", folder.path().join("cache"))
        .current_dir(folder.path());
    command
}

/// An endpoint where nobody listens.
pub(crate) fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn caption_model(daemon: &Daemon) -> String {
    daemon.upload(PHOTO);
    let image = &daemon.finished()[0];
    assert_eq!(image["status"], "success", "{image}");
    let model = &image["data"]["metadata"]["caption_model"];
    model.as_str().unwrap().to_owned()
}

#[test]
fn a_model_is_fetched_once_and_then_needs_no_network() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(&[]);
    let daemon = Daemon::spawn(&mut server(&folder, &hub.endpoint));
    assert_eq!(caption_model(&daemon), MODEL);
    let files = [
        "config.json",
        "preprocessor_config.json",
        "tokenizer.json",
        "model.safetensors",
    ];
    assert_eq!(hub.asked(), files);
    drop(daemon);

    let daemon = Daemon::spawn(&mut server(&folder, &nowhere()));
    assert_eq!(caption_model(&daemon), MODEL);
}

#[test]
fn older_checkpoints_have_their_weights_in_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(&["model.safetensors"]);
    let output = server(&folder, &hub.endpoint).output().unwrap();
    // There is none in this checkpoint either, so this is what the hub is asked for last.
    let line = last_line(&output.stderr);
    assert!(
        line.contains("pytorch_model.bin") && line.contains("404"),
        "{line}"
    );
    assert_eq!(hub.asked().last().unwrap(), "pytorch_model.bin");
    assert_eq!(output.status.code(), Some(1));
}

fn last_line(stderr: &[u8]) -> &str {
    std::str::from_utf8(stderr).unwrap().lines().last().unwrap()
}

#[test]
fn a_hub_that_cannot_be_reached() {
    let folder = tempfile::tempdir().unwrap();
    let line = fault(&server(&folder, &nowhere()).output().unwrap());
    assert!(
        line.contains(MODEL) && line.contains("check the network"),
        "{line}"
    );
    assert!(
        is_empty(&folder.path().join("cache")),
        "nothing is left behind"
    );
}

#[test]
fn a_repository_that_does_not_exist() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(&["config.json"]);
    let line = fault(&server(&folder, &hub.endpoint).output().unwrap());
    assert!(
        line.contains(MODEL) && line.contains("config.json"),
        "{line}"
    );
    assert!(line.contains("check the id at --model"), "{line}");
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none())
}
