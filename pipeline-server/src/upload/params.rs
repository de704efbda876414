//! Header values with parameters: `form-data; name="file"; filename="cat.jpg"`.
//!
//! multer has a parser of its own, which loses the name on `filename*`, on a trailing backslash, and on anything that is
//! not UTF-8. Names have to be stored as they were sent, so this one keeps them.

/// A header value, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Params {
    /// What stands before the first semicolon, in lower case.
    pub(crate) value: String,
    params: Vec<(String, String)>,
}

impl Params {
    pub(crate) fn parse(header: &[u8]) -> Self {
        let mut parts = split(header).into_iter();
        let value = text(parts.next().unwrap_or_default().trim_ascii()).to_lowercase();
        let params = parts.filter_map(param).collect();
        Self { value, params }
    }

    /// The parameter `name`. The extended form `name*` wins over the plain one, and a later one over an earlier one.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let find = |wanted: &str| {
            let mut all = self.params.iter().rev();
            all.find(|(name, _)| name == wanted)
                .map(|(_, value)| &**value)
        };
        find(&format!("{name}*")).or_else(|| find(name))
    }
}

/// Splits at the semicolons outside of quotes.
fn split(header: &[u8]) -> Vec<&[u8]> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    // Looked for once: whoever sends the value chooses how many backslashes would look for it again.
    let last_quote = header.iter().rposition(|&byte| byte == b'"').unwrap_or(0);
    for (at, &byte) in header.iter().enumerate() {
        match byte {
            // A backslash before the last quote of the whole value ends a name like `C:\`, it does not escape.
            b'\\' if quoted && !escaped && at + 1 < last_quote => {
                escaped = true;
                continue;
            }
            b'"' if !escaped => quoted = !quoted,
            b';' if !quoted => {
                parts.push(&header[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        escaped = false;
    }
    parts.push(&header[start..]);
    parts
}

fn param(part: &[u8]) -> Option<(String, String)> {
    let at = part.iter().position(|&byte| byte == b'=')?;
    let name = text(part[..at].trim_ascii()).to_lowercase();
    let value = part[at + 1..].trim_ascii();
    let value = match name.strip_suffix('*') {
        Some(_) => extended(value),
        None => text(&unquote(value)),
    };
    Some((name, value))
}

/// Takes away quotes and the backslashes before quotes and backslashes. Other backslashes are part of the name.
fn unquote(value: &[u8]) -> Vec<u8> {
    let Some(inner) = value.strip_prefix(b"\"") else {
        return value.to_vec();
    };
    let inner = inner.strip_suffix(b"\"").unwrap_or(inner);
    let mut bytes = inner.iter().copied().peekable();
    let mut out = Vec::with_capacity(inner.len());
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek()) {
            (b'\\', Some(&next @ (b'"' | b'\\'))) => {
                out.push(next);
                bytes.next();
            }
            _ => out.push(byte),
        }
    }
    out
}

/// The extended form of RFC 8187: `UTF-8''%e2%82%ac.jpg`.
fn extended(value: &[u8]) -> String {
    let mut parts = value.splitn(3, |&byte| byte == b'\'');
    let encoded = parts.nth(2).unwrap_or(value);
    let mut out = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let [first, tail @ ..] = rest {
        let decoded = match (first, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match decoded {
            Some((high, low)) => {
                out.push(high << 4 | low);
                rest = &tail[2..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    text(&out)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

/// UTF-8 if it is, else Latin-1, in which every byte is a character: nothing that was sent is lost.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filename(header: &str) -> Option<String> {
        Params::parse(header.as_bytes())
            .get("filename")
            .map(str::to_owned)
    }

    #[test]
    fn names_are_kept_as_they_were_sent() {
        let cases = [
            (r#"form-data; name="file"; filename="cat.jpg""#, "cat.jpg"),
            (
                r#"form-data; filename="a;b=c.jpg"; name="file""#,
                "a;b=c.jpg",
            ),
            (
                r#"form-data; name="file"; filename="../../etc/x""#,
                "../../etc/x",
            ),
            (
                r#"form-data; name="file"; filename="say \"hi\".jpg""#,
                r#"say "hi".jpg"#,
            ),
            (
                r#"form-data; name="file"; filename="say %22hi%22.jpg""#,
                "say %22hi%22.jpg",
            ),
            (
                r#"form-data; name="file"; filename="C:\dir\cat.jpg""#,
                r"C:\dir\cat.jpg",
            ),
            (r#"form-data; name="file"; filename="C:\dir\""#, r"C:\dir\"),
            (r#"form-data; name="file"; filename="a\\b.jpg""#, r"a\b.jpg"),
            (
                r#"form-data; name="file"; filename="日本 🐈.jpg""#,
                "日本 🐈.jpg",
            ),
            (r#"form-data; name="file"; filename="""#, ""),
            ("form-data; name=file; filename=cat.jpg", "cat.jpg"),
            ("form-data; NAME=file; FILENAME = cat.jpg ", "cat.jpg"),
            (
                "form-data; name=file; filename*=UTF-8''%e2%82%ac%20x.jpg",
                "€ x.jpg",
            ),
            (
                r#"form-data; name="file"; filename="x.jpg"; filename*=utf-8''%C3%BC.jpg"#,
                "ü.jpg",
            ),
            (
                "form-data; name=file; filename*=UTF-8''100%.jpg",
                "100%.jpg",
            ),
        ];
        for (header, expected) in cases {
            assert_eq!(filename(header).as_deref(), Some(expected), "{header}");
            assert_eq!(
                Params::parse(header.as_bytes()).get("name"),
                Some("file"),
                "{header}"
            );
        }
    }

    /// A value that is read anew at every backslash takes hours here.
    #[test]
    fn a_long_value_is_read_once() {
        const PAIRS: usize = 8 << 20;
        let mut header = b"form-data; name=\"file\"; filename=\"".to_vec();
        header.resize(header.len() + 2 * PAIRS, b'\\');
        header.push(b'"');
        let header = Params::parse(&header);
        assert_eq!(header.get("name"), Some("file"));
        let name = header.get("filename").unwrap();
        assert_eq!(name.len(), PAIRS);
        assert!(name.bytes().all(|byte| byte == b'\\'));
    }

    #[test]
    fn a_name_inside_another_value_is_none() {
        assert_eq!(filename(r#"form-data; name="file; filename=x""#), None);
        assert_eq!(filename(r#"form-data; name="filename""#), None);
        assert_eq!(filename("form-data"), None);
        assert_eq!(filename(""), None);
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_latin_1() {
        let header = Params::parse(b"form-data; name=file; filename=\"caf\xe9.jpg\"");
        assert_eq!(header.get("filename"), Some("café.jpg"));
    }

    #[test]
    fn the_value_is_in_lower_case_and_the_boundary_is_not() {
        let header = Params::parse(b"Multipart/Form-Data; boundary=\"aB c\"");
        assert_eq!(header.value, "multipart/form-data");
        assert_eq!(header.get("boundary"), Some("aB c"));
    }
}
