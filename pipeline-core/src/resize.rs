//! Pillow's bicubic resize, for thumbnails and for what a model sees.

use std::error::Error;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;

use crate::decode::Content;
use crate::error::SharedError;

/// Resizes the covered part of a picture: Catmull-Rom (a = −0.5), the filter widened when shrinking. The result has
/// 3 × `width` × `height` samples.
pub(crate) fn bicubic(
    picture: &RgbImage,
    content: Content,
    (width, height): (u32, u32),
) -> Result<Vec<u8>, SharedError> {
    if picture.is_empty() {
        return Err(SharedError::from(Box::<dyn Error + Send + Sync>::from(
            "it has no pixels",
        )));
    }
    let resize = || -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        let (all_width, all_height) = picture.dimensions();
        let from = ImageRef::new(all_width, all_height, picture.as_raw(), PixelType::U8x3)?;
        let catmull_rom =
            ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
        let mut resizer = Resizer::new();
        // Width first, as Pillow does: each pass rounds and clips to 8 bits, so that their order shows at sharp edges.
        let mut narrow = Image::new(width, all_height, PixelType::U8x3);
        let columns = catmull_rom.crop(content.left, 0.0, content.width, f64::from(all_height));
        resizer.resize(&from, &mut narrow, &columns)?;
        let mut small = Image::new(width, height, PixelType::U8x3);
        let rows = catmull_rom.crop(0.0, content.top, f64::from(width), content.height);
        resizer.resize(&narrow, &mut small, &rows)?;
        Ok(small.into_vec())
    };
    resize().map_err(SharedError::from)
}
