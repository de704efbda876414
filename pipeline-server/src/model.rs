//! From `--model` to a captioner.

use std::path::Path;

use pipeline_core::{Blip, BlipOptions, CaptionStage};

use crate::config::ModelChoice;
use crate::{Error, Result, hub};

/// Loads the chosen model; `None` means no captions.
///
/// # Errors
/// [`Error::Model`] if it cannot be loaded, [`Error::Hub`] if it cannot be fetched.
pub(crate) fn load(choice: &ModelChoice) -> Result<Option<CaptionStage>> {
    let blip = match choice {
        ModelChoice::None => return Ok(None),
        ModelChoice::Tiny => Blip::tiny().map_err(|source| Error::Model {
            source,
            advice: "this build is damaged; build it again",
        }),
        ModelChoice::Folder(folder) => open(
            folder,
            None,
            "--model needs a folder with config.json, preprocessor_config.json, tokenizer.json, and model.safetensors \
             or pytorch_model.bin of one BLIP checkpoint",
        ),
        ModelChoice::Hub(id) => open(
            &hub::fetch(id)?,
            Some(id),
            "delete the model from the Hugging Face cache to fetch it again, or choose another one with --model",
        ),
    }?;
    Ok(Some(CaptionStage::new(blip)))
}

/// `model` is the name that captions carry; without one it is the folder's.
fn open(folder: &Path, model: Option<&String>, advice: &'static str) -> Result<Blip> {
    let options = BlipOptions {
        model: model.cloned(),
        ..BlipOptions::default()
    };
    Blip::open(folder, &options).map_err(|source| Error::Model { source, advice })
}
