//! Bombs: what their headers tell is refused by its name before a pixel is decoded, the rest comes out right; and
//! nothing takes much memory on the way.

use pipeline_core::{Analysis, Result};

use crate::files::{Jpeg, Png, chunk, overlapping_directories, packed_zeros, segment};
use crate::{assert_little_memory, process};

#[track_caller]
fn refused(name: &str, bytes: Vec<u8>, code: &str) {
    check(name, process(bytes), Some(code));
}

#[track_caller]
fn comes_out(name: &str, bytes: Vec<u8>) {
    check(name, process(bytes), None);
}

#[track_caller]
fn check(name: &str, result: Result<Analysis>, expected: Option<&str>) {
    let code = result.as_ref().err().map(pipeline_core::Error::code);
    assert_eq!(code, expected, "{name}: {:?}", result.err());
    assert_little_memory(name);
}

#[test]
fn sides_and_pixels() {
    let png = |width, height| Png {
        width,
        height,
        depth: 16,
        color: 6,
        interlaced: false,
    };
    refused(
        "png, 2^31 a side",
        png(0x7fff_ffff, 0x7fff_ffff).file(b"", 100),
        "picture-too-wide",
    );
    refused(
        "png, a long line",
        png(0x7fff_ffff, 1).file(b"", 100),
        "picture-too-wide",
    );
    refused(
        "png, 3.6 Gpx",
        png(60_000, 60_000).file(b"", 100),
        "too-many-pixels",
    );
    let jpeg = |width, height, components| Jpeg {
        width,
        height,
        components,
    };
    refused(
        "jpeg, 4.3 Gpx",
        jpeg(65_500, 65_500, 3).progressive(1)[..2_000].to_vec(),
        "too-many-pixels",
    );
    // All of its pixels are there, in 1.1 MB.
    let gray = jpeg(16_744, 16_744, 1).baseline(b"");
    assert!(gray.len() < 1_200_000);
    refused("jpeg, 280 Mpx of grey", gray, "too-many-pixels");
}

#[test]
fn pixels_that_unpack_to_much() {
    comes_out(
        "png, more pixels than announced",
        Png::SMALL.file(b"", 200 << 20),
    );
    let large = |interlaced| Png {
        width: 13_000,
        height: 13_000,
        depth: 1,
        color: 0,
        interlaced,
    };
    comes_out("png, 169 Mpx of black", large(false).whole(b""));
    let interlaced = Png {
        depth: 16,
        color: 6,
        ..large(true)
    };
    refused(
        "png, 169 Mpx in passes",
        interlaced.file(b"", 1 << 20),
        "too-much-memory",
    );
    let jpeg = Jpeg {
        width: 12_000,
        height: 12_000,
        components: 3,
    };
    refused(
        "jpeg, 144 Mpx of coefficients",
        jpeg.progressive(1),
        "too-much-memory",
    );
    comes_out("jpeg, 144 Mpx in one scan", jpeg.baseline(b""));
}

#[test]
fn palettes_that_are_no_whole_colours() {
    let indexed = Png {
        color: 3,
        depth: 8,
        ..Png::SMALL
    };
    for bytes in [0, 1, 2, 4, 767] {
        refused(
            "a palette",
            indexed.whole(&chunk(b"PLTE", &vec![9; bytes])),
            "decode-failed",
        );
    }
    comes_out("a palette", indexed.whole(&chunk(b"PLTE", &[9; 768])));
}

#[test]
fn metadata_that_unpacks_to_much() {
    let zeros = packed_zeros(64 << 20);
    let text = |prefix: &[u8]| [prefix, &zeros].concat();
    for (name, kind, data) in [
        ("profile", b"iCCP", text(b"p\0\0")),
        ("text", b"zTXt", text(b"Comment\0\0")),
        ("international text", b"iTXt", text(b"Comment\0\x01\0\0\0")),
        ("exif in text", b"zTXt", text(b"Raw profile type exif\0\0")),
        ("xmp", b"iTXt", text(b"XML:com.adobe.xmp\0\x01\0\0\0")),
        ("exif", b"eXIf", vec![0; 17 << 20]),
        ("unknown", b"prVt", vec![0; 17 << 20]),
    ] {
        refused(
            name,
            Png::SMALL.whole(&chunk(kind, &data)),
            "too-much-metadata",
        );
    }
    // Each passes, but not all of them.
    let some = chunk(
        b"zTXt",
        &[b"Comment\0\0", &packed_zeros(6 << 20)[..]].concat(),
    );
    comes_out("two texts", Png::SMALL.whole(&some.repeat(2)));
    refused(
        "three texts",
        Png::SMALL.whole(&some.repeat(3)),
        "too-much-metadata",
    );
}

#[test]
fn many_small_pieces() {
    let texts = chunk(b"tEXt", b"a\0b").repeat(1_200_000);
    refused(
        "a million texts",
        Png::SMALL.whole(&texts),
        "too-much-metadata",
    );
    comes_out(
        "thousands of chunks",
        Png::SMALL.whole(&chunk(b"prVt", b"").repeat(50_000)),
    );
    comes_out(
        "a million empty pieces",
        Png::SMALL.whole(&chunk(b"IDAT", b"").repeat(1_000_000)),
    );
    let comments = segment(0xfe, b"").repeat(5_000_000);
    refused(
        "millions of comments",
        Jpeg::SMALL.baseline(&comments),
        "too-much-metadata",
    );
    for (name, marker, head) in [
        ("exif", 0xe1, &b"Exif\0\0"[..]),
        ("profile", 0xe2, b"ICC_PROFILE\0\x01\xff"),
        ("app", 0xed, b""),
    ] {
        let segments = segment(marker, &[head, &[0; 65_000]].concat()).repeat(300);
        refused(name, Jpeg::SMALL.baseline(&segments), "too-much-metadata");
    }
}

#[test]
fn many_scans() {
    refused("600 scans", Jpeg::SMALL.progressive(600), "too-many-scans");
    comes_out("300 scans", Jpeg::SMALL.progressive(300));
    let large = Jpeg {
        width: 4_000,
        height: 3_000,
        components: 3,
    };
    let file = large.progressive(300);
    assert!(file.len() < 200_000);
    refused("300 scans of 12 Mpx", file, "too-many-scans");
    comes_out("10 scans of 12 Mpx", large.progressive(9));
}

#[test]
fn many_pictures() {
    let count = |count: u32| chunk(b"acTL", &[count.to_be_bytes(), [0; 4]].concat());
    refused(
        "png, announced",
        Png::SMALL.whole(&count(0x7fff_ffff)),
        "too-many-frames",
    );
    let frames = chunk(b"fcTL", &[0; 26]).repeat(20_000);
    refused(
        "png, there",
        Png::SMALL.whole(&[count(2), frames].concat()),
        "too-many-frames",
    );
    let index = b"MPF\0II*\0\x08\0\0\0\x01\0\x01\xb0\x04\0\x01\0\0\0\xff\xff\0\0\0\0\0\0";
    refused(
        "jpeg",
        Jpeg::SMALL.baseline(&segment(0xe2, index)),
        "too-many-frames",
    );
}

#[test]
fn directories_that_overlap() {
    let block = overlapping_directories(60_000, 8);
    let in_jpeg = segment(0xe1, &[b"Exif\0\0", &block[..]].concat());
    comes_out("jpeg", Jpeg::SMALL.baseline(&in_jpeg));
    let large = overlapping_directories(8 << 20, 0xff);
    comes_out("png", Png::SMALL.whole(&chunk(b"eXIf", &large)));
}

#[test]
fn a_profile_with_a_table_that_is_not_there() {
    // A lookup table (`mft2`) from four inks with 255 points for each, 25 GB if it were there.
    let mut profile = vec![0; 128];
    profile[8] = 2;
    profile[12..16].copy_from_slice(b"prtr");
    profile[16..20].copy_from_slice(b"CMYK");
    profile[20..24].copy_from_slice(b"Lab ");
    profile[36..40].copy_from_slice(b"acsp");
    profile.extend([0, 0, 0, 1]);
    profile.extend(b"A2B0\0\0\0\x90\0\0\x01\0");
    profile.extend(b"mft2\0\0\0\0\x04\x03\xff\0");
    profile.extend([0; 244]);
    let size = u32::try_from(profile.len()).unwrap().to_be_bytes();
    profile[..4].copy_from_slice(&size);
    let segment = segment(0xe2, &[b"ICC_PROFILE\0\x01\x01", &profile[..]].concat());
    let inks = Jpeg {
        components: 4,
        ..Jpeg::SMALL
    };
    comes_out("jpeg", inks.baseline(&segment));
}
