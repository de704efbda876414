//! Attention to many keys that all rows see: the encoder's own tokens, and the decoder's view of the picture.

use std::fmt;
use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::product::{Kept, LANES, Layout, TILE};
use super::rows::{Rows, map, read};
use super::share::{each, with_room};
use super::softmax::{powers, softmax};

/// Keys and values of all heads, laid out once and used for any number of rows.
#[derive(Clone)]
pub(in super::super) struct Memory {
    heads: usize,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    LaidOut(Arc<[Head]>),
    /// Keys and values side by side: keys × 2·width.
    Tensor(Tensor),
}

/// What one head remembers.
struct Head {
    /// An output for each key.
    keys: Box<dyn Layout>,
    /// An output for each column of the values.
    values: Box<dyn Layout>,
}

impl Memory {
    /// `kv` has keys and values side by side: keys × 2·width.
    pub(in super::super) fn new(kv: &Tensor, heads: usize, kept: Kept) -> Result<Self> {
        let kind = if kv.device().is_cpu() {
            let lay_out = |[kv]: [Rows<'_>; 1]| {
                let width = kv.width / 2 / heads;
                let mut laid_out: Vec<Option<Head>> = (0..heads).map(|_| None).collect();
                let pieces = laid_out.iter_mut().enumerate().collect();
                each(pieces, kv.count * kv.width, |(head, laid_out)| {
                    let keys = kv.columns(head * width, width);
                    let values = kv.columns((heads + head) * width, width);
                    *laid_out = Some(Head::new(keys, values, kept));
                });
                laid_out.into_iter().flatten().collect()
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
                by_head(q, heads.len(), heads[0].keys.out(), |q, head, seen| {
                    heads[head].attend(q, seen);
                })
            }),
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("heads", &self.heads)
            .finish_non_exhaustive()
    }
}

/// Attention of all tokens to each other. `qkv` has queries, keys and values side by side: tokens × 3·width → tokens ×
/// width.
pub(in super::super) fn self_attention(qkv: &Tensor, heads: usize, kept: Kept) -> Result<Tensor> {
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
            Head::new(keys, values, kept).attend(q, seen);
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
    fn new(keys: Rows<'_>, values: Rows<'_>, kept: Kept) -> Self {
        let columns = values.transposed();
        Self {
            keys: kept.lay_out(keys, &[]),
            values: kept.lay_out(Rows::contiguous(&columns, values.count), &[]),
        }
    }

    /// `seen` gets a row for each of `q`'s. A tile of rows at a time, whose scores stay in the innermost cache.
    fn attend(&self, q: Rows<'_>, seen: &mut [f32]) {
        let (keys, scale) = (self.keys.out(), scale(q.width));
        // Whole vectors of scores: what is left over beyond them would cost up to a quarter of the time.
        let padded = keys.next_multiple_of(LANES);
        with_room(TILE * padded, |scores| {
            for (tile, seen) in seen.chunks_mut(TILE * q.width).enumerate() {
                let q = q.part(tile * TILE, seen.len() / q.width);
                let scores = &mut scores[..q.count * padded];
                self.keys.multiply(q, 0..self.keys.panels(), scores);
                let mut shares = [0.0; TILE];
                for (scores, share) in scores.chunks_exact_mut(padded).zip(&mut shares) {
                    scores[keys..].fill(f32::NEG_INFINITY);
                    *share = powers(scores, scale);
                }
                let weights = Rows::contiguous(scores, padded);
                self.values.multiply(weights, 0..self.values.panels(), seen);
                for (seen, share) in seen.chunks_exact_mut(q.width).zip(shares) {
                    seen.iter_mut().for_each(|seen| *seen *= share);
                }
            }
        });
    }
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
            for (kept, tolerance) in [(Kept::F32, 1e-6), (Kept::I16, 3e-4), (Kept::I8, 2e-2)] {
                let seen = Memory::new(&kv, heads, kept).unwrap().attend(&q).unwrap();
                assert_close(&seen, &expected, tolerance);
            }
        }
    }

    #[test]
    fn the_encoder_attends_like_the_decoder() {
        let qkv = noise(&[70, 96], 1);
        let (q, kv) = (
            qkv.narrow(1, 0, 32).unwrap(),
            qkv.narrow(1, 32, 64).unwrap(),
        );
        for kept in [Kept::F32, Kept::I16, Kept::I8] {
            let memory = Memory::new(&kv, 4, kept).unwrap();
            let expected = memory.attend(&q).unwrap();
            assert_close(&self_attention(&qkv, 4, kept).unwrap(), &expected, 0.0);
        }
    }
}
