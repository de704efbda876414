//! One beam: always the likeliest token.

use super::processors::process;
use super::top_k::top_k;
use super::{Decoder, GenerationConfig, Vocabulary};
use crate::{Cx, Result};

pub(super) fn search(
    decoder: &mut impl Decoder,
    prefix: &[u32],
    vocabulary: Vocabulary,
    config: &GenerationConfig,
    cx: &Cx,
) -> Result<Vec<u32>> {
    let mut ids = prefix.to_vec();
    let mut logits = decoder.start(prefix)?;
    loop {
        process(&mut logits, &ids, prefix.len(), vocabulary, config);
        let next = top_k(&logits, 1)
            .first()
            .map_or(vocabulary.end, |&id| id as u32);
        ids.push(next);
        if next == vocabulary.end || ids.len() - prefix.len() >= config.max_new_tokens {
            return Ok(ids);
        }
        cx.check()?;
        logits = decoder.step(&[(0, next)])?;
    }
}
