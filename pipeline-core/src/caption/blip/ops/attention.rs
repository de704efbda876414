//! Attention: over the encoder's own tokens, and of the decoder's rows over cached keys and values.

use candle_core::{Result, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::kernel::{Rows, map2};
use super::lanes::{dispatch, dots};
use super::softmax::{softmax, softmax_row};

/// Multiplications that make it worth while to wake a second thread.
const WORTH_A_THREAD: usize = 1 << 18;

/// What a row of the decoder may look at.
#[derive(Debug, Clone, Copy)]
pub(in super::super) enum Visible<'a> {
    /// All keys.
    All,
    /// For each row, the positions of its keys.
    Only(&'a [Vec<u32>]),
}

/// Attention of all tokens to each other. `qkv` has queries, keys and values side by side: tokens × 3·width → tokens ×
/// width.
pub(in super::super) fn self_attention(qkv: &Tensor, heads: usize) -> Result<Tensor> {
    let (tokens, triple) = qkv.dims2()?;
    let width = triple / 3;
    let by_head = qkv
        .reshape((tokens, 3, heads, width / heads))?
        .permute((1, 2, 0, 3))?;
    // A graphics processor's matrix product wants each operand in one piece; the CPU's takes it as it lies.
    let part = |index| {
        let part = by_head.get(index)?;
        if qkv.device().is_cpu() {
            Ok(part)
        } else {
            part.contiguous()
        }
    };
    let (q, k, v) = (part(0)?, part(1)?, part(2)?);
    let scores = q.matmul(&k.t()?)?.reshape((heads * tokens, tokens))?;
    let weights = softmax(&scores, scale(width / heads))?.reshape((heads, tokens, tokens))?;
    weights
        .matmul(&v)?
        .transpose(0, 1)?
        .reshape((tokens, width))
}

/// Attention of the rows of `q` (rows × width) to cached keys and values, which lie side by side in `kv` (keys ×
/// 2·width).
pub(in super::super) fn attention(
    q: &Tensor,
    kv: &Tensor,
    heads: usize,
    visible: Visible<'_>,
) -> Result<Tensor> {
    if !q.device().is_cpu() {
        return by_tensor_ops(q, kv, heads, visible);
    }
    map2("attention", q.dims2()?, q, kv, |q, kv| {
        by_head(q, kv, heads, visible)
    })
}

fn scale(head_width: usize) -> f32 {
    1.0 / (head_width as f32).sqrt()
}

fn by_head(q: Rows<'_>, kv: Rows<'_>, heads: usize, visible: Visible<'_>) -> Vec<f32> {
    let head_width = q.width / heads;
    if q.count == 0 || head_width == 0 {
        return vec![0.0; q.count * q.width];
    }
    let mut by_head = vec![0.0; q.count * q.width];
    let head = |(head, target): (usize, &mut [f32])| {
        dispatch(Head {
            q,
            kv,
            from: head * head_width,
            width: head_width,
            visible,
            target,
        });
    };
    if q.count * q.width * kv.count >= WORTH_A_THREAD {
        by_head
            .par_chunks_exact_mut(q.count * head_width)
            .enumerate()
            .for_each(head);
    } else {
        by_head
            .chunks_exact_mut(q.count * head_width)
            .enumerate()
            .for_each(head);
    }
    let mut rows = vec![0.0; q.count * q.width];
    for (head, source) in by_head.chunks_exact(q.count * head_width).enumerate() {
        for (row, source) in source.chunks_exact(head_width).enumerate() {
            rows[row * q.width + head * head_width..][..head_width].copy_from_slice(source);
        }
    }
    rows
}

/// One head of all rows.
struct Head<'a> {
    q: Rows<'a>,
    kv: Rows<'a>,
    /// The first column of the head.
    from: usize,
    width: usize,
    visible: Visible<'a>,
    target: &'a mut [f32],
}

impl WithSimd for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut scores = Vec::with_capacity(self.kv.count);
        for (row, target) in self.target.chunks_exact_mut(self.width).enumerate() {
            let q = &self.q.row(row)[self.from..][..self.width];
            let key = |index: usize| &self.kv.row(index)[self.from..][..self.width];
            let value =
                |index: usize| &self.kv.row(index)[self.q.width + self.from..][..self.width];
            scores.clear();
            match self.visible {
                Visible::All => {
                    scores.extend((0..self.kv.count).map(|index| dots(simd, key(index), [q])[0]));
                }
                Visible::Only(lists) => {
                    let keys = lists[row].iter().map(|&index| key(index as usize));
                    scores.extend(keys.map(|key| dots(simd, key, [q])[0]));
                }
            }
            softmax_row(&mut scores, scale(self.width));
            target.fill(0.0);
            for (position, weight) in scores.iter().enumerate() {
                let index = match self.visible {
                    Visible::All => position,
                    Visible::Only(lists) => lists[row][position] as usize,
                };
                for (sum, value) in target.iter_mut().zip(value(index)) {
                    *sum += weight * value;
                }
            }
        }
    }
}

fn by_tensor_ops(q: &Tensor, kv: &Tensor, heads: usize, visible: Visible<'_>) -> Result<Tensor> {
    let ((rows, width), (keys, _)) = (q.dims2()?, kv.dims2()?);
    let head_width = width / heads;
    let by_head = |x: Tensor| {
        x.reshape(((), heads, head_width))?
            .transpose(0, 1)?
            .contiguous()
    };
    let k = by_head(kv.narrow(1, 0, width)?)?;
    let v = by_head(kv.narrow(1, width, width)?)?;
    let mut scores = by_head(q.clone())?.matmul(&k.t()?)?;
    if let Visible::Only(lists) = visible {
        let mut mask = vec![f32::NEG_INFINITY; rows * keys];
        for (row, list) in mask.chunks_exact_mut(keys).zip(lists) {
            list.iter().for_each(|&index| row[index as usize] = 0.0);
        }
        scores = scores.broadcast_add(&Tensor::from_vec(mask, (1, rows, keys), q.device())?)?;
    }
    let weights = softmax(&scores.reshape((heads * rows, keys))?, scale(head_width))?;
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
    fn both_forms_agree_on_what_is_visible() {
        let (q, kv) = (noise(&[3, 24], 1), noise(&[9, 48], 2));
        let lists = [vec![0, 2, 8], vec![5], vec![0, 1, 2, 3, 4, 5, 6, 7]];
        for visible in [Visible::All, Visible::Only(&lists)] {
            let expected = by_tensor_ops(&q, &kv, 2, visible).unwrap();
            assert_close(&attention(&q, &kv, 2, visible).unwrap(), &expected, 1e-6);
        }
    }

    #[test]
    fn the_encoder_attends_like_the_decoder_that_sees_all() {
        let qkv = noise(&[70, 96], 1);
        let q = qkv.narrow(1, 0, 32).unwrap();
        let kv = qkv.narrow(1, 32, 64).unwrap();
        let expected = attention(&q, &kv, 4, Visible::All).unwrap();
        assert_close(&self_attention(&qkv, 4).unwrap(), &expected, 1e-6);
    }

    #[test]
    fn enough_work_for_threads_gives_the_same() {
        let (q, kv) = (noise(&[3, 128], 1), noise(&[900, 256], 2));
        let expected = by_tensor_ops(&q, &kv, 2, Visible::All).unwrap();
        assert_close(
            &attention(&q, &kv, 2, Visible::All).unwrap(),
            &expected,
            1e-6,
        );
    }
}
