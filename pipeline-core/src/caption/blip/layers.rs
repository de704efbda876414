//! The layers that encoder and decoder are made of.

use candle_core::Tensor;

use super::ops;
use super::weights::{Fault, Scope};

/// `x · weightᵀ + bias`.
pub(super) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    pub(super) fn load(scope: &Scope<'_>, width: usize, out: usize) -> Result<Self, Fault> {
        Ok(Self {
            weight: scope.get("weight", &[out, width])?,
            bias: scope.get_as("bias", &[out], (1, out))?,
        })
    }

    /// Several layers of the same input as one, their outputs side by side.
    pub(super) fn load_fused(
        scopes: &[Scope<'_>],
        width: usize,
        out: usize,
    ) -> Result<Self, Fault> {
        let parts = scopes
            .iter()
            .map(|scope| Self::load(scope, width, out))
            .collect::<Result<Vec<_>, _>>()?;
        let weights: Vec<&Tensor> = parts.iter().map(|part| &part.weight).collect();
        let biases: Vec<&Tensor> = parts.iter().map(|part| &part.bias).collect();
        Ok(Self {
            weight: Tensor::cat(&weights, 0)?,
            bias: Tensor::cat(&biases, 1)?,
        })
    }

    pub(super) fn new(weight: Tensor, bias: Tensor) -> Self {
        Self { weight, bias }
    }

    pub(super) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        ops::linear(x, &self.weight, &self.bias)
    }
}

/// Layer normalisation.
pub(super) struct LayerNorm {
    params: Tensor,
    eps: f64,
}

impl LayerNorm {
    pub(super) fn load(scope: &Scope<'_>, width: usize, eps: f64) -> Result<Self, Fault> {
        let factors = scope.get("weight", &[width])?;
        let summands = scope.get("bias", &[width])?;
        Ok(Self {
            params: Tensor::stack(&[factors, summands], 0)?,
            eps,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        ops::layer_norm(x, &self.params, self.eps)
    }

    /// Of `x + y`.
    pub(super) fn forward_sum(&self, x: &Tensor, y: &Tensor) -> candle_core::Result<Tensor> {
        ops::add_layer_norm(x, y, &self.params, self.eps)
    }
}

/// Two layers with a GELU between them.
pub(super) struct FeedForward {
    first: Linear,
    second: Linear,
}

impl FeedForward {
    pub(super) fn load(
        [first, second]: [&Scope<'_>; 2],
        width: usize,
        inner: usize,
    ) -> Result<Self, Fault> {
        Ok(Self {
            first: Linear::load(first, width, inner)?,
            second: Linear::load(second, inner, width)?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        self.second.forward(&ops::gelu(&self.first.forward(x)?)?)
    }
}
