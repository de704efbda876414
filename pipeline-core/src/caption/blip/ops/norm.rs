//! Layer normalisation.

use candle_core::{D, Result, Tensor};

use super::rows::{Rows, map};
use super::share::each;
use crate::caption::lanes::{sum, vectorised};

/// Rows that a thread takes at a time.
const ROWS: usize = 64;

/// What a value costs, in multiplications.
const COST: usize = 8;

/// Normalises each row of `x`. `params` has the factors in its first row, the summands in its second.
pub(in super::super) fn layer_norm(x: &Tensor, params: &Tensor, eps: f64) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return by_tensor_ops(x, params, eps);
    }
    map(x.dims2()?, [x, params], |[x, params]| {
        normalised(x, params, eps as f32, |row, y| {
            y.copy_from_slice(x.row(row))
        })
    })
}

/// Normalises each row of `x + y`.
pub(in super::super) fn add_layer_norm(
    x: &Tensor,
    y: &Tensor,
    params: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return by_tensor_ops(&(x + y)?, params, eps);
    }
    map(x.dims2()?, [x, y, params], |[x, y, params]| {
        normalised(x, params, eps as f32, |row, sum| {
            for (sum, (x, y)) in sum.iter_mut().zip(x.row(row).iter().zip(y.row(row))) {
                *sum = x + y;
            }
        })
    })
}

/// Normalises rows of the shape of `x` that `fill` writes.
fn normalised(
    x: Rows<'_>,
    params: Rows<'_>,
    eps: f32,
    fill: impl Fn(usize, &mut [f32]) + Sync + Send,
) -> Vec<f32> {
    let (width, count) = (x.width, x.width as f32);
    let (factors, summands) = (params.row(0), params.row(1));
    let mut values = vec![0.0; x.count * width];
    let pieces: Vec<_> = values.chunks_mut(ROWS * width).enumerate().collect();
    each(pieces, COST * x.count * width, |(piece, values)| {
        for (row, values) in values.chunks_exact_mut(width).enumerate() {
            fill(piece * ROWS + row, values);
        }
        vectorised(
            #[inline(always)]
            || {
                for row in values.chunks_exact_mut(width) {
                    let mean = sum::<f32>(row, |v| v) / count;
                    let variance = sum::<f32>(row, |v| (v - mean) * (v - mean)) / count;
                    let scale = 1.0 / (variance + eps).sqrt();
                    for (v, (factor, summand)) in row.iter_mut().zip(factors.iter().zip(summands)) {
                        *v = (*v - mean) * scale * factor + summand;
                    }
                }
            },
        );
    });
    values
}

fn by_tensor_ops(x: &Tensor, params: &Tensor, eps: f64) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let deviation = (centred.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?;
    centred
        .broadcast_div(&deviation)?
        .broadcast_mul(&params.narrow(0, 0, 1)?)?
        .broadcast_add(&params.narrow(0, 1, 1)?)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, noise};
    use super::*;

    #[test]
    fn both_forms_agree() {
        for (rows, width) in [(3, 5), (3, 64), (130, 80), (3, 768)] {
            let (x, y) = (noise(&[rows, width], 1), noise(&[rows, width], 2));
            let params = noise(&[2, width], 3);
            let expected = by_tensor_ops(&x, &params, 1e-5).unwrap();
            assert_close(&layer_norm(&x, &params, 1e-5).unwrap(), &expected, 1e-5);
            let expected = by_tensor_ops(&(&x + &y).unwrap(), &params, 1e-12).unwrap();
            let sum = add_layer_norm(&x, &y, &params, 1e-12).unwrap();
            assert_close(&sum, &expected, 1e-5);
        }
    }
}
