//! The command `health`: asks a server whether it is ready, so that a container needs no other program for that.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

use crate::cli::Health;
use crate::config::resolve;
use crate::{Error, Result};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks, and writes `ready` if the answer is good.
///
/// ```
/// use pipeline_server::Health;
///
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let listen = listener.local_addr()?.to_string();
/// # drop(listener); // nobody listens there
/// let asked = pipeline_server::run_health(&Health { url: None, listen }, &mut Vec::new());
/// assert_eq!(asked.unwrap_err().code(), "not-ready");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// [`Error::NotReady`] if it is not, [`Error::Listen`] if there is no such address.
pub fn run(args: &Health, out: &mut impl Write) -> Result<()> {
    let url = match &args.url {
        Some(url) => url.clone(),
        None => format!("http://{}/readyz", here(resolve(&args.listen)?)),
    };
    // A proxy is for what is far away.
    let agent = Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .proxy(None)
        .http_status_as_error(false)
        .build()
        .new_agent();
    if let Err(reason) = ask(&agent, &url) {
        return Err(Error::NotReady { url, reason });
    }
    writeln!(out, "ready").map_err(|source| Error::System {
        doing: "write the answer",
        source,
    })
}

/// Asks once; the error is the reason that the server gives, if it gives one.
fn ask(agent: &Agent, url: &str) -> Result<(), String> {
    let mut answer = agent.get(url).call().map_err(|error| error.to_string())?;
    if answer.status().is_success() {
        return Ok(());
    }
    let body = answer.body_mut().read_to_string().unwrap_or_default();
    let detail = serde_json::from_str(&body)
        .ok()
        .and_then(|body: Value| Some(body.get("detail")?.as_str()?.to_owned()));
    Err(detail.unwrap_or_else(|| format!("it answers with status {}", answer.status())))
}

/// Where a server that listens on `address` is reached from this machine.
fn here(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_of_this_machine_is_asked_by_its_own() {
        for (listens, asked) in [
            ("0.0.0.0:8000", "127.0.0.1:8000"),
            ("[::]:80", "[::1]:80"),
            ("192.0.2.1:80", "192.0.2.1:80"),
        ] {
            let address = here(listens.parse().unwrap());
            assert_eq!(address.to_string(), asked);
        }
    }
}
