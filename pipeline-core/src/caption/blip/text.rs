//! The decoder: BERT with a causal mask and cross-attention to the picture.

use candle_core::{DType, Device, Tensor};

use super::config::TextConfig;
use super::halt::Halt;
use super::layers::{FeedForward, LayerNorm, fused_linear, linear};
use super::ops::{self, Activation, Kept, Linear, Memory};
use super::weights::{Fault, Scope};
use crate::Cx;

pub(super) struct TextDecoder {
    words: Words,
    positions: Tensor,
    norm: LayerNorm,
    layers: Vec<Layer>,
    transform: Linear,
    transform_norm: LayerNorm,
    output: Linear,
    width: usize,
}

struct Layer {
    /// Queries, keys and values side by side.
    qkv: Linear,
    projection: Linear,
    norm: LayerNorm,
    cross_query: Linear,
    /// Keys and values side by side.
    cross_kv: Linear,
    cross_projection: Linear,
    cross_norm: LayerNorm,
    feed: FeedForward,
    feed_norm: LayerNorm,
    heads: usize,
    /// What the picture's keys and values are kept in.
    kept: Kept,
}

/// What a word becomes on its way in.
enum Words {
    /// The weights of the output layer.
    OfOutput,
    Own(Tensor),
}

/// Keys and values of all rows so far, for each layer.
///
/// A row is written once and never moved. Which rows belong to a beam is the caller's knowledge, so that beams are
/// reordered without touching the cache.
pub(super) struct Cache {
    layers: Vec<Tensor>,
    pub(super) used: usize,
}

/// Rows that enter the decoder together.
pub(super) struct Input<'a> {
    pub(super) ids: &'a [u32],
    /// The place of each in its sentence.
    pub(super) positions: &'a [u32],
    /// The cache rows that each may look at, itself included.
    pub(super) visible: &'a [Vec<u32>],
    /// How many of the last rows need logits.
    pub(super) wanted: usize,
}

impl TextDecoder {
    /// `seen` is the width of the encoder's tokens. With `tied` the output weights may be the embedding.
    pub(super) fn load(
        scope: &Scope<'_>,
        config: &TextConfig,
        seen: usize,
        tied: bool,
    ) -> Result<Self, Fault> {
        let (width, eps) = (config.hidden_size, config.layer_norm_eps);
        let embeddings = scope.at("bert.embeddings");
        let head = scope.at("cls.predictions");
        let (words, output) = load_words(&embeddings, &head, [config.vocab_size, width], tied)?;
        Ok(Self {
            positions: embeddings.get(
                "position_embeddings.weight",
                &[config.max_position_embeddings, width],
            )?,
            norm: LayerNorm::load(&embeddings.at("LayerNorm"), width, eps)?,
            layers: (0..config.num_hidden_layers)
                .map(|index| {
                    let scope = scope.at(&format!("bert.encoder.layer.{index}"));
                    Layer::load(&scope, config, seen)
                })
                .collect::<Result<_, _>>()?,
            transform: linear(&head.at("transform.dense"), width, width)?,
            transform_norm: LayerNorm::load(&head.at("transform.LayerNorm"), width, eps)?,
            output,
            words,
            width,
        })
    }

    /// Keys and values of a picture's tokens, for each layer: computed once, shared by all beams and steps.
    pub(super) fn cross(&self, hidden: &Tensor, cx: &Cx) -> Result<Vec<Memory>, Halt> {
        let mut cross = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            cx.check()?;
            let kv = layer.cross_kv.forward(hidden, Activation::None)?;
            cross.push(Memory::new(&kv, layer.heads, layer.kept)?);
        }
        Ok(cross)
    }

    /// Room for `rows` rows.
    pub(super) fn cache(&self, rows: usize) -> candle_core::Result<Cache> {
        let layer = |_| Tensor::zeros((rows, 2 * self.width), DType::F32, self.device());
        Ok(Cache {
            layers: self
                .layers
                .iter()
                .map(layer)
                .collect::<candle_core::Result<_>>()?,
            used: 0,
        })
    }

    /// The logits of the wanted rows: wanted × vocabulary.
    pub(super) fn forward(
        &self,
        input: &Input<'_>,
        cross: &[Memory],
        cache: &mut Cache,
        cx: &Cx,
    ) -> Result<Tensor, Halt> {
        let rows = input.ids.len();
        let positions = Tensor::new(input.positions, self.device())?;
        let words = match &self.words {
            Words::OfOutput => self.output.select(input.ids)?,
            Words::Own(words) => words.index_select(&Tensor::new(input.ids, self.device())?, 0)?,
        };
        let positions = self.positions.index_select(&positions, 0)?;
        let mut x = self.norm.forward_sum(&words, &positions)?;
        for (index, layer) in self.layers.iter().enumerate() {
            cx.check()?;
            let cached = (&cache.layers[index], cache.used);
            x = layer.forward(&x, cached, input.visible, &cross[index])?;
        }
        cache.used += rows;
        let x = x.narrow(0, rows - input.wanted, input.wanted)?;
        let x = self.transform.forward(&x, Activation::Gelu)?;
        let x = self.transform_norm.forward(&x)?;
        Ok(self.output.forward(&x, Activation::None)?)
    }

    fn device(&self) -> &Device {
        self.positions.device()
    }
}

/// The embedding and the output layer. A file may hold their weights once or twice, and the second time they may
/// differ.
fn load_words(
    embeddings: &Scope<'_>,
    head: &Scope<'_>,
    shape: [usize; 2],
    tied: bool,
) -> Result<(Words, Linear), Fault> {
    let words = embeddings.values("word_embeddings.weight", &shape)?;
    let bias = if head.has("decoder.bias") {
        "decoder.bias"
    } else {
        "bias"
    };
    let bias = head.values(bias, &shape[..1])?;
    if head.has("decoder.weight") || !tied {
        let own = head.values("decoder.weight", &shape)?;
        if own != words {
            let words = embeddings.get("word_embeddings.weight", &shape)?;
            return Ok((Words::Own(words), head.linear(own, bias)?));
        }
    }
    Ok((Words::OfOutput, head.linear(words, bias)?))
}

impl Layer {
    fn load(scope: &Scope<'_>, config: &TextConfig, seen: usize) -> Result<Self, Fault> {
        let (width, eps) = (config.hidden_size, config.layer_norm_eps);
        // A word takes as long as reading the weights for it, so those whose errors matter least are kept coarsely. The
        // errors of the others go straight into the sum that runs through all layers or, in the head, into the choice
        // of a word: with all of them in 8 bits, 221 of 240 captions are those of `f32`, with these alone 236. `cross_kv`
        // is read once for a picture; what it makes of it is read for each word.
        let own = scope.at("attention");
        let cross = scope.at("crossattention");
        Ok(Self {
            qkv: fused_linear(
                &["query", "key", "value"].map(|name| own.at("self").at(name).coarse()),
                width,
                width,
            )?,
            projection: linear(&own.at("output.dense"), width, width)?,
            norm: LayerNorm::load(&own.at("output.LayerNorm"), width, eps)?,
            cross_query: linear(&cross.at("self.query").coarse(), width, width)?,
            cross_kv: fused_linear(
                &["key", "value"].map(|name| cross.at("self").at(name)),
                seen,
                width,
            )?,
            cross_projection: linear(&cross.at("output.dense"), width, width)?,
            cross_norm: LayerNorm::load(&cross.at("output.LayerNorm"), width, eps)?,
            feed: FeedForward::load(
                [
                    &scope.at("intermediate.dense").coarse(),
                    &scope.at("output.dense"),
                ],
                width,
                config.intermediate_size,
            )?,
            feed_norm: LayerNorm::load(&scope.at("output.LayerNorm"), width, eps)?,
            heads: config.num_attention_heads,
            kept: cross.coarse().kept(),
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        (cache, used): (&Tensor, usize),
        visible: &[Vec<u32>],
        cross: &Memory,
    ) -> candle_core::Result<Tensor> {
        let (rows, width) = x.dims2()?;
        let qkv = self.qkv.forward(x, Activation::None)?;
        let kv = qkv.narrow(1, width, 2 * width)?.contiguous()?;
        cache.slice_set(&kv, 0, used)?;
        let q = qkv.narrow(1, 0, width)?;
        let kv = cache.narrow(0, 0, used + rows)?;
        let seen = ops::recall(&q, &kv, self.heads, visible)?;
        let x = self.norm.forward(&self.projection.forward_add(&seen, x)?)?;

        let q = self.cross_query.forward(&x, Activation::None)?;
        let seen = self.cross_projection.forward_add(&cross.attend(&q)?, &x)?;
        let x = self.cross_norm.forward(&seen)?;

        self.feed_norm.forward(&self.feed.forward_add(&x, &x)?)
    }
}
