//! Several sentences in parallel, the best of which wins.

use super::processors::process;
use super::top_k::top_k;
use super::{Decoder, EarlyStopping, Found, GenerationConfig, Vocabulary, norm};
use crate::caption::lanes::vectorised;
use crate::{Cx, Result};

/// Stands for "never": what transformers adds to a score that must not win. It is finite, so that ranks among such
/// scores stay defined.
const NEVER: f32 = -1.0e9;

/// A sentence that goes on, or one that might be the result.
#[derive(Debug, Clone)]
struct Beam {
    ids: Vec<u32>,
    score: f32,
    /// The sum of the logarithms of its tokens' probabilities, before any setting changed them.
    log_probability: f32,
    /// The beam of the step before that this one continues.
    parent: usize,
    ended: bool,
}

pub(super) fn search(
    decoder: &mut impl Decoder,
    prefix: &[u32],
    vocabulary: Vocabulary,
    config: &GenerationConfig,
    cx: &Cx,
) -> Result<Found> {
    let beams = config.num_beams;
    let begin = |score| Beam {
        ids: prefix.to_vec(),
        score,
        log_probability: 0.0,
        parent: 0,
        ended: false,
    };
    // All beams begin alike; only the first may be continued, or they would all write the same sentence.
    let mut open = vec![begin(NEVER); beams];
    open[0].score = 0.0;
    let mut finished = vec![begin(NEVER); beams];
    let mut scores = decoder.start(prefix)?.repeat(beams);

    for length in 1.. {
        for row in scores.chunks_exact_mut(vocabulary.size) {
            log_softmax(row);
        }
        let said = scores.clone();
        for (beam, row) in open.iter().zip(scores.chunks_exact_mut(vocabulary.size)) {
            process(row, &beam.ids, prefix.len(), vocabulary, config);
            row.iter_mut().for_each(|score| *score += beam.score);
        }
        let at_most = length >= config.max_new_tokens;
        let candidates: Vec<Beam> = top_k(&scores, 2 * beams)
            .into_iter()
            .map(|position| {
                let parent = position / vocabulary.size;
                let id = (position % vocabulary.size) as u32;
                let mut ids = Vec::with_capacity(open[parent].ids.len() + 1);
                ids.extend_from_slice(&open[parent].ids);
                ids.push(id);
                Beam {
                    ids,
                    score: scores[position],
                    log_probability: open[parent].log_probability + said[position],
                    parent,
                    ended: at_most || id == vocabulary.end,
                }
            })
            .collect();

        open = continued(&candidates, beams);
        let divisor = power(length, config.length_penalty);
        finished = best_finished(finished, &candidates, divisor, config.early_stopping);

        let all_ended = candidates.iter().all(|beam| beam.ended);
        if all_ended || !can_improve(&open, &finished, length, config) {
            break;
        }
        cx.check()?;
        let steps: Vec<(usize, u32)> = open
            .iter()
            .filter_map(|beam| beam.ids.last().map(|&id| (beam.parent, id)))
            .collect();
        scores = decoder.step(&steps)?;
    }
    let best = finished.swap_remove(0);
    Ok(Found::new(best.ids, prefix.len(), best.log_probability))
}

/// The best candidates that have not ended; where too few are left, ended ones that can no longer win.
fn continued(candidates: &[Beam], beams: usize) -> Vec<Beam> {
    let scores: Vec<f32> = candidates
        .iter()
        .map(|beam| beam.score + if beam.ended { NEVER } else { 0.0 })
        .collect();
    ranked(candidates, &scores, beams)
}

/// The best of the sentences that had ended before and of the candidates that end now.
fn best_finished(
    finished: Vec<Beam>,
    candidates: &[Beam],
    divisor: f32,
    early_stopping: EarlyStopping,
) -> Vec<Beam> {
    let beams = finished.len();
    let full = early_stopping == EarlyStopping::Always && finished.iter().all(|beam| beam.ended);
    let mut merged = finished;
    for (rank, beam) in candidates.iter().enumerate() {
        // The second half of the candidates is there only to continue where the first half ends.
        let ends = beam.ended && rank < beams;
        let mut score = beam.score / divisor;
        if full {
            score += NEVER;
        }
        if !ends {
            score += NEVER;
        }
        merged.push(Beam {
            score,
            ended: ends,
            ..beam.clone()
        });
    }
    let scores: Vec<f32> = merged.iter().map(|beam| beam.score).collect();
    ranked(&merged, &scores, beams)
}

fn ranked(beams: &[Beam], scores: &[f32], count: usize) -> Vec<Beam> {
    top_k(scores, count)
        .into_iter()
        .map(|position| Beam {
            score: scores[position],
            ..beams[position].clone()
        })
        .collect()
}

/// Whether an open beam may still beat the worst finished sentence.
fn can_improve(open: &[Beam], finished: &[Beam], length: usize, config: &GenerationConfig) -> bool {
    if config.early_stopping == EarlyStopping::Always && finished.iter().all(|beam| beam.ended) {
        return false;
    }
    let reach = if config.early_stopping == EarlyStopping::Never && config.length_penalty > 0.0 {
        config.max_new_tokens
    } else {
        length
    };
    let best_open = open[0].score / power(reach, config.length_penalty);
    let worst = finished
        .iter()
        .map(|beam| beam.score)
        .fold(f32::INFINITY, f32::min);
    finished
        .iter()
        .any(|beam| best_open > if beam.ended { worst } else { NEVER })
}

fn power(length: usize, exponent: f64) -> f32 {
    (length as f64).powf(exponent) as f32
}

fn log_softmax(row: &mut [f32]) {
    let (largest, log_sum) = norm(row);
    vectorised(
        #[inline(always)]
        || row.iter_mut().for_each(|x| *x = *x - largest - log_sum),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: Vocabulary = Vocabulary { size: 4, end: 3 };

    /// A decoder whose next token depends on the last one only: for each id the probabilities of its successors.
    struct Chain([[f32; 4]; 3], Vec<Vec<u32>>);

    impl Chain {
        fn new(successors: [[f32; 4]; 3]) -> Self {
            Self(successors, Vec::new())
        }

        fn logits(&self) -> Vec<f32> {
            // What follows the end is read where nothing else is left to continue; it must not matter.
            let last = |ids: &Vec<u32>| *ids.last().unwrap() as usize;
            let rows = self
                .1
                .iter()
                .map(|ids| self.0.get(last(ids)).unwrap_or(&[0.25; 4]));
            rows.flatten().copied().map(f32::ln).collect()
        }
    }

    impl Decoder for Chain {
        fn start(&mut self, ids: &[u32]) -> Result<Vec<f32>> {
            self.1 = vec![ids.to_vec()];
            Ok(self.logits())
        }

        fn step(&mut self, beams: &[(usize, u32)]) -> Result<Vec<f32>> {
            let next = beams.iter().map(|&(parent, id)| {
                let parent = &self.1[parent.min(self.1.len() - 1)];
                [parent.as_slice(), &[id]].concat()
            });
            self.1 = next.collect();
            Ok(self.logits())
        }
    }

    fn found(chain: [[f32; 4]; 3], config: &GenerationConfig) -> Vec<u32> {
        scored(chain, config).ids
    }

    fn scored(chain: [[f32; 4]; 3], config: &GenerationConfig) -> Found {
        search(&mut Chain::new(chain), &[0], WORDS, config, &Cx::none()).unwrap()
    }

    fn beams(num_beams: usize, max_new_tokens: usize) -> GenerationConfig {
        GenerationConfig {
            num_beams,
            max_new_tokens,
            ..Default::default()
        }
    }

    /// Greedily 0 → 1, which then splits its mass; 0 → 2 → end is likelier as a whole.
    const DETOUR: [[f32; 4]; 3] = [
        [0.0, 0.5, 0.4, 0.1],
        [0.3, 0.3, 0.2, 0.2],
        [0.05, 0.025, 0.025, 0.9],
    ];

    #[test]
    fn the_whole_sentence_counts_not_its_first_word() {
        // By hand, per token: 0 2 end has ln(0.4 · 0.9) / 2 = -0.51; 0 end has ln 0.1 = -2.3; 0 1 end has -1.15.
        assert_eq!(found(DETOUR, &beams(2, 5)), [0, 2, 3]);
    }

    #[test]
    fn the_score_is_the_mean_of_the_model_s_own_log_probabilities() {
        let by_hand = |probability: f32, tokens: f32| probability.ln() / tokens;
        // A penalty changes which sentence wins and what the search thinks of it, but not what the model said.
        for repetition_penalty in [1.0, 1.3] {
            let config = GenerationConfig {
                repetition_penalty,
                ..beams(2, 5)
            };
            let found = scored(DETOUR, &config);
            assert_eq!(found.ids, [0, 2, 3]);
            assert!((found.score.unwrap() - by_hand(0.4 * 0.9, 2.0)).abs() < 1e-5);
        }
        let endless = [[0.1, 0.9, 0.0, 0.0], [0.9, 0.1, 0.0, 0.0], [0.25; 4]];
        let cut = scored(endless, &beams(3, 4));
        assert!(
            (cut.score.unwrap() - by_hand(0.9, 1.0)).abs() < 1e-5,
            "{cut:?}"
        );
        let penalised = GenerationConfig {
            repetition_penalty: 1.3,
            ..beams(1, 4)
        };
        let greedy = super::super::greedy::search(
            &mut Chain::new(endless),
            &[0],
            WORDS,
            &penalised,
            &Cx::none(),
        );
        let greedy = greedy.unwrap();
        assert_eq!(greedy.ids.len(), 5);
        let likely = |ids: &[u32]| endless[ids[0] as usize][ids[1] as usize].ln();
        let mean = greedy.ids.windows(2).map(likely).sum::<f32>() / 4.0;
        assert!((greedy.score.unwrap() - mean).abs() < 1e-5, "{greedy:?}");
    }

    #[test]
    fn the_length_penalty_decides_between_short_and_long() {
        // 0 end: ln 0.3 = -1.2. 0 1 2 end: ln(0.6 · 0.7 · 0.6) = -1.38, divided by 3 with a penalty of 1.
        let chain = [
            [0.05, 0.6, 0.05, 0.3],
            [0.1, 0.1, 0.7, 0.1],
            [0.2, 0.1, 0.1, 0.6],
        ];
        assert_eq!(found(chain, &beams(2, 4)), [0, 1, 2, 3]);
        let short = GenerationConfig {
            length_penalty: 0.0,
            ..beams(2, 4)
        };
        assert_eq!(found(chain, &short), [0, 3]);
    }

    #[test]
    fn a_sentence_that_never_ends_is_cut() {
        let endless = [[0.1, 0.9, 0.0, 0.0], [0.9, 0.1, 0.0, 0.0], [0.25; 4]];
        assert_eq!(found(endless, &beams(3, 4)), [0, 1, 0, 1, 0]);
        assert_eq!(found(endless, &beams(3, 1)), [0, 1]);
    }

    #[test]
    fn the_settings_apply_to_every_beam() {
        let later = GenerationConfig {
            min_new_tokens: 2,
            ..beams(2, 5)
        };
        assert!(!found(DETOUR, &later)[..3].contains(&3));
        let never = GenerationConfig {
            suppress_tokens: vec![2],
            ..beams(2, 3)
        };
        assert!(!found(DETOUR, &never).contains(&2));
    }

    #[test]
    fn stopping_at_once_misses_a_better_sentence_that_takes_longer() {
        // Both beams find an end in two steps; the loop 1 1 1 end is likelier per token, but comes later.
        let chain = [
            [0.0, 0.6, 0.1, 0.3],
            [0.0, 0.75, 0.0, 0.25],
            [0.0, 0.0, 0.0, 1.0],
        ];
        let at_once = GenerationConfig {
            early_stopping: EarlyStopping::Always,
            ..beams(2, 8)
        };
        let never = GenerationConfig {
            early_stopping: EarlyStopping::Never,
            ..beams(2, 8)
        };
        let (early, late) = (found(chain, &at_once), found(chain, &never));
        assert!(early.len() < late.len(), "{early:?} {late:?}");
    }

    #[test]
    fn fewer_ids_than_candidates_are_no_problem() {
        let only_the_end = [[0.0, 0.0, 0.0, 1.0]; 3];
        assert_eq!(found(only_the_end, &beams(5, 3)), [0, 3]);
    }
}
