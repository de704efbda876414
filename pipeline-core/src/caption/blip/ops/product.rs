//! Matrix products whose right side is known beforehand: weights, laid out for the processor once.
//!
//! Weights lie in panels of 16 outputs. A tile of six rows and a panel is computed at a time, so that all its sums stay
//! in the vector registers of an AVX2 processor: 6 × 2 vectors of sums, 2 of weights, 1 of the rows. (Goto and van de
//! Geijn 2008 and the BLIS papers describe the scheme.) Each sum runs over its row in the same order, whatever stands
//! beside it, so that no result depends on how rows and panels are shared between threads.

mod fixed;
mod float;

use std::array::from_fn;
use std::cell::Cell;
use std::ops::Range;
use std::thread::LocalKey;

use rayon::prelude::*;

use super::rows::Rows;
use crate::caption::lanes::vectorised;

pub(super) use fixed::Fixed;
pub(super) use float::Float;

/// Outputs in a panel, and values of a row in a block.
pub(super) const LANES: usize = 16;

/// Rows in a tile.
pub(super) const TILE: usize = 6;

/// What a product computes with.
pub(super) trait Format: Sized + Send + Sync + 'static {
    /// 16 values of a row.
    type Left: Copy + Send + Sync;
    /// 16 values of each of 16 outputs.
    type Right: Copy + Send + Sync;
    /// One row's sums of the outputs of a panel.
    type Sum: Copy + Send;

    /// Nothing added yet.
    const ZERO: Self::Sum;
    /// Sixteen zeros.
    const NOTHING: Self::Left;

    /// This thread's room for what a product needs on the way.
    fn room() -> &'static LocalKey<Cell<Room<Self>>>;

    /// Hands `row` over block by block, the last one filled up with zeros. Returns what to multiply its sums by.
    fn left(row: &[f32], put: impl FnMut(usize, Self::Left)) -> f32;

    /// Lays out a panel of at most 16 outputs. Returns its blocks and what to multiply its sums by.
    fn right(outputs: &[&[f32]]) -> (Vec<Self::Right>, [f32; LANES]);

    /// The weights of one output of a panel, as `right` got them.
    fn output(panel: &[Self::Right], scale: f32, lane: usize) -> impl Iterator<Item = f32>;

    /// Multiplies all rows with all panels.
    fn multiply(job: Job<'_, Self>);

    fn values(sum: &Self::Sum, row: f32, outputs: &[f32; LANES]) -> [f32; LANES];
}

/// Rows and panels to multiply.
pub(super) struct Job<'a, F: Format> {
    /// Tiles of rows; in a tile, block by block, the blocks of its rows.
    pub(super) left: &'a [F::Left],
    /// Panels, one after the other; in a panel its blocks.
    pub(super) right: &'a [F::Right],
    /// Blocks in a row.
    pub(super) depth: usize,
    /// For each panel the sums of all rows.
    pub(super) sums: &'a mut [F::Sum],
}

impl<'a, F: Format> Job<'a, F> {
    pub(super) fn rows(&self) -> usize {
        self.left.len() / self.depth
    }
}

/// Hands over every tile with every panel, `stretch` blocks at a time; the last flag is set for the first of them.
#[inline(always)]
fn each_tile<F: Format>(
    job: Job<'_, F>,
    stretch: usize,
    mut run: impl FnMut(&[F::Left], &[F::Right], &mut [F::Sum], bool),
) {
    let (depth, rows) = (job.depth, job.rows());
    let (panels, parts) = (job.right.len() / depth, depth.div_ceil(stretch));
    for step in 0..panels * parts {
        let (panel, part) = if rows <= TILE {
            // Few rows wait for the weights: these are read in the order in which they lie in memory.
            (step / parts, step % parts)
        } else {
            // A stretch of all rows stays in the cache while it meets all panels.
            (step % panels, step / panels)
        };
        let (start, end) = (part * stretch, depth.min((part + 1) * stretch));
        let weights = &job.right[panel * depth..][start..end];
        let sums = &mut job.sums[panel * rows..][..rows];
        let tiles = job.left.chunks(TILE * depth).zip(sums.chunks_mut(TILE));
        for (tile, sums) in tiles {
            let tile = &tile[start * sums.len()..end * sums.len()];
            run(tile, weights, sums, start == 0);
        }
    }
}

/// Room for what a product needs on the way, kept from one product to the next.
pub(super) struct Room<F: Format> {
    left: Vec<F::Left>,
    scales: Vec<f32>,
    sums: Vec<F::Sum>,
}

impl<F: Format> Default for Room<F> {
    fn default() -> Self {
        Self {
            left: Vec::new(),
            scales: Vec::new(),
            sums: Vec::new(),
        }
    }
}

/// A layer's weights and summands, laid out.
pub(super) struct Panels<F: Format> {
    blocks: Vec<F::Right>,
    scales: Vec<[f32; LANES]>,
    bias: Vec<[f32; LANES]>,
    depth: usize,
    width: usize,
    out: usize,
}

/// A layer laid out in some format.
pub(super) trait Layout: Send + Sync {
    /// The length of the rows that go in.
    fn width(&self) -> usize;

    /// The number of outputs.
    fn out(&self) -> usize;

    /// The number of panels.
    fn panels(&self) -> usize;

    /// `x · weightsᵀ + bias` of some panels' outputs, into the rows of `y`, on this thread.
    fn multiply(&self, x: Rows<'_>, panels: Range<usize>, y: &mut [f32]);

    /// Appends the weights of one output.
    fn output(&self, index: usize, weights: &mut Vec<f32>);
}

impl<F: Format> Panels<F> {
    /// `weights` has a row for each output.
    pub(super) fn new(weights: Rows<'_>, bias: &[f32]) -> Self {
        let (out, width) = (weights.count, weights.width);
        let outputs: Vec<&[f32]> = weights.iter().collect();
        let panels: Vec<_> = outputs.par_chunks(LANES).map(F::right).collect();
        let mut padded = bias.to_vec();
        padded.resize(panels.len() * LANES, 0.0);
        Self {
            scales: panels.iter().map(|(_, scales)| *scales).collect(),
            blocks: panels.into_iter().flat_map(|(blocks, _)| blocks).collect(),
            bias: padded.as_chunks().0.to_vec(),
            depth: width.div_ceil(LANES),
            width,
            out,
        }
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
        let left = grown(&mut room.left, rows * self.depth, F::NOTHING);
        let sums = grown(&mut room.sums, rows * panels.len(), F::ZERO);
        room.scales.clear();
        fill_tiles::<F>(x, self.depth, left, &mut room.scales);
        F::multiply(Job {
            left,
            right: &self.blocks[panels.start * self.depth..panels.end * self.depth],
            depth: self.depth,
            sums,
        });
        let out = self.out.min(panels.end * LANES) - panels.start * LANES;
        let (first, row_scales) = (panels.start, &room.scales);
        vectorised(
            #[inline(always)]
            || {
                for (panel, sums) in sums.chunks_exact(rows).enumerate() {
                    let (scales, bias) = (&self.scales[first + panel], &self.bias[first + panel]);
                    let from = panel * LANES;
                    let lanes = LANES.min(out - from);
                    for ((sum, row_scale), y) in
                        sums.iter().zip(row_scales).zip(y.chunks_exact_mut(out))
                    {
                        let sums = F::values(sum, *row_scale, scales);
                        let values: [f32; LANES] = from_fn(|lane| sums[lane] + bias[lane]);
                        match y[from..].first_chunk_mut() {
                            Some(y) => *y = values,
                            None => y[from..].copy_from_slice(&values[..lanes]),
                        }
                    }
                }
            },
        );
        F::room().set(room);
    }
}

/// The beginning of `values`, which grows if need be; what is in it is of no interest.
pub(super) fn grown<T: Copy>(values: &mut Vec<T>, count: usize, filling: T) -> &mut [T] {
    if values.len() < count {
        values.resize(count, filling);
    }
    &mut values[..count]
}

/// Lays out rows as [`Job::left`] wants them; adds what to multiply each row's sums by to `scales`.
pub(super) fn fill_tiles<F: Format>(
    x: Rows<'_>,
    depth: usize,
    left: &mut [F::Left],
    scales: &mut Vec<f32>,
) {
    let mut rows = x.iter();
    for tile in left.chunks_mut(TILE * depth) {
        let count = tile.len() / depth;
        for (row, x) in rows.by_ref().take(count).enumerate() {
            let scale = F::left(x, |block, values| tile[block * count + row] = values);
            scales.push(scale);
        }
    }
}
