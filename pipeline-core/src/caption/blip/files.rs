//! A model folder.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::Digest;

use super::weights::{Fault, Place, Weights};

pub(super) type Bytes = Cow<'static, [u8]>;

pub(super) const CONFIG: &str = "config.json";
pub(super) const TOKENIZER: &str = "tokenizer.json";
pub(super) const PREPROCESSOR: &str = "preprocessor_config.json";
const SAFETENSORS: &str = "model.safetensors";
const TORCH: &str = "pytorch_model.bin";

/// The small files, read whole.
pub(super) struct Files {
    pub(super) config: Bytes,
    pub(super) tokenizer: Bytes,
    pub(super) preprocessor: Bytes,
}

/// Which step of opening failed, and why.
pub(super) type Failure = (String, Fault);

impl Files {
    pub(super) fn read(dir: &Path) -> Result<Self, Failure> {
        Ok(Self {
            config: read(dir, CONFIG)?,
            tokenizer: read(dir, TOKENIZER)?,
            preprocessor: read(dir, PREPROCESSOR)?,
        })
    }
}

/// Opens the weights; returns the name of their file too.
pub(super) fn open_weights(dir: &Path, place: &Place) -> Result<(Weights, &'static str), Failure> {
    for name in [SAFETENSORS, TORCH] {
        let path = dir.join(name);
        if path.is_file() {
            let open = if name == TORCH {
                Weights::open_torch
            } else {
                Weights::open_safetensors
            };
            let weights = open(&path, place).map_err(|e| (opening(name), e))?;
            return Ok((weights, name));
        }
    }
    let missing = format!("the folder has neither this file nor {TORCH}");
    Err((opening(SAFETENSORS), missing.into()))
}

/// SHA-256 of a file, as 64 hexadecimal digits.
pub(super) fn sha256(path: &Path) -> Result<String, Failure> {
    let hash = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let mut hasher = Sha256::new();
        let mut block = vec![0; 1 << 20];
        loop {
            match file.read(&mut block)? {
                0 => break,
                length => hasher.update(&block[..length]),
            }
        }
        let digest: [u8; 32] = hasher.finalize().into();
        Ok(Digest::from(digest).to_string())
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    hash().map_err(|e| (opening(&name), e.into()))
}

fn read(dir: &Path, name: &str) -> Result<Bytes, Failure> {
    match fs::read(dir.join(name)) {
        Ok(bytes) => Ok(bytes.into()),
        Err(e) => {
            let fault = if e.kind() == std::io::ErrorKind::NotFound {
                format!(
                    "no such file; a model folder has {CONFIG}, {TOKENIZER}, {PREPROCESSOR} and {SAFETENSORS} or {TORCH}"
                )
                .into()
            } else {
                e.into()
            };
            Err((opening(name), fault))
        }
    }
}

/// The step as [`Error::Model`](crate::Error::Model) names it.
pub(super) fn opening(name: &str) -> String {
    format!("reading {name}")
}
