//! Products in 16-bit integers: half the memory and, on AVX2 and with AVX-512's VNNI, nearly twice the speed of `f32`.
//!
//! Each row and each output gets a scale of its own, so chosen that its values fit into 16 bits and its length (the
//! root of the sum of squares) is at most a little below 2^15.5. By the inequality of Cauchy and Schwarz no sum of products
//! can then leave 32 bits, however the values fall, so the additions need no care. For widths of some hundred the values
//! keep about eleven bits and a sign.
//!
//! Weights may also lie in memory in 8 bits, for layers whose time is that of reading them: they become 16 bits on their
//! way into the registers.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use std::array::from_fn;
use std::cell::Cell;
use std::marker::PhantomData;
use std::thread::LocalKey;

use pulp::bytemuck::Pod;
use pulp::cast;

use super::{Format, Job, Kernel, LANES, Room, each_tile};
use crate::caption::lanes::{largest, sum, vectorised};

/// The longest row or output, a little below the root of 2^31: rounding to integers may lengthen it.
const LONGEST: f32 = 46_000.0;

/// Values of a block: two in each number.
const PAIRS: usize = LANES / 2;

/// Rows in 16 bits, weights in those of `W`.
pub(super) struct Fixed<W>(PhantomData<W>);

/// What weights are kept in.
pub(super) trait Weight: Pod + Into<i16> + Send + Sync {
    /// The largest; its negative is the smallest, so that two products fit into 32 bits.
    const LARGEST: f32;

    /// A number that is within the limits.
    fn new(value: i16) -> Self;
}

impl Weight for i16 {
    const LARGEST: f32 = 32_767.0;

    fn new(value: i16) -> Self {
        value
    }
}

impl Weight for i8 {
    const LARGEST: f32 = 127.0;

    fn new(value: i16) -> Self {
        value as Self
    }
}

thread_local! {
    static ROOM: Cell<Room<[i32; PAIRS], [i32; LANES]>> = Cell::default();
}

impl<W: Weight> Format for Fixed<W> {
    type Left = [i32; PAIRS];
    type Right = [[[W; 2]; LANES]; PAIRS];
    type Sum = [i32; LANES];

    const STRETCH: usize = 48;
    // Integers are exact, however long the sum.
    const RUN: usize = Self::STRETCH;

    fn room() -> &'static LocalKey<Cell<Room<Self::Left, Self::Sum>>> {
        &ROOM
    }

    #[inline(always)]
    fn left(row: &[f32], mut put: impl FnMut(usize, Self::Left)) -> f32 {
        quantise(row, i16::LARGEST, |block, values| put(block, cast(values)))
    }

    fn right(outputs: &[&[f32]], panel: &mut [Self::Right]) -> [f32; LANES] {
        let mut scales = [1.0; LANES];
        for (lane, output) in outputs.iter().enumerate() {
            scales[lane] = quantise(output, W::LARGEST, |block, values| {
                for (target, pair) in panel[block].iter_mut().zip(values.as_chunks().0) {
                    target[lane] = pair.map(W::new);
                }
            });
        }
        scales
    }

    fn output(panel: &[Self::Right], scale: f32, lane: usize) -> impl Iterator<Item = f32> {
        let pairs = panel.as_flattened().iter();
        pairs.flat_map(move |pairs| pairs[lane].map(|weight| f32::from(weight.into()) * scale))
    }

    fn multiply(job: Job<'_, Self>) {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(simd) = avx512::Vnni::try_new() {
                return simd.multiply(job);
            }
            if let Some(simd) = pulp::x86::V3::try_new() {
                return avx2::multiply(simd, job);
            }
        }
        each_tile::<_, 1>(job, &Rows::<_, 1>(Plain));
    }

    #[inline(always)]
    fn values(sum: &Self::Sum, row: f32, outputs: &[f32; LANES]) -> [f32; LANES] {
        from_fn(|lane| sum[lane] as f32 * (row * outputs[lane]))
    }
}

/// Hands the nearest integers over, 16 at a time, the last ones filled up with zeros. Returns what to multiply them by.
#[inline(always)]
fn quantise(row: &[f32], limit: f32, mut put: impl FnMut(usize, [i16; LANES])) -> f32 {
    vectorised(
        #[inline(always)]
        || {
            let length = sum::<f32>(row, |v| v * v).sqrt();
            let scale = (limit / largest(row, f32::abs)).min(LONGEST / length);
            // All zeros, or so small that the scale overflows.
            let scale = if scale.is_finite() { scale } else { 1.0 };
            // Adding 1.5 * 2^23 leaves the nearest integer in the low bits.
            let integer = |v: f32| (v * scale + 12_582_912.0).to_bits() as i16;
            let (whole, rest) = row.as_chunks::<LANES>();
            for (block, values) in whole.iter().enumerate() {
                put(block, values.map(integer));
            }
            if !rest.is_empty() {
                let mut last = [0.0; LANES];
                last[..rest.len()].copy_from_slice(rest);
                put(whole.len(), last.map(integer));
            }
            1.0 / scale
        },
    )
}

/// Pairs of weights in the 16 bits that rows have.
#[inline(always)]
fn widen<W: Weight>(pairs: &[[W; 2]; LANES]) -> [i32; LANES] {
    let mut wide = [[0_i16; 2]; LANES];
    for (wide, narrow) in wide.as_flattened_mut().iter_mut().zip(pairs.as_flattened()) {
        *wide = (*narrow).into();
    }
    cast(wide)
}

#[inline(always)]
fn parts(pair: i32) -> (i32, i32) {
    let [first, second]: [i16; 2] = cast(pair);
    (first.into(), second.into())
}

/// Sixteen sums of products, in whatever registers there are for them.
trait Sums: Copy {
    type Sums: Pod;

    /// Adds the products of a pair of values with sixteen pairs of weights.
    fn add(self, sums: Self::Sums, values: i32, weights: &[i32; LANES]) -> Self::Sums;
}

/// `N` rows are multiplied at a time.
struct Rows<S, const N: usize>(S);

impl<S: Sums, W: Weight, const N: usize> Kernel<Fixed<W>> for Rows<S, N> {
    #[inline(always)]
    fn run<const P: usize>(
        &self,
        tile: &[[i32; PAIRS]],
        panels: [&[[[[W; 2]; LANES]; PAIRS]]; P],
        mut sums: [&mut [[i32; LANES]]; P],
        first: bool,
    ) {
        if first {
            sums.iter_mut().for_each(|sums| sums.fill([0; LANES]));
        }
        let count = sums[0].len();
        let mut from = 0;
        while from < count {
            from += match (count - from).min(N) {
                12.. => self.some::<W, P, 12>(tile, from, panels, &mut sums),
                6.. => self.some::<W, P, 6>(tile, from, panels, &mut sums),
                3.. => self.some::<W, P, 3>(tile, from, panels, &mut sums),
                2 => self.some::<W, P, 2>(tile, from, panels, &mut sums),
                _ => self.some::<W, P, 1>(tile, from, panels, &mut sums),
            };
        }
    }
}

impl<S: Sums, const N: usize> Rows<S, N> {
    /// Multiplies `M` rows, the first of them at `from`; returns `M`.
    #[inline(always)]
    fn some<W: Weight, const P: usize, const M: usize>(
        &self,
        tile: &[[i32; PAIRS]],
        from: usize,
        panels: [&[[[[W; 2]; LANES]; PAIRS]]; P],
        sums: &mut [&mut [[i32; LANES]]; P],
    ) -> usize {
        let simd = self.0;
        let count = sums[0].len();
        let blocks = panels[0].len();
        let panels = panels.map(|panel| &panel[..blocks]);
        let mut totals: [[S::Sums; P]; M] =
            from_fn(|row| from_fn(|panel| cast(sums[panel][from + row])));
        for (block, values) in tile.chunks_exact(count).take(blocks).enumerate() {
            let Some(values) = values[from..].first_chunk::<M>() else {
                break;
            };
            let weights = panels.map(|panel| &panel[block]);
            for position in 0..PAIRS {
                let weights = weights.map(|weights| widen(&weights[position]));
                for (values, totals) in values.iter().zip(&mut totals) {
                    for (weights, total) in weights.iter().zip(totals) {
                        *total = simd.add(*total, values[position], weights);
                    }
                }
            }
        }
        for (panel, sums) in sums.iter_mut().enumerate() {
            for (sum, totals) in sums[from..from + M].iter_mut().zip(&totals) {
                *sum = cast(totals[panel]);
            }
        }
        M
    }
}

/// For processors whose integer instructions we do not know.
#[derive(Clone, Copy)]
struct Plain;

impl Sums for Plain {
    type Sums = [i32; LANES];

    fn add(self, mut sums: Self::Sums, values: i32, weights: &[i32; LANES]) -> Self::Sums {
        let (low, high) = parts(values);
        for (sum, weight) in sums.iter_mut().zip(weights) {
            let (first, second) = parts(*weight);
            *sum += low * first + high * second;
        }
        sums
    }
}

#[cfg(test)]
#[cfg(target_arch = "x86_64")]
mod tests {
    use super::super::testing::{sums, values};
    use super::*;

    #[test]
    fn every_processor_gives_the_same_sums() {
        let shapes = [
            (1, 1, 16),
            (3, 3, 100),
            (5, 6, 70),
            (12, 2, 64),
            (31, 5, 1800),
        ];
        for (rows, panels, width) in shapes {
            let (x, weights) = (values(rows * width, 1), values(panels * LANES * width, 2));
            compare::<i16>(&x, &weights, width);
            compare::<i8>(&x, &weights, width);
        }
    }

    fn compare<W: Weight>(x: &[f32], weights: &[f32], width: usize) {
        let plain = |job: Job<'_, Fixed<W>>| each_tile::<_, 1>(job, &Rows::<_, 1>(Plain));
        let expected = sums(x, weights, width, plain);
        if let Some(simd) = pulp::x86::V3::try_new() {
            let found = sums::<Fixed<W>>(x, weights, width, |job| avx2::multiply(simd, job));
            assert!(found == expected, "AVX2: {} values, {width} wide", x.len());
        }
        if let Some(simd) = avx512::Vnni::try_new() {
            let found = sums::<Fixed<W>>(x, weights, width, |job| simd.multiply(job));
            assert!(
                found == expected,
                "AVX-512: {} values, {width} wide",
                x.len()
            );
        }
    }
}
