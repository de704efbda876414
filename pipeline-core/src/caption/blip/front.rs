//! EfficientNet-Lite (Tan and Le 2019; Liu 2020): the bundled model's front in place of BLIP's large patches.
//!
//! Inverted residual blocks without squeeze-and-excite, ReLU6, batch norms folded into the convolutions. Pictures are
//! channels × pixels.

use candle_core::Tensor;

use super::config::BackboneConfig;
use super::halt::Halt;
use super::ops;
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
    stem: Tensor,
    stem_bias: Tensor,
    blocks: Vec<Block>,
    head: Pointwise,
}

struct Block {
    expand: Option<Pointwise>,
    depthwise: Tensor,
    depthwise_bias: Tensor,
    stride: usize,
    project: Pointwise,
    residual: bool,
}

struct Pointwise {
    weight: Tensor,
    bias: Tensor,
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
            stem: stem.get("weight", &[stem_width, 3, 3, 3])?,
            stem_bias: stem.get_as("bias", &[stem_width], (1, stem_width))?,
            blocks,
            head: Pointwise::load(&scope.at("head.conv"), width, config.head_channels)?,
        })
    }

    /// 1 × 3 × side × side → channels × (side / 32)².
    pub(super) fn forward(&self, pixels: &Tensor, cx: &Cx) -> Result<Tensor, Halt> {
        let x = pixels.conv2d(&self.stem, 1, 2, 1, 1)?;
        let (_, channels, _, mut side) = x.dims4()?;
        let x = x.reshape((channels, ()))?.contiguous()?;
        let mut x = ops::add_channel_bias(x, &self.stem_bias, true)?;
        for block in &self.blocks {
            cx.check()?;
            x = block.forward(x, side)?;
            side = side.div_ceil(block.stride);
        }
        Ok(self.head.forward(&x, true)?)
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
            Some(Pointwise::load(&scope.at("expand.conv"), width, inner)?)
        };
        let depthwise = scope.at("depthwise.conv");
        Ok(Self {
            expand,
            depthwise: depthwise.get_as(
                "weight",
                &[inner, 1, kernel, kernel],
                (inner, kernel * kernel),
            )?,
            depthwise_bias: depthwise.get_as("bias", &[inner], (1, inner))?,
            stride,
            project: Pointwise::load(&scope.at("project.conv"), inner, out)?,
            residual: stride == 1 && width == out,
        })
    }

    fn forward(&self, x: Tensor, side: usize) -> candle_core::Result<Tensor> {
        let wide = match &self.expand {
            Some(expand) => &expand.forward(&x, true)?,
            None => &x,
        };
        let (weight, bias) = (&self.depthwise, &self.depthwise_bias);
        let filtered = ops::depthwise(wide, weight, bias, side, self.stride)?;
        let y = self.project.forward(&filtered, false)?;
        if self.residual {
            ops::add(y, &x)
        } else {
            Ok(y)
        }
    }
}

impl Pointwise {
    fn load(scope: &Scope<'_>, width: usize, out: usize) -> Result<Self, Fault> {
        Ok(Self {
            weight: scope.get_as("weight", &[out, width, 1, 1], (out, width))?,
            bias: scope.get_as("bias", &[out], (1, out))?,
        })
    }

    fn forward(&self, x: &Tensor, clip: bool) -> candle_core::Result<Tensor> {
        ops::pointwise(x, &self.weight, &self.bias, clip)
    }
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
