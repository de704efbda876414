//! A bare connection for clients that do not behave: slow, silent, half closed.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::PATIENCE;

/// The pause between two bytes of a client that trickles.
const DRIP: Duration = Duration::from_millis(5);

pub(crate) struct Wire {
    stream: TcpStream,
}

impl Wire {
    pub(crate) fn connect(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Says that nothing more will be sent.
    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// What the server says until it closes the connection.
    pub(crate) fn rest(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return bytes,
                Ok(read) => bytes.extend(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return bytes,
                Err(error) => panic!("the server does not close the connection: {error}"),
            }
        }
    }

    /// A line without its end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        loop {
            self.stream.read_exact(&mut byte).unwrap();
            match byte {
                [b'\n'] => return String::from_utf8(line).unwrap(),
                [byte] => line.push(byte),
            }
        }
    }

    /// One answer of which nothing but the end of its head matters.
    pub(crate) fn answer_with(&mut self, last: &[u8]) {
        let mut bytes = Vec::new();
        while !bytes.ends_with(last) {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            bytes.push(byte[0]);
        }
    }

    /// Whether nothing comes within `time`, and the connection stays open.
    pub(crate) fn is_silent_for(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let result = self.stream.read(&mut [0]);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        matches!(result, Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }

    /// Sends byte after byte, with a pause after each, until the server has had enough; returns what it says then.
    pub(crate) fn trickle(mut self, byte: u8) -> Vec<u8> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if self.stream.write_all(&[byte]).is_err() || !self.is_silent_for(DRIP) {
                // One byte was read to see that there is something.
                return self.rest();
            }
        }
        panic!("the server takes whatever comes, for ever");
    }
}
