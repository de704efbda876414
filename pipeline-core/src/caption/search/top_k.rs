//! The largest scores.

/// The positions of the `count` largest scores, the largest first; of equal ones the earlier.
pub(crate) fn top_k(scores: &[f32], count: usize) -> Vec<usize> {
    let mut best: Vec<usize> = Vec::with_capacity(count + 1);
    for (position, &score) in scores.iter().enumerate() {
        // Nearly every score stops here: a search asks for a handful out of a whole vocabulary.
        if best.len() == count && best.last().is_none_or(|&last| score <= scores[last]) {
            continue;
        }
        let rank = best.partition_point(|&earlier| scores[earlier] >= score);
        best.insert(rank, position);
        best.truncate(count);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn largest_first_and_of_equal_scores_the_earlier() {
        let scores = [1.0, 3.0, f32::NEG_INFINITY, 3.0, 2.0, 1.0];
        assert_eq!(top_k(&scores, 1), [1]);
        assert_eq!(top_k(&scores, 4), [1, 3, 4, 0]);
        assert_eq!(top_k(&scores, 9), [1, 3, 4, 0, 5, 2]);
        assert_eq!(top_k(&scores, 0), [0; 0]);
    }
}
