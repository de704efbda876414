//! `pytorch_model.bin`, by candle's reader.

use std::any::Any;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use candle_core::DType;
use candle_core::pickle::PthTensors;

use super::Fault;

pub(super) struct File {
    tensors: PthTensors,
    /// The size of the file in bytes: no tensor in it is larger.
    length: u64,
}

impl File {
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        let length = fs::metadata(path)?.len();
        let tensors = guarded(|| PthTensors::new(path, None))?;
        if tensors.tensor_infos().is_empty() {
            return Err("no weights in it; use the model's file as it was published".into());
        }
        Ok(Self { tensors, length })
    }

    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        let info = self.tensors.tensor_infos().get(name)?;
        Some(info.layout.dims())
    }

    pub(super) fn read(&self, name: &str) -> Result<Vec<f32>, Fault> {
        let info = self.tensors.tensor_infos().get(name).ok_or("missing")?;
        let size = info
            .layout
            .dims()
            .iter()
            .try_fold(info.dtype.size_in_bytes() as u64, |size, &side| {
                size.checked_mul(side as u64)
            });
        if size.is_none_or(|size| size > self.length) {
            return Err("larger than the file; fetch it again".into());
        }
        let tensor = guarded(|| self.tensors.get(name))?.ok_or("missing")?;
        Ok(tensor
            .to_dtype(DType::F32)?
            .flatten_all()?
            .to_vec1::<f32>()?)
    }
}

/// The reader panics on some damaged files.
fn guarded<T>(read: impl FnOnce() -> candle_core::Result<T>) -> Result<T, Fault> {
    const DAMAGED: &str = "not a file of torch.save, or damaged; fetch it again";
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(e)) => Err(format!("{DAMAGED} ({e})").into()),
        Err(panic) => Err(format!("{DAMAGED} ({})", message(&*panic)).into()),
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it panicked")
}
