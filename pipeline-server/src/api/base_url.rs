//! The scheme and host by which the client reached us, for absolute URLs.

use std::net::IpAddr;

use poem::http::{HeaderName, header};
use poem::web::LocalAddr;
use poem::{Addr, FromRequest, Request, RequestBody};

use crate::App;
use crate::door::is_trusted;

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// `scheme://host`, and the path under which we are mounted in another application; without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseUrl(String);

impl BaseUrl {
    /// Where no request says it: the one that was set, or none, which leaves paths.
    pub(crate) fn fixed(url: Option<&str>) -> Self {
        Self(url.unwrap_or_default().trim_end_matches('/').to_owned())
    }

    /// The URL of `path`, which starts with a slash.
    pub(crate) fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    fn of(request: &Request, trusted_proxies: &[IpAddr]) -> Self {
        let peer = request.remote_addr().as_socket_addr();
        let trusted = peer.is_some_and(|peer| is_trusted(peer.ip(), trusted_proxies));
        let forwarded = request
            .header(FORWARDED_PROTO)
            .filter(|_| trusted)
            .and_then(scheme);
        let scheme = forwarded
            .unwrap_or_else(|| request.scheme().as_str())
            .to_owned();
        let host = request.header(header::HOST).map(str::to_owned);
        let host = host
            .or_else(|| request.original_uri().authority().map(ToString::to_string))
            .unwrap_or_else(|| local(request.local_addr()));
        let mounted = mounted(request.original_uri().path(), request.uri().path());
        Self(format!("{scheme}://{host}{mounted}"))
    }
}

impl<'a> FromRequest<'a> for BaseUrl {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        let trusted = request
            .data::<App>()
            .map_or(&[][..], |app| &app.config().trusted_proxies);
        Ok(Self::of(request, trusted))
    }
}

/// The first of a list that proxies may have made, if it is a scheme of ours.
fn scheme(forwarded: &str) -> Option<&'static str> {
    let first = forwarded.split(',').next().unwrap_or_default().trim();
    ["http", "https"]
        .into_iter()
        .find(|scheme| first.eq_ignore_ascii_case(scheme))
}

/// What a router of the application around us has taken off the path.
fn mounted<'a>(original: &'a str, ours: &str) -> &'a str {
    original.strip_suffix(ours).unwrap_or_default()
}

fn local(address: &LocalAddr) -> String {
    match &**address {
        Addr::SocketAddr(address) => address.to_string(),
        _ => "localhost".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_does_not_choose_the_scheme() {
        // A request that was not received from a socket has no peer to trust.
        let request = Request::builder()
            .header(header::HOST, "a.example")
            .header(FORWARDED_PROTO, "https")
            .finish();
        assert_eq!(BaseUrl::of(&request, &[]).join("/x"), "http://a.example/x");
    }

    #[test]
    fn only_schemes_of_ours_are_taken() {
        assert_eq!(scheme("https"), Some("https"));
        assert_eq!(scheme(" HTTPS , http"), Some("https"));
        assert_eq!(scheme("ftp"), None);
        assert_eq!(scheme(""), None);
    }
}
