//! Products in 16-bit integers: half the memory and, on AVX2, nearly twice the speed of `f32`.
//!
//! Each row and each output gets a scale of its own, so chosen that its values fit into 16 bits and its length (the
//! root of the sum of squares) is a little below 2^15.5. By the inequality of Cauchy and Schwarz no sum of products can then
//! leave 32 bits, however the values fall, so the additions need no care. For widths of some hundred the values keep
//! about eleven bits and a sign.

use super::{Format, Job, LANES, Room, each_tile};
use std::cell::Cell;
use std::thread::LocalKey;

use crate::caption::lanes::{largest, sum, vectorised};

/// The longest row or output, a little below the root of 2^31: rounding to integers may lengthen it.
const LONGEST: f32 = 46_000.0;

/// The largest value; its negative is the smallest, so that two products fit into 32 bits.
const LARGEST: f32 = 32_767.0;

/// Values of a block: two in each number.
const PAIRS: usize = LANES / 2;

/// Blocks of a row that are multiplied before the next tile.
const STRETCH: usize = 48;

pub(in super::super) struct Fixed;

thread_local! {
    static ROOM: Cell<Room<Fixed>> = Cell::default();
}

impl Format for Fixed {
    type Left = [i32; PAIRS];
    type Right = [[i32; LANES]; PAIRS];
    type Sum = [i32; LANES];

    const ZERO: Self::Sum = [0; LANES];
    const NOTHING: Self::Left = [0; PAIRS];

    fn room() -> &'static LocalKey<Cell<Room<Self>>> {
        &ROOM
    }

    #[inline(always)]
    fn left(row: &[f32], mut put: impl FnMut(usize, Self::Left)) -> f32 {
        vectorised(
            #[inline(always)]
            || {
                let scale = scale(row);
                let (whole, rest) = row.as_chunks();
                for (block, values) in whole.iter().enumerate() {
                    put(block, pairs(values, scale));
                }
                if !rest.is_empty() {
                    let mut last = [0.0; LANES];
                    last[..rest.len()].copy_from_slice(rest);
                    put(whole.len(), pairs(&last, scale));
                }
                1.0 / scale
            },
        )
    }

    fn right(outputs: &[&[f32]]) -> (Vec<Self::Right>, [f32; LANES]) {
        let width = outputs.first().map_or(0, |output| output.len());
        let mut blocks = vec![[[0; LANES]; PAIRS]; width.div_ceil(LANES)];
        let mut scales = [1.0; LANES];
        for (lane, output) in outputs.iter().enumerate() {
            let inverse = Self::left(output, |block, pairs| {
                for (target, pair) in blocks[block].iter_mut().zip(pairs) {
                    target[lane] = pair;
                }
            });
            scales[lane] = inverse;
        }
        (blocks, scales)
    }

    fn output(panel: &[Self::Right], scale: f32, lane: usize) -> impl Iterator<Item = f32> {
        panel.as_flattened().iter().flat_map(move |pairs| {
            let (low, high) = parts(pairs[lane]);
            [low as f32 * scale, high as f32 * scale]
        })
    }

    fn multiply(job: Job<'_, Self>) {
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            return simd.vectorize(avx2::Multiply(simd, job));
        }
        each_tile(job, STRETCH, plain_tile);
    }

    #[inline(always)]
    fn values(sum: &Self::Sum, row: f32, outputs: &[f32; LANES]) -> [f32; LANES] {
        std::array::from_fn(|lane| sum[lane] as f32 * (row * outputs[lane]))
    }
}

#[inline(always)]
fn scale(row: &[f32]) -> f32 {
    let largest = largest(row, f32::abs);
    let length = sum::<f32>(row, |v| v * v).sqrt();
    let scale = (LARGEST / largest).min(LONGEST / length);
    // All zeros, or so small that the scale overflows.
    if scale.is_finite() { scale } else { 1.0 }
}

/// The nearest integers, two in each number.
#[inline(always)]
fn pairs(values: &[f32; LANES], scale: f32) -> [i32; PAIRS] {
    // Adding 1.5 * 2^23 leaves the nearest integer in the low bits.
    let integers = values.map(|v| (v * scale + 12_582_912.0).to_bits() as i32);
    std::array::from_fn(|i| (integers[2 * i] & 0xffff) | (integers[2 * i + 1] << 16))
}

#[inline(always)]
fn parts(pair: i32) -> (i32, i32) {
    (i32::from(pair as i16), pair >> 16)
}

fn plain_tile(
    left: &[[i32; PAIRS]],
    panel: &[[[i32; LANES]; PAIRS]],
    sums: &mut [[i32; LANES]],
    first: bool,
) {
    if first {
        sums.fill([0; LANES]);
    }
    for (values, weights) in left.chunks_exact(sums.len()).zip(panel) {
        for (values, sums) in values.iter().zip(sums.iter_mut()) {
            for (value, weights) in values.iter().zip(weights) {
                let (low, high) = parts(*value);
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    let (first, second) = parts(*weight);
                    *sum += low * first + high * second;
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use pulp::x86::V3;
    use pulp::{NullaryFnOnce, Simd, cast, i32x8};

    use super::{Fixed, Job, LANES, PAIRS, STRETCH};
    use crate::caption::blip::ops::product::each_tile;

    pub(super) struct Multiply<'a>(pub(super) V3, pub(super) Job<'a, Fixed>);

    impl NullaryFnOnce for Multiply<'_> {
        type Output = ();

        #[inline(always)]
        fn call(self) {
            let Self(simd, job) = self;
            each_tile(
                job,
                STRETCH,
                #[inline(always)]
                |left, panel, sums, first| {
                    let mut from = 0;
                    let count = sums.len();
                    // Adding integers takes a cycle only, so three rows at a time are enough to keep all units busy;
                    // with six, the compiler runs out of registers.
                    for sums in sums.chunks_mut(3) {
                        match sums.len() {
                            3 => rows::<3>(simd, left, count, from, panel, sums, first),
                            2 => rows::<2>(simd, left, count, from, panel, sums, first),
                            _ => rows::<1>(simd, left, count, from, panel, sums, first),
                        }
                        from += sums.len();
                    }
                },
            );
        }
    }

    /// `N` rows of a tile of `count`, the first of them at `from`.
    #[inline(always)]
    fn rows<const N: usize>(
        simd: V3,
        left: &[[i32; PAIRS]],
        count: usize,
        from: usize,
        panel: &[[[i32; LANES]; PAIRS]],
        sums: &mut [[i32; LANES]],
        first: bool,
    ) {
        let (rows, _) = V3::as_mut_simd_i32s(sums.as_flattened_mut());
        let rows: &mut [[i32x8; 2]; N] = rows
            .as_chunks_mut()
            .0
            .try_into()
            .expect("there are sums for each row");
        let mut sums = if first {
            [[simd.splat_i32x8(0); 2]; N]
        } else {
            *rows
        };
        let (panel, _) = V3::as_simd_i32s(panel.as_flattened().as_flattened());
        let (panel, _) = panel.as_chunks::<2>();
        let (panel, _) = panel.as_chunks::<PAIRS>();
        for (values, weights) in left.chunks_exact(count).zip(panel) {
            let Some(values) = values[from..].first_chunk::<N>() else {
                break;
            };
            for (position, weights) in weights.iter().enumerate() {
                for (values, sums) in values.iter().zip(&mut sums) {
                    let value = cast(simd.splat_i32x8(values[position]));
                    for (weight, sum) in weights.iter().zip(sums) {
                        // Two products and their sum in each of eight lanes.
                        let products = simd.avx2._mm256_madd_epi16(value, cast(*weight));
                        *sum = simd.wrapping_add_i32x8(*sum, cast(products));
                    }
                }
            }
        }
        *rows = sums;
    }
}
