//! How many requests a client may send.

use crate::http::Reply;
use crate::support::Server;

fn limited(per_minute: u32) -> Server {
    Server::with(
        |config| {
            config.clients.requests_per_minute = Some(per_minute.try_into().unwrap());
            for key in ["read:the-key-of-the-first", "read:the-key-of-the-second"] {
                config.access.keys.push(key.parse().unwrap());
            }
        },
        None,
    )
}

fn stats(server: &Server, name: &str, value: &str) -> Reply {
    server
        .request("GET", "/api/stats")
        .header(name, value)
        .send()
}

#[test]
fn each_key_has_a_number_of_requests() {
    let server = limited(3);
    for key in ["the-key-of-the-first", "the-key-of-the-second"] {
        for _ in 0..3 {
            assert_eq!(stats(&server, "X-API-Key", key).status, 200);
        }
        let reply = stats(&server, "X-API-Key", key);
        reply.refused(
            429,
            "too-many-requests",
            "Too many requests. Try again later.",
        );
        let seconds: u32 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=20).contains(&seconds), "{seconds}");
    }
    for _ in 0..10 {
        assert_eq!(
            server.get("/livez").status,
            200,
            "whoever watches is not counted"
        );
    }
}

#[test]
fn those_without_a_key_are_told_apart_by_their_address() {
    let server = limited(2);
    // We are on this machine, so we are believed to be a proxy.
    for client in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
        for _ in 0..2 {
            assert_eq!(stats(&server, "X-Forwarded-For", client).status, 401);
        }
        assert_eq!(stats(&server, "X-Forwarded-For", client).status, 429);
    }
    assert_eq!(stats(&server, "X-Forwarded-For", "2001:db8::2").status, 429);
    assert_eq!(
        stats(&server, "X-Forwarded-For", "203.0.113.9, 192.0.2.1").status,
        429
    );
}

#[test]
fn guessing_keys_is_slowed_down_like_anything_else() {
    let server = limited(2);
    for _ in 0..2 {
        assert_eq!(
            stats(&server, "X-API-Key", "not-the-key-of-any").status,
            401
        );
    }
    assert_eq!(
        stats(&server, "X-API-Key", "not-the-key-of-all").status,
        429
    );
}
