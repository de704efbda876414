//! Writes weights as `torch.save` does: a zip file, not compressed, of a pickle and one file for each tensor.

use std::fs;
use std::path::Path;

use pipeline_core::candle_core::Tensor;

use crate::reference::values;

pub(crate) fn write(path: &Path, weights: &[(String, Tensor)]) {
    let mut files = vec![("archive/data.pkl".to_owned(), pickle(weights))];
    for (number, (_, tensor)) in weights.iter().enumerate() {
        let bytes = values(tensor)
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        files.push((format!("archive/data/{number}"), bytes));
    }
    fs::write(path, zip(&files)).unwrap();
}

fn pickle(weights: &[(String, Tensor)]) -> Vec<u8> {
    // Protocol 2, an empty dictionary, the start of its items.
    let mut out = b"\x80\x02}(".to_vec();
    for (number, (name, tensor)) in weights.iter().enumerate() {
        text(&mut out, name);
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut out, "storage");
        out.extend(b"ctorch\nFloatStorage\n");
        text(&mut out, &number.to_string());
        text(&mut out, "cpu");
        integer(&mut out, tensor.elem_count());
        // The storage is a tuple and a reference; its offset is 0.
        out.extend(b"tQK\x00");
        tuple(&mut out, tensor.dims());
        tuple(&mut out, tensor.stride());
        // No gradient, no hooks; call the function with the tuple of all that.
        out.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    out.extend(b"u.");
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn integer(out: &mut Vec<u8>, value: usize) {
    out.push(b'J');
    out.extend((value as u32).to_le_bytes());
}

fn tuple(out: &mut Vec<u8>, values: &[usize]) {
    out.push(b'(');
    values.iter().for_each(|&value| integer(out, value));
    out.push(b't');
}

fn zip(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for (name, bytes) in files {
        let offset = out.len() as u32;
        // Version, flags, method, time, date, checksum, both sizes, the length of the name, no extra field.
        let mut header = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        header.extend(checksum(bytes).to_le_bytes());
        header.extend((bytes.len() as u32).to_le_bytes());
        header.extend((bytes.len() as u32).to_le_bytes());
        header.extend((name.len() as u16).to_le_bytes());
        header.extend([0, 0]);
        out.extend(b"PK\x03\x04");
        out.extend(&header);
        out.extend(name.as_bytes());
        out.extend(bytes);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&header);
        // No comment, first disk, no attributes.
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = out.len() as u32;
    let count = (files.len() as u16).to_le_bytes();
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count);
    out.extend(count);
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    out
}

/// CRC-32.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}
