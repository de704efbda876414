//! One sentence, or several beams of it, on its way through the decoder.

use super::halt::Halt;
use super::ops::Memory;
use super::text::{Cache, Input, TextDecoder};
use crate::caption::search::Decoder;
use crate::{Cx, Error, Result};

/// What one call changes. It belongs to the call, so that any number of them share a model.
pub(super) struct Sentence<'a> {
    decoder: &'a TextDecoder,
    cross: &'a [Memory],
    model: &'a str,
    cx: &'a Cx,
    cache: Cache,
    /// For each beam the cache rows of its tokens, in order.
    beams: Vec<Vec<u32>>,
}

impl<'a> Sentence<'a> {
    /// Begins a sentence of at most `rows` cache rows.
    pub(super) fn new(
        decoder: &'a TextDecoder,
        cross: &'a [Memory],
        rows: usize,
        model: &'a str,
        cx: &'a Cx,
    ) -> Result<Self> {
        let cache = decoder
            .cache(rows)
            .map_err(|e| Error::model(model, "making room for a sentence", e))?;
        Ok(Self {
            decoder,
            cross,
            model,
            cx,
            cache,
            beams: Vec::new(),
        })
    }

    fn run(&mut self, input: &Input<'_>) -> Result<Vec<f32>> {
        let logits = self
            .decoder
            .forward(input, self.cross, &mut self.cache, self.cx)
            .and_then(|logits| Ok(logits.flatten_all()?.to_vec1::<f32>()?))
            .map_err(|halt: Halt| halt.into_error(self.model, "running the decoder"))?;
        if logits.iter().all(|logit| logit.is_finite()) {
            Ok(logits)
        } else {
            Err(Error::model(
                self.model,
                "running the decoder",
                "it gave a score that is not a number; the weights are damaged, fetch them again",
            ))
        }
    }
}

impl Decoder for Sentence<'_> {
    fn start(&mut self, ids: &[u32]) -> Result<Vec<f32>> {
        let positions: Vec<u32> = (0..ids.len() as u32).collect();
        let visible: Vec<Vec<u32>> = (1..=ids.len())
            .map(|length| positions[..length].to_vec())
            .collect();
        let logits = self.run(&Input {
            ids,
            positions: &positions,
            visible: &visible,
            wanted: 1,
        })?;
        self.beams = vec![positions];
        Ok(logits)
    }

    fn step(&mut self, beams: &[(usize, u32)]) -> Result<Vec<f32>> {
        let first = self.cache.used as u32;
        let mut next = Vec::with_capacity(beams.len());
        for (row, &(parent, _)) in (first..).zip(beams) {
            // After the start all beams are the same one.
            let mut rows = self.beams[parent.min(self.beams.len() - 1)].clone();
            rows.push(row);
            next.push(rows);
        }
        let ids: Vec<u32> = beams.iter().map(|&(_, id)| id).collect();
        let positions: Vec<u32> = next.iter().map(|rows| rows.len() as u32 - 1).collect();
        let logits = self.run(&Input {
            ids: &ids,
            positions: &positions,
            visible: &next,
            wanted: ids.len(),
        })?;
        self.beams = next;
        Ok(logits)
    }
}
