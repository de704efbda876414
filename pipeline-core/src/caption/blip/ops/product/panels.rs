//! The right sides of products, laid out.

use std::array::from_fn;
use std::ops::Range;

use pulp::bytemuck::Zeroable;

use super::super::rows::Rows;
use super::super::share::{each, grown};
use super::{Fixed, Float, Format, Job, LANES, TILE, fill_tiles};
use crate::caption::lanes::vectorised;

/// What the CPU keeps the right side of a product in: a layer's weights, or what attention remembers.
#[derive(Debug, Clone, Copy)]
pub(in super::super::super) enum Kept {
    F32,
    I16,
    I8,
}

impl Kept {
    /// Lays out `weights`, a row for each output, and `bias`, a summand for each or none.
    pub(in super::super) fn lay_out(self, weights: Rows<'_>, bias: &[f32]) -> Box<dyn Layout> {
        match self {
            Self::F32 => Box::new(Panels::<Float>::new(weights, bias)),
            Self::I16 => Box::new(Panels::<Fixed<i16>>::new(weights, bias)),
            Self::I8 => Box::new(Panels::<Fixed<i8>>::new(weights, bias)),
        }
    }
}

/// A right side and summands for its outputs.
struct Panels<F: Format> {
    blocks: Vec<F::Right>,
    scales: Vec<[f32; LANES]>,
    bias: Vec<[f32; LANES]>,
    depth: usize,
    width: usize,
    out: usize,
}

/// A right side laid out in some format.
pub(in super::super) trait Layout: Send + Sync {
    /// The length of the rows that go in.
    fn width(&self) -> usize;

    /// The number of outputs.
    fn out(&self) -> usize;

    /// The number of panels.
    fn panels(&self) -> usize;

    /// `x · weightsᵀ + bias` of some panels' outputs, on this thread. `y` has as many rows as `x`; what they have beyond
    /// the outputs stays as it is.
    fn multiply(&self, x: Rows<'_>, panels: Range<usize>, y: &mut [f32]);

    /// Appends the weights of one output.
    fn output(&self, index: usize, weights: &mut Vec<f32>);
}

impl<F: Format> Panels<F> {
    fn new(weights: Rows<'_>, bias: &[f32]) -> Self {
        let (out, width) = (weights.count, weights.width);
        let (blocks, scales) = lay_out::<F>(weights);
        let mut padded = bias.to_vec();
        padded.resize(scales.len() * LANES, 0.0);
        Self {
            scales,
            blocks,
            bias: padded.as_chunks().0.to_vec(),
            depth: width.div_ceil(LANES),
            width,
            out,
        }
    }

    /// A row's outputs of a panel.
    // Called in vectorised code, where only what is inlined has the vectors.
    #[inline(always)]
    fn values(&self, sum: &F::Sum, row_scale: f32, panel: usize) -> [f32; LANES] {
        let sums = F::values(sum, row_scale, &self.scales[panel]);
        let bias = &self.bias[panel];
        from_fn(|lane| sums[lane] + bias[lane])
    }
}

impl<F: Format> Layout for Panels<F> {
    fn width(&self) -> usize {
        self.width
    }

    fn out(&self) -> usize {
        self.out
    }

    fn panels(&self) -> usize {
        self.scales.len()
    }

    fn output(&self, index: usize, weights: &mut Vec<f32>) {
        let (panel, lane) = (index / LANES, index % LANES);
        let blocks = &self.blocks[panel * self.depth..][..self.depth];
        let output = F::output(blocks, self.scales[panel][lane], lane);
        weights.extend(output.take(self.width));
    }

    fn multiply(&self, x: Rows<'_>, panels: Range<usize>, y: &mut [f32]) {
        let rows = x.count;
        if rows == 0 || y.is_empty() {
            return;
        }
        let mut room = F::room().take();
        let left = grown(&mut room.left, rows * self.depth, F::Left::zeroed());
        let sums = grown(&mut room.sums, rows * panels.len(), F::Sum::zeroed());
        room.scales.clear();
        fill_tiles::<F>(x, self.depth, left, &mut room.scales);
        F::multiply(Job {
            left,
            right: &self.blocks[panels.start * self.depth..panels.end * self.depth],
            depth: self.depth,
            sums,
        });
        let out = self.out.min(panels.end * LANES) - panels.start * LANES;
        let (count, stride) = (panels.len(), y.len() / rows);
        vectorised(
            #[inline(always)]
            || {
                let tiles = sums
                    .chunks(TILE * count)
                    .zip(room.scales.chunks(TILE))
                    .zip(y.chunks_mut(TILE * stride));
                for ((sums, row_scales), y) in tiles {
                    for (row, (y, row_scale)) in
                        y.chunks_exact_mut(stride).zip(row_scales).enumerate()
                    {
                        let sum = |panel: usize| &sums[panel * row_scales.len() + row];
                        let (whole, rest) = y[..out].as_chunks_mut();
                        for (panel, y) in whole.iter_mut().enumerate() {
                            *y = self.values(sum(panel), *row_scale, panels.start + panel);
                        }
                        if !rest.is_empty() {
                            let panel = whole.len();
                            let last = self.values(sum(panel), *row_scale, panels.start + panel);
                            rest.copy_from_slice(&last[..rest.len()]);
                        }
                    }
                }
            },
        );
        F::room().set(room);
    }
}

/// Lays out weights, a row for each output, in panels. Returns their blocks, and what to multiply their sums by.
pub(super) fn lay_out<F: Format>(weights: Rows<'_>) -> (Vec<F::Right>, Vec<[f32; LANES]>) {
    let depth = weights.width.div_ceil(LANES);
    let outputs: Vec<&[f32]> = weights.iter().collect();
    let panels = outputs.len().div_ceil(LANES);
    // In place: collected afterwards, the largest layer would for a moment lie in memory twice.
    let mut blocks = vec![F::Right::zeroed(); panels * depth];
    let mut scales = vec![[1.0; LANES]; panels];
    let pieces = blocks.chunks_mut(depth.max(1)).zip(&mut scales);
    let pieces = pieces.zip(outputs.chunks(LANES)).collect();
    // A value is laid out in about the time of a multiplication.
    let values = weights.count * weights.width;
    each(pieces, values, |((panel, scales), outputs)| {
        *scales = F::right(outputs, panel);
    });
    (blocks, scales)
}
