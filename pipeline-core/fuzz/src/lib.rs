//! What the fuzzer calls. Every function takes any bytes, and panics if a promise is broken.

use pipeline_core::{
    Cx, Error, ImagePipeline, Limits, MemoryBudget, MetadataStage, Pipeline, Source, Stage,
    ThumbnailSpec,
};

/// Reads the header.
pub fn probe(bytes: &[u8]) {
    let source = Source::from(bytes.to_vec());
    if let Ok(metadata) = MetadataStage::new().run(&source, &Cx::none()) {
        assert!(metadata.width > 0 && metadata.height > 0);
        assert!((1..=8).contains(&metadata.orientation));
        assert_eq!(metadata.size_bytes, bytes.len() as u64);
        assert_eq!(Some(metadata.format), source.format());
    }
}

/// Runs the stock pipeline, in little memory.
pub fn decode(bytes: &[u8]) {
    let limits = Limits {
        max_pixels: 1_000_000,
        ..Limits::default()
    };
    let pipeline = ImagePipeline::builder()
        .limits(limits)
        .memory(&MemoryBudget::new(64 << 20))
        .thumbnails([ThumbnailSpec::new("small", 64)])
        .build();
    match pipeline.process(&Source::from(bytes.to_vec()), &Cx::none()) {
        Ok(analysis) => {
            let thumbnail = &analysis.thumbnails[0];
            assert!((1..=64).contains(&thumbnail.width) && (1..=64).contains(&thumbnail.height));
        }
        Err(error) => assert!(!matches!(error, Error::Panicked { .. }), "{error:?}"),
    }
}

/// Reads the bytes as an EXIF block, from its TIFF header on.
pub fn exif(bytes: &[u8]) {
    let block = [b"Exif\0\0", &bytes[..bytes.len().min(60_000)]].concat();
    let length = (block.len() as u16 + 2).to_be_bytes();
    let size = b"\xff\xc0\0\x0b\x08\0\x01\0\x01\x01\x01\x11\0";
    let file = [&b"\xff\xd8\xff\xe1"[..], &length, &block, size].concat();
    let metadata = MetadataStage::new()
        .run(&Source::from(file), &Cx::none())
        .expect("a block that is broken counts as none");
    let Some(exif) = metadata.exif else { return };
    if let Some(gps) = exif.gps {
        assert!(gps.latitude.abs() <= 90.0 && gps.longitude.abs() <= 180.0);
    }
}
