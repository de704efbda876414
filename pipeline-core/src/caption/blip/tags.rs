//! The likeliest ImageNet classes as tokens beside those of the picture.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::config::TagsConfig;
use super::layers::linear;
use super::ops::{self, Activation, Linear};
use super::weights::{Fault, Scope};
use crate::caption::search::top_k;

/// A class that the model's front believes to see.
///
/// ```
/// use pipeline_core::image::RgbImage;
/// use pipeline_core::{Blip, Cx};
///
/// # #[cfg(feature = "tiny")] {
/// let blip = Blip::tiny()?;
/// let encoded = blip.encode(&blip.preprocess(&RgbImage::new(64, 48))?, &Cx::none())?;
/// for tag in encoded.tags() {
///     println!("class {} with {:.0} %", tag.class, 100.0 * tag.probability);
/// }
/// # }
/// # Ok::<(), pipeline_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tag {
    /// The number of the class, among the 1,000 of ImageNet.
    pub class: u32,
    /// How likely it is, 0 to 1.
    pub probability: f32,
}

pub(super) struct Tagger {
    classifier: Linear,
    embedding: Tensor,
    confidence: Tensor,
    count: usize,
}

impl Tagger {
    pub(super) fn load(
        scope: &Scope<'_>,
        config: &TagsConfig,
        channels: usize,
        width: usize,
    ) -> Result<Self, Fault> {
        let classes = config.classes;
        Ok(Self {
            classifier: linear(&scope.at("classifier"), channels, classes)?,
            embedding: scope.get("tag_embedding.weight", &[classes, width])?,
            confidence: scope.get_as("tag_confidence", &[width], (1, width))?,
            count: config.top_k,
        })
    }

    /// The likeliest classes of a picture's features (pixels × channels), the likeliest first.
    pub(super) fn tags(&self, features: &Tensor) -> candle_core::Result<Vec<Tag>> {
        let mean = features.mean_keepdim(0)?;
        let probabilities = ops::softmax(&self.classifier.forward(&mean, Activation::None)?, 1.0)?;
        let probabilities = probabilities.flatten_all()?.to_vec1::<f32>()?;
        Ok(top_k(&probabilities, self.count)
            .into_iter()
            .map(|class| Tag {
                class: class as u32,
                probability: probabilities[class],
            })
            .collect())
    }

    /// One token for each tag: tags × width.
    pub(super) fn tokens(&self, tags: &[Tag]) -> candle_core::Result<Tensor> {
        let device = self.embedding.device();
        let classes: Vec<u32> = tags.iter().map(|tag| tag.class).collect();
        let probabilities: Vec<f32> = tags.iter().map(|tag| tag.probability).collect();
        let classes = Tensor::new(classes, device)?;
        let probabilities = Tensor::new(probabilities, device)?.unsqueeze(1)?;
        self.embedding.index_select(&classes, 0)? + probabilities.broadcast_mul(&self.confidence)?
    }
}
