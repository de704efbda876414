//! Products in `f32`.

use std::cell::Cell;
use std::thread::LocalKey;

use pulp::{Simd, WithSimd};

use super::{Format, Job, Kernel, LANES, Room, each_tile};
use crate::caption::lanes::dispatch;

/// Positions of a block whose instructions stand one after the other: counting them costs a twentieth of the time.
const UNROLLED: usize = 4;

pub(super) struct Float;

thread_local! {
    static ROOM: Cell<Room<[f32; LANES], [f32; LANES]>> = Cell::default();
}

impl Format for Float {
    type Left = [f32; LANES];
    type Right = [[f32; LANES]; LANES];
    type Sum = [f32; LANES];

    const STRETCH: usize = 8;
    // Rounding errors grow with the length of a sum. With runs of 64 values they are below those of the usual libraries,
    // so that what this model writes is what exact arithmetic would write wherever theirs does.
    const RUN: usize = 4;

    fn room() -> &'static LocalKey<Cell<Room<Self::Left, Self::Sum>>> {
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

    fn right(outputs: &[&[f32]], panel: &mut [Self::Right]) -> [f32; LANES] {
        for (lane, output) in outputs.iter().enumerate() {
            for (values, target) in output.chunks(LANES).zip(&mut *panel) {
                for (value, target) in values.iter().zip(target) {
                    target[lane] = *value;
                }
            }
        }
        [1.0; LANES]
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
        let Self(job) = self;
        match S::F32_LANES {
            16 => each_tile::<_, 2>(job, &Vectors::<S, 1, 12>(simd)),
            8 => each_tile::<_, 1>(job, &Vectors::<S, 2, 6>(simd)),
            4 => each_tile::<_, 1>(job, &Vectors::<S, 4, 6>(simd)),
            _ => each_tile::<_, 1>(job, &Vectors::<S, LANES, 1>(simd)),
        }
    }
}

/// `V` vectors make a panel's 16 lanes; `ROWS` rows are multiplied at a time.
struct Vectors<S, const V: usize, const ROWS: usize>(S);

impl<S: Simd, const V: usize, const ROWS: usize> Kernel<Float> for Vectors<S, V, ROWS> {
    #[inline(always)]
    fn run<const P: usize>(
        &self,
        tile: &[[f32; LANES]],
        panels: [&[[[f32; LANES]; LANES]]; P],
        mut sums: [&mut [[f32; LANES]]; P],
        first: bool,
    ) {
        let panels = panels.map(vectors::<S, V>);
        let count = sums[0].len();
        let mut from = 0;
        while from < count {
            let rows = Rows {
                tile,
                count,
                from,
                first,
            };
            from += match (count - from).min(ROWS) {
                12.. => rows.multiply::<S, V, P, 12>(self.0, panels, &mut sums),
                6.. => rows.multiply::<S, V, P, 6>(self.0, panels, &mut sums),
                4.. => rows.multiply::<S, V, P, 4>(self.0, panels, &mut sums),
                3 => rows.multiply::<S, V, P, 3>(self.0, panels, &mut sums),
                2 => rows.multiply::<S, V, P, 2>(self.0, panels, &mut sums),
                _ => rows.multiply::<S, V, P, 1>(self.0, panels, &mut sums),
            };
        }
    }
}

/// A panel's weights: for each position in the row, the vectors of all outputs.
#[inline(always)]
fn vectors<S: Simd, const V: usize>(panel: &[[[f32; LANES]; LANES]]) -> &[[[S::f32s; V]; LANES]] {
    let (vectors, _) = S::as_simd_f32s(panel.as_flattened().as_flattened());
    vectors.as_chunks().0.as_chunks().0
}

/// Some rows of a tile.
struct Rows<'a> {
    tile: &'a [[f32; LANES]],
    /// Rows of the tile.
    count: usize,
    from: usize,
    first: bool,
}

impl Rows<'_> {
    /// Multiplies `M` rows; returns `M`.
    #[inline(always)]
    fn multiply<S: Simd, const V: usize, const P: usize, const M: usize>(
        self,
        simd: S,
        panels: [&[[[S::f32s; V]; LANES]]; P],
        sums: &mut [&mut [[f32; LANES]]; P],
    ) -> usize {
        let blocks = panels[0].len();
        let panels = panels.map(|panel| &panel[..blocks]);
        let mut totals = [[[simd.splat_f32s(0.0); V]; P]; M];
        for (block, values) in self.tile.chunks_exact(self.count).take(blocks).enumerate() {
            let Some(values) = values[self.from..].first_chunk::<M>() else {
                break;
            };
            let weights = panels.map(|panel| &panel[block]);
            for quarter in 0..LANES / UNROLLED {
                for position in quarter * UNROLLED..(quarter + 1) * UNROLLED {
                    let weights = weights.map(|weights| weights[position]);
                    for (values, totals) in values.iter().zip(&mut totals) {
                        let value = simd.splat_f32s(values[position]);
                        for (weights, totals) in weights.iter().zip(totals) {
                            for (weight, total) in weights.iter().zip(totals) {
                                *total = simd.mul_add_e_f32s(value, *weight, *total);
                            }
                        }
                    }
                }
            }
        }
        for (panel, sums) in sums.iter_mut().enumerate() {
            let sums = &mut sums[self.from..self.from + M];
            let (sums, _) = S::as_mut_simd_f32s(sums.as_flattened_mut());
            let (sums, _) = sums.as_chunks_mut::<V>();
            for (sums, totals) in sums.iter_mut().zip(&totals) {
                for (sum, total) in sums.iter_mut().zip(totals[panel]) {
                    *sum = if self.first {
                        total
                    } else {
                        simd.add_f32s(*sum, total)
                    };
                }
            }
        }
        M
    }
}

#[cfg(test)]
#[cfg(target_arch = "x86_64")]
mod tests {
    use pulp::x86::{V3, V4};

    use super::super::testing::{sums, values};
    use super::*;

    #[test]
    fn every_processor_gives_the_same_bits() {
        for (rows, panels, width) in [(1, 1, 16), (3, 3, 100), (12, 2, 64), (31, 5, 900)] {
            let (x, weights) = (values(rows * width, 1), values(panels * LANES * width, 2));
            let narrow = V3::try_new().map(|simd| {
                sums::<Float>(&x, &weights, width, |job| {
                    Simd::vectorize(simd, Multiply(job))
                })
            });
            let wide = V4::try_new().map(|simd| {
                sums::<Float>(&x, &weights, width, |job| {
                    Simd::vectorize(simd, Multiply(job))
                })
            });
            if let Some((narrow, wide)) = narrow.zip(wide) {
                assert!(narrow == wide, "{rows} rows, {panels} panels, {width} wide");
            }
        }
    }
}
