//! What came out for a file.

use std::path::Path;

use pipeline_core::Source;
use poem_openapi::types::ToJSON;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api::{ImageMetadata, caption_info};
use crate::runner::Finished;

/// What came out for a file: what the server answers about a picture, with the file's path in place of an id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    /// As [`shown`].
    pub(super) path: String,
    pub(super) status: Status,
    /// The field `metadata` of the server's answer; empty for a picture that failed.
    pub(super) metadata: Map<String, Value>,
    /// The field `caption_info` of the server's answer without its time; absent without a caption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) caption_info: Option<Map<String, Value>>,
    /// The files of the thumbnails, by name, if they are wanted.
    pub(super) thumbnails: Map<String, Value>,
    /// Why the picture failed.
    pub(super) error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error_code: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Success,
    Failed,
}

impl Record {
    pub(super) fn success(
        path: &Path,
        source: &Source,
        finished: Finished,
        show_location: bool,
    ) -> Self {
        let caption_info = finished.caption.as_ref().map(caption_info);
        let (caption, model) = finished.caption.map(|c| (c.text, c.model)).unzip();
        let metadata = ImageMetadata::finished(
            finished.metadata,
            source.sha256(),
            caption,
            model,
            finished.caption_error,
            show_location,
        );
        let metadata = match metadata.to_json() {
            Some(Value::Object(metadata)) => metadata,
            _ => Map::new(),
        };
        Self {
            path: shown(path),
            status: Status::Success,
            metadata,
            caption_info,
            thumbnails: Map::new(),
            error: None,
            error_code: None,
        }
    }

    pub(super) fn failed(path: &Path, code: &str, message: impl Into<String>) -> Self {
        Self {
            path: shown(path),
            status: Status::Failed,
            metadata: Map::new(),
            caption_info: None,
            thumbnails: Map::new(),
            error: Some(message.into()),
            error_code: Some(code.to_owned()),
        }
    }

    pub(super) fn caption(&self) -> Option<&str> {
        self.metadata.get("caption")?.as_str()
    }

    pub(super) fn sha256(&self) -> Option<&str> {
        self.metadata.get("sha256")?.as_str()
    }

    /// A line to read: the path in a column of `width` characters, the size, and the caption or what went wrong.
    pub(super) fn line(&self, width: usize) -> String {
        let path = printable(&self.path);
        let side = |name| self.metadata.get(name).and_then(Value::as_u64).unwrap_or(0);
        match (&self.error, &self.error_code) {
            (Some(error), code) => {
                let code = code.as_deref().unwrap_or("failed");
                format!("{path:width$}  failed: {} ({code})", printable(error))
            }
            (None, _) => {
                let size = format!("{}×{}", side("width"), side("height"));
                let caption = printable(self.caption().unwrap_or("(no caption)"));
                format!("{path:width$}  {size:>9}  {caption}")
            }
        }
    }
}

/// A path as text. What is no text in it is replaced.
pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Without what would move the cursor or break the line: names of files may hold anything.
fn printable(text: &str) -> String {
    let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_write_on_the_terminal() {
        let record = Record::failed(Path::new("a\x1b[2J\n.jpg"), "io-failed", "gone");
        assert_eq!(
            record.line(12),
            "a\u{fffd}[2J\u{fffd}.jpg    failed: gone (io-failed)"
        );
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = Record::failed(Path::new("a.jpg"), "io-failed", "gone");
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(
            text,
            r#"{"path":"a.jpg","status":"failed","metadata":{},"thumbnails":{},"error":"gone","error_code":"io-failed"}"#
        );
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }
}
