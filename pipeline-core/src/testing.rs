//! For people who write their own captioner: contract tests, a double, and pictures to test with.

use std::thread;

use image::{Rgb, RgbImage};

use crate::{Caption, Captioner, Cx, Result};

/// A captioner that always writes the same sentence.
///
/// ```
/// use pipeline_core::testing::{FixedCaptioner, plain};
/// use pipeline_core::{Captioner, Cx};
///
/// let captioner = FixedCaptioner::new("a cat");
/// let caption = captioner.caption(&plain(8, 8, [0, 0, 0]), &Cx::none())?;
/// assert_eq!((&*caption.text, &*caption.model), ("a cat", "fixed"));
/// # Ok::<(), pipeline_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedCaptioner {
    text: String,
}

impl FixedCaptioner {
    /// Always writes `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

impl Captioner for FixedCaptioner {
    fn model(&self) -> &str {
        "fixed"
    }

    fn caption(&self, _picture: &RgbImage, cx: &Cx) -> Result<Caption> {
        cx.check()?;
        Ok(Caption::new(&self.text, self.model()))
    }
}

/// A picture whose colours run from corner to corner. Sides in pixels.
///
/// ```
/// let picture = pipeline_core::testing::gradient(64, 48);
/// assert_eq!(picture.get_pixel(0, 0).0, [0, 0, 0]);
/// assert!(picture.get_pixel(63, 0).0[0] > 250); // red grows to the right
/// ```
pub fn gradient(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let part = |value: u32, of: u32| (value * 255 / of.max(1)) as u8;
        Rgb([part(x, width), part(y, height), part(x + y, width + height)])
    })
}

/// A picture of one colour. Sides in pixels.
///
/// ```
/// let picture = pipeline_core::testing::plain(64, 48, [200, 30, 30]);
/// assert!(picture.pixels().all(|pixel| pixel.0 == [200, 30, 30]));
/// ```
pub fn plain(width: u32, height: u32, colour: [u8; 3]) -> RgbImage {
    RgbImage::from_pixel(width, height, Rgb(colour))
}

/// A picture of squares in two colours. Sides in pixels.
///
/// ```
/// let board = pipeline_core::testing::chequers(80, 80, 10);
/// assert_ne!(board.get_pixel(9, 0), board.get_pixel(10, 0));
/// assert_eq!(board.get_pixel(0, 0), board.get_pixel(10, 10));
/// ```
pub fn chequers(width: u32, height: u32, square: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        if (x / square.max(1) + y / square.max(1)).is_multiple_of(2) {
            Rgb([230, 200, 40])
        } else {
            Rgb([20, 40, 90])
        }
    })
}

/// Four pictures of different sizes and contents, the smallest of one pixel.
///
/// ```
/// use pipeline_core::testing::{FixedCaptioner, pictures};
/// use pipeline_core::{Captioner, Cx};
///
/// for picture in pictures() {
///     assert!(FixedCaptioner::new("a cat").caption(&picture, &Cx::none()).is_ok());
/// }
/// ```
pub fn pictures() -> [RgbImage; 4] {
    [
        gradient(64, 48),
        plain(1, 1, [200, 30, 30]),
        chequers(40, 90, 8),
        gradient(7, 120),
    ]
}

/// Checks what [`Captioner`]'s documentation promises; use it in a test of your own captioner.
///
/// ```
/// use pipeline_core::testing::{FixedCaptioner, captioner_contract};
///
/// // In a test of your own, with your captioner in its place.
/// captioner_contract(&FixedCaptioner::new("a cat"));
/// ```
///
/// # Panics
/// If a promise is not kept, or if one of [`pictures`] cannot be captioned.
pub fn captioner_contract(captioner: &dyn Captioner) {
    let pictures = pictures();
    let cx = Cx::none();
    let caption = |picture: &RgbImage| {
        captioner
            .caption(picture, &cx)
            .unwrap_or_else(|e| panic!("a sound picture failed: {}", e.report()))
    };

    let one_by_one: Vec<Caption> = pictures.iter().map(caption).collect();
    for result in &one_by_one {
        assert_eq!(result.model, captioner.model(), "a caption names its model");
    }
    assert_eq!(
        caption(&pictures[0]),
        one_by_one[0],
        "the same picture gives the same caption"
    );

    let four_at_once: Vec<Caption> = thread::scope(|scope| {
        let threads: Vec<_> = pictures
            .iter()
            .map(|picture| scope.spawn(move || caption(picture)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no captioner panics"))
            .collect()
    });
    assert_eq!(
        four_at_once, one_by_one,
        "captions do not depend on what runs beside them"
    );

    let references: Vec<&RgbImage> = pictures.iter().collect();
    for count in 0..=references.len() {
        let batch = captioner.caption_batch(&references[..count], &cx);
        assert_eq!(
            batch.len(),
            count,
            "a batch has one result for each picture"
        );
        for (result, expected) in batch.iter().zip(&one_by_one) {
            assert_eq!(
                result.as_ref().ok(),
                Some(expected),
                "a batch keeps the order and the captions"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Breaks one promise or another.
    struct Broken(fn(usize) -> usize);

    impl Captioner for Broken {
        fn model(&self) -> &str {
            "broken"
        }

        fn caption(&self, picture: &RgbImage, _cx: &Cx) -> Result<Caption> {
            Ok(Caption::new(picture.len().to_string(), "broken"))
        }

        fn caption_batch(&self, pictures: &[&RgbImage], cx: &Cx) -> Vec<Result<Caption>> {
            (0..pictures.len())
                .map(|i| self.caption(pictures[(self.0)(i) % pictures.len()], cx))
                .collect()
        }
    }

    #[test]
    fn the_double_keeps_the_contract() {
        captioner_contract(&FixedCaptioner::new("red panda cubs"));
        captioner_contract(&Broken(|i| i));
    }

    #[test]
    #[should_panic(expected = "a batch keeps the order")]
    fn a_batch_in_another_order_is_noticed() {
        captioner_contract(&Broken(|i| i + 1));
    }

    #[test]
    fn a_cancelled_call_writes_nothing() {
        let token = crate::CancelToken::new();
        token.cancel();
        let cx = Cx::none().with_cancel(&token);
        let error = FixedCaptioner::new("x")
            .caption(&plain(1, 1, [0; 3]), &cx)
            .unwrap_err();
        assert_eq!(error.code(), "cancelled");
    }
}
