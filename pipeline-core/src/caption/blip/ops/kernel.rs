//! Functions on slices as candle operations.

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, InplaceOp2, Layout, Result, Shape, Tensor,
};

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

    #[inline(always)]
    pub(super) fn row(&self, index: usize) -> &'a [f32] {
        &self.data[index * self.stride..][..self.width]
    }

    pub(super) fn iter(self) -> impl Iterator<Item = &'a [f32]> {
        (0..self.count).map(move |index| self.row(index))
    }
}

struct Kernel<F> {
    name: &'static str,
    shape: (usize, usize),
    run: F,
}

impl<F> Kernel<F> {
    fn finish(&self, values: Vec<f32>) -> (CpuStorage, Shape) {
        debug_assert_eq!(values.len(), self.shape.0 * self.shape.1);
        (CpuStorage::F32(values), self.shape.into())
    }
}

impl<F: Fn(Rows<'_>) -> Vec<f32>> CustomOp1 for Kernel<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, a: &CpuStorage, la: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok(self.finish((self.run)(Rows::new(a, la)?)))
    }
}

impl<F: Fn(Rows<'_>, Rows<'_>) -> Vec<f32>> CustomOp2 for Kernel<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        la: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Ok(self.finish((self.run)(Rows::new(a, la)?, Rows::new(b, lb)?)))
    }
}

impl<F: Fn(Rows<'_>, Rows<'_>, Rows<'_>) -> Vec<f32>> CustomOp3 for Kernel<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        la: &Layout,
        b: &CpuStorage,
        lb: &Layout,
        c: &CpuStorage,
        lc: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (a, b, c) = (Rows::new(a, la)?, Rows::new(b, lb)?, Rows::new(c, lc)?);
        Ok(self.finish((self.run)(a, b, c)))
    }
}

/// Makes a matrix of `shape` from one.
pub(super) fn map1(
    name: &'static str,
    shape: (usize, usize),
    a: &Tensor,
    run: impl Fn(Rows<'_>) -> Vec<f32>,
) -> Result<Tensor> {
    a.apply_op1_no_bwd(&Kernel { name, shape, run })
}

/// Makes a matrix of `shape` from two.
pub(super) fn map2(
    name: &'static str,
    shape: (usize, usize),
    a: &Tensor,
    b: &Tensor,
    run: impl Fn(Rows<'_>, Rows<'_>) -> Vec<f32>,
) -> Result<Tensor> {
    a.apply_op2_no_bwd(b, &Kernel { name, shape, run })
}

/// Makes a matrix of `shape` from three.
pub(super) fn map3(
    name: &'static str,
    shape: (usize, usize),
    [a, b, c]: [&Tensor; 3],
    run: impl Fn(Rows<'_>, Rows<'_>, Rows<'_>) -> Vec<f32>,
) -> Result<Tensor> {
    a.apply_op3_no_bwd(b, c, &Kernel { name, shape, run })
}

struct Update<F>(&'static str, F);

impl<F: Fn(&mut [f32], Rows<'_>)> InplaceOp2 for Update<F> {
    fn name(&self) -> &'static str {
        self.0
    }

    fn cpu_fwd(
        &self,
        target: &mut CpuStorage,
        layout: &Layout,
        other: &CpuStorage,
        lo: &Layout,
    ) -> Result<()> {
        let Some((from, to)) = layout.contiguous_offsets() else {
            candle_core::bail!("{} needs a contiguous target", self.0)
        };
        let CpuStorage::F32(values) = target else {
            candle_core::bail!("{} needs f32", self.0)
        };
        (self.1)(&mut values[from..to], Rows::new(other, lo)?);
        Ok(())
    }
}

/// Changes `target` in place. Nobody else may hold its storage.
pub(super) fn update(
    name: &'static str,
    target: &Tensor,
    other: &Tensor,
    run: impl Fn(&mut [f32], Rows<'_>),
) -> Result<()> {
    target.inplace_op2(other, &Update(name, run))
}
