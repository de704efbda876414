//! Attention of the decoder's rows to earlier words, of which each row sees those of its own sentence only.

use candle_core::{Result, Tensor};
use pulp::{Simd, WithSimd};

use super::attention::{by_head, scale};
use super::rows::{Rows, map};
use super::softmax::{softmax, softmax_row};
use crate::caption::lanes::{dispatch, dots};

/// Attention of `q` (rows × width) to cached keys and values, which lie side by side in `kv` (keys × 2·width). `visible`
/// has, for each row, the positions of its keys.
pub(in super::super) fn recall(
    q: &Tensor,
    kv: &Tensor,
    heads: usize,
    visible: &[Vec<u32>],
) -> Result<Tensor> {
    if !q.device().is_cpu() {
        return by_tensor_ops(q, kv, heads, visible);
    }
    map(q.dims2()?, [q, kv], |[q, kv]| {
        by_head(q, heads, kv.count, |of_head, head, seen| {
            let width = of_head.width;
            dispatch(Head {
                q: of_head,
                keys: kv.columns(head * width, width),
                values: kv.columns(q.width + head * width, width),
                visible,
                seen,
            });
        })
    })
}

/// One head of all rows.
struct Head<'a> {
    q: Rows<'a>,
    keys: Rows<'a>,
    values: Rows<'a>,
    visible: &'a [Vec<u32>],
    seen: &'a mut [f32],
}

impl WithSimd for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let mut weights = Vec::with_capacity(self.keys.count);
        let rows = self.q.iter().zip(self.visible);
        for ((q, visible), seen) in rows.zip(self.seen.chunks_exact_mut(self.q.width)) {
            let keys = visible.iter().map(|&index| self.keys.row(index as usize));
            weights.clear();
            weights.extend(keys.map(|key| dots(simd, key, [q])[0]));
            softmax_row(&mut weights, scale(self.q.width));
            seen.fill(0.0);
            for (weight, &index) in weights.iter().zip(visible) {
                for (sum, value) in seen.iter_mut().zip(self.values.row(index as usize)) {
                    *sum += weight * value;
                }
            }
        }
    }
}

fn by_tensor_ops(q: &Tensor, kv: &Tensor, heads: usize, visible: &[Vec<u32>]) -> Result<Tensor> {
    let ((rows, width), (keys, _)) = (q.dims2()?, kv.dims2()?);
    let head_width = width / heads;
    let by_head = |x: Tensor| {
        x.reshape(((), heads, head_width))?
            .transpose(0, 1)?
            .contiguous()
    };
    let k = by_head(kv.narrow(1, 0, width)?)?;
    let v = by_head(kv.narrow(1, width, width)?)?;
    let scores = by_head(q.clone())?.matmul(&k.t()?)?;
    let mut mask = vec![f32::NEG_INFINITY; rows * keys];
    for (row, visible) in mask.chunks_exact_mut(keys).zip(visible) {
        visible.iter().for_each(|&index| row[index as usize] = 0.0);
    }
    let scores = scores.broadcast_add(&Tensor::from_vec(mask, (1, rows, keys), q.device())?)?;
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
        let visible = [vec![0, 2, 8], vec![5], vec![0, 1, 2, 3, 4, 5, 6, 7]];
        for width in [24, 64] {
            let (q, kv) = (noise(&[3, width], 1), noise(&[9, 2 * width], 2));
            let expected = by_tensor_ops(&q, &kv, 2, &visible).unwrap();
            assert_close(&recall(&q, &kv, 2, &visible).unwrap(), &expected, 1e-6);
        }
    }
}
