//! One sentence about a picture.

#[cfg(feature = "blip")]
mod blip;
#[cfg(feature = "blip")]
mod lanes;
#[cfg(feature = "blip")]
mod preprocess;
#[cfg(feature = "blip")]
mod search;

use std::fmt;
use std::sync::Arc;

use image::RgbImage;
use serde::{Deserialize, Serialize};

#[cfg(feature = "blip")]
pub use blip::{Blip, BlipOptions, Encoded, Precision, Tag};
#[cfg(feature = "blip")]
pub use search::{EarlyStopping, GenerationConfig};

use crate::{Cx, Decoded, Result, Stage};

/// A sentence, and the model that wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Caption {
    /// The sentence.
    pub text: String,
    /// [`Captioner::model`] of the model that wrote it.
    pub model: String,
}

impl Caption {
    /// A sentence by `model`.
    pub fn new(text: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            model: model.into(),
        }
    }
}

/// A captioning model, or anything else that writes a sentence about a picture.
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
/// assert_eq!((&*caption.text, &*caption.model), ("64 pixels wide", "ruler-1"));
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
        self.captioner.caption(input.pixels(), cx)
    }

    fn run_batch(&self, inputs: &[&Decoded], cx: &Cx) -> Vec<Result<Caption>> {
        let pictures: Vec<&RgbImage> = inputs.iter().map(|input| input.pixels()).collect();
        self.captioner.caption_batch(&pictures, cx)
    }
}
