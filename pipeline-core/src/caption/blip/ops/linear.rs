//! Linear layers, alone and in pairs.

use candle_core::{Device, Result, Tensor};

use super::activation::Activation;
use super::product::{Kept, LANES, Layout, TILE};
use super::rows::{Rows, map};
use super::share::{each, threads, with_room};

/// Up to here threads share the outputs, so that each weight is read once; with more rows they share the rows.
const FEW_ROWS: usize = 4 * TILE;

/// Tiles that a thread takes at a time: few enough that what comes between two layers stays in its cache.
const TILES: usize = 12;

/// `x · weightᵀ + bias`: rows × in → rows × out.
pub(in super::super) struct Linear {
    weights: Weights,
    out: usize,
}

enum Weights {
    LaidOut(Box<dyn Layout>),
    /// Out × in and 1 × out, for candle's own product.
    Tensors(Tensor, Tensor),
}

impl Linear {
    /// `weights` holds the weights of each output, one output after the other; `bias` one summand for each output.
    pub(in super::super) fn new(
        weights: Vec<f32>,
        bias: Vec<f32>,
        device: &Device,
        kept: Kept,
    ) -> Result<Self> {
        let out = bias.len();
        let width = weights.len() / out.max(1);
        let rows = Rows::contiguous(&weights, width);
        let weights = if device.is_cpu() {
            Weights::LaidOut(kept.lay_out(rows, &bias))
        } else {
            Weights::Tensors(
                Tensor::from_vec(weights, (out, width), device)?,
                Tensor::from_vec(bias, (1, out), device)?,
            )
        };
        Ok(Self { weights, out })
    }

    /// The layer, then the activation.
    pub(in super::super) fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        match &self.weights {
            Weights::Tensors(weight, bias) => {
                let y = x.contiguous()?.matmul(&weight.t()?)?;
                activation.by_tensor_ops(y.broadcast_add(bias)?)
            }
            Weights::LaidOut(panels) => {
                let shape = (x.dims2()?.0, self.out);
                map(shape, [x], |[x]| apply(&**panels, x, activation))
            }
        }
    }

    /// `residual + self(x)`.
    pub(in super::super) fn forward_add(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        match &self.weights {
            Weights::Tensors(..) => residual + self.forward(x, Activation::None)?,
            Weights::LaidOut(panels) => map(residual.dims2()?, [x, residual], |[x, residual]| {
                let mut y = apply(&**panels, x, Activation::None);
                add_rows(&mut y, residual);
                y
            }),
        }
    }

    /// The weights of some outputs as rows: for an embedding that shares them with the layer.
    pub(in super::super) fn select(&self, outputs: &[u32]) -> Result<Tensor> {
        match &self.weights {
            Weights::Tensors(weight, _) => {
                weight.index_select(&Tensor::new(outputs, weight.device())?, 0)
            }
            Weights::LaidOut(panels) => {
                let mut rows = Vec::with_capacity(outputs.len() * panels.width());
                for &output in outputs {
                    panels.output(output as usize, &mut rows);
                }
                Tensor::from_vec(rows, (outputs.len(), panels.width()), &Device::Cpu)
            }
        }
    }
}

/// Two layers with a GELU between them, and what went in added in the end.
pub(in super::super) fn feed_forward(
    x: &Tensor,
    first: &Linear,
    second: &Linear,
    residual: &Tensor,
) -> Result<Tensor> {
    let (Weights::LaidOut(one), Weights::LaidOut(two)) = (&first.weights, &second.weights) else {
        return second.forward_add(&first.forward(x, Activation::Gelu)?, residual);
    };
    if x.dims2()?.0 <= FEW_ROWS {
        return second.forward_add(&first.forward(x, Activation::Gelu)?, residual);
    }
    map(
        (x.dims2()?.0, second.out),
        [x, residual],
        |[x, residual]| {
            let work = first.out * (one.width() + second.out);
            by_rows(x, second.out, work, |first_row, x, y| {
                with_room(x.count * first.out, |inner| {
                    one.multiply(x, 0..one.panels(), inner);
                    Activation::Gelu.apply(inner);
                    two.multiply(Rows::contiguous(inner, first.out), 0..two.panels(), y);
                });
                add_rows(y, residual.part(first_row, x.count));
            })
        },
    )
}

/// A layer and its activation, shared between threads.
fn apply(panels: &dyn Layout, x: Rows<'_>, activation: Activation) -> Vec<f32> {
    if x.count <= FEW_ROWS {
        return by_outputs(panels, x, activation);
    }
    by_rows(x, panels.out(), panels.width() * panels.out(), |_, x, y| {
        panels.multiply(x, 0..panels.panels(), y);
        activation.apply(y);
    })
}

/// Shares rows between threads. `work` is the number of multiplications for a row.
fn by_rows(
    x: Rows<'_>,
    out: usize,
    work: usize,
    run: impl Fn(usize, Rows<'_>, &mut [f32]) + Sync + Send,
) -> Vec<f32> {
    let mut y = vec![0.0; x.count * out];
    // Whole tiles in each piece; the last one has the rows that fill none, too.
    let tiles = (x.count / TILE).max(1);
    let count = tiles.div_ceil(TILES).next_multiple_of(threads()).min(tiles);
    let (mut rest, mut first) = (&mut y[..], 0);
    let mut pieces = Vec::with_capacity(count);
    for piece in 1..count {
        let end = tiles * piece / count * TILE;
        let (y, others) = std::mem::take(&mut rest).split_at_mut((end - first) * out);
        pieces.push((first, y));
        (rest, first) = (others, end);
    }
    pieces.push((first, rest));
    each(pieces, x.count * work, |(first, y)| {
        run(first, x.part(first, y.len() / out), y);
    });
    y
}

/// Shares outputs between threads.
fn by_outputs(panels: &dyn Layout, x: Rows<'_>, activation: Activation) -> Vec<f32> {
    let (rows, out) = (x.count, panels.out());
    if rows == 0 {
        return Vec::new();
    }
    let count = panels.panels();
    // A few for each thread, so that one that is held up does not hold up all.
    let at_once = count.div_ceil(4 * threads());
    let mut pieces = vec![0.0; rows * out];
    let split: Vec<_> = pieces
        .chunks_mut(rows * at_once * LANES)
        .enumerate()
        .collect();
    each(split, rows * panels.width() * out, |(piece, y)| {
        let first = piece * at_once;
        panels.multiply(x, first..(first + at_once).min(count), y);
        activation.apply(y);
    });
    if rows == 1 {
        return pieces;
    }
    let mut y = vec![0.0; rows * out];
    for (piece, values) in pieces.chunks(rows * at_once * LANES).enumerate() {
        let width = values.len() / rows;
        for (row, values) in values.chunks_exact(width).enumerate() {
            y[row * out + piece * at_once * LANES..][..width].copy_from_slice(values);
        }
    }
    y
}

fn add_rows(y: &mut [f32], residual: Rows<'_>) {
    for (y, residual) in y.chunks_exact_mut(residual.width).zip(residual.iter()) {
        for (y, r) in y.iter_mut().zip(residual) {
            *y += r;
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::super::testing::{assert_close, noise};
    use super::*;

    fn layer(out: usize, width: usize, kept: Kept) -> (Linear, Tensor, Tensor) {
        let (weight, bias) = (noise(&[out, width], 2), noise(&[1, out], 3));
        let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1().unwrap();
        let linear = Linear::new(values(&weight), values(&bias), &Device::Cpu, kept);
        (linear.unwrap(), weight, bias)
    }

    #[test]
    fn any_number_of_rows_agrees_with_candle() {
        for (rows, width, out) in [
            (1, 20, 70),
            (3, 768, 800),
            (5, 17, 3),
            (8, 64, 64),
            (20, 64, 9),
            (49, 33, 100),
            (130, 400, 40),
        ] {
            let x = noise(&[rows, width], 1);
            for (kept, tolerance) in [(Kept::F32, 1e-4), (Kept::I16, 4e-2), (Kept::I8, 0.5)] {
                let (linear, w, b) = layer(out, width, kept);
                let expected = x
                    .matmul(&w.t().unwrap())
                    .unwrap()
                    .broadcast_add(&b)
                    .unwrap();
                let y = linear.forward(&x, Activation::None).unwrap();
                assert_close(&y, &expected, tolerance);
                let residual = noise(&[rows, out], 9);
                let y = linear.forward_add(&x, &residual).unwrap();
                assert_close(&y, &(expected + residual).unwrap(), tolerance);
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_its_neighbours() {
        for kept in [Kept::F32, Kept::I16, Kept::I8] {
            let (linear, ..) = layer(130, 1000, kept);
            let x = noise(&[103, 1000], 1);
            let run = |x: &Tensor| {
                linear
                    .forward(x, Activation::None)
                    .unwrap()
                    .to_vec2::<f32>()
                    .unwrap()
            };
            let together = run(&x);
            for (row, expected) in together.iter().enumerate() {
                assert_eq!(&run(&x.narrow(0, row, 1).unwrap())[0], expected);
            }
            assert_eq!(run(&x.narrow(0, 7, 11).unwrap()), together[7..18]);
        }
    }

    #[test]
    fn a_pair_of_layers_is_one_after_the_other() {
        for rows in [2, 100] {
            let (first, ..) = layer(50, 24, Kept::F32);
            let (second, ..) = layer(24, 50, Kept::F32);
            let x = noise(&[rows, 24], 5);
            let inner = first.forward(&x, Activation::Gelu).unwrap();
            let expected = second.forward_add(&inner, &x).unwrap();
            assert_close(
                &feed_forward(&x, &first, &second, &x).unwrap(),
                &expected,
                0.0,
            );
        }
    }

    #[test]
    fn weights_come_back_out_of_their_layout() {
        for (kept, tolerance) in [(Kept::F32, 0.0), (Kept::I16, 1e-4), (Kept::I8, 4e-3)] {
            let (linear, weight, _) = layer(37, 50, kept);
            let expected = weight
                .index_select(&Tensor::new(&[36u32, 0, 17], &Device::Cpu).unwrap(), 0)
                .unwrap();
            assert_close(&linear.select(&[36, 0, 17]).unwrap(), &expected, tolerance);
        }
    }

    #[test]
    fn no_sum_of_integers_overflows() {
        // The worst that can come: all values at their largest and of one sign.
        let width = 4096;
        for kept in [Kept::I16, Kept::I8] {
            let weights = vec![1.0; 16 * width];
            let linear = Linear::new(weights, vec![0.0; 16], &Device::Cpu, kept).unwrap();
            let x = Tensor::ones((2, width), DType::F32, &Device::Cpu).unwrap();
            let y = linear.forward(&x, Activation::None).unwrap();
            let ones = Tensor::ones((2, 16), DType::F32, &Device::Cpu).unwrap();
            assert_close(&y, &(ones * width as f64).unwrap(), 4.0);
        }
    }
}
