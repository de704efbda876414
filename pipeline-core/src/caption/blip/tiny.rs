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

/// SHA-256 of [`WEIGHTS`]; to work it out at every start would take as long as the rest of the start.
pub(super) const WEIGHTS_SHA256: &str =
    "cd8f1b577c00fc3e5ae980b187f05829f112d8966d3d37a0320d258a48c3b544";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::caption::blip::files::sha256;

    #[test]
    fn the_digest_is_that_of_the_weights() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/tiny/model.safetensors");
        let digest = sha256(&file).map_err(|(doing, _)| doing);
        assert_eq!(digest.as_deref(), Ok(WEIGHTS_SHA256));
    }
}
