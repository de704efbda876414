//! The safetensors format: a length, a JSON header, the values.
//!
//! Read piece by piece and converted on the way. candle's own reader keeps the whole file in memory beside the tensors
//! unless it is mapped, which is `unsafe`.

use std::collections::HashMap;
use std::fs;
#[cfg(any(feature = "tiny", test))]
use std::io::Cursor;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use half::{bf16, f16, slice::HalfFloatSliceExt};
use serde::Deserialize;

use super::Fault;

/// No model of this kind has a longer header.
const MAX_HEADER: u64 = 16 << 20;

/// Bytes converted at a time.
const PIECE: usize = 1 << 20;

pub(super) struct File {
    entries: HashMap<String, Entry>,
    /// Where the values begin.
    start: u64,
    data: Mutex<Data>,
}

enum Data {
    OnDisk(fs::File),
    #[cfg(any(feature = "tiny", test))]
    InMemory(Cursor<&'static [u8]>),
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

impl File {
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        let file = fs::File::open(path)?;
        let length = file.metadata()?.len();
        Self::parse(Data::OnDisk(file), length)
    }

    #[cfg(any(feature = "tiny", test))]
    pub(super) fn embedded(bytes: &'static [u8]) -> Result<Self, Fault> {
        Self::parse(Data::InMemory(Cursor::new(bytes)), bytes.len() as u64)
    }

    fn parse(mut data: Data, length: u64) -> Result<Self, Fault> {
        const DAMAGED: &str = "not a safetensors file, or cut off; fetch it again";
        let mut size = [0; 8];
        data.read(0, &mut size).map_err(|_| DAMAGED)?;
        let size = u64::from_le_bytes(size);
        if size > MAX_HEADER || size > length.saturating_sub(8) {
            return Err(DAMAGED.into());
        }
        let mut header = vec![0; size as usize];
        data.read(8, &mut header)?;
        let header: HashMap<String, serde_json::Value> =
            serde_json::from_slice(&header).map_err(|e| format!("{DAMAGED} ({e})"))?;
        let start = 8 + size;
        let mut entries = HashMap::new();
        for (name, value) in header {
            if name == "__metadata__" {
                continue;
            }
            let entry = Entry::deserialize(value).map_err(|e| format!("`{name}`: {e}"))?;
            entry
                .check(length - start)
                .map_err(|e| format!("`{name}` {e}"))?;
            entries.insert(name, entry);
        }
        Ok(Self {
            entries,
            start,
            data: Mutex::new(data),
        })
    }

    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.entries.get(name).map(|entry| entry.shape.as_slice())
    }

    pub(super) fn read(&self, name: &str) -> Result<Vec<f32>, Fault> {
        let entry = self.entries.get(name).ok_or("missing")?;
        let (mut from, to) = entry.data_offsets;
        let mut values = Vec::with_capacity((to - from) as usize / entry.width()?);
        let mut bytes = vec![0; PIECE.min((to - from) as usize)];
        let mut data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        while from < to {
            let count = PIECE.min((to - from) as usize);
            data.read(self.start + from, &mut bytes[..count])?;
            entry.convert(&bytes[..count], &mut values);
            from += count as u64;
        }
        Ok(values)
    }
}

impl Data {
    fn read(&mut self, from: u64, target: &mut [u8]) -> std::io::Result<()> {
        match self {
            Self::OnDisk(file) => {
                file.seek(SeekFrom::Start(from))?;
                file.read_exact(target)
            }
            #[cfg(any(feature = "tiny", test))]
            Self::InMemory(bytes) => {
                bytes.set_position(from);
                bytes.read_exact(target)
            }
        }
    }
}

impl Entry {
    /// Bytes of a value.
    fn width(&self) -> Result<usize, String> {
        match self.dtype.as_str() {
            "F32" => Ok(4),
            "F16" | "BF16" => Ok(2),
            other => Err(format!(
                "holds {other} values; convert it to F32, F16 or BF16"
            )),
        }
    }

    /// `available` is the number of bytes after the header.
    fn check(&self, available: u64) -> Result<(), String> {
        let (from, to) = self.data_offsets;
        if from > to || to > available {
            return Err("lies outside the file, which is cut off; fetch it again".into());
        }
        // Other types may be there as long as nobody asks for them.
        let Ok(width) = self.width() else {
            return Ok(());
        };
        let size = self
            .shape
            .iter()
            .try_fold(width as u64, |size, &side| size.checked_mul(side as u64));
        if size == Some(to - from) {
            Ok(())
        } else {
            Err(format!(
                "has the shape {:?} but {} bytes; the file is damaged, fetch it again",
                self.shape,
                to - from
            ))
        }
    }

    fn convert(&self, bytes: &[u8], values: &mut Vec<f32>) {
        match self.dtype.as_str() {
            "F16" => {
                let (halves, _) = bytes.as_chunks();
                let halves: Vec<f16> = halves.iter().map(|&b| f16::from_le_bytes(b)).collect();
                let start = values.len();
                values.resize(start + halves.len(), 0.0);
                halves.convert_to_f32_slice(&mut values[start..]);
            }
            "BF16" => {
                let (halves, _) = bytes.as_chunks();
                values.extend(halves.iter().map(|&b| bf16::from_le_bytes(b).to_f32()));
            }
            _ => {
                let (words, _) = bytes.as_chunks();
                values.extend(words.iter().map(|&b| f32::from_le_bytes(b)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Result<File, Fault> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(data);
        File::embedded(bytes.leak())
    }

    #[test]
    fn every_precision_becomes_f32() {
        let header = r#"{"__metadata__":{"format":"pt"},
            "a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
            "b":{"dtype":"F16","shape":[2],"data_offsets":[4,8]},
            "c":{"dtype":"BF16","shape":[1,1],"data_offsets":[8,10]},
            "d":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#;
        let mut data = 1.5_f32.to_le_bytes().to_vec();
        data.extend(f16::from_f32(-2.0).to_le_bytes());
        data.extend(f16::from_f32(0.25).to_le_bytes());
        data.extend(bf16::from_f32(3.0).to_le_bytes());
        let file = file(header, &data).unwrap();
        assert_eq!(file.read("a").unwrap(), [1.5]);
        assert_eq!(file.read("b").unwrap(), [-2.0, 0.25]);
        assert_eq!(file.read("c").unwrap(), [3.0]);
        assert_eq!(file.shape("c"), Some(&[1, 1][..]));
        assert_eq!(file.shape("e"), None);
        assert!(file.read("d").unwrap_err().to_string().contains("I64"));
    }

    #[test]
    fn a_damaged_file_is_refused_before_anything_is_allocated() {
        let entry = |shape: &str, to: u64| {
            format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{to}]}}}}"#)
        };
        for (header, part) in [
            (entry("[1]", 400), "outside the file"),
            (entry("[99999999,99999999,99999999]", 4), "damaged"),
            (entry("[2]", 4), "damaged"),
            (entry("[-1]", 4), "`a`"),
            ("{".to_owned(), "not a safetensors file"),
        ] {
            let error = file(&header, &[0; 4]).err().unwrap().to_string();
            assert!(error.contains(part), "{header}: {error}");
        }
        for bytes in [
            &b""[..],
            &[1, 0],
            &[255; 8],
            &[9, 0, 0, 0, 0, 0, 0, 0, b'{'],
        ] {
            assert!(File::embedded(bytes.to_vec().leak()).is_err(), "{bytes:?}");
        }
    }
}
