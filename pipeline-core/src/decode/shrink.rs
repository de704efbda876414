//! Shrinks a picture by a whole factor while its rows come in, as Pillow's `reduce` does with a whole picture.

use image::{DynamicImage, GrayImage, RgbImage};

/// Averages squares of `factor` × `factor` pixels; those at the right and lower edge may be smaller.
pub(super) struct Shrinker {
    channels: usize,
    factor: usize,
    width: usize,
    /// Sums of the squares of the row that is being made.
    sums: Vec<u32>,
    rows_in_sums: u32,
    samples: Vec<u8>,
    /// Width and height of the result.
    size: (u32, u32),
}

impl Shrinker {
    /// For a picture of `size` with 1 (grey) or 3 (RGB) channels of 8 bits.
    pub(super) fn new((width, height): (u32, u32), channels: usize, factor: u32) -> Self {
        let size = (width.div_ceil(factor), height.div_ceil(factor));
        let line = size.0 as usize * channels;
        Self {
            channels,
            factor: factor as usize,
            width: width as usize,
            sums: if factor == 1 {
                Vec::new()
            } else {
                vec![0; line]
            },
            rows_in_sums: 0,
            samples: Vec::with_capacity(line * size.1 as usize),
            size,
        }
    }

    /// Takes the next row.
    pub(super) fn push(&mut self, row: &[u8]) {
        if self.factor == 1 {
            self.samples.extend_from_slice(row);
            return;
        }
        match self.channels {
            1 => add::<1>(&mut self.sums, row, self.factor),
            _ => add::<3>(&mut self.sums, row, self.factor),
        }
        self.rows_in_sums += 1;
        if self.rows_in_sums as usize == self.factor {
            self.end_row();
        }
    }

    fn end_row(&mut self) {
        let last = self.sums.len() - self.channels;
        let full = self.rows_in_sums * self.factor as u32;
        let at_edge = self.rows_in_sums * ((self.width - 1) % self.factor + 1) as u32;
        for (at, sum) in self.sums.iter_mut().enumerate() {
            let count = if at < last { full } else { at_edge };
            self.samples.push(((*sum + count / 2) / count) as u8);
            *sum = 0;
        }
        self.rows_in_sums = 0;
    }

    /// The shrunk picture. Rows that never came are black; decoders report a short file before that.
    pub(super) fn finish(mut self) -> DynamicImage {
        if self.rows_in_sums > 0 {
            self.end_row();
        }
        let (width, height) = self.size;
        self.samples
            .resize(width as usize * height as usize * self.channels, 0);
        const FITS: &str = "the buffer was made for this size";
        match self.channels {
            1 => GrayImage::from_raw(width, height, self.samples)
                .expect(FITS)
                .into(),
            _ => RgbImage::from_raw(width, height, self.samples)
                .expect(FITS)
                .into(),
        }
    }
}

fn add<const CHANNELS: usize>(sums: &mut [u32], row: &[u8], factor: usize) {
    for (sum, square) in sums
        .as_chunks_mut::<CHANNELS>()
        .0
        .iter_mut()
        .zip(row.chunks(factor * CHANNELS))
    {
        for pixel in square.as_chunks::<CHANNELS>().0 {
            for (sum, &level) in sum.iter_mut().zip(pixel) {
                *sum += u32::from(level);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shrunk(size: (u32, u32), factor: u32, rows: &[&[u8]]) -> (u32, u32, Vec<u8>) {
        let mut shrinker = Shrinker::new(size, 1, factor);
        rows.iter().for_each(|row| shrinker.push(row));
        let image = shrinker.finish();
        (image.width(), image.height(), image.into_bytes())
    }

    #[test]
    fn squares_are_averaged_and_the_edges_count_what_they_have() {
        let rows: [&[u8]; 3] = [&[0, 10, 100], &[20, 30, 101], &[7, 8, 200]];
        assert_eq!(shrunk((3, 3), 2, &rows), (2, 2, vec![15, 101, 8, 200]));
        assert_eq!(shrunk((3, 3), 1, &rows), (3, 3, rows.concat()));
        assert_eq!(shrunk((3, 3), 3, &rows), (1, 1, vec![53]));
    }

    #[test]
    fn channels_stay_apart() {
        let mut shrinker = Shrinker::new((2, 1), 3, 2);
        shrinker.push(&[10, 20, 30, 20, 40, 60]);
        assert_eq!(shrinker.finish().into_bytes(), [15, 30, 45]);
    }
}
