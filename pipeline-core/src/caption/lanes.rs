//! Vector instructions: what this processor has is found out while running, so that one binary fits all.

use std::iter::Sum;
use std::ops::AddAssign;

use pulp::{Arch, Simd, WithSimd};

/// Runs plain loops with the widest vectors there are. `work` and what it calls must be inlined to profit.
#[inline(always)]
pub(super) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    Arch::new().dispatch(work)
}

/// Runs an operation that is written in vectors.
pub(super) fn dispatch<O: WithSimd>(operation: O) -> O::Output {
    Arch::new().dispatch(operation)
}

/// The scalar products of `w` with several vectors of its length; each is the same number whatever stands beside it.
#[inline(always)]
pub(super) fn dots<S: Simd, const N: usize>(simd: S, w: &[f32], x: [&[f32]; N]) -> [f32; N] {
    let (wide, rest) = S::as_simd_f32s(w);
    let split = x.map(|x| S::as_simd_f32s(x));
    // Two sums for each vector hide the latency of the additions.
    let mut even = [simd.splat_f32s(0.0); N];
    let mut odd = even;
    let (pairs, single) = wide.as_chunks::<2>();
    for (index, [first, second]) in pairs.iter().enumerate() {
        for ((even, odd), (x, _)) in even.iter_mut().zip(&mut odd).zip(&split) {
            *even = simd.mul_add_e_f32s(*first, x[2 * index], *even);
            *odd = simd.mul_add_e_f32s(*second, x[2 * index + 1], *odd);
        }
    }
    if let [last] = single {
        for (even, (x, _)) in even.iter_mut().zip(&split) {
            *even = simd.mul_add_e_f32s(*last, x[wide.len() - 1], *even);
        }
    }
    let mut sums = [0.0; N];
    for (sum, ((even, odd), (_, x))) in sums.iter_mut().zip(even.iter().zip(&odd).zip(&split)) {
        *sum = simd.reduce_sum_f32s(simd.add_f32s(*even, *odd));
        for (a, b) in rest.iter().zip(*x) {
            *sum += a * b;
        }
    }
    sums
}

/// The sum of all terms, in sixteen interleaved parts.
#[inline(always)]
pub(super) fn sum<N: Copy + Default + AddAssign + Sum<N>>(
    values: &[f32],
    term: impl Fn(f32) -> N,
) -> N {
    let mut parts = [N::default(); 16];
    let (blocks, rest) = values.as_chunks::<16>();
    for block in blocks {
        for (part, value) in parts.iter_mut().zip(block) {
            *part += term(*value);
        }
    }
    for (part, value) in parts.iter_mut().zip(rest) {
        *part += term(*value);
    }
    parts.into_iter().sum()
}

/// The largest of all terms, minus infinity if there is none.
#[inline(always)]
pub(super) fn largest(values: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut parts = [f32::NEG_INFINITY; 16];
    let (blocks, rest) = values.as_chunks::<16>();
    for values in blocks.iter().map(|block| &block[..]).chain([rest]) {
        for (part, value) in parts.iter_mut().zip(values) {
            // Not `max`: a comparison in this order becomes one vector instruction.
            let term = term(*value);
            *part = if term > *part { term } else { *part };
        }
    }
    parts.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

/// e to the power of `x`, to about 1e-7 of the result. A plain formula, so that the compiler can make vectors of it.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 leaves the nearest integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first with few bits, so that `power * HIGH` is exact.
    const HIGH: f32 = 0.693_359_4;
    const LOW: f32 = -2.121_944_4e-4;
    let clamped = x.clamp(-87.3, 88.3);
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let power = shifted - ROUND;
    let r = clamped - power * HIGH - power * LOW;
    // Taylor's series; |r| is at most ln 2 / 2.
    let series = 1.0 / 5040.0;
    let series = series * r + 1.0 / 720.0;
    let series = series * r + 1.0 / 120.0;
    let series = series * r + 1.0 / 24.0;
    let series = series * r + 1.0 / 6.0;
    let series = series * r + 0.5;
    let series = series * r * r + r + 1.0;
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    series * scale
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dots<'a>(&'a [f32], [&'a [f32]; 3]);

    impl WithSimd for Dots<'_> {
        type Output = ([f32; 3], [f32; 1]);

        fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
            (dots(simd, self.0, self.1), dots(simd, self.0, [self.1[2]]))
        }
    }

    #[test]
    fn scalar_products_of_any_length() {
        for length in [0, 1, 7, 8, 9, 16, 24, 100] {
            let w: Vec<f32> = (0..length).map(|i| (i % 5) as f32).collect();
            let x: Vec<f32> = (0..length).map(|i| 2.0 - (i % 3) as f32).collect();
            let expected: f32 = w.iter().zip(&x).map(|(a, b)| a * b).sum();
            let (three, one) = dispatch(Dots(&w, [&x, &w, &x]));
            assert_eq!((three[0], three[2]), (expected, expected), "{length}");
            assert_eq!(one[0].to_bits(), three[2].to_bits());
        }
    }

    #[test]
    fn exp_is_close_over_its_whole_range() {
        for step in -8_700..=8_800 {
            let x = step as f32 / 100.0;
            let expected = f64::from(x).exp();
            let error = (f64::from(exp(x)) - expected).abs() / expected;
            assert!(error < 2e-7, "{x}: {error}");
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NEG_INFINITY) < 2e-38);
    }

    #[test]
    fn sums_and_largest_values_of_any_length() {
        assert_eq!(largest(&[], |v| v), f32::NEG_INFINITY);
        for length in [0_u8, 1, 15, 16, 17, 100] {
            let values: Vec<f32> = (0..length).map(f32::from).collect();
            let expected: f32 = values.iter().map(|v| 2.0 * v).sum();
            assert_eq!(sum(&values, |v| 2.0 * v), expected);
            let backwards: Vec<f32> = values.iter().map(|v| 50.0 - v).collect();
            if length > 0 {
                assert_eq!(largest(&values, |v| v), f32::from(length - 1));
                assert_eq!(largest(&backwards, |v| v), 50.0);
            }
        }
    }
}
