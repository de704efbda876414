//! Layer normalisation.

use candle_core::{D, Result, Tensor};

use super::kernel::{Rows, map2, map3};
use super::lanes::{sum, vectorised};

/// Normalises each row of `x`. `params` has the factors in its first row, the summands in its second.
pub(in super::super) fn layer_norm(x: &Tensor, params: &Tensor, eps: f64) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return by_tensor_ops(x, params, eps);
    }
    map2("layer-norm", x.dims2()?, x, params, |x, params| {
        normalised(x.iter().flatten().copied().collect(), params, eps)
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
    map3(
        "add-layer-norm",
        x.dims2()?,
        [x, y, params],
        |x, y, params| {
            let sums = x.iter().flatten().zip(y.iter().flatten());
            normalised(sums.map(|(x, y)| x + y).collect(), params, eps)
        },
    )
}

fn normalised(mut values: Vec<f32>, params: Rows<'_>, eps: f64) -> Vec<f32> {
    let (factors, summands) = (params.row(0), params.row(1));
    vectorised(
        #[inline(always)]
        || {
            for row in values.chunks_exact_mut(params.width) {
                let count = row.len() as f32;
                let mean = sum(row.iter().copied()) / count;
                let variance = sum(row.iter().map(|v| (v - mean) * (v - mean))) / count;
                let scale = 1.0 / (variance + eps as f32).sqrt();
                for (v, (factor, summand)) in row.iter_mut().zip(factors.iter().zip(summands)) {
                    *v = (*v - mean) * scale * factor + summand;
                }
            }
        },
    );
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
        for width in [5, 64, 80, 768] {
            let (x, y) = (noise(&[3, width], 1), noise(&[3, width], 2));
            let params = noise(&[2, width], 3);
            let expected = by_tensor_ops(&x, &params, 1e-5).unwrap();
            assert_close(&layer_norm(&x, &params, 1e-5).unwrap(), &expected, 1e-5);
            let expected = by_tensor_ops(&(&x + &y).unwrap(), &params, 1e-12).unwrap();
            let sum = add_layer_norm(&x, &y, &params, 1e-12).unwrap();
            assert_close(&sum, &expected, 1e-5);
        }
    }
}
