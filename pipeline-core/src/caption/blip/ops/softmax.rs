//! Softmax.

use candle_core::{D, Result, Tensor};

use super::rows::map;
use crate::caption::lanes::{exp, largest, sum, vectorised};

/// Softmax of each row of `x · scale`.
pub(in super::super) fn softmax(x: &Tensor, scale: f32) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return by_tensor_ops(x, scale);
    }
    let (rows, width) = x.dims2()?;
    map((rows, width), [x], |[x]| {
        let mut values: Vec<f32> = Vec::with_capacity(rows * width);
        x.iter().for_each(|row| values.extend_from_slice(row));
        values
            .chunks_exact_mut(width.max(1))
            .for_each(|row| softmax_row(row, scale));
        values
    })
}

pub(super) fn softmax_row(row: &mut [f32], scale: f32) {
    vectorised(
        #[inline(always)]
        || {
            let share = powers(row, scale);
            row.iter_mut().for_each(|v| *v *= share);
        },
    );
}

/// Softmax of `row · scale` but for its last step, the product with the factor that is returned.
#[inline(always)]
pub(super) fn powers(row: &mut [f32], scale: f32) -> f32 {
    vectorised(
        #[inline(always)]
        || {
            let largest = largest(row, |v| v);
            for v in row.iter_mut() {
                *v = exp((*v - largest) * scale);
            }
            1.0 / sum::<f32>(row, |v| v)
        },
    )
}

pub(super) fn by_tensor_ops(x: &Tensor, scale: f32) -> Result<Tensor> {
    let scaled = (x * f64::from(scale))?;
    let powers = scaled
        .broadcast_sub(&scaled.max_keepdim(D::Minus1)?)?
        .exp()?;
    powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, noise};
    use super::*;

    #[test]
    fn both_forms_agree() {
        for (rows, width) in [(1, 1), (3, 70), (60, 577)] {
            let x = (noise(&[rows, width], 1) * 30.0).unwrap();
            let expected = by_tensor_ops(&x, 0.25).unwrap();
            assert_close(&softmax(&x, 0.25).unwrap(), &expected, 1e-6);
        }
    }
}
