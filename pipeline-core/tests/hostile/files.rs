//! Writes small files that say large things.

use std::io::{Read, repeat};

use flate2::Compression;
use flate2::read::ZlibEncoder;

/// A chunk of a PNG file, with its checksum.
pub(crate) fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut sum = flate2::Crc::new();
    sum.update(kind);
    sum.update(data);
    let length = u32::try_from(data.len()).unwrap().to_be_bytes();
    [&length[..], kind, data, &sum.sum().to_be_bytes()].concat()
}

/// A PNG header.
pub(crate) struct Png {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) depth: u8,
    /// 0 grey, 2 RGB, 6 RGBA.
    pub(crate) color: u8,
    pub(crate) interlaced: bool,
}

impl Png {
    /// 8 × 8 in grey.
    pub(crate) const SMALL: Self = Self {
        width: 8,
        height: 8,
        depth: 8,
        color: 0,
        interlaced: false,
    };

    /// A file with `chunks` between header and pixels, whose pixels are `bytes` zeros.
    pub(crate) fn file(&self, chunks: &[u8], bytes: u64) -> Vec<u8> {
        let mut header = [self.width.to_be_bytes(), self.height.to_be_bytes()].concat();
        header.extend([self.depth, self.color, 0, 0, self.interlaced.into()]);
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        file.extend(chunk(b"IHDR", &header));
        file.extend(chunks);
        file.extend(chunk(b"IDAT", &packed_zeros(bytes)));
        file.extend(chunk(b"IEND", b""));
        file
    }

    /// With all the pixels that the header announces.
    pub(crate) fn whole(&self, chunks: &[u8]) -> Vec<u8> {
        let samples = [1, 0, 3, 1, 2, 0, 4][usize::from(self.color)];
        let bits = u64::from(self.width) * samples * u64::from(self.depth);
        self.file(chunks, (bits.div_ceil(8) + 1) * u64::from(self.height))
    }
}

/// A zlib stream of `count` zeros.
pub(crate) fn packed_zeros(count: u64) -> Vec<u8> {
    let mut packed = Vec::new();
    ZlibEncoder::new(repeat(0).take(count), Compression::best())
        .read_to_end(&mut packed)
        .unwrap();
    packed
}

/// A segment of a JPEG file.
pub(crate) fn segment(marker: u8, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len() + 2).unwrap().to_be_bytes();
    [&[0xff, marker][..], &length, data].concat()
}

/// A JPEG whose every code is one bit: a difference of zero, and the end of a block.
pub(crate) struct Jpeg {
    pub(crate) width: u16,
    pub(crate) height: u16,
    /// 1 grey, 3 colour.
    pub(crate) components: u8,
}

impl Jpeg {
    /// 8 × 8 in grey.
    pub(crate) const SMALL: Self = Self {
        width: 8,
        height: 8,
        components: 1,
    };

    fn blocks(&self) -> u64 {
        u64::from(self.width).div_ceil(8)
            * u64::from(self.height).div_ceil(8)
            * u64::from(self.components)
    }

    fn start(&self, frame: u8, ac_symbol: u8, segments: &[u8]) -> Vec<u8> {
        let mut head = vec![8];
        head.extend([self.height.to_be_bytes(), self.width.to_be_bytes()].concat());
        head.push(self.components);
        head.extend((1..=self.components).flat_map(|id| [id, 0x11, 0]));
        let table = |class: u8, symbol: u8| {
            let mut one_code = vec![class << 4, 1];
            one_code.extend([0; 15]);
            one_code.push(symbol);
            segment(0xc4, &one_code)
        };
        [
            b"\xff\xd8".to_vec(),
            segments.to_vec(),
            segment(0xdb, &[&[0][..], &[1; 64]].concat()),
            segment(frame, &head),
            table(0, 0),
            table(1, ac_symbol),
        ]
        .concat()
    }

    /// Two bits a block.
    pub(crate) fn baseline(&self, segments: &[u8]) -> Vec<u8> {
        let mut file = self.start(0xc0, 0, segments);
        file.extend(self.scan(1..=self.components, 0, 63));
        file.extend(vec![0; (self.blocks() * 2).div_ceil(8) as usize]);
        file.extend(b"\xff\xd9");
        file
    }

    /// A scan with the lowest frequency, then `count` with the rest of the first component, where 15 bits stand for
    /// 16,384 blocks.
    pub(crate) fn progressive(&self, count: usize) -> Vec<u8> {
        let mut file = self.start(0xc2, 0xe0, b"");
        file.extend(self.scan(1..=self.components, 0, 0));
        file.extend(vec![0; self.blocks().div_ceil(8) as usize]);
        let of_one = self.blocks() / u64::from(self.components);
        let mut further = self.scan(1..=1, 1, 63);
        further.extend(vec![0; (of_one.div_ceil(16_384) * 15).div_ceil(8) as usize]);
        for _ in 0..count {
            file.extend(&further);
        }
        file.extend(b"\xff\xd9");
        file
    }

    fn scan(&self, ids: std::ops::RangeInclusive<u8>, first: u8, last: u8) -> Vec<u8> {
        let mut head = vec![ids.end() - ids.start() + 1];
        head.extend(ids.flat_map(|id| [id, 0]));
        head.extend([first, last, 0]);
        segment(0xda, &head)
    }
}

/// An EXIF block of `length` bytes in which a thousand directories overlap: read one after the other, they have
/// millions of fields.
pub(crate) fn overlapping_directories(length: usize) -> Vec<u8> {
    let mut block = b"II*\0\x08\0\0\0".to_vec();
    block.extend(1_000_u16.to_le_bytes());
    for number in 0..1_000_u32 {
        // The pointer to the camera's directory, a thousand times, each to another place.
        block.extend([0x69, 0x87, 4, 0, 1, 0, 0, 0]);
        block.extend((20_000 + 2 * number).to_le_bytes());
    }
    block.resize(length, 1);
    block
}
