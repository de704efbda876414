//! What came out of the work on a picture.

use std::any::Any;

use pipeline_core::{Caption, Error as CoreError, Metadata, Thumbnail, report};
use tracing::error;

/// What the pipeline made of a picture, with its caption taken apart by the rule of `--optional-captions`.
pub(super) struct Finished {
    pub(super) metadata: Metadata,
    /// None if they are stored.
    pub(super) thumbnails: Vec<Thumbnail>,
    pub(super) caption: Option<Caption>,
    pub(super) caption_error: Option<String>,
}

/// Why there is no result.
pub(super) enum Stop {
    /// Nobody wants the result any more: the server stops, or the work took too long.
    Cancelled,
    /// The store could not read the original, this time.
    Unreadable { code: &'static str },
    /// The picture failed, told without any path of this machine.
    Failed { code: &'static str, message: String },
}

impl From<CoreError> for Stop {
    fn from(error: CoreError) -> Self {
        let message = match &error {
            CoreError::Cancelled => return Self::Cancelled,
            CoreError::Io { source, .. } => format!("cannot read a file: {source}"),
            _ => error.report(),
        };
        Self::Failed {
            code: error.code(),
            message,
        }
    }
}

impl Stop {
    /// The original can never be read.
    pub(super) fn lost(error: &pipeline_store::Error) -> Self {
        let code = error.code();
        error!(code, "cannot read an original: {}", report(error));
        Self::Failed {
            code,
            message: "cannot read the stored original".to_owned(),
        }
    }

    pub(super) fn panicked(panic: &(dyn Any + Send)) -> Self {
        let message = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Self::Failed {
            code: "worker-panicked",
            message: format!("the worker panicked: {message}"),
        }
    }
}
