//! Captions as the store keeps them, with where they come from.

use jiff::Timestamp;
use pipeline_core::{Caption, CaptionStage};

/// A caption that an image has, or had before.
///
/// ```
/// use pipeline_store::{CaptionRecord, CaptionSource};
///
/// /// The line below a picture, so that nobody takes a model's guess for a person's word.
/// fn line(caption: &CaptionRecord) -> String {
///     match caption.source {
///         CaptionSource::Human => caption.text.clone(),
///         CaptionSource::Model => {
///             format!("{} (by {})", caption.text, caption.model.as_deref().unwrap_or("a model"))
///         }
///     }
/// }
/// # let folder = tempfile::tempdir()?;
/// # let store = pipeline_store::Store::open(folder.path(), &Default::default())?;
/// # let id = store.accept(store.begin_upload()?, "cat.jpg")?;
/// # let job = store.claim("worker-1")?.expect("one image waits");
/// # store.fail(&job, "unknown-format", "not a picture", std::time::Duration::ZERO)?;
/// # store.set_caption(id, Some("my cat"))?;
/// # assert_eq!(line(&store.captions(id)?.expect("it is there")[0]), "my cat");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
///
/// ```
/// use pipeline_store::CaptionSource;
///
/// assert_eq!(CaptionSource::Human.as_str(), "human");
/// assert_ne!(CaptionSource::Human, CaptionSource::Model);
/// ```
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
///
/// ```
/// use pipeline_core::image::RgbImage;
/// use pipeline_core::{Caption, CaptionStage, Captioner, Cx, Result};
/// use pipeline_store::CaptionerId;
///
/// struct Silent;
///
/// impl Captioner for Silent {
///     fn model(&self) -> &str {
///         "silent-1"
///     }
///
///     fn caption(&self, _: &RgbImage, _: &Cx) -> Result<Caption> {
///         Ok(Caption::new("", self.model()))
///     }
/// }
///
/// // It does not say what its weights are, so its captions are never taken over for another image.
/// assert_eq!(CaptionerId::of(&CaptionStage::new(Silent)), None);
/// ```
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
