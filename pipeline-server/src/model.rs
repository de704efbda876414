//! From `--model` to a captioner.

use std::path::Path;

use pipeline_core::{Blip, BlipOptions, CaptionStage, Precision};

use crate::config::ModelChoice;
use crate::{Error, Result, hub};

/// Loads the chosen model; `None` means no captions.
///
/// # Errors
/// [`Error::Model`] if it cannot be loaded, [`Error::Hub`] if it cannot be fetched.
pub(crate) fn load(choice: &ModelChoice, precision: Precision) -> Result<Option<CaptionStage>> {
    let options = BlipOptions {
        precision,
        ..BlipOptions::default()
    };
    let blip = match choice {
        ModelChoice::None => return Ok(None),
        ModelChoice::Tiny => Blip::tiny_with(&options).map_err(|source| Error::Model {
            model: "tiny".to_owned(),
            source,
            advice: "it is part of this binary, so build that again",
        }),
        ModelChoice::Folder(folder) => open(
            folder,
            options,
            None,
            "give --model a folder with all files of one BLIP checkpoint",
        ),
        ModelChoice::Hub(id) => open(
            &hub::fetch(id)?,
            options,
            Some(id),
            "delete it from the Hugging Face cache to fetch it again, or choose another one with --model",
        ),
    }?;
    Ok(Some(CaptionStage::new(blip)))
}

/// `id` is the name that captions carry; without one it is the folder's.
fn open(
    folder: &Path,
    options: BlipOptions,
    id: Option<&String>,
    advice: &'static str,
) -> Result<Blip> {
    let options = BlipOptions {
        model: id.cloned(),
        ..options
    };
    Blip::open(folder, &options).map_err(|source| Error::Model {
        model: id.map_or_else(|| folder.display().to_string(), String::clone),
        source,
        advice,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_precision_is_the_one_asked_for_and_captions_tell_it() {
        for (precision, told) in [
            (Precision::Full, r#""precision":"full""#),
            (Precision::Fast, r#""precision":"fast""#),
        ] {
            let stage = load(&ModelChoice::Tiny, precision).unwrap().unwrap();
            let settings = stage.settings().unwrap();
            assert!(settings.contains(told), "{settings}");
        }
    }
}
