//! Which addresses messages may go to. Names are looked up for each connection, and the addresses that are checked are
//! those that are connected to: a name that changes its address in between gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// What is wrong with a host that has no address to go to.
const PRIVATE: &str = "its address is not public; --webhook-allow-private allows that";

/// Blocks of IPv4 that are not public, or belong to the cloud around us.
const NOT_PUBLIC_V4: &[([u8; 4], u32)] = &[
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    // Where clouds tell machines their credentials, too.
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    // Azure's own, in the midst of public ones.
    ([168, 63, 129, 16], 32),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

/// Of IPv6, only this block is public,
const PUBLIC_V6: (u128, u32) = (0x2000 << 112, 3);
/// except for these: Teredo and others of IETF's, documentation, 6to4.
const NOT_PUBLIC_V6: &[(u128, u32)] = &[
    (0x2001 << 112, 23),
    (0x2001_0db8 << 96, 32),
    (0x2002 << 112, 16),
    (0x3fff << 112, 20),
];
/// IPv4 behind a gateway: the last 32 bits are the address.
const NAT64: (u128, u32) = (0x0064_ff9b << 96, 96);

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = address.to_bits();
    !NOT_PUBLIC_V4.iter().any(|(block, length)| {
        let block = u32::from_be_bytes(*block);
        (bits ^ block).leading_zeros() >= *length
    })
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let bits = address.to_bits();
    let within = |(block, length): &(u128, u32)| (bits ^ block).leading_zeros() >= *length;
    if let Some(address) = address.to_ipv4_mapped() {
        return is_public_v4(address);
    }
    if within(&NAT64) {
        return is_public_v4(Ipv4Addr::from_bits(bits as u32));
    }
    within(&PUBLIC_V6) && !NOT_PUBLIC_V6.iter().any(within)
}

/// Looks names up, and leaves out the addresses that nothing may go to.
#[derive(Debug)]
pub(super) struct Guide<R> {
    pub(super) allow_private: bool,
    pub(super) names: R,
}

impl<R: Resolver> Resolver for Guide<R> {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = self.names.resolve(uri, config, timeout)?;
        let mut allowed = self.empty();
        for address in &found {
            if self.allow_private || is_public(address.ip()) {
                allowed.push(*address);
            }
        }
        match allowed.is_empty() {
            true => Err(Error::Other(PRIVATE.into())),
            false => Ok(allowed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use ureq::Timeout;
    use ureq::unversioned::transport::time::Duration;

    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for public in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "168.63.129.17",
            "198.17.255.255",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2001:4860:4860::8888",
            "2a00:1450::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        for private in [
            "0.0.0.0",
            "0.1.2.3",
            "10.255.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.1.1",
            "198.19.255.255",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }

    /// Has these addresses for every name.
    #[derive(Debug)]
    struct Names(&'static [&'static str]);

    impl Resolver for Names {
        fn resolve(
            &self,
            _: &Uri,
            _: &Config,
            _: NextTimeout,
        ) -> Result<ResolvedSocketAddrs, Error> {
            let mut found = self.empty();
            for address in self.0 {
                found.push(SocketAddr::new(address.parse().unwrap(), 443));
            }
            Ok(found)
        }
    }

    fn guided(
        allow_private: bool,
        addresses: &'static [&'static str],
    ) -> Result<Vec<String>, String> {
        let guide = Guide {
            allow_private,
            names: Names(addresses),
        };
        let timeout = NextTimeout {
            after: Duration::NotHappening,
            reason: Timeout::Global,
            ..NextTimeout::default()
        };
        let uri = Uri::from_static("https://hooks.example");
        let found = guide.resolve(&uri, &Config::default(), timeout);
        found
            .map(|found| {
                found
                    .iter()
                    .map(|address| address.ip().to_string())
                    .collect()
            })
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_name_leads_to_its_public_addresses_only() {
        let mixed = &["10.0.0.1", "1.1.1.1", "::1", "2606:4700::1"];
        assert_eq!(guided(false, mixed).unwrap(), ["1.1.1.1", "2606:4700::1"]);
        assert_eq!(guided(true, mixed).unwrap(), *mixed);
        let error = guided(false, &["10.0.0.1", "::ffff:10.0.0.1"]).unwrap_err();
        assert!(error.contains("not public"), "{error}");
    }
}
