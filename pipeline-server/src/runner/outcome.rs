//! What came out of the work on a picture.

use std::any::Any;

use pipeline_core::{
    Analysis, Caption, Error as CoreError, ErrorKind, Metadata, Result as CoreResult, Thumbnail,
    report,
};
use tracing::error;

/// What the pipeline made of a picture, with its caption taken apart by the rule of `--optional-captions`.
pub(crate) struct Finished {
    pub(crate) metadata: Metadata,
    /// None if they are stored.
    pub(crate) thumbnails: Vec<Thumbnail>,
    pub(crate) caption: Option<Caption>,
    pub(crate) caption_error: Option<String>,
}

impl Finished {
    pub(crate) fn new(analysis: Analysis, optional_captions: bool) -> Result<Self, Stop> {
        let (caption, error) = take_apart(analysis.caption, optional_captions)?;
        Ok(Self {
            metadata: analysis.metadata,
            thumbnails: analysis.thumbnails,
            caption,
            caption_error: error.as_ref().map(in_words),
        })
    }
}

/// The caption, and why there is none: one that failed fails its picture, unless captions are optional.
pub(super) fn take_apart(
    caption: Option<CoreResult<Caption>>,
    optional_captions: bool,
) -> Result<(Option<Caption>, Option<CoreError>), Stop> {
    match caption.transpose() {
        Ok(caption) => Ok((caption, None)),
        Err(error) if optional_captions && error.kind() != ErrorKind::Cancelled => {
            Ok((None, Some(error)))
        }
        Err(error) => Err(error.into()),
    }
}

/// Why there is no result.
pub(crate) enum Stop {
    /// Nobody wants the result any more: the server stops, or the work took too long.
    Cancelled,
    /// The store could not read the original, this time.
    Unreadable { code: &'static str },
    /// The picture failed, told without any path of this machine.
    Failed { code: &'static str, message: String },
}

/// Why a picture failed, without any path of this machine and without what a panic said, which is for the log.
pub(super) fn in_words(error: &CoreError) -> String {
    match error {
        CoreError::Io { source, .. } => format!("cannot read a file: {source}"),
        CoreError::Panicked { stage, message } => {
            error!(stage, "stage `{stage}` panicked: {message}");
            format!("stage `{stage}` panicked")
        }
        _ => error.report(),
    }
}

impl From<CoreError> for Stop {
    fn from(error: CoreError) -> Self {
        match &error {
            CoreError::Cancelled => Self::Cancelled,
            _ => Self::Failed {
                code: error.code(),
                message: in_words(&error),
            },
        }
    }
}

impl Stop {
    /// The original can never be read.
    pub(crate) fn lost(error: &pipeline_store::Error) -> Self {
        let code = error.code();
        error!(code, "cannot read an original: {}", report(error));
        Self::Failed {
            code,
            message: "cannot read the stored original".to_owned(),
        }
    }

    pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Self {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        error!("a worker panicked: {message}");
        Self::Failed {
            code: "worker-panicked",
            message: "the work on this picture ended in a panic".to_owned(),
        }
    }
}
