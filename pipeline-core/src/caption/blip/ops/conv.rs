//! Convolutions of the small front, on channels × pixels.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use super::kernel::{Rows, map3, update};
use super::lanes::vectorised;

/// ReLU6's upper end.
const SIX: f32 = 6.0;

/// A 1×1 convolution: in × pixels → out × pixels. With `clip` followed by ReLU6.
pub(in super::super) fn pointwise(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    clip: bool,
) -> Result<Tensor> {
    add_channel_bias(weight.matmul(x)?, bias, clip)
}

/// Adds a number to each channel; with `clip` followed by ReLU6. Nobody else may hold `x`.
pub(in super::super) fn add_channel_bias(x: Tensor, bias: &Tensor, clip: bool) -> Result<Tensor> {
    if !x.device().is_cpu() {
        let sum = x.broadcast_add(&bias.t()?)?;
        return if clip { sum.clamp(0.0, SIX) } else { Ok(sum) };
    }
    let (_, pixels) = x.dims2()?;
    update("channel-bias", &x, bias, |x, bias| {
        x.par_chunks_exact_mut(pixels)
            .zip(bias.row(0))
            .for_each(|(channel, &b)| {
                vectorised(
                    #[inline(always)]
                    || {
                        if clip {
                            channel.iter_mut().for_each(|v| *v = relu6(*v + b));
                        } else {
                            channel.iter_mut().for_each(|v| *v += b);
                        }
                    },
                );
            });
    })?;
    Ok(x)
}

/// `x + y`. Nobody else may hold `x`.
pub(in super::super) fn add(x: Tensor, y: &Tensor) -> Result<Tensor> {
    if !x.device().is_cpu() {
        return x + y;
    }
    update("add", &x, y, |x, y| {
        for (x, y) in x.iter_mut().zip(y.iter().flatten()) {
            *x += y;
        }
    })?;
    Ok(x)
}

/// A k×k convolution of each channel with its own weights, zeros outside, followed by ReLU6.
///
/// `x` is channels × side², `weight` channels × k², `bias` 1 × channels.
pub(in super::super) fn depthwise(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    side: usize,
    stride: usize,
) -> Result<Tensor> {
    let (channels, taps) = weight.dims2()?;
    let plane = Plane {
        side,
        kernel: taps.isqrt(),
        stride,
    };
    if !x.device().is_cpu() {
        return plane.by_tensor_ops(x, weight, bias);
    }
    let out = plane.out_side();
    map3(
        "depthwise",
        (channels, out * out),
        [x, weight, bias],
        |x, weight, bias| {
            let mut y = vec![0.0; channels * out * out];
            y.par_chunks_exact_mut(out * out).enumerate().for_each_init(
                Vec::new,
                |padded, (channel, y)| {
                    plane.convolve(&x, &weight, bias.row(0)[channel], channel, padded, y);
                },
            );
            y
        },
    )
}

#[inline(always)]
fn relu6(v: f32) -> f32 {
    // Not `clamp`: comparisons in this order become two vector instructions.
    let v = if v > 0.0 { v } else { 0.0 };
    if v < SIX { v } else { SIX }
}

/// The geometry of a depthwise convolution on a square.
#[derive(Debug, Clone, Copy)]
struct Plane {
    side: usize,
    kernel: usize,
    stride: usize,
}

impl Plane {
    fn pad(self) -> usize {
        self.kernel / 2
    }

    fn out_side(self) -> usize {
        (self.side + 2 * self.pad() - self.kernel) / self.stride + 1
    }

    /// Columns of one phase of a padded row: every `stride`-th column, so that a tap reads neighbours.
    fn phase_width(self) -> usize {
        (self.side + 2 * self.pad()).div_ceil(self.stride)
    }

    fn convolve(
        self,
        x: &Rows<'_>,
        weight: &Rows<'_>,
        bias: f32,
        channel: usize,
        padded: &mut Vec<f32>,
        y: &mut [f32],
    ) {
        let (x, weight) = (x.row(channel), weight.row(channel));
        vectorised(
            #[inline(always)]
            || {
                self.fill_padded(x, padded);
                match self.kernel {
                    3 => self.taps::<3>(padded, weight, bias, y),
                    5 => self.taps::<5>(padded, weight, bias, y),
                    _ => self.any_taps(padded, weight, bias, y),
                }
            },
        );
    }

    /// Copies a channel between zeros, each row as its `stride` phases one after the other.
    #[inline(always)]
    fn fill_padded(self, x: &[f32], padded: &mut Vec<f32>) {
        let (pad, phase) = (self.pad(), self.phase_width());
        let row = phase * self.stride;
        padded.clear();
        padded.resize(row * (self.side + 2 * pad), 0.0);
        let inside = padded.chunks_exact_mut(row).skip(pad);
        for (source, target) in x.chunks_exact(self.side).zip(inside) {
            if self.stride == 1 {
                target[pad..][..self.side].copy_from_slice(source);
            } else {
                for (column, &v) in source.iter().enumerate() {
                    let at = column + pad;
                    target[at % self.stride * phase + at / self.stride] = v;
                }
            }
        }
    }

    /// All taps of a known kernel, eight pixels at a time, so that the sums stay in registers.
    #[inline(always)]
    fn taps<const K: usize>(self, padded: &[f32], weight: &[f32], bias: f32, y: &mut [f32]) {
        const WIDE: usize = 8;
        let (phase, out) = (self.phase_width(), self.out_side());
        let row = phase * self.stride;
        for (line, y) in y.chunks_exact_mut(out).enumerate() {
            let window = &padded[line * self.stride * row..][..K * row];
            let (wide, rest) = y.as_chunks_mut::<WIDE>();
            let done = wide.len() * WIDE;
            for (block, y) in wide.iter_mut().enumerate() {
                let mut sums = [bias; WIDE];
                for ky in 0..K {
                    for kx in 0..K {
                        let from = ky * row + kx % self.stride * phase + kx / self.stride;
                        let source = &window[from + block * WIDE..][..WIDE];
                        let w = weight[ky * K + kx];
                        for (sum, v) in sums.iter_mut().zip(source) {
                            *sum += w * v;
                        }
                    }
                }
                *y = sums.map(relu6);
            }
            for (offset, y) in rest.iter_mut().enumerate() {
                *y = self.pixel(window, weight, bias, done + offset);
            }
        }
    }

    #[inline(always)]
    fn any_taps(self, padded: &[f32], weight: &[f32], bias: f32, y: &mut [f32]) {
        let out = self.out_side();
        let row = self.phase_width() * self.stride;
        for (line, y) in y.chunks_exact_mut(out).enumerate() {
            let window = &padded[line * self.stride * row..];
            for (column, y) in y.iter_mut().enumerate() {
                *y = self.pixel(window, weight, bias, column);
            }
        }
    }

    /// One pixel, summed in the same order as eight at a time.
    #[inline(always)]
    fn pixel(self, window: &[f32], weight: &[f32], bias: f32, column: usize) -> f32 {
        let phase = self.phase_width();
        let row = phase * self.stride;
        let mut sum = bias;
        for ky in 0..self.kernel {
            for kx in 0..self.kernel {
                let from = ky * row + kx % self.stride * phase + kx / self.stride;
                sum += weight[ky * self.kernel + kx] * window[from + column];
            }
        }
        relu6(sum)
    }

    fn by_tensor_ops(self, x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let (channels, _) = weight.dims2()?;
        let weight = weight.reshape((channels, 1, self.kernel, self.kernel))?;
        let y = x.reshape((1, channels, self.side, self.side))?.conv2d(
            &weight,
            self.pad(),
            self.stride,
            1,
            channels,
        )?;
        y.reshape((channels, ()))?
            .broadcast_add(&bias.t()?)?
            .clamp(0.0, SIX)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, noise};
    use super::*;

    #[test]
    fn depthwise_agrees_with_candle_at_every_size() {
        for (kernel, stride, side) in [
            (3, 1, 16),
            (3, 2, 16),
            (5, 1, 13),
            (5, 2, 18),
            (5, 2, 17),
            (7, 1, 9),
            (3, 2, 3),
            (5, 1, 1),
        ] {
            let x = (noise(&[6, side * side], 1) * 5.0).unwrap();
            let weight = noise(&[6, kernel * kernel], 2);
            let bias = noise(&[1, 6], 3);
            let plane = Plane {
                side,
                kernel,
                stride,
            };
            let expected = plane.by_tensor_ops(&x, &weight, &bias).unwrap();
            let y = depthwise(&x, &weight, &bias, side, stride).unwrap();
            assert_close(&y, &expected, 1e-4);
        }
    }

    #[test]
    fn pointwise_adds_the_bias_of_each_channel_and_clips() {
        let (x, weight) = (noise(&[5, 12], 1), noise(&[7, 5], 2));
        let bias = (noise(&[1, 7], 3) * 4.0).unwrap();
        let product = weight.matmul(&x).unwrap();
        let linear = product.broadcast_add(&bias.t().unwrap()).unwrap();
        assert_close(
            &pointwise(&x, &weight, &bias, false).unwrap(),
            &linear,
            1e-6,
        );
        let clipped = linear.clamp(0.0, SIX).unwrap();
        assert_close(
            &pointwise(&x, &weight, &bias, true).unwrap(),
            &clipped,
            1e-6,
        );
    }

    #[test]
    fn sums_in_place() {
        let (x, y) = (noise(&[4, 9], 1), noise(&[4, 9], 2));
        let expected = (&x + &y).unwrap();
        assert_close(&add(x.copy().unwrap(), &y).unwrap(), &expected, 0.0);
    }
}
