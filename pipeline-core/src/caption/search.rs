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

use super::lanes::{exp, largest, sum, vectorised};
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

/// A sentence that was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    /// The prefix, the new ids and, where one was written, the end.
    pub(crate) ids: Vec<u32>,
    /// The mean of the natural logarithms of the new ids' probabilities, as the model has them: before any setting of
    /// the search changes them. `None` if nothing was written.
    pub(crate) score: Option<f32>,
}

impl Found {
    /// `log_probability` is the sum over the ids after the first `prefix` ones.
    fn new(ids: Vec<u32>, prefix: usize, log_probability: f32) -> Self {
        let written = ids.len() - prefix;
        Self {
            ids,
            score: (written > 0).then(|| log_probability / written as f32),
        }
    }
}

/// Writes a sentence that starts with `prefix`.
pub(crate) fn generate(
    decoder: &mut impl Decoder,
    prefix: &[u32],
    vocabulary: Vocabulary,
    config: &GenerationConfig,
    cx: &Cx,
) -> Result<Found> {
    if config.max_new_tokens == 0 {
        return Ok(Found::new(prefix.to_vec(), prefix.len(), 0.0));
    }
    if config.num_beams == 1 {
        greedy::search(decoder, prefix, vocabulary, config, cx)
    } else {
        beam::search(decoder, prefix, vocabulary, config, cx)
    }
}

/// The largest of a row of logits, and the logarithm of the sum of their powers of e beyond it: a logit less both is the
/// logarithm of its probability.
fn norm(row: &[f32]) -> (f32, f32) {
    vectorised(
        #[inline(always)]
        || {
            let largest = largest(row, |v| v);
            // Summed in double precision: the order of the additions then decides nothing.
            let sum: f64 = sum(row, |x| f64::from(exp(x - largest)));
            (largest, sum.ln() as f32)
        },
    )
}
