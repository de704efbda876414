//! The weights by name, as `f32` on the device, whatever file they are in.

mod safetensors;
mod torch;

use std::error::Error as StdError;
use std::path::Path;

use candle_core::{Device, Tensor};

use super::Precision;
use super::ops::{Kept, Linear};

/// What is wrong with a model's files; the caller adds which file.
pub(super) type Fault = Box<dyn StdError + Send + Sync>;

/// An opened file of weights. Each tensor is read when it is asked for, so that no weight is in memory twice.
pub(super) struct Weights {
    source: Source,
    place: Place,
}

/// Where weights go.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) device: Device,
    pub(super) precision: Precision,
}

enum Source {
    SafeTensors(safetensors::File),
    Torch(torch::File),
}

impl Weights {
    pub(super) fn open_safetensors(path: &Path, place: &Place) -> Result<Self, Fault> {
        Ok(Self {
            source: Source::SafeTensors(safetensors::File::open(path)?),
            place: place.clone(),
        })
    }

    #[cfg(feature = "tiny")]
    pub(super) fn embedded(bytes: &'static [u8], place: &Place) -> Result<Self, Fault> {
        Ok(Self {
            source: Source::SafeTensors(safetensors::File::embedded(bytes)?),
            place: place.clone(),
        })
    }

    pub(super) fn open_torch(path: &Path, place: &Place) -> Result<Self, Fault> {
        Ok(Self {
            source: Source::Torch(torch::File::open(path)?),
            place: place.clone(),
        })
    }

    /// All of them.
    pub(super) fn root(&self) -> Scope<'_> {
        Scope {
            weights: self,
            prefix: String::new(),
            coarse: false,
        }
    }

    fn shape(&self, name: &str) -> Option<&[usize]> {
        match &self.source {
            Source::SafeTensors(file) => file.shape(name),
            Source::Torch(file) => file.shape(name),
        }
    }

    fn read(&self, name: &str) -> Result<Vec<f32>, Fault> {
        match &self.source {
            Source::SafeTensors(file) => file.read(name),
            Source::Torch(file) => file.read(name),
        }
    }
}

/// The weights whose names begin in the same way.
#[derive(Clone)]
pub(super) struct Scope<'a> {
    weights: &'a Weights,
    prefix: String,
    coarse: bool,
}

impl Scope<'_> {
    /// Those further down.
    pub(super) fn at(&self, part: &str) -> Self {
        Self {
            prefix: self.name(part),
            ..self.clone()
        }
    }

    /// The same, for what the fast mode keeps in 8 bits instead of 16.
    pub(super) fn coarse(&self) -> Self {
        Self {
            coarse: true,
            ..self.clone()
        }
    }

    pub(super) fn has(&self, part: &str) -> bool {
        self.weights.shape(&self.name(part)).is_some()
    }

    /// The values of this name, which must have this shape.
    pub(super) fn values(&self, part: &str, shape: &[usize]) -> Result<Vec<f32>, Fault> {
        let name = self.name(part);
        let found = self
            .weights
            .shape(&name)
            .ok_or_else(|| format!("`{name}` is missing; use the model's whole file"))?;
        if found != shape {
            return Err(format!(
                "`{name}` has the shape {found:?}, config.json asks for {shape:?}; use the files of one model"
            )
            .into());
        }
        let values = self.weights.read(&name);
        Ok(values.map_err(|e| format!("`{name}`: {e}"))?)
    }

    /// [`Scope::values`] as a tensor on the device.
    pub(super) fn get(&self, part: &str, shape: &[usize]) -> Result<Tensor, Fault> {
        let values = self.values(part, shape)?;
        Ok(Tensor::from_vec(values, shape, &self.weights.place.device)?)
    }

    /// A linear layer on the device.
    pub(super) fn linear(&self, weights: Vec<f32>, bias: Vec<f32>) -> Result<Linear, Fault> {
        let device = &self.weights.place.device;
        Ok(Linear::new(weights, bias, device, self.kept())?)
    }

    /// What the right sides of products are kept in.
    pub(super) fn kept(&self) -> Kept {
        match self.weights.place.precision {
            Precision::Full => Kept::F32,
            Precision::Fast if self.coarse => Kept::I8,
            Precision::Fast => Kept::I16,
        }
    }

    /// [`Scope::get`], then in another shape of the same size.
    pub(super) fn get_as(
        &self,
        part: &str,
        shape: &[usize],
        reshaped: (usize, usize),
    ) -> Result<Tensor, Fault> {
        Ok(self.get(part, shape)?.reshape(reshaped)?)
    }

    fn name(&self, part: &str) -> String {
        if self.prefix.is_empty() {
            part.to_owned()
        } else {
            format!("{}.{part}", self.prefix)
        }
    }
}
