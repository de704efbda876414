//! The bundled model's files.

use super::files::{Bytes, Files};

/// The id stored with its captions.
pub(super) const NAME: &str = "tiny";

pub(super) fn files() -> Files {
    Files {
        config: Bytes::Borrowed(include_bytes!("../../../models/tiny/config.json")),
        tokenizer: Bytes::Borrowed(include_bytes!("../../../models/tiny/tokenizer.json")),
        preprocessor: Bytes::Borrowed(include_bytes!(
            "../../../models/tiny/preprocessor_config.json"
        )),
    }
}

pub(super) static WEIGHTS: &[u8] = include_bytes!("../../../models/tiny/model.safetensors");
