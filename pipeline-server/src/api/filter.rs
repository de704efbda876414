//! Which pictures are meant, as clients say it.

use std::fmt::Write;

use jiff::Timestamp;
use pipeline_core::Format;
use pipeline_store::{Filter, Status};

use super::ApiError;

/// The filters of a list as they were given; those without a value are left out.
#[derive(Debug)]
pub(super) struct FilterParams(Vec<(&'static str, String)>);

impl FilterParams {
    pub(super) fn new<const N: usize>(given: [(&'static str, Option<String>); N]) -> Self {
        let given = given.into_iter();
        let with_value =
            |(name, value): (_, Option<String>)| Some((name, value.filter(|v| !v.is_empty())?));
        Self(given.filter_map(with_value).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What leads to the same filter, to be put behind another parameter of a URL.
    pub(super) fn query(&self) -> String {
        let part = |(name, value): &(&str, String)| format!("&{name}={}", escaped(value));
        self.0.iter().map(part).collect()
    }

    /// # Errors
    /// [`ApiError::BadFilter`].
    pub(super) fn filter(&self) -> Result<Filter, ApiError> {
        let mut filter = Filter::default();
        for &(name, ref value) in &self.0 {
            set(&mut filter, name, value).ok_or_else(|| ApiError::BadFilter {
                name,
                input: value.clone(),
            })?;
        }
        Ok(filter)
    }
}

/// `None` if the filter does not know the value.
fn set(filter: &mut Filter, name: &str, value: &str) -> Option<()> {
    match name {
        "q" => filter.text = Some(value.to_owned()),
        "status" => filter.status = Some(Status::from_name(value)?),
        "format" => filter.format = Some(format(value)?),
        "camera" => filter.camera = Some(value.to_owned()),
        "has_caption" => filter.has_caption = Some(value.parse().ok()?),
        "min_bytes" => filter.min_bytes = Some(value.parse().ok()?),
        "max_bytes" => filter.max_bytes = Some(value.parse().ok()?),
        "since" => filter.since = Some(time(value)?),
        "until" => filter.until = Some(time(value)?),
        _ => return None,
    }
    Some(())
}

pub(super) fn format(value: &str) -> Option<Format> {
    [Format::Jpeg, Format::Png]
        .into_iter()
        .find(|format| format.as_str() == value)
}

/// A plus that was not escaped reaches us as a space.
pub(super) fn time(value: &str) -> Option<Timestamp> {
    value.replace(' ', "+").parse().ok()
}

/// Text that can stand in a URL as the value of a parameter.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            write!(out, "%{byte:02X}").ok();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_for_a_url() {
        assert_eq!(
            escaped("red panda & ü/\"x\""),
            "red%20panda%20%26%20%C3%BC%2F%22x%22"
        );
        assert_eq!(escaped("a-b_c.d~1"), "a-b_c.d~1");
    }

    #[test]
    fn what_no_filter_knows_is_refused() {
        for (name, value) in [
            ("status", "done"),
            ("format", "gif"),
            ("has_caption", "maybe"),
            ("min_bytes", "-1"),
            ("since", "yesterday"),
        ] {
            let given = FilterParams::new([(name, Some(value.to_owned()))]);
            let error = given.filter().unwrap_err();
            assert_eq!(error.code(), "bad-filter", "{name}");
        }
        let empty = FilterParams::new([("status", Some(String::new())), ("q", None)]);
        assert!(empty.is_empty());
        assert_eq!(empty.filter(), Ok(Filter::default()));
    }

    #[test]
    fn times_may_have_any_offset() {
        let time = |text| time(text).unwrap().to_string();
        assert_eq!(time("2024-03-10T10:00:00Z"), "2024-03-10T10:00:00Z");
        assert_eq!(
            time("2024-03-10T10:00:00.5 02:00"),
            "2024-03-10T08:00:00.5Z"
        );
    }
}
