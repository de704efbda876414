//! Matrix products whose right side is laid out for the processor once: weights, or what attention remembers.
//!
//! Weights lie in panels of 16 outputs, rows in tiles of twelve. As much of a tile and of neighbouring panels is computed
//! at a time as has all its sums in the processor's vector registers: six rows and one panel with AVX2 (12 vectors of
//! sums, 2 of weights, 1 of the rows), twelve rows and two panels with AVX-512 (24, 2 and 1). (Goto and van de Geijn 2008
//! and the BLIS papers describe the scheme.) Each sum runs over its row in the same order, whatever stands beside it, so
//! that no result depends on how rows and panels are shared between threads, nor on how wide the vectors are.

mod fixed;
mod float;
mod panels;

use std::array::from_fn;
use std::cell::Cell;
use std::ops::Range;
use std::thread::LocalKey;

use pulp::bytemuck::Zeroable;

use super::rows::Rows;

use fixed::Fixed;
use float::Float;
pub(in super::super) use panels::Kept;
pub(super) use panels::Layout;

/// Outputs in a panel, and values of a row in a block.
pub(super) const LANES: usize = 16;

/// Rows in a tile.
pub(super) const TILE: usize = 12;

/// What a product computes with.
trait Format: Sized + Send + Sync + 'static {
    /// 16 values of a row.
    type Left: Zeroable + Copy + Send + Sync;
    /// 16 values of each of 16 outputs.
    type Right: Zeroable + Copy + Send + Sync;
    /// One row's sums of the outputs of a panel.
    type Sum: Zeroable + Copy + Send;

    /// Blocks of a row that are multiplied before the next tile: few enough that the panels' part stays in the innermost
    /// cache.
    const STRETCH: usize;
    /// Blocks that are summed on their own before they are added to the rest.
    const RUN: usize;

    /// This thread's room for what a product needs on the way.
    fn room() -> &'static LocalKey<Cell<Room<Self::Left, Self::Sum>>>;

    /// Hands `row` over block by block, the last one filled up with zeros. Returns what to multiply its sums by.
    fn left(row: &[f32], put: impl FnMut(usize, Self::Left)) -> f32;

    /// Lays out at most 16 outputs in `panel`, which is empty. Returns what to multiply its sums by.
    fn right(outputs: &[&[f32]], panel: &mut [Self::Right]) -> [f32; LANES];

    /// The weights of one output of a panel, as `right` got them.
    fn output(panel: &[Self::Right], scale: f32, lane: usize) -> impl Iterator<Item = f32>;

    /// Multiplies all rows with all panels.
    fn multiply(job: Job<'_, Self>);

    fn values(sum: &Self::Sum, row: f32, outputs: &[f32; LANES]) -> [f32; LANES];
}

/// Rows and panels to multiply.
struct Job<'a, F: Format> {
    /// Tiles of rows; in a tile, block by block, the blocks of its rows.
    left: &'a [F::Left],
    /// Panels, one after the other; in a panel its blocks.
    right: &'a [F::Right],
    /// Blocks in a row.
    depth: usize,
    /// For each tile of rows, and in it for each panel, the sums of its rows.
    sums: &'a mut [F::Sum],
}

impl<F: Format> Job<'_, F> {
    fn rows(&self) -> usize {
        self.left.len() / self.depth
    }

    fn panels(&self) -> usize {
        self.right.len() / self.depth
    }
}

/// The innermost part of a product.
trait Kernel<F: Format> {
    /// Multiplies a tile, block by block the blocks of its rows, with the same blocks of `P` panels. `sums` has each
    /// panel's sums of the rows; they are begun if `first`, else added to.
    fn run<const P: usize>(
        &self,
        tile: &[F::Left],
        panels: [&[F::Right]; P],
        sums: [&mut [F::Sum]; P],
        first: bool,
    );
}

/// Runs the kernel on every tile with every panel, `P` panels at a time.
#[inline(always)]
fn each_tile<F: Format, const P: usize>(mut job: Job<'_, F>, kernel: &impl Kernel<F>) {
    let panels = job.panels();
    let whole = panels / P * P;
    each_group::<F, P>(&mut job, 0..whole, kernel);
    each_group::<F, 1>(&mut job, whole..panels, kernel);
}

/// [`each_tile`] of some panels, whose number `P` divides.
#[inline(always)]
fn each_group<F: Format, const P: usize>(
    job: &mut Job<'_, F>,
    of: Range<usize>,
    kernel: &impl Kernel<F>,
) {
    let (depth, panels) = (job.depth, job.panels());
    let (groups, parts) = (of.len() / P, depth.div_ceil(F::STRETCH));
    for step in 0..groups * parts {
        let (group, part) = if job.rows() <= TILE {
            // Few rows wait for the weights: these are read in the order in which they lie in memory.
            (step / parts, step % parts)
        } else {
            // A stretch of all rows stays in the cache while it meets all panels.
            (step % groups, step / groups)
        };
        let first = of.start + group * P;
        let (start, end) = (part * F::STRETCH, depth.min((part + 1) * F::STRETCH));
        let sums = job.sums.chunks_mut(TILE * panels);
        for (tile, sums) in job.left.chunks(TILE * depth).zip(sums) {
            let count = tile.len() / depth;
            let mut sums = sums[first * count..].chunks_exact_mut(count);
            let mut sums: [_; P] = from_fn(|_| sums.next().unwrap_or_default());
            for from in (start..end).step_by(F::RUN) {
                let to = end.min(from + F::RUN);
                kernel.run(
                    &tile[from * count..to * count],
                    from_fn(|panel| &job.right[(first + panel) * depth..][from..to]),
                    sums.each_mut().map(|sums| &mut **sums),
                    from == 0,
                );
            }
        }
    }
}

/// Room for what a product needs on the way, kept from one product to the next.
struct Room<L, S> {
    left: Vec<L>,
    scales: Vec<f32>,
    sums: Vec<S>,
}

impl<L, S> Default for Room<L, S> {
    fn default() -> Self {
        Self {
            left: Vec::new(),
            scales: Vec::new(),
            sums: Vec::new(),
        }
    }
}

/// Lays out rows as [`Job::left`] wants them; adds what to multiply each row's sums by to `scales`.
fn fill_tiles<F: Format>(x: Rows<'_>, depth: usize, left: &mut [F::Left], scales: &mut Vec<f32>) {
    let mut rows = x.iter();
    for tile in left.chunks_mut(TILE * depth) {
        let count = tile.len() / depth;
        for (row, x) in rows.by_ref().take(count).enumerate() {
            let scale = F::left(x, |block, values| tile[block * count + row] = values);
            scales.push(scale);
        }
    }
}

#[cfg(test)]
#[cfg(target_arch = "x86_64")]
mod testing {
    use pulp::bytemuck::Zeroable;

    use super::super::testing::noise;
    use super::panels::lay_out;
    use super::{Format, Job, LANES, fill_tiles};
    use crate::caption::blip::ops::rows::Rows;

    pub(super) fn values(count: usize, seed: u32) -> Vec<f32> {
        noise(&[count], seed).to_vec1().unwrap()
    }

    /// The sums that `multiply` finds for rows and outputs of `width` values.
    pub(super) fn sums<F: Format>(
        x: &[f32],
        weights: &[f32],
        width: usize,
        multiply: impl FnOnce(Job<'_, F>),
    ) -> Vec<F::Sum> {
        let (rows, outputs) = (x.len() / width, weights.len() / width);
        let depth = width.div_ceil(LANES);
        let mut left = vec![F::Left::zeroed(); rows * depth];
        fill_tiles::<F>(
            Rows::contiguous(x, width),
            depth,
            &mut left,
            &mut Vec::new(),
        );
        let (right, _) = lay_out::<F>(Rows::contiguous(weights, width));
        let mut sums = vec![F::Sum::zeroed(); rows * outputs / LANES];
        multiply(Job {
            left: &left,
            right: &right,
            depth,
            sums: &mut sums,
        });
        sums
    }
}
