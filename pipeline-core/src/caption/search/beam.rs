//! Several sentences in parallel, the best of which wins.

use super::processors::process;
use super::top_k::top_k;
use super::{Decoder, EarlyStopping, GenerationConfig, Vocabulary};
use crate::{Cx, Result};

/// Stands for "never": what transformers adds to a score that must not win. It is finite, so that ranks among such
/// scores stay defined.
const NEVER: f32 = -1.0e9;

/// A sentence that goes on, or one that might be the result.
#[derive(Debug, Clone)]
struct Beam {
    ids: Vec<u32>,
    score: f32,
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
) -> Result<Vec<u32>> {
    let beams = config.num_beams;
    let begin = |score| Beam {
        ids: prefix.to_vec(),
        score,
        parent: 0,
        ended: false,
    };
    // All beams begin alike; only the first may be continued, or they would all write the same sentence.
    let mut open = vec![begin(NEVER); beams];
    open[0].score = 0.0;
    let mut finished = vec![begin(NEVER); beams];
    let mut scores = decoder.start(prefix)?.repeat(beams);

    for length in 1.. {
        for (beam, row) in open.iter().zip(scores.chunks_exact_mut(vocabulary.size)) {
            log_softmax(row);
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
    Ok(finished.swap_remove(0).ids)
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
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    // Summed in double precision: the order of the additions then decides nothing.
    let sum: f64 = row.iter().map(|&x| f64::from((x - largest).exp())).sum();
    let log_sum = sum.ln() as f32;
    row.iter_mut().for_each(|x| *x = *x - largest - log_sum);
}
