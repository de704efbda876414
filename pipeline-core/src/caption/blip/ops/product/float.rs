//! Products in `f32`.

use std::cell::Cell;
use std::thread::LocalKey;

use pulp::{Simd, WithSimd};

use super::{Format, Job, LANES, Room, each_tile};
use crate::caption::lanes::dispatch;

/// Blocks of a row that are multiplied before the next tile: few enough that a panel's part stays in the innermost
/// cache.
const STRETCH: usize = 16;

pub(in super::super) struct Float;

thread_local! {
    static ROOM: Cell<Room<Float>> = Cell::default();
}

impl Format for Float {
    type Left = [f32; LANES];
    type Right = [[f32; LANES]; LANES];
    type Sum = [f32; LANES];

    const ZERO: Self::Sum = [0.0; LANES];
    const NOTHING: Self::Left = [0.0; LANES];

    fn room() -> &'static LocalKey<Cell<Room<Self>>> {
        &ROOM
    }

    fn left(row: &[f32], mut put: impl FnMut(usize, Self::Left)) -> f32 {
        let (whole, rest) = row.as_chunks();
        for (block, values) in whole.iter().enumerate() {
            put(block, *values);
        }
        if !rest.is_empty() {
            let mut last = [0.0; LANES];
            last[..rest.len()].copy_from_slice(rest);
            put(whole.len(), last);
        }
        1.0
    }

    fn right(outputs: &[&[f32]]) -> (Vec<Self::Right>, [f32; LANES]) {
        let width = outputs.first().map_or(0, |output| output.len());
        let mut blocks = vec![[[0.0; LANES]; LANES]; width.div_ceil(LANES)];
        for (lane, output) in outputs.iter().enumerate() {
            for (values, target) in output.chunks(LANES).zip(&mut blocks) {
                for (value, target) in values.iter().zip(target) {
                    target[lane] = *value;
                }
            }
        }
        (blocks, [1.0; LANES])
    }

    fn output(panel: &[Self::Right], _: f32, lane: usize) -> impl Iterator<Item = f32> {
        panel
            .as_flattened()
            .iter()
            .map(move |weights| weights[lane])
    }

    fn multiply(job: Job<'_, Self>) {
        dispatch(Multiply(job));
    }

    #[inline(always)]
    fn values(sum: &Self::Sum, _: f32, _: &[f32; LANES]) -> [f32; LANES] {
        *sum
    }
}

struct Multiply<'a>(Job<'a, Float>);

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => tiles::<S, 1>(self.0, simd),
            8 => tiles::<S, 2>(self.0, simd),
            4 => tiles::<S, 4>(self.0, simd),
            _ => tiles::<S, LANES>(self.0, simd),
        }
    }
}

/// `V` vectors make a panel's 16 lanes.
#[inline(always)]
fn tiles<S: Simd, const V: usize>(job: Job<'_, Float>, simd: S) {
    each_tile(
        job,
        STRETCH,
        #[inline(always)]
        |tile, panel, sums, first| {
            let panel = vectors::<S, V>(panel);
            match sums.len() {
                6 => multiply_tile::<S, V, 6>(simd, tile, panel, sums, first),
                5 => multiply_tile::<S, V, 5>(simd, tile, panel, sums, first),
                4 => multiply_tile::<S, V, 4>(simd, tile, panel, sums, first),
                3 => multiply_tile::<S, V, 3>(simd, tile, panel, sums, first),
                2 => multiply_tile::<S, V, 2>(simd, tile, panel, sums, first),
                _ => multiply_tile::<S, V, 1>(simd, tile, panel, sums, first),
            }
        },
    );
}

/// A panel's weights: for each position in the row, the vectors of all outputs.
#[inline(always)]
fn vectors<S: Simd, const V: usize>(panel: &[[[f32; LANES]; LANES]]) -> &[[[S::f32s; V]; LANES]] {
    let (vectors, _) = S::as_simd_f32s(panel.as_flattened().as_flattened());
    vectors.as_chunks().0.as_chunks().0
}

#[inline(always)]
fn multiply_tile<S: Simd, const V: usize, const M: usize>(
    simd: S,
    tile: &[[f32; LANES]],
    panel: &[[[S::f32s; V]; LANES]],
    sums: &mut [[f32; LANES]],
    first: bool,
) {
    let (rows, _) = S::as_mut_simd_f32s(sums.as_flattened_mut());
    let rows: &mut [[S::f32s; V]; M] = rows
        .as_chunks_mut()
        .0
        .try_into()
        .expect("the tile has a row of sums for each of its rows");
    let mut sums = [[simd.splat_f32s(0.0); V]; M];
    let (tile, _) = tile.as_chunks::<M>();
    for (values, weights) in tile.iter().zip(panel) {
        for (position, weights) in weights.iter().enumerate() {
            for (values, sums) in values.iter().zip(&mut sums) {
                let value = simd.splat_f32s(values[position]);
                for (weight, sum) in weights.iter().zip(sums) {
                    *sum = simd.mul_add_e_f32s(value, *weight, *sum);
                }
            }
        }
    }
    if !first {
        // Stretches are summed on their own first: rounding errors grow with the length of a sum.
        for (sums, rows) in sums.iter_mut().zip(&*rows) {
            for (sum, before) in sums.iter_mut().zip(rows) {
                *sum = simd.add_f32s(*before, *sum);
            }
        }
    }
    *rows = sums;
}
