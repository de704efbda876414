//! What becomes of pictures: the size rule, and the kinds that are easy to get wrong.

use pipeline_core::{
    Cx, Decode, Limits, MetadataStage, Source, Stage, StageExt, ThumbnailSpec, ThumbnailStage,
};

use crate::support::{PHOTO, Server, pixels, plain, png};

/// Uploads a picture and fetches both thumbnails.
fn thumbnails(server: &Server, bytes: &[u8]) -> [Vec<u8>; 2] {
    let id = server.accept(bytes);
    server.wait_idle();
    ["small", "medium"].map(|size| {
        let reply = server.get(&format!("/api/images/{id}/thumbnails/{size}"));
        assert_eq!(reply.status, 200, "{}", server.envelope(&id));
        reply.body
    })
}

#[test]
fn the_size_rule_holds() {
    let server = Server::start();
    let cases = [
        ((641, 479), (256, 191), (512, 383)),
        ((257, 255), (256, 254), (257, 255)),
        ((1, 5_000), (1, 256), (1, 512)),
        ((5_000, 3), (256, 1), (512, 1)),
        ((256, 256), (256, 256), (256, 256)),
        ((100, 40), (100, 40), (100, 40)),
        ((1_000, 1_000), (256, 256), (512, 512)),
        ((1, 1), (1, 1), (1, 1)),
    ];
    for ((width, height), small, medium) in cases {
        let made = thumbnails(&server, &png(width, height));
        let sizes = made.map(|jpeg| pixels(&jpeg).dimensions());
        assert_eq!(sizes, [small, medium], "{width}x{height}");
    }
}

/// The segments of a JPEG file before its picture data: marker and content.
fn segments(jpeg: &[u8]) -> Vec<(u8, &[u8])> {
    let (mut segments, mut at) = (Vec::new(), 2);
    while jpeg[at + 1] != 0xda {
        let length = usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        segments.push((jpeg[at + 1], &jpeg[at + 4..at + 2 + length]));
        at += 2 + length;
    }
    segments
}

/// The IJG quality that a luminance table stands for, from its first entry, which is 16 at quality 50.
fn quality(jpeg: &[u8]) -> u32 {
    let (_, table) = segments(jpeg)
        .into_iter()
        .find(|(marker, _)| *marker == 0xdb)
        .unwrap();
    let first = u32::from(table[1]);
    (1..=100)
        .find(|quality| {
            let scale = if *quality < 50 {
                5_000 / quality
            } else {
                200 - 2 * quality
            };
            ((16 * scale + 50) / 100).max(1) == first
        })
        .unwrap()
}

#[test]
fn thumbnails_are_plain_jpeg_files_of_the_right_quality() {
    let server = Server::start();
    let [small, medium] = thumbnails(&server, &with_exif(PHOTO, 1));
    for jpeg in [&small, &medium] {
        assert_eq!(
            Source::from(jpeg.clone()).format(),
            Some(pipeline_core::Format::Jpeg)
        );
        assert!(!jpeg.windows(6).any(|window| window == b"Exif\0\0"));
    }
    // At 85 the first entry is the same as from 83 on, at 90 it is a new one.
    assert_eq!((quality(&small), quality(&medium)), (83, 90));
}

/// The same JPEG file with an EXIF segment that says how it is to be turned.
fn with_exif(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif =
        b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    [&jpeg[..2], &exif, &jpeg[2..]].concat()
}

#[test]
fn orientation_turns_thumbnails_and_not_the_metadata() {
    let server = Server::start();
    let (width, height) = pixels(PHOTO).dimensions();
    assert_ne!(width, height, "the photo has to tell the two apart");
    let envelope = server.process(&with_exif(PHOTO, 6));
    let metadata = &envelope["data"]["metadata"];
    assert_eq!(
        (&metadata["width"], &metadata["height"]),
        (&width.into(), &height.into())
    );
    assert_eq!(metadata["orientation"], 6);
    let upright = thumbnails(&server, PHOTO).map(|jpeg| pixels(&jpeg).dimensions());
    let turned = thumbnails(&server, &with_exif(PHOTO, 6)).map(|jpeg| pixels(&jpeg).dimensions());
    assert_eq!(turned, upright.map(|(width, height)| (height, width)));
    let plain = server.process(&with_exif(PHOTO, 1));
    assert!(plain["data"]["metadata"].get("orientation").is_none());
}

#[track_caller]
fn assert_colour(jpeg: &[u8], expected: [u8; 3]) {
    let picture = pixels(jpeg);
    let got = picture
        .get_pixel(picture.width() / 2, picture.height() / 2)
        .0;
    let near = got.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 4);
    assert!(near, "{got:?} is not {expected:?}");
}

fn png_of(picture: &image::DynamicImage) -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut file, image::ImageFormat::Png)
        .unwrap();
    file.into_inner()
}

#[test]
fn transparent_pictures_are_put_on_white() {
    let server = Server::start();
    let half = image::RgbaImage::from_pixel(300, 300, image::Rgba([255, 0, 0, 128]));
    for jpeg in thumbnails(&server, &png_of(&half.into())) {
        assert_colour(&jpeg, [255, 127, 127]);
    }
}

#[test]
fn sixteen_bits_are_scaled() {
    let server = Server::start();
    let gray = image::ImageBuffer::from_pixel(300, 300, image::Luma([0x8000_u16]));
    for jpeg in thumbnails(&server, &png_of(&image::DynamicImage::ImageLuma16(gray))) {
        assert_colour(&jpeg, [128, 128, 128]);
    }
}

#[test]
fn of_several_pictures_the_first_is_taken() {
    let server = Server::start();
    let [red, _] = thumbnails(&server, &plain(600, 400, [200, 20, 20]));
    let [blue, _] = thumbnails(&server, &plain(600, 400, [20, 20, 200]));
    let both = [&red[..], &blue].concat();
    let envelope = server.process(&both);
    assert_eq!(envelope["data"]["metadata"]["format"], "jpg");
    let [small, _] = thumbnails(&server, &both);
    assert_colour(&small, [200, 20, 20]);
}

#[test]
fn every_kind_of_picture_goes_through_the_whole_service() {
    let server = Server::start();
    // `pictures.rs` judges what the stages make of these files; here the service has to hand on exactly that.
    let specs = [
        ThumbnailSpec::new("small", 256),
        ThumbnailSpec::new("medium", 512).with_quality(90),
    ];
    let shrink = Decode::new(Limits::default()).then(ThumbnailStage::new(specs));
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pictures");
    for name in [
        "apng.png",
        "mpo.jpg",
        "cmyk-adobe.jpg",
        "cmyk-plain.jpg",
        "icc-p3.jpg",
        "icc-p3-png.png",
        "orientation-5.jpg",
        "jpeg-progressive.jpg",
        "jpeg-arithmetic.jpg",
        "png-bilevel.png",
    ] {
        let source = Source::from_path(folder.join(name)).unwrap();
        let metadata = MetadataStage::new().run(&source, &Cx::none()).unwrap();
        let envelope = server.process(source.bytes());
        let shown = &envelope["data"]["metadata"];
        assert_eq!(
            (&shown["width"], &shown["height"], &shown["format"]),
            (
                &metadata.width.into(),
                &metadata.height.into(),
                &metadata.format.as_str().into()
            ),
            "{name}"
        );
        let expected = shrink.run(&source, &Cx::none()).unwrap();
        let made = thumbnails(&server, source.bytes());
        for (made, expected) in made.iter().zip(&expected) {
            assert!(*made == expected.jpeg, "{name}: {}", expected.name);
        }
    }
}
