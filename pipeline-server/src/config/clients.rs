//! How much clients may take of the server: connections, time, bytes, requests.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;

/// What one client, or all of them together, may take.
///
/// The times and the rate cut off clients that hold on to a connection without using it; they never limit a client that
/// makes progress.
///
/// ```
/// use std::num::NonZeroU32;
/// use std::time::Duration;
/// use pipeline_server::Config;
///
/// let mut config = Config::new("data");
/// config.clients.requests_per_minute = NonZeroU32::new(600);
/// config.clients.stall_timeout = Duration::from_secs(10);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientLimits {
    /// Connections that are served at the same time; more wait in the listener's queue. Default: 512. The system's limit
    /// on open files may lower it.
    pub max_connections: NonZeroUsize,
    /// How long a client may take to send the head of a request. Default: 10 s.
    pub header_timeout: Duration,
    /// How long a connection may stay open between two requests. Default: 75 s.
    pub idle_timeout: Duration,
    /// How long a client may pause while it sends a body or takes an answer. Default: 30 s.
    pub stall_timeout: Duration,
    /// The bytes that a client has to send, or to take, in every second after the first [`ClientLimits::stall_timeout`];
    /// only the time in which the server waits for the client counts. Default: 1024.
    pub min_rate: NonZeroU64,
    /// Bytes of all pictures together that are being received and not accepted yet. Default: 1 GiB.
    pub max_receiving_bytes: u64,
    /// Requests a minute of one client, told by its key or else its address; as many may come at once. Default: no limit.
    pub requests_per_minute: Option<NonZeroU32>,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            max_connections: NonZeroUsize::new(512).expect("512 is not zero"),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(30),
            min_rate: NonZeroU64::new(1024).expect("1024 is not zero"),
            max_receiving_bytes: 1 << 30,
            requests_per_minute: None,
        }
    }
}
