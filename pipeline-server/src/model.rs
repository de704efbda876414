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
            model: "tiny".to_owned(),
            source,
            advice: "it is part of this binary, so build that again",
        }),
        ModelChoice::Folder(folder) => open(
            folder,
            None,
            "give --model a folder with all files of one BLIP checkpoint",
        ),
        ModelChoice::Hub(id) => open(
            &hub::fetch(id)?,
            Some(id),
            "delete it from the Hugging Face cache to fetch it again, or choose another one with --model",
        ),
    }?;
    Ok(Some(CaptionStage::new(blip)))
}

/// `id` is the name that captions carry; without one it is the folder's.
fn open(folder: &Path, id: Option<&String>, advice: &'static str) -> Result<Blip> {
    let options = BlipOptions {
        model: id.cloned(),
        ..BlipOptions::default()
    };
    Blip::open(folder, &options).map_err(|source| Error::Model {
        model: id.map_or_else(|| folder.display().to_string(), String::clone),
        source,
        advice,
    })
}
