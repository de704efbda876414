//! The names by which callers speak of images and places in a list.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// The public name of an image: a random UUID, written in lower case with hyphens.
///
/// ```
/// use pipeline_store::ImageId;
///
/// let id: ImageId = "0190163d-8694-739b-aea5-966c26f8ad91".parse()?; // out of an address
/// assert_eq!(id.to_string(), "0190163d-8694-739b-aea5-966c26f8ad91");
/// assert!("../../etc/passwd".parse::<ImageId>().is_err());
/// # Ok::<(), pipeline_store::ParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageId(Uuid);

impl ImageId {
    /// A new id.
    pub(crate) fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.0.as_hyphenated(), f)
    }
}

impl FromStr for ImageId {
    type Err = ParseError;

    /// Reads the one spelling that `Display` writes: an image has one URL, and one file name.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let id = Uuid::try_parse(text).map_err(|_| ParseError("an image id"))?;
        let mut spelling = Uuid::encode_buffer();
        if id.as_hyphenated().encode_lower(&mut spelling) == text {
            Ok(Self(id))
        } else {
            Err(ParseError("an image id"))
        }
    }
}

/// A place in the list of images, to go on from. Valid for as long as the store exists.
///
/// ```
/// use pipeline_store::{Cursor, Page};
///
/// let after: Cursor = "17".parse()?; // as it was given out with the page before
/// let page = Page { after: Some(after), ..Page::default() };
/// # assert_eq!(page.after.map(|after| after.to_string()).as_deref(), Some("17"));
/// # Ok::<(), pipeline_store::ParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor(pub(crate) i64);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Cursor {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text.parse() {
            Ok(seq) if seq > 0 => Ok(Self(seq)),
            _ => Err(ParseError("a cursor")),
        }
    }
}

/// A text is not what it was read as.
///
/// ```
/// use pipeline_store::{Cursor, ImageId};
///
/// assert_eq!("x".parse::<ImageId>().unwrap_err().to_string(), "not an image id");
/// assert_eq!("x".parse::<Cursor>().unwrap_err().to_string(), "not a cursor");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {0}")]
pub struct ParseError(&'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = ImageId::random();
        let text = id.to_string();
        assert_eq!(text.parse(), Ok(id));
        for other in [
            text.to_uppercase(),
            text.replace('-', ""),
            format!("{{{text}}}"),
            format!("urn:uuid:{text}"),
            format!(" {text}"),
            "../../etc/passwd".to_owned(),
            String::new(),
        ] {
            let parsed: Result<ImageId, _> = other.parse();
            // A random id may consist of digits only, which have no upper case.
            assert!(parsed.is_err() || other == text, "{other}");
        }
        assert_eq!(
            "x".parse::<ImageId>().unwrap_err().to_string(),
            "not an image id"
        );
    }

    #[test]
    fn a_cursor_survives_its_text() {
        assert_eq!(Cursor(17).to_string().parse(), Ok(Cursor(17)));
        for other in ["", "0", "-1", "x", "1.5", "99999999999999999999"] {
            assert!(other.parse::<Cursor>().is_err(), "{other}");
        }
    }
}
