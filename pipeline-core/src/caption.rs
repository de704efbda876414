//! One sentence about a picture.

#[cfg(feature = "blip")]
mod blip;
#[cfg(feature = "blip")]
mod lanes;
#[cfg(feature = "blip")]
mod preprocess;
#[cfg(feature = "blip")]
mod search;
mod warning;

use std::fmt;
use std::sync::Arc;

use image::RgbImage;
use serde::{Deserialize, Serialize};

#[cfg(feature = "blip")]
pub use blip::{Blip, BlipOptions, Encoded, Precision, Tag};
#[cfg(feature = "blip")]
pub use search::{EarlyStopping, GenerationConfig};
pub use warning::CaptionWarning;

use crate::{Cx, Decoded, Result, Stage};

/// A sentence, and the model that wrote it.
///
/// ```
/// use pipeline_core::Caption;
///
/// // What a captioner of your own returns.
/// let mut caption = Caption::new("a cat on a mat", "my-model-2");
/// caption.score = Some(-0.3); // if the model says how sure it is
/// assert_eq!(caption.text, "a cat on a mat");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Caption {
    /// The sentence.
    pub text: String,
    /// [`Captioner::model`] of the model that wrote it.
    pub model: String,
    /// How sure the model is: the mean natural logarithm of the probabilities of its tokens, 0 at the most. `None` if it
    /// does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
    /// What is odd about the sentence; [`CaptionStage`] looks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<CaptionWarning>,
    /// [`Captioner::weights_sha256`]; [`CaptionStage`] adds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_sha256: Option<String>,
    /// [`Captioner::settings`]; [`CaptionStage`] adds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<String>,
}

impl Caption {
    /// A sentence by `model`.
    pub fn new(text: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            model: model.into(),
            score: None,
            warning: None,
            weights_sha256: None,
            settings: None,
        }
    }
}

/// A captioning model, or anything else that writes a sentence about a picture.
///
/// ```
/// use pipeline_core::image::RgbImage;
/// use pipeline_core::{Caption, Captioner, Cx, Result};
///
/// /// Asks a model for a sentence about a picture of at most 384 × 384 pixels.
/// struct MyModel;
///
/// impl Captioner for MyModel {
///     fn model(&self) -> &str {
///         "my-model-2" // stored with every caption
///     }
///
///     fn detail(&self) -> Option<u32> {
///         Some(384) // larger pictures may be shrunk while they are decoded
///     }
///
///     fn caption(&self, picture: &RgbImage, cx: &Cx) -> Result<Caption> {
///         cx.check()?; // between pieces of work
///         let text = if picture.width() > picture.height() { "a wide picture" } else { "a picture" };
///         Ok(Caption::new(text, self.model()))
///     }
/// }
///
/// let pictures = [RgbImage::new(4, 3), RgbImage::new(3, 4)];
/// let captions = MyModel.caption_batch(&pictures.each_ref(), &Cx::none());
/// assert_eq!(captions[1].as_ref().map(|caption| &*caption.text).ok(), Some("a picture"));
/// ```
///
/// # Contract
/// * Several threads may call it at once: what a call changes (a decoder's cache) belongs to the call.
/// * The same picture gives the same sentence, whatever runs beside it.
/// * `caption_batch` returns exactly one result for each picture, in order.
///
/// `testing::captioner_contract` (feature `test-util`) checks all three.
pub trait Captioner: Send + Sync {
    /// The model's id, stored with every caption it writes.
    fn model(&self) -> &str;

    /// SHA-256 of the model's weights as 64 hexadecimal digits. With it, [`Captioner::model`] and
    /// [`Captioner::settings`], nothing is left that could make the same picture have another caption; `None`, the
    /// default, promises nothing of the kind.
    ///
    /// ```
    /// # #[cfg(feature = "tiny")] {
    /// use pipeline_core::{Blip, Captioner};
    ///
    /// assert_eq!(Blip::tiny()?.weights_sha256().map(str::len), Some(64));
    /// # }
    /// # Ok::<(), pipeline_core::Error>(())
    /// ```
    fn weights_sha256(&self) -> Option<&str> {
        None
    }

    /// How sentences are searched for, as a JSON object; `None`, the default, where there is nothing to set.
    ///
    /// ```
    /// # #[cfg(feature = "tiny")] {
    /// use pipeline_core::{Blip, Captioner};
    ///
    /// let blip = Blip::tiny()?;
    /// assert!(blip.settings().is_some_and(|json| json.contains("num_beams")));
    /// # }
    /// # Ok::<(), pipeline_core::Error>(())
    /// ```
    fn settings(&self) -> Option<&str> {
        None
    }

    /// How many pixels the shorter side of a picture needs for all that the model can see; a larger picture may then be
    /// shrunk while it is decoded. `None`, the default, asks for every pixel.
    fn detail(&self) -> Option<u32> {
        None
    }

    /// Describes one picture: upright, sRGB, 8 bits.
    ///
    /// # Errors
    /// [`Error::Model`](crate::Error::Model) if the model fails; [`Cx::check`]'s errors when the work is given up.
    fn caption(&self, picture: &RgbImage, cx: &Cx) -> Result<Caption>;

    /// Describes several pictures. Override it where several at once are cheaper than one by one.
    fn caption_batch(&self, pictures: &[&RgbImage], cx: &Cx) -> Vec<Result<Caption>> {
        pictures
            .iter()
            .map(|picture| self.caption(picture, cx))
            .collect()
    }
}

/// The stage that asks a [`Captioner`]. Clones share the model.
///
/// ```
/// use pipeline_core::image::RgbImage;
/// use pipeline_core::{Caption, CaptionStage, Captioner, Cx, Decoded, Result, Stage};
///
/// struct Ruler;
///
/// impl Captioner for Ruler {
///     fn model(&self) -> &str {
///         "ruler-1"
///     }
///
///     fn caption(&self, picture: &RgbImage, cx: &Cx) -> Result<Caption> {
///         cx.check()?;
///         Ok(Caption::new(format!("{} pixels wide", picture.width()), self.model()))
///     }
/// }
///
/// let stage = CaptionStage::new(Ruler);
/// let caption = stage.run(&Decoded::from(RgbImage::new(64, 48)), &Cx::none())?;
/// assert_eq!((&*caption.text, &*caption.model), ("64 pixels wide", stage.model()));
///
/// // What the captioner says of itself; this one leaves it open.
/// assert_eq!((stage.weights_sha256(), stage.settings(), stage.detail()), (None, None, None));
/// # Ok::<(), pipeline_core::Error>(())
/// ```
#[derive(Clone)]
pub struct CaptionStage {
    captioner: Arc<dyn Captioner>,
}

impl CaptionStage {
    /// Wraps a captioner.
    pub fn new(captioner: impl Captioner + 'static) -> Self {
        Self {
            captioner: Arc::new(captioner),
        }
    }

    /// [`Captioner::model`].
    pub fn model(&self) -> &str {
        self.captioner.model()
    }

    /// [`Captioner::weights_sha256`].
    pub fn weights_sha256(&self) -> Option<&str> {
        self.captioner.weights_sha256()
    }

    /// [`Captioner::settings`].
    pub fn settings(&self) -> Option<&str> {
        self.captioner.settings()
    }

    /// Adds what a caption has to tell beside its text.
    fn signed(&self, caption: Caption) -> Caption {
        Caption {
            warning: CaptionWarning::of(&caption.text),
            weights_sha256: self.weights_sha256().map(str::to_owned),
            settings: self.settings().map(str::to_owned),
            ..caption
        }
    }

    /// [`Captioner::detail`].
    pub fn detail(&self) -> Option<u32> {
        self.captioner.detail()
    }
}

impl fmt::Debug for CaptionStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaptionStage")
            .field("model", &self.model())
            .finish()
    }
}

#[deny(clippy::missing_trait_methods)]
impl Stage<Decoded> for CaptionStage {
    type Out = Caption;

    fn name(&self) -> &'static str {
        "caption"
    }

    fn run(&self, input: &Decoded, cx: &Cx) -> Result<Caption> {
        let caption = self.captioner.caption(input.pixels(), cx)?;
        Ok(self.signed(caption))
    }

    fn run_batch(&self, inputs: &[&Decoded], cx: &Cx) -> Vec<Result<Caption>> {
        let pictures: Vec<&RgbImage> = inputs.iter().map(|input| input.pixels()).collect();
        let captions = self.captioner.caption_batch(&pictures, cx);
        let signed = |caption: Result<Caption>| caption.map(|caption| self.signed(caption));
        captions.into_iter().map(signed).collect()
    }
}
