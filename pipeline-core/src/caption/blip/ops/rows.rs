//! Tensors on the CPU as plain rows, and functions on them as operations on tensors.

use candle_core::{CpuStorage, Device, Layout, Result, Storage, Tensor};

/// A matrix: rows of contiguous values, each `stride` after the one before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a> {
    data: &'a [f32],
    stride: usize,
    pub(super) count: usize,
    pub(super) width: usize,
}

impl<'a> Rows<'a> {
    fn new(storage: &'a CpuStorage, layout: &Layout) -> Result<Self> {
        let (count, width) = layout.shape().dims2()?;
        let [stride, step] = *layout.stride() else {
            candle_core::bail!("a matrix has two strides")
        };
        if step != 1 && width > 1 {
            candle_core::bail!("a row is not contiguous: {layout:?}");
        }
        Ok(Self {
            data: &storage.as_slice::<f32>()?[layout.start_offset()..],
            stride,
            count,
            width,
        })
    }

    /// Rows that lie one after the other.
    pub(super) fn contiguous(data: &'a [f32], width: usize) -> Self {
        Self {
            data,
            stride: width,
            count: data.len() / width.max(1),
            width,
        }
    }

    /// Some of the rows.
    pub(super) fn part(self, first: usize, count: usize) -> Self {
        Self {
            data: &self.data[first * self.stride..],
            count,
            ..self
        }
    }

    /// Some columns of all rows.
    pub(super) fn columns(self, first: usize, width: usize) -> Self {
        Self {
            data: &self.data[first..],
            width,
            ..self
        }
    }

    /// All values of a contiguous matrix, one row after the other.
    pub(super) fn values(&self) -> &'a [f32] {
        debug_assert!(self.stride == self.width || self.count < 2);
        &self.data[..self.count * self.width]
    }

    /// The values of each column, one column after the other.
    pub(super) fn transposed(self) -> Vec<f32> {
        let mut columns = vec![0.0; self.count * self.width];
        for (index, row) in self.iter().enumerate() {
            for (value, column) in row.iter().zip(columns.chunks_exact_mut(self.count)) {
                column[index] = *value;
            }
        }
        columns
    }

    #[inline(always)]
    pub(super) fn row(&self, index: usize) -> &'a [f32] {
        &self.data[index * self.stride..][..self.width]
    }

    pub(super) fn iter(self) -> impl ExactSizeIterator<Item = &'a [f32]> {
        (0..self.count).map(move |index| self.row(index))
    }
}

/// Reads matrices on the CPU where they lie.
pub(super) fn read<const N: usize, R>(
    tensors: [&Tensor; N],
    run: impl FnOnce([Rows<'_>; N]) -> R,
) -> Result<R> {
    let guards = tensors.map(|tensor| tensor.storage_and_layout());
    let mut rows = [Rows::contiguous(&[], 0); N];
    for (rows, (storage, layout)) in rows.iter_mut().zip(&guards) {
        let Storage::Cpu(storage) = &**storage else {
            candle_core::bail!("a matrix on {:?} has no rows to read", storage.device());
        };
        *rows = Rows::new(storage, layout)?;
    }
    Ok(run(rows))
}

/// Makes a matrix of `shape` from others.
pub(super) fn map<const N: usize>(
    shape: (usize, usize),
    tensors: [&Tensor; N],
    run: impl FnOnce([Rows<'_>; N]) -> Vec<f32>,
) -> Result<Tensor> {
    Tensor::from_vec(read(tensors, run)?, shape, &Device::Cpu)
}
