//! What a layer does to its outputs in the end.

use candle_core::{Result, Tensor};

use crate::caption::lanes::{exp, vectorised};

/// ReLU6's upper end.
const SIX: f32 = 6.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Activation {
    None,
    /// The exact form, by the error function.
    Gelu,
    Relu6,
}

impl Activation {
    #[inline(always)]
    pub(super) fn apply(self, values: &mut [f32]) {
        match self {
            Self::None => (),
            Self::Gelu => vectorised(
                #[inline(always)]
                || values.iter_mut().for_each(|v| *v = gelu(*v)),
            ),
            Self::Relu6 => vectorised(
                #[inline(always)]
                || values.iter_mut().for_each(|v| *v = relu6(*v)),
            ),
        }
    }

    pub(super) fn by_tensor_ops(self, x: Tensor) -> Result<Tensor> {
        match self {
            Self::None => Ok(x),
            Self::Gelu => x.gelu_erf(),
            Self::Relu6 => x.clamp(0.0, SIX),
        }
    }
}

#[inline(always)]
pub(super) fn relu6(v: f32) -> f32 {
    // Not `clamp`: comparisons in this order become two vector instructions.
    let v = if v > 0.0 { v } else { 0.0 };
    if v < SIX { v } else { SIX }
}

/// `x` times the normal distribution's probability of a value below `x`, to about 2e-7 of the probability.
///
/// The probability beyond z, times e^(z²/2), is a polynomial of 1 / (1 + 0.3 z), the form of formula 7.1.26 of
/// Abramowitz and Stegun; these coefficients are a fit for the least relative error over 0 to 14.
#[inline(always)]
fn gelu(x: f32) -> f32 {
    const STEEPNESS: f32 = 0.3;
    let z = x.abs();
    let t = 1.0 / (1.0 + STEEPNESS * z);
    let series = 0.035_674_5;
    let series = series * t - 0.157_201_83;
    let series = series * t + 0.206_351_13;
    let series = series * t - 0.053_681_285;
    let series = series * t + 0.128_560_3;
    let series = series * t + 0.099_913_82;
    let series = series * t + 0.120_753_88;
    let series = series * t + 0.119_629_3;
    let beyond = series * t * exp(-0.5 * z * z);
    x * if x < 0.0 { beyond } else { 1.0 - beyond }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::super::testing::assert_close;
    use super::*;

    #[test]
    fn each_agrees_with_candle() {
        let values: Vec<f32> = (-16_000..=16_000)
            .map(|step| step as f32 / 1000.0)
            .collect();
        let x = Tensor::from_slice(&values, values.len(), &Device::Cpu).unwrap();
        for (activation, tolerance) in [
            (Activation::None, 0.0),
            (Activation::Gelu, 6e-7),
            (Activation::Relu6, 0.0),
        ] {
            let mut y = values.clone();
            activation.apply(&mut y);
            let y = Tensor::from_vec(y, values.len(), &Device::Cpu).unwrap();
            assert_close(&y, &activation.by_tensor_ops(x.clone()).unwrap(), tolerance);
        }
    }
}
