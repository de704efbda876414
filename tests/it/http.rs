//! A plain HTTP/1.1 client on a TCP stream: nothing is added, corrected or retried.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::chunked;
use crate::support::PATIENCE;

/// A request that is being put together.
#[derive(Clone)]
pub(crate) struct Request {
    server: SocketAddr,
    head: String,
    has_host: bool,
    body: Vec<u8>,
    has_length: bool,
}

impl Request {
    pub(crate) fn new(server: SocketAddr, method: &str, path: &str) -> Self {
        Self {
            server,
            head: format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n"),
            has_host: false,
            body: Vec::new(),
            has_length: false,
        }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.has_host |= name.eq_ignore_ascii_case("host");
        self.has_length |= name.eq_ignore_ascii_case("content-length")
            || name.eq_ignore_ascii_case("transfer-encoding");
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        if !self.has_length {
            let length = self.body.len().to_string();
            self = self.header("Content-Length", &length);
        }
        self
    }

    /// The body in chunks of `size` bytes, with no length in the head.
    pub(crate) fn chunked(mut self, body: &[u8], size: usize) -> Self {
        self = self.header("Transfer-Encoding", "chunked");
        for chunk in body.chunks(size) {
            self.body
                .extend(format!("{:x}\r\n", chunk.len()).into_bytes());
            self.body.extend(chunk);
            self.body.extend(b"\r\n");
        }
        self.body.extend(b"0\r\n\r\n");
        self
    }

    /// Sends head and body and leaves the connection open.
    pub(crate) fn start(mut self) -> Connection {
        if !self.has_host {
            let host = self.server.to_string();
            self = self.header("Host", &host);
        }
        let mut stream = TcpStream::connect(self.server).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        self.head.push_str("\r\n");
        let mut message = self.head.into_bytes();
        message.extend(self.body);
        stream.write_all(&message).unwrap();
        let no_body = message.starts_with(b"HEAD ");
        Connection { stream, no_body }
    }

    pub(crate) fn send(self) -> Reply {
        self.start().reply()
    }
}

/// A connection whose request has been sent, perhaps in part.
pub(crate) struct Connection {
    stream: TcpStream,
    no_body: bool,
}

impl Connection {
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Reads the server's word that it wants the body.
    pub(crate) fn go_ahead(&mut self) {
        let mut line = [0; 25];
        self.stream.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"HTTP/1.1 100 Continue\r\n\r\n");
    }

    /// Reads the answer.
    pub(crate) fn reply(mut self) -> Reply {
        let mut bytes = Vec::new();
        let head_end = loop {
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            self.read_some(&mut bytes);
        };
        let mut reply = Reply::parse(std::str::from_utf8(&bytes[..head_end]).unwrap());
        let mut body = bytes.split_off(head_end + 4);
        let length = reply
            .header("content-length")
            .map(|length| length.parse::<usize>().unwrap());
        match length.filter(|_| !self.no_body) {
            Some(length) => {
                while body.len() < length {
                    self.read_some(&mut body);
                }
                assert_eq!(body.len(), length, "there is more than was announced");
            }
            None if reply.header("transfer-encoding") == Some("chunked") && !self.no_body => {
                body = loop {
                    match chunked::decode(&body) {
                        Some(whole) => break whole,
                        None => self.read_some(&mut body),
                    }
                };
            }
            None => assert_eq!(self.stream.read_to_end(&mut body).unwrap(), 0),
        }
        reply.body = body;
        reply
    }

    fn read_some(&mut self, bytes: &mut Vec<u8>) {
        let mut buffer = [0; 64 << 10];
        let read = self.stream.read(&mut buffer).unwrap();
        assert_ne!(
            read,
            0,
            "the answer breaks off after {:?}",
            String::from_utf8_lossy(bytes)
        );
        bytes.extend(&buffer[..read]);
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    fn parse(head: &str) -> Self {
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        Self {
            status: status.parse().unwrap(),
            headers,
            body: Vec::new(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known == name)
            .map(|(_, value)| &**value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "{}",
            self.text()
        );
        serde_json::from_str(self.text()).unwrap()
    }

    /// Asserts status and exact body.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16, body: &Value) {
        assert_eq!((self.status, &self.json()), (status, body));
    }

    /// Asserts a refusal: status, stable code, and the exact text.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str, detail: &str) {
        self.expect(status, &serde_json::json!({ "detail": detail }));
        assert_eq!(self.header("x-error-code"), Some(code));
    }
}

/// A multipart body.
#[derive(Default)]
pub(crate) struct Form {
    body: Vec<u8>,
}

pub(crate) const BOUNDARY: &str = "----a boundary";

impl Form {
    /// One file with the usual headers, and the end.
    pub(crate) fn file(name: &str, content_type: &str, bytes: &[u8]) -> Vec<u8> {
        Self::default()
            .part(&file_headers("file", name, Some(content_type)), bytes)
            .end()
    }

    /// A part with exactly these header lines.
    pub(crate) fn part(mut self, headers: &[u8], bytes: &[u8]) -> Self {
        self.body.extend(format!("--{BOUNDARY}\r\n").into_bytes());
        self.body.extend(headers);
        self.body.extend(b"\r\n\r\n");
        self.body.extend(bytes);
        self.body.extend(b"\r\n");
        self
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.body.extend(format!("--{BOUNDARY}--\r\n").into_bytes());
        self.body
    }
}

/// The header lines of a part; `filename` goes between quotes as it is.
pub(crate) fn file_headers(field: &str, filename: &str, content_type: Option<&str>) -> Vec<u8> {
    let mut text =
        format!("Content-Disposition: form-data; name=\"{field}\"; filename=\"{filename}\"");
    if let Some(content_type) = content_type {
        text.push_str(&format!("\r\nContent-Type: {content_type}"));
    }
    text.into_bytes()
}
