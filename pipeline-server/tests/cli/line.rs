//! One connection for several requests.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::daemon::PATIENCE;

pub(crate) struct Line {
    stream: TcpStream,
}

impl Line {
    pub(crate) fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    /// Sends a request whose head still lacks its end.
    pub(crate) fn send(&mut self, head: &str, body: &[u8]) {
        let mut message = format!("{head}Host: x\r\n\r\n").into_bytes();
        message.extend(body);
        self.send_bytes(&message);
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn shutdown(&self, how: Shutdown) {
        self.stream.shutdown(how).unwrap();
    }

    /// Reads one answer.
    pub(crate) fn answer(&mut self) -> String {
        let mut bytes = Vec::new();
        let mut buffer = [0; 16 << 10];
        loop {
            let text = String::from_utf8_lossy(&bytes);
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && body.len() >= length(head)
            {
                return text.into_owned();
            }
            let read = self.stream.read(&mut buffer).unwrap();
            assert_ne!(read, 0, "the answer breaks off: {text}");
            bytes.extend(&buffer[..read]);
        }
    }
}

fn length(head: &str) -> usize {
    let mut lines = head.lines();
    lines
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap())
}
