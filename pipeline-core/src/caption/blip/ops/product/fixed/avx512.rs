//! Integer products with AVX-512's VNNI: 32 products in one instruction, their sums included.

#![allow(
    unsafe_code,
    reason = "the instructions are not in `pulp`, whose tokens prove elsewhere that the processor has what is used"
)]

use std::arch::x86_64::{__m512i, _mm512_dpwssd_epi32, _mm512_set1_epi32};

use pulp::cast;

use super::{Fixed, Job, LANES, Rows, Sums, Weight, each_tile};

/// So many rows with four panels have 24 vectors of sums.
const FEW: usize = 6;

/// Proves that the processor has these instructions: there is none where it has not.
#[derive(Clone, Copy)]
pub(super) struct Vnni(());

impl Vnni {
    pub(super) fn try_new() -> Option<Self> {
        let available = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vnni");
        available.then_some(Self(()))
    }

    pub(super) fn multiply<W: Weight>(self, job: Job<'_, Fixed<W>>) {
        // SAFETY: `self` proves that the processor has these features.
        unsafe { multiply(self, job) }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn multiply<W: Weight>(simd: Vnni, job: Job<'_, Fixed<W>>) {
    if job.rows() <= FEW {
        // An instruction waits for the sum before it, and few rows with two panels have too few sums to wait for.
        each_tile::<_, 4>(job, &Rows::<_, FEW>(simd));
    } else {
        each_tile::<_, 2>(job, &Rows::<_, 12>(simd));
    }
}

impl Sums for Vnni {
    type Sums = __m512i;

    #[inline(always)]
    fn add(self, sums: Self::Sums, values: i32, weights: &[i32; LANES]) -> Self::Sums {
        // SAFETY: `self` proves that the processor has these features.
        unsafe { _mm512_dpwssd_epi32(sums, _mm512_set1_epi32(values), cast(*weights)) }
    }
}
