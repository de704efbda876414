//! From a decoder's scores to token ids: greedy and beam search, step for step as transformers' `generate` does them.
//!
//! Scores are `f32` and every operation on them keeps the reference's order, so that close choices fall the same way.

mod beam;
mod config;
mod greedy;
mod processors;
mod top_k;

pub use config::{EarlyStopping, GenerationConfig};
pub(crate) use top_k::top_k;

use crate::{Cx, Result};

/// A text decoder in the middle of one sentence. It knows the picture and keeps its own cache.
pub(crate) trait Decoder {
    /// Reads the start of the sentence; returns the logits of the token after it.
    fn start(&mut self, ids: &[u32]) -> Result<Vec<f32>>;

    /// Adds one token to each beam; returns the beams' logits, one row after the other.
    ///
    /// `beams[i]` names the earlier beam that beam `i` goes on from, and the token it adds. The beams that `start`
    /// left are all the same one, 0.
    fn step(&mut self, beams: &[(usize, u32)]) -> Result<Vec<f32>>;
}

/// The ids that a search must know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vocabulary {
    /// The number of ids.
    pub(crate) size: usize,
    /// The id that ends a sentence.
    pub(crate) end: u32,
}

/// Writes a sentence that starts with `prefix`. Returns the prefix, the new ids and, where one was written, the end.
pub(crate) fn generate(
    decoder: &mut impl Decoder,
    prefix: &[u32],
    vocabulary: Vocabulary,
    config: &GenerationConfig,
    cx: &Cx,
) -> Result<Vec<u32>> {
    if config.max_new_tokens == 0 {
        return Ok(prefix.to_vec());
    }
    if config.num_beams == 1 {
        greedy::search(decoder, prefix, vocabulary, config, cx)
    } else {
        beam::search(decoder, prefix, vocabulary, config, cx)
    }
}
