//! One beam: always the likeliest token.

use super::processors::process;
use super::top_k::top_k;
use super::{Decoder, Found, GenerationConfig, Vocabulary, norm};
use crate::{Cx, Result};

pub(super) fn search(
    decoder: &mut impl Decoder,
    prefix: &[u32],
    vocabulary: Vocabulary,
    config: &GenerationConfig,
    cx: &Cx,
) -> Result<Found> {
    let mut ids = prefix.to_vec();
    let mut log_probability = 0.0;
    let mut logits = decoder.start(prefix)?;
    loop {
        let said = logits.clone();
        process(&mut logits, &ids, prefix.len(), vocabulary, config);
        let next = top_k(&logits, 1)
            .first()
            .map_or(vocabulary.end, |&id| id as u32);
        let (largest, log_sum) = norm(&said);
        log_probability += said
            .get(next as usize)
            .map_or(0.0, |logit| logit - largest - log_sum);
        ids.push(next);
        if next == vocabulary.end || ids.len() - prefix.len() >= config.max_new_tokens {
            return Ok(Found::new(ids, prefix.len(), log_probability));
        }
        cx.check()?;
        logits = decoder.step(&[(0, next)])?;
    }
}
