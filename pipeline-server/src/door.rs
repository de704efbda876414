//! Who is let in: every request is told apart by its key or its address, counted, and checked against the keys.

mod cors;
mod rate;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

use poem::Request;
use poem::http::{HeaderName, Method, header};

use crate::Config;
use crate::api::{ApiError, Route};
use crate::config::{Access, ApiKey, Role};

pub(crate) use cors::Cors;
use rate::Rate;

pub(crate) const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The checks before a request is handled.
#[derive(Debug)]
pub(crate) struct Door {
    keys: Vec<ApiKey>,
    rate: Option<Rate<Client>>,
    cors: Cors,
    trusted_proxies: Vec<IpAddr>,
}

/// By what a client is told apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Client {
    /// The fingerprint of its key.
    Key(String),
    /// Its address; of an IPv6 address the network, since one client has all of it.
    Address(IpAddr),
    /// Nothing: the request did not come over a network.
    Unknown,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(fingerprint) => write!(f, "key:{fingerprint}"),
            Self::Address(address) => address.fmt(f),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl Door {
    pub(crate) fn new(config: &Config) -> Self {
        let Access { keys, cors_origins } = config.access.clone();
        Self {
            keys,
            rate: config.clients.requests_per_minute.map(Rate::new),
            cors: Cors::new(cors_origins),
            trusted_proxies: config.trusted_proxies.clone(),
        }
    }

    pub(crate) fn cors(&self) -> &Cors {
        &self.cors
    }

    /// Whether requests need a key.
    pub(crate) fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Who sent the request.
    pub(crate) fn client(&self, request: &Request) -> Client {
        match self.key(request) {
            Some(key) => Client::Key(key.fingerprint()),
            None => self
                .address(request)
                .map_or(Client::Unknown, Client::Address),
        }
    }

    /// Lets the request in, or says why not.
    ///
    /// # Errors
    /// [`ApiError::TooManyRequests`] first, so that keys cannot be guessed at any speed; then [`ApiError::NoKey`],
    /// [`ApiError::BadKey`], [`ApiError::ReadOnlyKey`].
    pub(crate) fn admit(
        &self,
        request: &Request,
        client: &Client,
        route: &Route,
    ) -> Result<(), ApiError> {
        if let Some(rate) = &self.rate
            && !route.is_free
            && let Err(wait) = rate.take(client, Instant::now())
        {
            let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX);
            return Err(ApiError::TooManyRequests {
                seconds: seconds.saturating_add(1),
            });
        }
        if route.is_open || self.keys.is_empty() {
            return Ok(());
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        match self.key(request) {
            None if presented(request).is_some() => Err(ApiError::BadKey),
            None => Err(ApiError::NoKey),
            Some(key) if key.role() == Role::Read && !reads => Err(ApiError::ReadOnlyKey),
            Some(_) => Ok(()),
        }
    }

    fn key(&self, request: &Request) -> Option<&ApiKey> {
        presented(request).and_then(|text| ApiKey::find(&self.keys, text))
    }

    /// The client's address: that of the peer, or what trusted proxies say about whom they speak for.
    fn address(&self, request: &Request) -> Option<IpAddr> {
        let peer = request.remote_addr().as_socket_addr()?.ip();
        let forwarded = request
            .headers()
            .get_all(FORWARDED_FOR)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect::<Vec<_>>()
            .join(",");
        Some(network(speaker(peer, &forwarded, &self.trusted_proxies)))
    }
}

/// The text of a key, in either of its headers.
fn presented(request: &Request) -> Option<&[u8]> {
    let headers = request.headers();
    let bearer = || {
        let value = headers.get(header::AUTHORIZATION)?.as_bytes();
        let (scheme, key) = value.split_at_checked(7)?;
        scheme
            .eq_ignore_ascii_case(b"bearer ")
            .then(|| key.trim_ascii())
    };
    match headers.get(API_KEY) {
        Some(key) => Some(key.as_bytes()),
        None => bearer(),
    }
}

/// Whether a peer is a proxy that may say what it forwards: one of this machine, or one that was named.
pub(crate) fn is_trusted(peer: IpAddr, trusted_proxies: &[IpAddr]) -> bool {
    // An IPv4 client of an IPv6 socket has an address like ::ffff:127.0.0.1.
    let peer = peer.to_canonical();
    peer.is_loopback()
        || trusted_proxies
            .iter()
            .any(|proxy| proxy.to_canonical() == peer)
}

/// The last address that no trusted proxy has. Those before it in the list are whatever the client wrote.
fn speaker(peer: IpAddr, forwarded_for: &str, trusted_proxies: &[IpAddr]) -> IpAddr {
    let mut speaker = peer;
    for said in forwarded_for.rsplit(',') {
        if !is_trusted(speaker, trusted_proxies) {
            break;
        }
        let Ok(address) = said.trim().parse() else {
            break;
        };
        speaker = address;
    }
    speaker
}

/// One client has a whole /64 of IPv6 and would otherwise be as many clients as it likes.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_this_machine_and_the_proxies_named_are_trusted() {
        let proxies = [ip("10.0.0.1")];
        for trusted in [
            "127.0.0.1",
            "127.3.2.1",
            "::1",
            "::ffff:127.0.0.1",
            "10.0.0.1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_trusted(ip(trusted), &proxies), "{trusted}");
        }
        for stranger in ["10.0.0.2", "192.168.0.1", "::2", "::ffff:10.0.0.2"] {
            assert!(!is_trusted(ip(stranger), &proxies), "{stranger}");
        }
    }

    #[test]
    fn a_client_cannot_choose_its_address() {
        let proxies = [ip("10.0.0.1"), ip("10.0.0.2")];
        let speaker = |peer, said| speaker(ip(peer), said, &proxies).to_string();
        // Strangers are not believed.
        assert_eq!(speaker("192.0.2.1", "198.51.100.1"), "192.0.2.1");
        // Through one proxy, and through two.
        assert_eq!(speaker("10.0.0.1", "198.51.100.1"), "198.51.100.1");
        assert_eq!(
            speaker("10.0.0.1", "198.51.100.1, 10.0.0.2"),
            "198.51.100.1"
        );
        // What stands before the first stranger is made up by it.
        assert_eq!(
            speaker("10.0.0.1", "127.0.0.1, 198.51.100.1"),
            "198.51.100.1"
        );
        assert_eq!(speaker("10.0.0.1", "198.51.100.1, nonsense"), "10.0.0.1");
        assert_eq!(speaker("10.0.0.1", ""), "10.0.0.1");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        assert_eq!(network(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_eq!(network(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }
}
