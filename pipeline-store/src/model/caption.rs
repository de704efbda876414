//! Captions as the store keeps them, with where they come from.

use jiff::Timestamp;
use pipeline_core::{Caption, CaptionStage};

/// A caption that an image has, or had before.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CaptionRecord {
    /// The sentence.
    pub text: String,
    /// Who wrote it.
    pub source: CaptionSource,
    /// The model that wrote it; `None` for a person.
    pub model: Option<String>,
    /// SHA-256 of the model's weights as 64 hexadecimal digits, if it is known.
    pub weights_sha256: Option<String>,
    /// The model's settings as JSON, if it has any.
    pub settings: Option<String>,
    /// [`Caption::score`].
    pub score: Option<f64>,
    /// The code of [`Caption::warning`].
    pub warning: Option<String>,
    /// When it was stored, to the millisecond.
    pub created_at: Timestamp,
    /// Whether it is the image's caption now.
    pub is_current: bool,
}

/// Who wrote a caption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CaptionSource {
    /// A captioning model.
    Model,
    /// A person. No model's caption takes its place.
    Human,
}

impl CaptionSource {
    /// "model" or "human".
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Human => "human",
        }
    }
}

/// All that decides about what a captioner writes about a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptionerId {
    /// The model's id.
    pub model: String,
    /// SHA-256 of its weights.
    pub weights_sha256: String,
    /// Its settings as JSON, if it has any.
    pub settings: Option<String>,
}

impl CaptionerId {
    /// `None` for a captioner that does not say what its weights are.
    pub fn of(captions: &CaptionStage) -> Option<Self> {
        Some(Self {
            model: captions.model().to_owned(),
            weights_sha256: captions.weights_sha256()?.to_owned(),
            settings: captions.settings().map(str::to_owned),
        })
    }
}

impl CaptionRecord {
    /// As the pipeline makes it. A person's text is given out under the model name "human".
    pub(crate) fn to_caption(&self) -> Caption {
        let model = self
            .model
            .as_deref()
            .unwrap_or(CaptionSource::Human.as_str());
        let mut caption = Caption::new(&self.text, model);
        caption.score = self.score.map(|score| score as f32);
        caption.warning = self
            .warning
            .as_deref()
            .and_then(pipeline_core::CaptionWarning::from_code);
        caption.weights_sha256.clone_from(&self.weights_sha256);
        caption.settings.clone_from(&self.settings);
        caption
    }
}
