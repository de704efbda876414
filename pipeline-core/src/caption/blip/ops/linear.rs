//! Matrix products.

use candle_core::{Result, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::kernel::{Rows, map3, update};
use super::lanes::{dispatch, dots};

/// Up to here the weights are read as they lie, once for all rows. More rows are worth a general matrix product, which
/// first rearranges the weights.
const FEW_ROWS: usize = 8;

/// Multiplications that make it worth while to wake a second thread.
const WORTH_A_THREAD: usize = 1 << 19;

/// Outputs that one thread makes at a time.
const BLOCK: usize = 64;

/// `x · weightᵀ + bias`: rows × in, out × in, 1 × out → rows × out.
pub(in super::super) fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (rows, _) = x.dims2()?;
    let (out, _) = weight.dims2()?;
    if !x.device().is_cpu() {
        return x.contiguous()?.matmul(&weight.t()?)?.broadcast_add(bias);
    }
    if rows <= FEW_ROWS {
        return map3("linear", (rows, out), [x, weight, bias], few_rows);
    }
    let y = x.matmul(&weight.t()?)?;
    update("bias", &y, bias, |y, bias| {
        for row in y.chunks_exact_mut(out) {
            for (y, b) in row.iter_mut().zip(bias.row(0)) {
                *y += b;
            }
        }
    })?;
    Ok(y)
}

fn few_rows(x: Rows<'_>, weight: Rows<'_>, bias: Rows<'_>) -> Vec<f32> {
    let (rows, out) = (x.count, weight.count);
    if rows == 0 {
        return Vec::new();
    }
    // One output of all rows lies together, so that threads can share the weights' rows between them.
    let mut columns = vec![0.0; rows * out];
    let block = |(index, target): (usize, &mut [f32])| {
        dispatch(Block {
            x,
            weight,
            bias: bias.row(0),
            first: index * BLOCK,
            target,
        });
    };
    if x.width * rows * out >= WORTH_A_THREAD {
        columns
            .par_chunks_mut(BLOCK * rows)
            .enumerate()
            .for_each(block);
    } else {
        columns.chunks_mut(BLOCK * rows).enumerate().for_each(block);
    }
    if rows == 1 {
        return columns;
    }
    let mut y = vec![0.0; rows * out];
    for (row, y) in y.chunks_exact_mut(out).enumerate() {
        for (y, column) in y.iter_mut().zip(columns.chunks_exact(rows)) {
            *y = column[row];
        }
    }
    y
}

struct Block<'a> {
    x: Rows<'a>,
    weight: Rows<'a>,
    bias: &'a [f32],
    /// The first output of the block.
    first: usize,
    target: &'a mut [f32],
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.x.count {
            1 => self.run::<S, 1>(simd),
            2 => self.run::<S, 2>(simd),
            3 => self.run::<S, 3>(simd),
            _ => self.run::<S, 4>(simd),
        }
    }
}

impl Block<'_> {
    /// `N` rows at a time, then what is left one by one.
    #[inline(always)]
    fn run<S: Simd, const N: usize>(self, simd: S) {
        let rows = self.x.count;
        for (offset, target) in self.target.chunks_exact_mut(rows).enumerate() {
            let output = self.first + offset;
            let (weight, bias) = (self.weight.row(output), self.bias[output]);
            let (groups, rest) = target.as_chunks_mut::<N>();
            let whole = groups.len() * N;
            for (group, target) in groups.iter_mut().enumerate() {
                let x = std::array::from_fn(|row| self.x.row(group * N + row));
                *target = dots(simd, weight, x).map(|sum| sum + bias);
            }
            for (row, target) in rest.iter_mut().enumerate() {
                let [sum] = dots(simd, weight, [self.x.row(whole + row)]);
                *target = sum + bias;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, noise};
    use super::*;

    #[test]
    fn few_rows_and_many_agree_with_candle() {
        for (rows, width, out) in [
            (1, 20, 70),
            (3, 768, 800),
            (5, 17, 3),
            (8, 64, 64),
            (20, 64, 9),
        ] {
            let (x, w) = (noise(&[rows, width], 1), noise(&[out, width], 2));
            let bias = noise(&[1, out], 3);
            let expected = x.matmul(&w.t().unwrap()).unwrap().broadcast_add(&bias);
            assert_close(&linear(&x, &w, &bias).unwrap(), &expected.unwrap(), 1e-4);
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours() {
        let (x, w) = (noise(&[7, 100], 1), noise(&[130, 100], 2));
        let bias = noise(&[1, 130], 3);
        let together = linear(&x, &w, &bias).unwrap().to_vec2::<f32>().unwrap();
        for (row, expected) in together.iter().enumerate() {
            let alone = linear(&x.narrow(0, row, 1).unwrap(), &w, &bias).unwrap();
            assert_eq!(&alone.to_vec2::<f32>().unwrap()[0], expected);
        }
    }
}
