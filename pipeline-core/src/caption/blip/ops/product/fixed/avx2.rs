//! Integer products with AVX2.

use pulp::x86::V3;
use pulp::{NullaryFnOnce, cast, i32x8};

use super::{Fixed, Job, LANES, Rows, Sums, Weight, each_tile};

pub(super) fn multiply<W: Weight>(simd: V3, job: Job<'_, Fixed<W>>) {
    simd.vectorize(Multiply(simd, job));
}

struct Multiply<'a, W: Weight>(V3, Job<'a, Fixed<W>>);

impl<W: Weight> NullaryFnOnce for Multiply<'_, W> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        // Adding integers takes a cycle only, so three rows at a time are enough to keep all units busy; with six, the
        // compiler runs out of registers.
        each_tile::<_, 1>(self.1, &Rows::<_, 3>(self.0));
    }
}

impl Sums for V3 {
    type Sums = [i32x8; 2];

    #[inline(always)]
    fn add(self, sums: Self::Sums, values: i32, weights: &[i32; LANES]) -> Self::Sums {
        let values = cast(self.splat_i32x8(values));
        let weights: [i32x8; 2] = cast(*weights);
        std::array::from_fn(|half| {
            // Two products and their sum in each of eight lanes.
            let products = self.avx2._mm256_madd_epi16(values, cast(weights[half]));
            self.wrapping_add_i32x8(sums[half], cast(products))
        })
    }
}
