//! The flags that bound what clients may take.

use std::num::{NonZeroU64, NonZeroUsize};
use std::time::Duration;

use clap::Args;

use crate::config::ClientLimits;

/// What clients may take of the server.
#[cfg_attr(
    doc,
    doc = r#"

```
use clap::Parser;
use pipeline_server::{Args, ClientLimits};

let args = Args::parse_from(["my-server", "--max-connections", "64"]);
let limits = ClientLimits::from(args.clients);
assert_eq!(limits.max_connections.get(), 64);
```
"#
)]
#[derive(Debug, Clone, Args)]
pub struct ClientArgs {
    /// Connections that are served at the same time; more wait until there is room.
    #[arg(
        long,
        env = "PIPELINE_MAX_CONNECTIONS",
        value_name = "CONNECTIONS",
        default_value = "512"
    )]
    pub max_connections: NonZeroUsize,

    /// How long a client may take to send the head of a request, in seconds.
    #[arg(
        long,
        env = "PIPELINE_HEADER_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub header_timeout: u64,

    /// How long a connection may stay open between two requests, in seconds.
    #[arg(
        long,
        env = "PIPELINE_IDLE_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 75,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub idle_timeout: u64,

    /// How long a client may pause while it sends a body or takes an answer, in seconds.
    #[arg(
        long,
        env = "PIPELINE_STALL_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub stall_timeout: u64,

    /// Bytes that a client has to send or to take in every second after that time, on average.
    #[arg(
        long,
        env = "PIPELINE_MIN_RATE",
        value_name = "BYTES",
        default_value = "1024"
    )]
    pub min_rate: NonZeroU64,

    /// Bytes of all pictures together that may be underway; further uploads get status 429. The default is 1 GiB.
    #[arg(
        long,
        env = "PIPELINE_MAX_RECEIVING_BYTES",
        value_name = "BYTES",
        default_value_t = 1 << 30,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub max_receiving_bytes: u64,
}

impl From<ClientArgs> for ClientLimits {
    fn from(args: ClientArgs) -> Self {
        Self {
            max_connections: args.max_connections,
            header_timeout: Duration::from_secs(args.header_timeout),
            idle_timeout: Duration::from_secs(args.idle_timeout),
            stall_timeout: Duration::from_secs(args.stall_timeout),
            min_rate: args.min_rate,
            max_receiving_bytes: args.max_receiving_bytes,
            ..Self::default()
        }
    }
}
