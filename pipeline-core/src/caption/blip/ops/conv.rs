//! Convolutions of the small front, on pixels × channels: the channels of a pixel lie together, so that a 1×1
//! convolution is a linear layer and a vector holds channels, whatever the kernel and the stride.

use candle_core::{Result, Tensor};
use pulp::{Simd, WithSimd};

use super::activation::{Activation, relu6};
use super::product::LANES;
use super::rows::map;
use super::share::each;
use crate::caption::lanes::dispatch;

/// Neighbouring pixels that are computed at a time, so that a weight is read once for all of them.
const PIXELS: usize = 4;

/// The geometry of a convolution on a square: zeros outside, half the kernel on each side.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Window {
    pub(in super::super) side: usize,
    pub(in super::super) kernel: usize,
    pub(in super::super) stride: usize,
}

impl Window {
    fn pad(self) -> usize {
        self.kernel / 2
    }

    pub(in super::super) fn out_side(self) -> usize {
        (self.side + 2 * self.pad() - self.kernel) / self.stride + 1
    }

    /// The taps that lie inside the picture, for an output at `position`; and where the first tap of all would lie.
    fn taps(self, position: usize) -> (std::ops::Range<usize>, isize) {
        let origin = (position * self.stride) as isize - self.pad() as isize;
        let from = (-origin).max(0) as usize;
        let to = (self.side as isize - origin).min(self.kernel as isize) as usize;
        (from..to, origin)
    }
}

/// What each output of a convolution sees: 1 × channels × side × side → outputs × (channels · kernel²).
pub(in super::super) fn patches(pixels: &Tensor, window: Window) -> Result<Tensor> {
    let (_, channels, side, _) = pixels.dims4()?;
    let (out, kernel) = (window.out_side(), window.kernel);
    let pad = window.pad();
    let padded = pixels
        .pad_with_zeros(2, pad, pad)?
        .pad_with_zeros(3, pad, pad)?;
    let padded_side = side + 2 * pad;
    if !pixels.device().is_cpu() {
        let steps = |from: usize| -> Vec<u32> {
            (0..out)
                .map(|at| (from + at * window.stride) as u32)
                .collect()
        };
        let mut taps = Vec::with_capacity(kernel * kernel);
        for y in 0..kernel {
            let rows = padded.index_select(&Tensor::new(steps(y), pixels.device())?, 2)?;
            for x in 0..kernel {
                taps.push(rows.index_select(&Tensor::new(steps(x), pixels.device())?, 3)?);
            }
        }
        return Tensor::stack(&taps, 2)?
            .reshape((channels * kernel * kernel, out * out))?
            .t()?
            .contiguous();
    }
    let width = channels * kernel * kernel;
    let planes = padded.reshape((channels * padded_side, padded_side))?;
    map((out * out, width), [&planes], |[planes]| {
        let mut y = vec![0.0; out * out * width];
        let pieces: Vec<_> = y.chunks_exact_mut(out * width).enumerate().collect();
        each(pieces, out * out * width, |(row, y)| {
            for channel in 0..channels {
                for tap in 0..kernel {
                    let line = planes.row(channel * padded_side + row * window.stride + tap);
                    let at = (channel * kernel + tap) * kernel;
                    let windows = line.windows(kernel).step_by(window.stride);
                    for (y, values) in y.chunks_exact_mut(width).zip(windows) {
                        y[at..at + kernel].copy_from_slice(values);
                    }
                }
            }
        });
        y
    })
}

/// A convolution of each channel with its own weights, followed by ReLU6.
///
/// `x` is side² × channels, `weight` kernel² × channels, `bias` 1 × channels.
pub(in super::super) fn depthwise(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    window: Window,
) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return by_tensor_ops(x, weight, bias, window);
    }
    let (x, weight) = (&x.contiguous()?, &weight.contiguous()?);
    let (taps, channels) = weight.dims2()?;
    let out = window.out_side();
    map(
        (out * out, channels),
        [x, weight, bias],
        |[x, weight, bias]| {
            let mut y = vec![0.0; out * out * channels];
            let pieces: Vec<_> = y.chunks_exact_mut(out * channels).enumerate().collect();
            each(pieces, out * out * channels * taps, |(row, y)| {
                dispatch(Line {
                    x: x.values(),
                    weight: weight.values(),
                    bias: bias.row(0),
                    window,
                    row,
                    y,
                });
            });
            y
        },
    )
}

/// One row of outputs.
struct Line<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    window: Window,
    row: usize,
    y: &'a mut [f32],
}

impl WithSimd for Line<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => self.run::<S, 1, 2, 4>(simd),
            8 => self.run::<S, 2, 2, 8>(simd),
            4 => self.run::<S, 4, 4, 4>(simd),
            _ => self.run::<S, LANES, LANES, LANES>(simd),
        }
    }
}

impl Line<'_> {
    /// `ONE` vectors make 16 lanes. Where neighbours share their weights, `INNER` vectors of channels are computed at a
    /// time, else `OUTER`: so many sums that each addition need not wait for the one before it.
    #[inline(always)]
    fn run<S: Simd, const ONE: usize, const INNER: usize, const OUTER: usize>(mut self, simd: S) {
        let window = self.window;
        let out = window.out_side();
        let is_inside = |column: usize| window.taps(column).0.len() == window.kernel;
        let inside = (0..out).filter(|&column| is_inside(column));
        let from = inside.clone().next().unwrap_or(out);
        let to = from + inside.count() / PIXELS * PIXELS;
        let channels = self.bias.len();
        let mut first = 0;
        for width in [INNER * S::F32_LANES, ONE * S::F32_LANES] {
            while first + width <= channels {
                for column in (from..to).step_by(PIXELS) {
                    if width > LANES {
                        self.pixels::<S, INNER, PIXELS>(simd, first, column);
                    } else {
                        self.pixels::<S, ONE, PIXELS>(simd, first, column);
                    }
                }
                first += width;
            }
        }
        let mut first = 0;
        for width in [OUTER * S::F32_LANES, ONE * S::F32_LANES] {
            while first + width <= channels {
                for column in (0..from).chain(to..out) {
                    if width > LANES {
                        self.pixels::<S, OUTER, 1>(simd, first, column);
                    } else {
                        self.pixels::<S, ONE, 1>(simd, first, column);
                    }
                }
                first += width;
            }
        }
        for channel in first..channels {
            for column in 0..out {
                self.single(channel, column);
            }
        }
    }

    /// `V` vectors of channels of `P` neighbouring outputs, which all have the same taps inside the picture.
    #[inline(always)]
    fn pixels<S: Simd, const V: usize, const P: usize>(
        &mut self,
        simd: S,
        first: usize,
        column: usize,
    ) {
        let Window {
            side,
            kernel,
            stride,
        } = self.window;
        let channels = self.bias.len();
        let (tap_rows, top) = self.window.taps(self.row);
        let (tap_columns, left) = self.window.taps(column);
        let first_tap = tap_columns.start;
        let first_pixel = (left + first_tap as isize) as usize;
        let mut sums = [vectors::<S, V>(self.bias, first); P];
        for tap_row in tap_rows {
            let line = (top + tap_row as isize) as usize * side + first_pixel;
            let values = &self.x[line * channels + first..];
            let weights = &self.weight[(tap_row * kernel + first_tap) * channels + first..];
            for tap in 0..tap_columns.len() {
                let weight = vectors::<S, V>(weights, tap * channels);
                for (pixel, sums) in sums.iter_mut().enumerate() {
                    let values = vectors::<S, V>(values, (tap + pixel * stride) * channels);
                    for ((sum, weight), value) in sums.iter_mut().zip(weight).zip(values) {
                        *sum = simd.mul_add_e_f32s(weight, value, *sum);
                    }
                }
            }
        }
        let (zero, six) = (simd.splat_f32s(0.0), simd.splat_f32s(6.0));
        let rows = self.y[column * channels..].chunks_exact_mut(channels);
        for (y, sums) in rows.zip(sums) {
            let (y, _) = S::as_mut_simd_f32s(&mut y[first..first + V * S::F32_LANES]);
            for (y, sum) in y.iter_mut().zip(sums) {
                *y = simd.min_f32s(simd.max_f32s(sum, zero), six);
            }
        }
    }

    /// One channel of one output.
    fn single(&mut self, channel: usize, column: usize) {
        let Window { side, kernel, .. } = self.window;
        let channels = self.bias.len();
        let (tap_rows, top) = self.window.taps(self.row);
        let (tap_columns, left) = self.window.taps(column);
        let mut sum = self.bias[channel];
        for tap_row in tap_rows {
            let line = (top + tap_row as isize) as usize * side;
            for tap_column in tap_columns.clone() {
                let at = line + (left + tap_column as isize) as usize;
                let weight = self.weight[(tap_row * kernel + tap_column) * channels + channel];
                sum += weight * self.x[at * channels + channel];
            }
        }
        self.y[column * channels + channel] = relu6(sum);
    }
}

/// Values as vectors.
#[inline(always)]
fn vectors<S: Simd, const V: usize>(values: &[f32], from: usize) -> [S::f32s; V] {
    // One check of the range for all of them: this is the innermost loop.
    let (vectors, _) = S::as_simd_f32s(&values[from..from + V * S::F32_LANES]);
    *vectors
        .first_chunk()
        .expect("so many values fill so many vectors")
}

fn by_tensor_ops(x: &Tensor, weight: &Tensor, bias: &Tensor, window: Window) -> Result<Tensor> {
    let (_, channels) = weight.dims2()?;
    let (side, kernel) = (window.side, window.kernel);
    let weight = weight.t()?.reshape((channels, 1, kernel, kernel))?;
    let planes = x.t()?.reshape((1, channels, side, side))?;
    let y = planes.conv2d(&weight, window.pad(), window.stride, 1, channels)?;
    let y = y.reshape((channels, ()))?.t()?.broadcast_add(bias)?;
    Activation::Relu6.by_tensor_ops(y)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, noise};
    use super::*;

    const SIZES: [(usize, usize, usize); 8] = [
        (3, 1, 16),
        (3, 2, 16),
        (5, 1, 13),
        (5, 2, 18),
        (5, 2, 17),
        (7, 1, 9),
        (3, 2, 3),
        (5, 1, 1),
    ];

    #[test]
    fn depthwise_agrees_with_candle_at_every_size() {
        for (kernel, stride, side) in SIZES {
            let x = (noise(&[side * side, 119], 1) * 5.0).unwrap();
            let (weight, bias) = (noise(&[kernel * kernel, 119], 2), noise(&[1, 119], 3));
            let window = Window {
                side,
                kernel,
                stride,
            };
            let expected = by_tensor_ops(&x, &weight, &bias, window).unwrap();
            let y = depthwise(&x, &weight, &bias, window).unwrap();
            assert_close(&y, &expected, 1e-4);
        }
    }

    #[test]
    fn patches_times_weights_are_a_convolution() {
        for (kernel, stride, side) in SIZES {
            let (x, weight) = (
                noise(&[1, 2, side, side], 1),
                noise(&[4, 2, kernel, kernel], 2),
            );
            let window = Window {
                side,
                kernel,
                stride,
            };
            let expected = x.conv2d(&weight, kernel / 2, stride, 1, 1).unwrap();
            let seen = patches(&x, window).unwrap();
            let y = weight
                .reshape((4, ()))
                .unwrap()
                .matmul(&seen.t().unwrap())
                .unwrap();
            assert_close(&y.reshape(expected.shape()).unwrap(), &expected, 1e-4);
        }
    }
}
