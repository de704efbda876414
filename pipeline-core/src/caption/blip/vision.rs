//! The encoder: a picture becomes tokens, and the tokens look at each other.

use candle_core::Tensor;

use super::config::VisionConfig;
use super::front::{Front, REDUCTION};
use super::halt::Halt;
use super::layers::{FeedForward, LayerNorm, linear};
use super::ops::{self, Activation, Kept, Linear};
use super::tags::{Tag, Tagger};
use super::weights::{Fault, Scope};
use crate::Cx;

pub(super) struct Vision {
    side: usize,
    patch: usize,
    front: Option<Front>,
    patch_embedding: Linear,
    class_embedding: Tensor,
    positions: Tensor,
    tagger: Option<Tagger>,
    layers: Vec<Layer>,
    norm: LayerNorm,
}

struct Layer {
    norm: LayerNorm,
    qkv: Linear,
    projection: Linear,
    feed_norm: LayerNorm,
    feed: FeedForward,
    heads: usize,
    /// What attention keeps keys and values in.
    kept: Kept,
}

/// What the encoder makes of a picture.
pub(super) struct Seen {
    /// Tokens × width.
    pub(super) hidden: Tensor,
    pub(super) tags: Vec<Tag>,
    /// Pixels × channels, of a model with a front.
    pub(super) features: Option<Tensor>,
}

impl Vision {
    pub(super) fn load(scope: &Scope<'_>, config: &VisionConfig) -> Result<Self, Fault> {
        let (width, patch) = (config.hidden_size, config.patch_size);
        let tokens = (config.image_size / patch).pow(2) + 1;
        let embeddings = scope.at("embeddings");
        let (front, channels, kernel) = match &config.backbone {
            Some(backbone) if patch != REDUCTION => {
                return Err(format!(
                    "vision_config.patch_size is {patch}, {} needs {REDUCTION}",
                    backbone.kind
                )
                .into());
            }
            Some(backbone) => {
                let front = Front::load(&embeddings.at("backbone"), backbone)?;
                (Some(front), backbone.head_channels, 1)
            }
            None => (None, 3, patch),
        };
        let projection = embeddings.at("patch_embedding");
        let patch_embedding = projection.linear(
            projection.values("weight", &[width, channels, kernel, kernel])?,
            projection.values("bias", &[width])?,
        )?;
        let tagger = config
            .tags
            .as_ref()
            .map(|tags| Tagger::load(&embeddings, tags, channels, width))
            .transpose()?;
        let layers = (0..config.num_hidden_layers)
            .map(|index| Layer::load(&scope.at(&format!("encoder.layers.{index}")), config))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            side: config.image_size,
            patch,
            front,
            patch_embedding,
            class_embedding: embeddings.get_as("class_embedding", &[1, 1, width], (1, width))?,
            positions: embeddings.get_as(
                "position_embedding",
                &[1, tokens, width],
                (tokens, width),
            )?,
            tagger,
            layers,
            norm: LayerNorm::load(&scope.at("post_layernorm"), width, config.layer_norm_eps)?,
        })
    }

    /// `pixels` is 1 × 3 × side × side.
    pub(super) fn forward(&self, pixels: &Tensor, cx: &Cx) -> Result<Seen, Halt> {
        let shape = [1, 3, self.side, self.side];
        if pixels.dims() != shape {
            let error = format!("pixels are {:?}, the model takes {shape:?}", pixels.dims());
            return Err(candle_core::Error::msg(error).into());
        }
        let features = match &self.front {
            Some(front) => Some(front.forward(pixels, cx)?),
            None => None,
        };
        let patches = match &features {
            Some(features) => features.clone(),
            None => self.cut_patches(pixels)?,
        };
        let patches = self.patch_embedding.forward(&patches, Activation::None)?;
        let tokens = Tensor::cat(&[&self.class_embedding, &patches], 0)?;
        let mut x = (tokens + &self.positions)?;
        let mut tags = Vec::new();
        if let (Some(tagger), Some(features)) = (&self.tagger, &features) {
            tags = tagger.tags(features)?;
            // Tags carry no position.
            x = Tensor::cat(&[&x, &tagger.tokens(&tags)?], 0)?;
        }
        for layer in &self.layers {
            cx.check()?;
            x = layer.forward(&x)?;
        }
        Ok(Seen {
            hidden: self.norm.forward(&x)?,
            tags,
            features,
        })
    }

    /// A convolution whose stride is its kernel is a matrix product of patches laid out in rows.
    fn cut_patches(&self, pixels: &Tensor) -> candle_core::Result<Tensor> {
        let (patch, grid) = (self.patch, self.side / self.patch);
        pixels
            .reshape((3, grid, patch, grid, patch))?
            .permute((1, 3, 0, 2, 4))?
            .reshape((grid * grid, 3 * patch * patch))
    }
}

impl Layer {
    fn load(scope: &Scope<'_>, config: &VisionConfig) -> Result<Self, Fault> {
        let (width, eps) = (config.hidden_size, config.layer_norm_eps);
        let attention = scope.at("self_attn");
        Ok(Self {
            norm: LayerNorm::load(&scope.at("layer_norm1"), width, eps)?,
            qkv: linear(&attention.at("qkv"), width, 3 * width)?,
            projection: linear(&attention.at("projection"), width, width)?,
            feed_norm: LayerNorm::load(&scope.at("layer_norm2"), width, eps)?,
            feed: FeedForward::load(
                [&scope.at("mlp.fc1"), &scope.at("mlp.fc2")],
                width,
                config.intermediate_size,
            )?,
            heads: config.num_attention_heads,
            // Attention in 8 bits costs no caption of 240.
            kept: attention.coarse().kept(),
        })
    }

    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let normed = self.norm.forward(x)?;
        let qkv = self.qkv.forward(&normed, Activation::None)?;
        let seen = ops::self_attention(&qkv, self.heads, self.kept)?;
        let x = self.projection.forward_add(&seen, x)?;
        self.feed.forward_add(&self.feed_norm.forward(&x)?, &x)
    }
}
