//! Why the arithmetic stopped before its end.

use crate::Error;

pub(super) enum Halt {
    /// The device failed, or a shape was wrong.
    Device(candle_core::Error),
    /// The caller's [`Cx`](crate::Cx) asked for it.
    Asked(Error),
}

impl From<candle_core::Error> for Halt {
    fn from(error: candle_core::Error) -> Self {
        Self::Device(error)
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Asked(error)
    }
}

impl Halt {
    /// The public form; `doing` names the step.
    pub(super) fn into_error(self, model: &str, doing: &str) -> Error {
        match self {
            Self::Device(error) => Error::model(model, doing, error),
            Self::Asked(error) => error,
        }
    }
}
