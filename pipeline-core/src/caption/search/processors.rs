//! What changes the scores of one beam before a token is chosen.

use super::{GenerationConfig, Vocabulary};

/// Applies the settings to the scores of the token after `ids`: raw logits in greedy search, log-probabilities in beam
/// search. The order is transformers' `_get_logits_processor`; `prefix` is the number of ids that were given.
pub(super) fn process(
    scores: &mut [f32],
    ids: &[u32],
    prefix: usize,
    vocabulary: Vocabulary,
    config: &GenerationConfig,
) {
    if config.repetition_penalty != 1.0 {
        penalise_repetition(scores, ids, config.repetition_penalty);
    }
    if config.no_repeat_ngram_size > 0 {
        ban_ngrams(scores, ids, config.no_repeat_ngram_size);
    }
    if ids.len() - prefix < config.min_new_tokens {
        ban(scores, vocabulary.end);
    }
    for &id in &config.suppress_tokens {
        ban(scores, id);
    }
}

/// Each id counts once, however often it occurs.
fn penalise_repetition(scores: &mut [f32], ids: &[u32], penalty: f32) {
    for (position, &id) in ids.iter().enumerate() {
        if ids[..position].contains(&id) {
            continue;
        }
        if let Some(score) = scores.get_mut(id as usize) {
            *score = if *score < 0.0 {
                *score * penalty
            } else {
                *score / penalty
            };
        }
    }
}

/// Bans each id that would complete a run of `size` ids that `ids` already holds.
fn ban_ngrams(scores: &mut [f32], ids: &[u32], size: usize) {
    if ids.len() < size {
        return;
    }
    let tail = &ids[ids.len() + 1 - size..];
    for run in ids.windows(size) {
        let (last, head) = run
            .split_last()
            .expect("windows of at least one id are not empty");
        if head == tail {
            ban(scores, *last);
        }
    }
}

fn ban(scores: &mut [f32], id: u32) {
    if let Some(score) = scores.get_mut(id as usize) {
        *score = f32::NEG_INFINITY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BANNED: f32 = f32::NEG_INFINITY;
    const WORDS: Vocabulary = Vocabulary { size: 4, end: 3 };

    fn processed(ids: &[u32], prefix: usize, config: &GenerationConfig) -> [f32; 4] {
        let mut scores = [2.0, -1.0, 0.5, 4.0];
        process(&mut scores, ids, prefix, WORDS, config);
        scores
    }

    #[test]
    fn by_default_nothing_changes() {
        let unchanged = processed(&[0, 1, 0, 1], 1, &GenerationConfig::default());
        assert_eq!(unchanged, [2.0, -1.0, 0.5, 4.0]);
    }

    #[test]
    fn a_repeated_id_is_penalised_once_and_towards_the_unlikely_side() {
        let config = GenerationConfig {
            repetition_penalty: 2.0,
            ..Default::default()
        };
        assert_eq!(processed(&[0, 1, 0], 1, &config), [1.0, -2.0, 0.5, 4.0]);
    }

    #[test]
    fn a_run_of_ids_never_occurs_twice() {
        let pairs = GenerationConfig {
            no_repeat_ngram_size: 2,
            ..Default::default()
        };
        // After 0 there were 1 and 2 already.
        assert_eq!(
            processed(&[0, 1, 0, 2, 0], 1, &pairs),
            [2.0, BANNED, BANNED, 4.0]
        );
        assert_eq!(processed(&[0], 1, &pairs), [2.0, -1.0, 0.5, 4.0]);
        let single = GenerationConfig {
            no_repeat_ngram_size: 1,
            ..Default::default()
        };
        assert_eq!(processed(&[0, 2], 1, &single), [BANNED, -1.0, BANNED, 4.0]);
        let triples = GenerationConfig {
            no_repeat_ngram_size: 3,
            ..Default::default()
        };
        assert_eq!(processed(&[0, 1], 1, &triples), [2.0, -1.0, 0.5, 4.0]);
        assert_eq!(processed(&[1, 1, 1], 1, &triples), [2.0, BANNED, 0.5, 4.0]);
    }

    #[test]
    fn the_end_waits_for_the_shortest_length() {
        let config = GenerationConfig {
            min_new_tokens: 2,
            ..Default::default()
        };
        assert_eq!(processed(&[0, 1, 2], 2, &config)[3], BANNED);
        assert_eq!(processed(&[0, 1, 2, 2], 2, &config)[3], 4.0);
    }

    #[test]
    fn suppressed_ids_are_never_chosen_and_unknown_ones_ignored() {
        let config = GenerationConfig {
            suppress_tokens: vec![1, 99],
            ..Default::default()
        };
        assert_eq!(processed(&[0], 1, &config), [2.0, BANNED, 0.5, 4.0]);
    }
}
