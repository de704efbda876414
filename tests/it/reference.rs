//! Reference outputs: tensors by name, and how far ours are from them.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use image::RgbImage;
use pipeline_core::candle_core::{Device, Tensor, safetensors};
use serde::de::DeserializeOwned;

/// A folder under `tests/fixtures`.
pub(crate) fn fixtures(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// `reference.json` of a folder.
pub(crate) fn cases<T: DeserializeOwned>(dir: &Path) -> T {
    serde_json::from_reader(File::open(dir.join("reference.json")).unwrap()).unwrap()
}

/// `reference.safetensors` of a folder.
pub(crate) struct Tensors(HashMap<String, Tensor>);

impl Tensors {
    pub(crate) fn open(dir: &Path) -> Self {
        Self(safetensors::load(dir.join("reference.safetensors"), &Device::Cpu).unwrap())
    }

    pub(crate) fn get(&self, name: &str) -> &Tensor {
        self.0
            .get(name)
            .unwrap_or_else(|| panic!("no tensor {name}"))
    }

    pub(crate) fn values(&self, name: &str) -> Vec<f32> {
        values(self.get(name))
    }
}

pub(crate) fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The largest difference of two lists.
pub(crate) fn distance(ours: &[f32], reference: &[f32]) -> f32 {
    assert_eq!(ours.len(), reference.len());
    ours.iter()
        .zip(reference)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

/// A PNG picture, by a decoder that is not under test.
pub(crate) fn png(path: &Path) -> RgbImage {
    image::open(path).unwrap().to_rgb8()
}
