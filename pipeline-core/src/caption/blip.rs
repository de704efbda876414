//! BLIP on candle: Hugging Face's captioning checkpoints, and the bundled small model of the same kind.

mod config;
mod files;
mod front;
mod halt;
mod layers;
mod model;
mod ops;
mod options;
mod sentence;
mod tags;
mod text;
#[cfg(feature = "tiny")]
mod tiny;
mod tokens;
mod vision;
mod weights;

pub use options::{BlipOptions, Precision};
pub use tags::Tag;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use candle_core::Tensor;
use image::RgbImage;

use self::files::Files;
use self::model::Model;
use self::ops::{Memory, picture};
use self::sentence::Sentence;
#[cfg(feature = "tiny")]
use self::weights::Weights;
use super::search::{self, Decoder, Found, GenerationConfig};
use super::warning::NOTHING;
use crate::{Caption, Captioner, Cx, Error, Result};

/// A BLIP captioning model. Clones share the weights; any number of threads may use it at once.
///
/// [`Captioner::caption`] does all at once; the steps are public too, for those who want the model's own numbers.
///
/// ```
/// use pipeline_core::image::RgbImage;
/// use pipeline_core::{Blip, Captioner, Cx};
///
/// # #[cfg(feature = "tiny")] {
/// let blip = Blip::tiny()?; // or Blip::open(folder, &BlipOptions::default())
/// let picture = RgbImage::new(64, 48);
/// let caption = blip.caption(&picture, &Cx::none())?;
///
/// // The same in steps.
/// let encoded = blip.encode(&blip.preprocess(&picture)?, &Cx::none())?;
/// let prompt = blip.prompt_ids();
/// let ids = blip.generate(&encoded, prompt, blip.generation(), &Cx::none())?;
/// assert_eq!(blip.text(&ids[1 + prompt.len()..])?, caption.text);
/// # }
/// # Ok::<(), pipeline_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Blip {
    model: Arc<Model>,
}

/// What the encoder found in a picture, ready for any number of sentences about it.
///
/// ```
/// use pipeline_core::image::RgbImage;
/// use pipeline_core::{Blip, Cx};
///
/// # #[cfg(feature = "tiny")] {
/// let blip = Blip::tiny()?;
/// let pixels = blip.preprocess(&RgbImage::new(64, 48))?;
/// let encoded = blip.encode(&pixels, &Cx::none())?;
/// let (pictures, _tokens, _width) = encoded.hidden_states().dims3().expect("three dimensions");
/// assert_eq!(pictures, 1);
/// // The bundled model has a convolutional front; BLIP has none, and then these are empty.
/// assert!(encoded.features().is_some() && !encoded.tags().is_empty());
/// # }
/// # Ok::<(), pipeline_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Encoded {
    hidden_states: Tensor,
    features: Option<Tensor>,
    tags: Vec<Tag>,
    /// The decoder's keys and values of the picture, for each layer.
    cross: Vec<Memory>,
}

impl Encoded {
    /// The encoder's last hidden states: 1 × tokens × width.
    pub fn hidden_states(&self) -> &Tensor {
        &self.hidden_states
    }

    /// What the convolutional front found: 1 × channels × side × side. `None` for a model without one.
    pub fn features(&self) -> Option<&Tensor> {
        self.features.as_ref()
    }

    /// The likeliest classes, the likeliest first. Empty for a model without a convolutional front.
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }
}

impl Blip {
    /// Opens a model folder: `config.json`, `tokenizer.json`, `preprocessor_config.json`, and the weights as
    /// `model.safetensors` or `pytorch_model.bin`. Never uses the network.
    ///
    /// ```
    /// use pipeline_core::{Blip, BlipOptions};
    ///
    /// let error = Blip::open("no/such/folder".as_ref(), &BlipOptions::default()).err();
    /// assert_eq!(error.map(|e| e.code()), Some("model-failed"));
    /// ```
    ///
    /// # Errors
    /// [`Error::Model`] if a file is missing, damaged, or does not fit the others.
    pub fn open(dir: &Path, options: &BlipOptions) -> Result<Self> {
        let folder = || match dir.file_name() {
            Some(name) => name.to_string_lossy().into_owned(),
            None => dir.display().to_string(),
        };
        let id = options.model.clone().unwrap_or_else(folder);
        Files::read(dir)
            .and_then(|files| {
                let (weights, name) = files::open_weights(dir, &options.place())?;
                let sha256 = files::sha256(&dir.join(name))?;
                Model::load(&id, &files, &weights, name, sha256, options)
            })
            .map(Self::from)
            .map_err(|(doing, fault)| Error::model(id, doing, fault))
    }

    /// The model inside the crate: no folder, no network. Its terms are in `models/tiny/MODEL.md`.
    ///
    /// ```
    /// use pipeline_core::image::RgbImage;
    /// use pipeline_core::{Blip, Captioner, Cx};
    ///
    /// let blip = Blip::tiny()?;
    /// let caption = blip.caption(&RgbImage::new(64, 48), &Cx::none())?;
    /// assert_eq!(caption.model, "tiny");
    /// assert!(!caption.text.is_empty());
    ///
    /// // The same in steps, for those who want more than the sentence.
    /// let seen = blip.encode(&blip.preprocess(&RgbImage::new(64, 48))?, &Cx::none())?;
    /// let prompt = blip.prompt_ids();
    /// let ids = blip.generate(&seen, prompt, blip.generation(), &Cx::none())?;
    /// assert_eq!(blip.text(&ids[1 + prompt.len()..])?, caption.text);
    /// # Ok::<(), pipeline_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Model`] if its weights do not fit in memory.
    #[cfg(feature = "tiny")]
    pub fn tiny() -> Result<Self> {
        Self::tiny_with(&BlipOptions::default())
    }

    /// [`Blip::tiny`] with other options.
    ///
    /// ```
    /// use pipeline_core::{Blip, BlipOptions, Captioner, GenerationConfig};
    ///
    /// let greedy = GenerationConfig { num_beams: 1, ..Default::default() };
    /// let options = BlipOptions {
    ///     model: Some("tiny-greedy".into()), // stored with each caption
    ///     generation: Some(greedy.clone()),
    ///     ..Default::default()
    /// };
    /// let blip = Blip::tiny_with(&options)?;
    /// assert_eq!((blip.model(), blip.generation()), ("tiny-greedy", &greedy));
    /// # Ok::<(), pipeline_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Model`] if the device fails or the options do not fit the model.
    #[cfg(feature = "tiny")]
    pub fn tiny_with(options: &BlipOptions) -> Result<Self> {
        let id = options.model.as_deref().unwrap_or(tiny::NAME);
        Weights::embedded(tiny::WEIGHTS, &options.place())
            .map_err(|e| (files::opening(tiny::NAME), e))
            .and_then(|weights| {
                let sha256 = tiny::WEIGHTS_SHA256.to_owned();
                Model::load(id, &tiny::files(), &weights, tiny::NAME, sha256, options)
            })
            .map(Self::from)
            .map_err(|(doing, fault)| Error::model(id, doing, fault))
    }

    /// Resizes and normalises a picture as `BlipImageProcessor` does: 1 × 3 × side × side, `f32`.
    ///
    /// # Errors
    /// [`Error::Model`] if the picture has no pixels or the device fails.
    pub fn preprocess(&self, picture: &RgbImage) -> Result<Tensor> {
        const STEP: &str = "resizing the picture";
        let model = &*self.model;
        let side = model.preprocessor.side();
        let pixels = model
            .preprocessor
            .pixels(picture)
            .map_err(|e| Error::model(&*model.id, STEP, e))?;
        Tensor::from_vec(pixels, (1, 3, side, side), &model.device)
            .map_err(|e| Error::model(&*model.id, STEP, e))
    }

    /// Runs the encoder on [`Blip::preprocess`]'s output.
    ///
    /// # Errors
    /// [`Error::Model`] if the device fails or the shape is wrong; [`Cx::check`]'s errors.
    pub fn encode(&self, pixels: &Tensor, cx: &Cx) -> Result<Encoded> {
        let model = &*self.model;
        let encode = || {
            let seen = model.vision.forward(pixels, cx)?;
            let cross = model.decoder.cross(&seen.hidden, cx)?;
            let in_square = |features: Tensor| {
                let (pixels, channels) = features.dims2()?;
                let side = pixels.isqrt();
                features.t()?.reshape((1, channels, side, side))
            };
            Ok(Encoded {
                hidden_states: seen.hidden.unsqueeze(0)?,
                features: seen.features.map(in_square).transpose()?,
                tags: seen.tags,
                cross,
            })
        };
        picture(encode)
            .map_err(|halt: halt::Halt| halt.into_error(&model.id, "running the encoder"))
    }

    /// The logits of the token after the start token and `prompt_ids`, one for each id of the vocabulary.
    ///
    /// ```
    /// use pipeline_core::image::RgbImage;
    /// use pipeline_core::{Blip, Cx};
    ///
    /// # #[cfg(feature = "tiny")] {
    /// let blip = Blip::tiny()?;
    /// let encoded = blip.encode(&blip.preprocess(&RgbImage::new(64, 48))?, &Cx::none())?;
    /// let logits = blip.logits(&encoded, blip.prompt_ids(), &Cx::none())?;
    /// let likeliest = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
    /// assert!(likeliest.is_some()); // the id of the first word, by greedy search
    /// # }
    /// # Ok::<(), pipeline_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Model`] if the device fails or `prompt_ids` do not fit the model; [`Cx::check`]'s errors.
    pub fn logits(&self, encoded: &Encoded, prompt_ids: &[u32], cx: &Cx) -> Result<Vec<f32>> {
        let model = &*self.model;
        let prefix = model.prefix(prompt_ids, 1)?;
        let (decoder, cross) = (&model.decoder, &encoded.cross);
        Sentence::new(decoder, cross, prefix.len(), &model.id, cx)?.start(&prefix)
    }

    /// Writes a sentence. Returns the start token, `prompt_ids`, the new ids and, where one was written, the end.
    ///
    /// # Errors
    /// [`Error::Model`] if the device fails, or `prompt_ids` or `config` do not fit the model; [`Cx::check`]'s errors.
    pub fn generate(
        &self,
        encoded: &Encoded,
        prompt_ids: &[u32],
        config: &GenerationConfig,
        cx: &Cx,
    ) -> Result<Vec<u32>> {
        self.find(encoded, prompt_ids, config, cx)
            .map(|found| found.ids)
    }

    fn find(
        &self,
        encoded: &Encoded,
        prompt_ids: &[u32],
        config: &GenerationConfig,
        cx: &Cx,
    ) -> Result<Found> {
        let model = &*self.model;
        config
            .check()
            .map_err(|e| Error::model(&*model.id, "reading the search settings", e))?;
        let prefix = model.prefix(prompt_ids, config.max_new_tokens)?;
        // The last token is written but never read.
        let rows = prefix.len() + config.num_beams * config.max_new_tokens.saturating_sub(1);
        let (decoder, cross) = (&model.decoder, &encoded.cross);
        let mut sentence = Sentence::new(decoder, cross, rows, &model.id, cx)?;
        picture(|| search::generate(&mut sentence, &prefix, model.vocabulary, config, cx))
    }

    /// The text of ids that [`Blip::generate`] returned after the prompt, tidied for display.
    ///
    /// # Errors
    /// [`Error::Model`] if the tokenizer fails.
    pub fn text(&self, ids: &[u32]) -> Result<String> {
        let model = &*self.model;
        let ids: Vec<u32> = ids
            .iter()
            .copied()
            .filter(|&id| id != model.vocabulary.end && id != model.begin)
            .collect();
        let text = model
            .tokens
            .text(&ids)
            .map_err(|e| Error::model(&*model.id, "reading the tokens", e))?;
        Ok(tidied(&text))
    }

    /// The search settings that [`Captioner::caption`] uses.
    pub fn generation(&self) -> &GenerationConfig {
        &self.model.generation
    }

    /// The ids of the prompt that [`Captioner::caption`] uses.
    pub fn prompt_ids(&self) -> &[u32] {
        &self.model.prompt
    }
}

impl From<Model> for Blip {
    fn from(model: Model) -> Self {
        Self {
            model: Arc::new(model),
        }
    }
}

impl fmt::Debug for Blip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blip")
            .field("model", &self.model.id)
            .finish_non_exhaustive()
    }
}

impl Captioner for Blip {
    fn model(&self) -> &str {
        &self.model.id
    }

    fn weights_sha256(&self) -> Option<&str> {
        Some(&self.model.weights_sha256)
    }

    fn settings(&self) -> Option<&str> {
        Some(&self.model.settings)
    }

    fn detail(&self) -> Option<u32> {
        u32::try_from(self.model.preprocessor.side()).ok()
    }

    fn caption(&self, picture: &RgbImage, cx: &Cx) -> Result<Caption> {
        cx.check()?;
        let encoded = self.encode(&self.preprocess(picture)?, cx)?;
        let (prompt, generation) = (self.prompt_ids(), self.generation());
        let Found { ids, score } = self.find(&encoded, prompt, generation, cx)?;
        // By number, not by text: what the model wrote may look like its prompt.
        let text = self.text(&ids[1 + prompt.len()..])?;
        Ok(Caption {
            score,
            ..Caption::new(text, self.model())
        })
    }
}

fn tidied(text: &str) -> String {
    let text = text.trim_matches([' ', '.', ':']);
    if text.is_empty() { NOTHING } else { text }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_are_stripped_of_what_is_not_a_sentence() {
        assert_eq!(tidied(" .: a red panda: asleep. :"), "a red panda: asleep");
        assert_eq!(tidied(" . : "), NOTHING);
        assert_eq!(tidied(""), NOTHING);
    }
}
