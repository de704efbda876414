//! Attention to many keys that all rows see: the encoder's own tokens, and the decoder's view of the picture.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::product::{Float, Format, Job, LANES, TILE, fill_tiles, lay_out};
use super::rows::{Rows, map, read};
use super::share::each;
use super::softmax::softmax;
use crate::caption::lanes::{exp, vectorised};

/// Keys and values of all heads, laid out once and used for any number of rows.
#[derive(Debug, Clone)]
pub(in super::super) struct Memory {
    heads: usize,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    LaidOut(Arc<[Head]>),
    /// Keys and values side by side: keys × 2·width.
    Tensor(Tensor),
}

/// What one head remembers.
#[derive(Debug)]
struct Head {
    /// Panels of 16 keys.
    keys: Vec<<Float as Format>::Right>,
    /// Panels of 16 columns of the values.
    values: Vec<<Float as Format>::Right>,
    count: usize,
    width: usize,
}

impl Memory {
    /// `kv` has keys and values side by side: keys × 2·width.
    pub(in super::super) fn new(kv: &Tensor, heads: usize) -> Result<Self> {
        let kind = if kv.device().is_cpu() {
            let lay_out = |[kv]: [Rows<'_>; 1]| {
                let width = kv.width / 2 / heads;
                let head = |head| {
                    let keys = kv.columns(head * width, width);
                    Head::new(keys, kv.columns((heads + head) * width, width))
                };
                (0..heads).map(head).collect()
            };
            Kind::LaidOut(read([kv], lay_out)?)
        } else {
            Kind::Tensor(kv.clone())
        };
        Ok(Self { heads, kind })
    }

    /// What each row of `q` (rows × width) sees.
    pub(in super::super) fn attend(&self, q: &Tensor) -> Result<Tensor> {
        match &self.kind {
            Kind::Tensor(kv) => by_tensor_ops(q, kv, self.heads),
            Kind::LaidOut(heads) => map(q.dims2()?, [q], |[q]| {
                by_head(q, heads.len(), heads[0].count, |q, head, seen| {
                    heads[head].attend(q, seen);
                })
            }),
        }
    }
}

/// Attention of all tokens to each other. `qkv` has queries, keys and values side by side: tokens × 3·width → tokens ×
/// width.
pub(in super::super) fn self_attention(qkv: &Tensor, heads: usize) -> Result<Tensor> {
    let (tokens, triple) = qkv.dims2()?;
    let width = triple / 3;
    if !qkv.device().is_cpu() {
        return by_tensor_ops(
            &qkv.narrow(1, 0, width)?,
            &qkv.narrow(1, width, 2 * width)?,
            heads,
        );
    }
    map((tokens, width), [qkv], |[qkv]| {
        let q = qkv.columns(0, width);
        by_head(q, heads, tokens, |q, head, seen| {
            let keys = qkv.columns(width + head * q.width, q.width);
            let values = qkv.columns(2 * width + head * q.width, q.width);
            Head::new(keys, values).attend(q, seen);
        })
    })
}

pub(super) fn scale(head_width: usize) -> f32 {
    1.0 / (head_width as f32).sqrt()
}

/// Shares heads between threads. `attend` gets a head's queries and number, and room for what they see.
pub(super) fn by_head(
    q: Rows<'_>,
    heads: usize,
    keys: usize,
    attend: impl Fn(Rows<'_>, usize, &mut [f32]) + Sync + Send,
) -> Vec<f32> {
    let (rows, width) = (q.count, q.width / heads);
    if rows == 0 || width == 0 {
        return vec![0.0; rows * q.width];
    }
    let mut by_head = vec![0.0; rows * q.width];
    let pieces: Vec<_> = by_head.chunks_exact_mut(rows * width).enumerate().collect();
    each(pieces, 2 * rows * q.width * keys, |(head, seen)| {
        attend(q.columns(head * width, width), head, seen);
    });
    let mut seen = vec![0.0; rows * q.width];
    for (head, source) in by_head.chunks_exact(rows * width).enumerate() {
        let rows = seen.chunks_exact_mut(q.width);
        for (row, source) in rows.zip(source.chunks_exact(width)) {
            row[head * width..][..width].copy_from_slice(source);
        }
    }
    seen
}

impl Head {
    fn new(keys: Rows<'_>, values: Rows<'_>) -> Self {
        let panels = values.width.div_ceil(LANES);
        let mut columns = Vec::with_capacity(panels * keys.count.div_ceil(LANES));
        for panel in 0..panels {
            let from = panel * LANES;
            let lanes = LANES.min(values.width - from);
            for first in (0..values.count).step_by(LANES) {
                let mut block = [[0.0; LANES]; LANES];
                let rows = values
                    .columns(from, lanes)
                    .part(first, LANES.min(values.count - first));
                for (target, row) in block.iter_mut().zip(rows.iter()) {
                    target[..lanes].copy_from_slice(row);
                }
                columns.push(block);
            }
        }
        Self {
            keys: lay_out::<Float>(keys).0,
            values: columns,
            count: keys.count,
            width: keys.width,
        }
    }

    /// `seen` gets a row for each of `q`'s.
    fn attend(&self, q: Rows<'_>, seen: &mut [f32]) {
        let depth = self.width.div_ceil(LANES);
        let panels = self.count.div_ceil(LANES);
        let mut left = vec![[0.0; LANES]; q.count * depth];
        fill_tiles::<Float>(q, depth, &mut left, &mut Vec::new());
        let mut scores = vec![[0.0; LANES]; panels * TILE];
        let mut sums = vec![[0.0; LANES]; depth * TILE];
        let tiles = left
            .chunks(TILE * depth)
            .zip(seen.chunks_mut(TILE * self.width));
        for (left, seen) in tiles {
            let rows = left.len() / depth;
            let (scores, sums) = (&mut scores[..panels * rows], &mut sums[..depth * rows]);
            Float::multiply(Job {
                left,
                right: &self.keys,
                depth,
                sums: scores,
            });
            // The sums of panels of keys are the blocks of a tile's rows.
            let shares = weigh(scores, rows, self.count, scale(self.width));
            Float::multiply(Job {
                left: scores,
                right: &self.values,
                depth: panels,
                sums,
            });
            for (panel, sums) in sums.chunks_exact(rows).enumerate() {
                let from = panel * LANES;
                for ((sum, share), seen) in sums
                    .iter()
                    .zip(shares)
                    .zip(seen.chunks_exact_mut(self.width))
                {
                    for (seen, sum) in seen[from..].iter_mut().zip(sum) {
                        *seen = sum * share;
                    }
                }
            }
        }
    }
}

/// Turns a tile's scores into weights; returns what to multiply each row's weights by so that they add up to one.
fn weigh(scores: &mut [[f32; LANES]], rows: usize, keys: usize, scale: f32) -> [f32; TILE] {
    let beyond = scores.len() / rows * LANES - keys;
    for row in scores.iter_mut().rev().take(rows) {
        row[LANES - beyond..].fill(f32::NEG_INFINITY);
    }
    let mut shares = [0.0; TILE];
    vectorised(
        #[inline(always)]
        || {
            for (row, share) in shares[..rows].iter_mut().enumerate() {
                let mut largest = [f32::NEG_INFINITY; LANES];
                for block in scores.iter().skip(row).step_by(rows) {
                    for (most, v) in largest.iter_mut().zip(block) {
                        *most = if v > most { *v } else { *most };
                    }
                }
                let largest = largest.into_iter().fold(f32::NEG_INFINITY, f32::max);
                let mut sums = [0.0; LANES];
                for block in scores.iter_mut().skip(row).step_by(rows) {
                    for (v, sum) in block.iter_mut().zip(&mut sums) {
                        *v = exp((*v - largest) * scale);
                        *sum += *v;
                    }
                }
                *share = 1.0 / sums.iter().sum::<f32>();
            }
        },
    );
    shares
}

fn by_tensor_ops(q: &Tensor, kv: &Tensor, heads: usize) -> Result<Tensor> {
    let ((rows, width), (keys, _)) = (q.dims2()?, kv.dims2()?);
    let by_head = |x: Tensor| {
        x.reshape(((), heads, width / heads))?
            .transpose(0, 1)?
            .contiguous()
    };
    let k = by_head(kv.narrow(1, 0, width)?)?;
    let v = by_head(kv.narrow(1, width, width)?)?;
    let scores = by_head(q.clone())?.matmul(&k.t()?)?;
    let weights = softmax(&scores.reshape((heads * rows, keys))?, scale(width / heads))?;
    weights
        .reshape((heads, rows, keys))?
        .matmul(&v)?
        .transpose(0, 1)?
        .reshape((rows, width))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, noise};
    use super::*;

    #[test]
    fn both_forms_agree() {
        for (rows, keys, width, heads) in [
            (3, 9, 24, 2),
            (1, 16, 64, 4),
            (13, 70, 96, 2),
            (3, 900, 128, 2),
        ] {
            let (q, kv) = (noise(&[rows, width], 1), noise(&[keys, 2 * width], 2));
            let expected = by_tensor_ops(&q, &kv, heads).unwrap();
            let seen = Memory::new(&kv, heads).unwrap().attend(&q).unwrap();
            assert_close(&seen, &expected, 1e-6);
        }
    }

    #[test]
    fn the_encoder_attends_like_the_decoder() {
        let qkv = noise(&[70, 96], 1);
        let memory = Memory::new(&qkv.narrow(1, 32, 64).unwrap(), 4).unwrap();
        let expected = memory.attend(&qkv.narrow(1, 0, 32).unwrap()).unwrap();
        assert_close(&self_attention(&qkv, 4).unwrap(), &expected, 0.0);
    }
}
