//! Damage at random: bytes changed, swapped, cut out and doubled.

use pipeline_core::{Cx, Error, Limits, Pipeline, Source};

use crate::{assert_little_memory, fixtures, pipeline};

/// A fixed sequence (xorshift), so that a failure can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        match self.below(8) {
            0 => {
                // A piece is missing.
                let end = bytes.len().min(at + 1 + self.below(8));
                bytes.drain(at..end);
            }
            1 => {
                // A piece is there twice.
                let piece = bytes[at..bytes.len().min(at + 1 + self.below(64))].to_vec();
                bytes.splice(at..at, piece);
            }
            2 => bytes[at] = [0x00, 0x7f, 0x80, 0xff][self.below(4)],
            3 => bytes[at] ^= 1 << self.below(8),
            _ => bytes[at] = self.below(256) as u8,
        }
        if bytes.is_empty() {
            bytes.push(0);
        }
    }
}

#[test]
fn ten_thousand_damaged_files_neither_panic_nor_hang() {
    let fixtures = fixtures();
    // Pixels are few here; what a damaged header claims may be many.
    let pipeline = pipeline(Limits {
        max_pixels: 1_000_000,
        ..Limits::default()
    });
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut refused = 0;
    for round in 0..10_000 {
        let (name, whole) = &fixtures[round % fixtures.len()];
        let mut bytes = whole.clone();
        // Headers decide most, and are a small part of a file.
        let head = if round % 2 == 0 {
            bytes.len()
        } else {
            bytes.len().min(200)
        };
        let mut tail = bytes.split_off(head);
        for _ in 0..=random.below(4) {
            random.damage(&mut bytes);
        }
        bytes.append(&mut tail);
        let error = pipeline.process(&Source::from(bytes), &Cx::none()).err();
        assert!(
            !matches!(error, Some(Error::Panicked { .. })),
            "{name}, round {round}: {error:?}"
        );
        refused += usize::from(error.is_some());
    }
    // Damage that is always noticed, or never, would test nothing.
    assert!((1_000..9_000).contains(&refused), "{refused} refused");
    assert_little_memory("flips");
}
