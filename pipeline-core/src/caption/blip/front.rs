//! EfficientNet-Lite (Tan and Le 2019; Liu 2020): the bundled model's front in place of BLIP's large patches.
//!
//! Inverted residual blocks without squeeze-and-excite, ReLU6, batch norms folded into the convolutions. Pictures are
//! pixels × channels.

use candle_core::Tensor;

use super::config::BackboneConfig;
use super::halt::Halt;
use super::ops::{self, Activation, Linear, Window};
use super::weights::{Fault, Scope};
use crate::Cx;

/// Repeats, kernel, stride, expansion and width of each stage before scaling.
const STAGES: [[usize; 5]; 7] = [
    [1, 3, 1, 1, 16],
    [2, 3, 2, 6, 24],
    [2, 5, 2, 6, 40],
    [3, 3, 2, 6, 80],
    [3, 5, 1, 6, 112],
    [4, 5, 2, 6, 192],
    [1, 3, 1, 6, 320],
];

/// The front halves the sides five times.
pub(super) const REDUCTION: usize = 32;

pub(super) struct Front {
    stem: Linear,
    blocks: Vec<Block>,
    head: Linear,
}

struct Block {
    expand: Option<Linear>,
    /// Taps × channels.
    depthwise: Tensor,
    depthwise_bias: Tensor,
    kernel: usize,
    stride: usize,
    project: Linear,
    residual: bool,
}

impl Front {
    pub(super) fn load(scope: &Scope<'_>, config: &BackboneConfig) -> Result<Self, Fault> {
        let stem_width = config.stem_channels;
        let stem = scope.at("stem.conv");
        let mut width = stem_width;
        let mut blocks = Vec::new();
        for (index, [repeats, kernel, stride, expansion, out]) in STAGES.into_iter().enumerate() {
            let at_an_end = index == 0 || index == STAGES.len() - 1;
            let repeats = if at_an_end {
                repeats
            } else {
                (repeats as f64 * config.depth_mult).ceil() as usize
            };
            let out = scaled_width(out, config.width_mult);
            for repeat in 0..repeats {
                let stride = if repeat == 0 { stride } else { 1 };
                let scope = scope.at(&format!("blocks.{}", blocks.len()));
                let shape = [width, width * expansion, out];
                blocks.push(Block::load(&scope, shape, kernel, stride)?);
                width = out;
            }
        }
        Ok(Self {
            stem: convolution(&stem, [stem_width, 3, 3, 3])?,
            blocks,
            head: convolution(&scope.at("head.conv"), [config.head_channels, width, 1, 1])?,
        })
    }

    /// 1 × 3 × side × side → (side / 32)² × channels.
    pub(super) fn forward(&self, pixels: &Tensor, cx: &Cx) -> Result<Tensor, Halt> {
        let stem = Window {
            side: pixels.dim(2)?,
            kernel: 3,
            stride: 2,
        };
        let mut side = stem.out_side();
        let mut x = self
            .stem
            .forward(&ops::patches(pixels, stem)?, Activation::Relu6)?;
        for block in &self.blocks {
            cx.check()?;
            x = block.forward(&x, side)?;
            side = side.div_ceil(block.stride);
        }
        Ok(self.head.forward(&x, Activation::Relu6)?)
    }
}

impl Block {
    fn load(
        scope: &Scope<'_>,
        [width, inner, out]: [usize; 3],
        kernel: usize,
        stride: usize,
    ) -> Result<Self, Fault> {
        let expand = if inner == width {
            None
        } else {
            Some(convolution(&scope.at("expand.conv"), [inner, width, 1, 1])?)
        };
        let depthwise = scope.at("depthwise.conv");
        let taps = (inner, kernel * kernel);
        Ok(Self {
            expand,
            depthwise: depthwise
                .get_as("weight", &[inner, 1, kernel, kernel], taps)?
                .t()?
                .contiguous()?,
            depthwise_bias: depthwise.get_as("bias", &[inner], (1, inner))?,
            kernel,
            stride,
            project: convolution(&scope.at("project.conv"), [out, inner, 1, 1])?,
            residual: stride == 1 && width == out,
        })
    }

    fn forward(&self, x: &Tensor, side: usize) -> candle_core::Result<Tensor> {
        let wide = match &self.expand {
            Some(expand) => &expand.forward(x, Activation::Relu6)?,
            None => x,
        };
        let window = Window {
            side,
            kernel: self.kernel,
            stride: self.stride,
        };
        let filtered = ops::depthwise(wide, &self.depthwise, &self.depthwise_bias, window)?;
        if self.residual {
            self.project.forward_add(&filtered, x)
        } else {
            self.project.forward(&filtered, Activation::None)
        }
    }
}

/// A convolution as a linear layer of what each pixel sees.
fn convolution(scope: &Scope<'_>, shape: [usize; 4]) -> Result<Linear, Fault> {
    let weights = scope.values("weight", &shape)?;
    scope.linear(weights, scope.values("bias", &shape[..1])?)
}

/// Scales a width to a multiple of 8 that is not below nine tenths of what was asked for.
fn scaled_width(width: usize, factor: f64) -> usize {
    let wanted = width as f64 * factor;
    let rounded = (((wanted + 4.0) / 8.0) as usize * 8).max(8);
    if (rounded as f64) < 0.9 * wanted {
        rounded + 8
    } else {
        rounded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_the_published_models() {
        let lite2 = [16, 24, 40, 80, 112, 192, 320].map(|width| scaled_width(width, 1.1));
        assert_eq!(lite2, [16, 24, 48, 88, 120, 208, 352]);
        let lite4 = [16, 24, 40, 80, 112, 192, 320].map(|width| scaled_width(width, 1.4));
        assert_eq!(lite4, [24, 32, 56, 112, 160, 272, 448]);
    }
}
