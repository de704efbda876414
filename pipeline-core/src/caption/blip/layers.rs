//! Loading the layers that encoder and decoder are made of.

use candle_core::Tensor;

use super::ops::{self, Linear};
use super::weights::{Fault, Scope};

/// A linear layer of a scope's `weight` and `bias`.
pub(super) fn linear(scope: &Scope<'_>, width: usize, out: usize) -> Result<Linear, Fault> {
    let weights = scope.values("weight", &[out, width])?;
    scope.linear(weights, scope.values("bias", &[out])?)
}

/// Several layers of the same input as one, their outputs side by side.
pub(super) fn fused_linear(
    scopes: &[Scope<'_>],
    width: usize,
    out: usize,
) -> Result<Linear, Fault> {
    let (mut weights, mut biases) = (Vec::new(), Vec::new());
    for scope in scopes {
        weights.extend(scope.values("weight", &[out, width])?);
        biases.extend(scope.values("bias", &[out])?);
    }
    scopes[0].linear(weights, biases)
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
            first: linear(first, width, inner)?,
            second: linear(second, inner, width)?,
        })
    }

    /// `residual` plus what the layers make of `x`.
    pub(super) fn forward_add(&self, x: &Tensor, residual: &Tensor) -> candle_core::Result<Tensor> {
        ops::feed_forward(x, &self.first, &self.second, residual)
    }
}
