//! What can go wrong, told apart by who has to act.
//!
//! [`Error::kind`] decides behaviour, [`Error::code`] goes on the wire and never changes its meaning. `Display` is one
//! lower-case clause that does not repeat its source; [`Error::report`] joins the whole chain for a person to read.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::sync::Arc;
use std::{fmt, io};

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::Format;

/// The result of every fallible call in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A cause that several owners may hold, since [`Error`] is `Clone`.
pub type SharedError = Arc<dyn StdError + Send + Sync>;

/// Why an image could not be processed. For serde it is its code and its report.
///
/// ```
/// use pipeline_core::{Cx, ErrorKind, MetadataStage, Source, Stage};
///
/// let error = MetadataStage::new().run(&Source::from("GIF89a"), &Cx::none()).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::BadInput); // for deciding what to do
/// assert_eq!(error.code(), "unknown-format"); // for programs, never changes its meaning
/// assert_eq!(error.report(), "not a JPEG or PNG file"); // for a person, with all causes
/// ```
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The first bytes are neither those of a JPEG nor those of a PNG file.
    #[error("not a JPEG or PNG file")]
    UnknownFormat,
    /// The file is damaged, or breaks the rules of its format.
    #[error("cannot decode the {format} picture")]
    Decode {
        /// The format that the first bytes announce.
        format: Format,
        /// What the decoder said.
        source: SharedError,
    },
    /// The file is sound but uses a variant that this crate does not read.
    #[error("unsupported {format} picture: {what}")]
    Unsupported {
        /// The format that the first bytes announce.
        format: Format,
        /// The variant, for example "arithmetic coding".
        what: &'static str,
    },
    /// A limit of [`Limits`](crate::Limits) is exceeded.
    #[error("{limit} is {actual}, the limit is {max}")]
    Limit {
        /// Which limit.
        limit: LimitName,
        /// What the picture has, in the unit of the limit.
        actual: u64,
        /// What is allowed, in the same unit.
        max: u64,
    },
    /// A thumbnail could not be resized or encoded.
    #[error("cannot make the thumbnail `{name}`")]
    Thumbnail {
        /// [`ThumbnailSpec::name`](crate::ThumbnailSpec::name).
        name: Arc<str>,
        /// What the encoder said.
        source: SharedError,
    },
    /// The captioning model could not be opened, or failed while it ran.
    #[error("caption model `{model}`: {doing}")]
    Model {
        /// The model's id, or the folder it was looked for in.
        model: Arc<str>,
        /// The step that failed, for example "reading config.json".
        doing: Arc<str>,
        /// What was wrong.
        source: SharedError,
    },
    /// A custom stage failed; made by [`Error::stage`].
    #[error("stage `{stage}` failed")]
    Stage {
        /// [`Stage::name`](crate::Stage::name) of the stage.
        stage: &'static str,
        /// The stage's own error.
        source: SharedError,
    },
    /// A stage panicked. The picture is at fault as far as anybody knows; other pictures are not affected.
    #[error("stage `{stage}` panicked: {message}")]
    Panicked {
        /// [`Stage::name`](crate::Stage::name) of the stage.
        stage: &'static str,
        /// The panic's message.
        message: Arc<str>,
    },
    /// The work was given up because nobody waits for it any more.
    #[error("cancelled")]
    Cancelled,
    /// The work took longer than its [`Cx`](crate::Cx) allows.
    #[error("deadline exceeded")]
    DeadlineExceeded,
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Error", 2)?;
        fields.serialize_field("code", self.code())?;
        fields.serialize_field("message", &self.report())?;
        fields.end()
    }
}

/// Who has to act on an [`Error`].
///
/// ```
/// use pipeline_core::{Cx, ErrorKind, MetadataStage, Source, Stage};
///
/// let error = MetadataStage::new().run(&Source::from("GIF89a"), &Cx::none()).unwrap_err();
/// let advice = match error.kind() {
///     ErrorKind::BadInput | ErrorKind::Unsupported | ErrorKind::Limit => "send another picture",
///     ErrorKind::Internal => "try again",
///     _ => "ask whoever runs it",
/// };
/// assert_eq!(advice, "send another picture");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The picture is damaged or not a picture. Trying again gives the same error.
    BadInput,
    /// The picture is sound but this crate does not read its variant.
    Unsupported,
    /// The picture is larger than the [`Limits`](crate::Limits) in force.
    Limit,
    /// The captioning model is missing, damaged, or failed.
    Model,
    /// The caller's [`Cx`](crate::Cx) ended the work.
    Cancelled,
    /// The environment or the code is at fault. Trying again may help.
    Internal,
}

/// The names of the limits in [`Limits`](crate::Limits).
///
/// ```
/// use pipeline_core::{Error, LimitName, Limits};
///
/// let error = Limits::default().check_size(70_000, 10).unwrap_err();
/// let Error::Limit { limit, actual, max } = error else { panic!("it is a limit") };
/// assert_eq!((limit, actual, max), (LimitName::Side, 70_000, 65_535));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LimitName {
    /// The size of the encoded file, in bytes.
    Bytes,
    /// The longer side, in pixels.
    Side,
    /// Width × height, in pixels.
    Pixels,
    /// The scans of a JPEG file.
    Scans,
    /// The memory that decoding takes, in bytes.
    Memory,
    /// What the file carries beside its pixels, in bytes.
    Metadata,
    /// The pictures in the file.
    Frames,
    /// The time that decoding takes, in milliseconds.
    Time,
}

impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "the file size in bytes",
            Self::Side => "the longer side in pixels",
            Self::Pixels => "the number of pixels",
            Self::Scans => "the number of scans",
            Self::Memory => "the memory for decoding in bytes",
            Self::Metadata => "the size of the metadata in bytes",
            Self::Frames => "the number of pictures in the file",
            Self::Time => "the time for decoding in milliseconds",
        })
    }
}

impl Error {
    /// Wraps the error of a custom stage.
    ///
    /// ```
    /// use pipeline_core::{Decoded, Error, stage_fn};
    ///
    /// let look_up = stage_fn("look-up", |_: &Decoded| {
    ///     std::fs::read("no such file").map_err(|error| Error::stage("look-up", error))
    /// });
    /// # use pipeline_core::{Cx, Stage, image::RgbImage};
    /// let error = look_up.run(&Decoded::from(RgbImage::new(4, 3)), &Cx::none()).unwrap_err();
    /// assert!(error.report().starts_with("stage `look-up` failed: "));
    /// ```
    pub fn stage(stage: &'static str, source: impl StdError + Send + Sync + 'static) -> Self {
        Self::Stage {
            stage,
            source: Arc::new(source),
        }
    }

    /// Wraps a failure of a captioning model; `doing` names the step.
    ///
    /// ```
    /// use pipeline_core::{Error, ErrorKind};
    ///
    /// let error = Error::model("my-model-2", "reading its answer", "it is empty");
    /// assert_eq!(error.kind(), ErrorKind::Model);
    /// assert_eq!(error.report(), "caption model `my-model-2`: reading its answer: it is empty");
    /// ```
    pub fn model(
        model: impl Into<Arc<str>>,
        doing: impl Into<Arc<str>>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Model {
            model: model.into(),
            doing: doing.into(),
            source: Arc::from(source.into()),
        }
    }

    pub(crate) fn decode(
        format: Format,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Decode {
            format,
            source: Arc::from(source.into()),
        }
    }

    /// Who has to act.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownFormat | Self::Decode { .. } | Self::Panicked { .. } => {
                ErrorKind::BadInput
            }
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::Limit { .. } => ErrorKind::Limit,
            Self::Model { .. } => ErrorKind::Model,
            Self::Cancelled | Self::DeadlineExceeded => ErrorKind::Cancelled,
            Self::Thumbnail { .. } | Self::Stage { .. } | Self::Io { .. } => ErrorKind::Internal,
        }
    }

    /// A stable kebab-case code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownFormat => "unknown-format",
            Self::Decode { .. } => "decode-failed",
            Self::Unsupported { .. } => "unsupported-picture",
            Self::Limit {
                limit: LimitName::Bytes,
                ..
            } => "file-too-large",
            Self::Limit {
                limit: LimitName::Side,
                ..
            } => "picture-too-wide",
            Self::Limit {
                limit: LimitName::Pixels,
                ..
            } => "too-many-pixels",
            Self::Limit {
                limit: LimitName::Scans,
                ..
            } => "too-many-scans",
            Self::Limit {
                limit: LimitName::Memory,
                ..
            } => "too-much-memory",
            Self::Limit {
                limit: LimitName::Metadata,
                ..
            } => "too-much-metadata",
            Self::Limit {
                limit: LimitName::Frames,
                ..
            } => "too-many-frames",
            Self::Limit {
                limit: LimitName::Time,
                ..
            } => "decoding-too-slow",
            Self::Thumbnail { .. } => "thumbnail-failed",
            Self::Model { .. } => "model-failed",
            Self::Stage { .. } => "stage-failed",
            Self::Panicked { .. } => "stage-panicked",
            Self::Cancelled => "cancelled",
            Self::DeadlineExceeded => "deadline-exceeded",
            Self::Io { .. } => "io-failed",
        }
    }

    /// [`report`] of this error.
    pub fn report(&self) -> String {
        report(self)
    }
}

/// An error and all its causes on one line, for a person.
///
/// ```
/// let inner = std::io::Error::other("disk on fire");
/// let outer = pipeline_core::Error::stage("dominant-color", inner);
/// assert_eq!(pipeline_core::report(&outer), "stage `dominant-color` failed: disk on fire");
/// ```
pub fn report(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        // Wrappers of other crates often repeat their source; say each thing once.
        if !text.ends_with(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken() -> io::Error {
        io::Error::other("broken")
    }

    fn all_errors() -> Vec<Error> {
        vec![
            Error::UnknownFormat,
            Error::decode(Format::Png, broken()),
            Error::Unsupported {
                format: Format::Jpeg,
                what: "arithmetic coding",
            },
            Error::Limit {
                limit: LimitName::Bytes,
                actual: 2,
                max: 1,
            },
            Error::Limit {
                limit: LimitName::Side,
                actual: 2,
                max: 1,
            },
            Error::Limit {
                limit: LimitName::Pixels,
                actual: 2,
                max: 1,
            },
            Error::Limit {
                limit: LimitName::Scans,
                actual: 2,
                max: 1,
            },
            Error::Limit {
                limit: LimitName::Memory,
                actual: 2,
                max: 1,
            },
            Error::Limit {
                limit: LimitName::Metadata,
                actual: 2,
                max: 1,
            },
            Error::Limit {
                limit: LimitName::Frames,
                actual: 2,
                max: 1,
            },
            Error::Limit {
                limit: LimitName::Time,
                actual: 2,
                max: 1,
            },
            Error::Thumbnail {
                name: "small".into(),
                source: Arc::new(broken()),
            },
            Error::model("tiny", "reading config.json", broken()),
            Error::stage("dominant-color", broken()),
            Error::Panicked {
                stage: "decode",
                message: "index out of bounds".into(),
            },
            Error::Cancelled,
            Error::DeadlineExceeded,
            Error::Io {
                path: "cat.jpg".into(),
                source: Arc::new(broken()),
            },
        ]
    }

    #[test]
    fn codes_and_reports_stay_as_they_are() {
        let lines: Vec<String> = all_errors()
            .iter()
            .map(|e| format!("{} | {}", e.code(), e.report()))
            .collect();
        assert_eq!(
            lines,
            [
                "unknown-format | not a JPEG or PNG file",
                "decode-failed | cannot decode the png picture: broken",
                "unsupported-picture | unsupported jpg picture: arithmetic coding",
                "file-too-large | the file size in bytes is 2, the limit is 1",
                "picture-too-wide | the longer side in pixels is 2, the limit is 1",
                "too-many-pixels | the number of pixels is 2, the limit is 1",
                "too-many-scans | the number of scans is 2, the limit is 1",
                "too-much-memory | the memory for decoding in bytes is 2, the limit is 1",
                "too-much-metadata | the size of the metadata in bytes is 2, the limit is 1",
                "too-many-frames | the number of pictures in the file is 2, the limit is 1",
                "decoding-too-slow | the time for decoding in milliseconds is 2, the limit is 1",
                "thumbnail-failed | cannot make the thumbnail `small`: broken",
                "model-failed | caption model `tiny`: reading config.json: broken",
                "stage-failed | stage `dominant-color` failed: broken",
                "stage-panicked | stage `decode` panicked: index out of bounds",
                "cancelled | cancelled",
                "deadline-exceeded | deadline exceeded",
                "io-failed | cannot read cat.jpg: broken",
            ]
        );
    }

    #[test]
    fn for_serde_an_error_is_its_code_and_its_report() {
        let error = Error::decode(Format::Png, broken());
        assert_eq!(
            serde_json::to_value(&error).unwrap(),
            serde_json::json!({ "code": error.code(), "message": error.report() })
        );
    }

    #[test]
    fn codes_are_unique() {
        let mut codes: Vec<_> = all_errors().iter().map(Error::code).collect();
        codes.sort_unstable();
        let count = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }
}
