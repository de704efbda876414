//! Somebody who is told: a server on a free port that keeps what it is sent and answers what the test says, for the tests
//! of all crates.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::Duration;

/// Far longer than anything takes; it turns a hang into a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request that was received whole.
#[derive(Debug)]
pub(crate) struct Told {
    head: String,
    pub(crate) body: String,
}

impl Told {
    /// The first line.
    pub(crate) fn request(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .unwrap_or_else(|| panic!("no `{name}` in {}", self.head))
            .1
    }
}

/// The server. It takes one connection after the other, and one request on each.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    told: mpsc::Receiver<Told>,
}

impl Receiver {
    /// Answers as `answer` does to the request of the given number, counted from 0.
    pub(crate) fn start(answer: impl Fn(usize, &mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                // A connection that ends without a request tells nothing.
                let Some(request) = read(&mut stream) else {
                    continue;
                };
                if tell.send(request).is_err() {
                    return;
                }
                answer(number, &mut stream);
            }
        });
        Self { address, told }
    }

    /// Answers with these statuses (and further headers, if there are any), and with the last of them from then on.
    pub(crate) fn with(statuses: &'static [&'static str]) -> Self {
        Self::start(move |number, stream| {
            let status = statuses[number.min(statuses.len() - 1)];
            let end = "Content-Length: 0\r\nConnection: close\r\n\r\n";
            write!(stream, "HTTP/1.1 {status}\r\n{end}").ok();
        })
    }

    /// Waits until it is told something.
    #[track_caller]
    pub(crate) fn told(&self) -> Told {
        self.told.recv_timeout(PATIENCE).expect("nothing came")
    }

    /// Asserts that it has not been told anything more.
    #[track_caller]
    pub(crate) fn assert_silence(&self) {
        assert!(matches!(self.told.try_recv(), Err(TryRecvError::Empty)));
    }
}

/// Reads a request; `None` if it breaks off.
fn read(stream: &mut TcpStream) -> Option<Told> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let told = Told {
                head: head.to_owned(),
                body: body.to_owned(),
            };
            if body.len() >= told.header("content-length").parse().unwrap() {
                return Some(told);
            }
        }
        match stream.read(&mut buffer).ok()? {
            0 => return None,
            read => bytes.extend(&buffer[..read]),
        }
    }
}
