//! The arithmetic of the model: one function for each operation, on matrices in rows.
//!
//! On the CPU they are kernels of our own; elsewhere they are made of candle's tensor operations. The tests hold the
//! two against each other. No result depends on the number of threads: work is divided among them only between values,
//! never within a sum.

mod activation;
mod attention;
mod conv;
mod linear;
mod norm;
mod product;
mod recall;
mod rows;
mod share;
mod softmax;

pub(super) use activation::Activation;
pub(super) use attention::{Memory, self_attention};
pub(super) use conv::{Window, depthwise, patches};
pub(super) use linear::{Linear, feed_forward};
pub(super) use norm::{add_layer_norm, layer_norm};
pub(super) use product::Kept;
pub(super) use recall::recall;
pub(super) use share::picture;
pub(super) use softmax::softmax;

#[cfg(test)]
mod testing {
    use candle_core::{Device, Tensor};

    /// Values between -1 and 1 that look random and are the same in each run.
    pub(super) fn noise(shape: &[usize], seed: u32) -> Tensor {
        let count = shape.iter().product();
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let values: Vec<f32> = (0..count)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    #[track_caller]
    pub(super) fn assert_close(left: &Tensor, right: &Tensor, tolerance: f32) {
        assert_eq!(left.shape(), right.shape());
        let left = left.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let right = right.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (position, (a, b)) in left.iter().zip(&right).enumerate() {
            assert!((a - b).abs() <= tolerance, "{a} and {b} at {position}");
        }
    }
}
