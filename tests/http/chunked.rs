//! The body of an answer that is sent in chunks (RFC 9112, section 7.1), for the tests of all crates.

/// The whole body, or `None` while its end is missing.
pub(crate) fn decode(mut sent: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_end = sent.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&sent[..line_end]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        let chunk = sent.get(line_end + 2..line_end + 2 + size + 2)?;
        if size == 0 {
            return Some(body);
        }
        body.extend(&chunk[..size]);
        sent = &sent[line_end + 2 + size + 2..];
    }
}
