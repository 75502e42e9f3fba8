//! A random part of the picture: a square, or as torchvision's `RandomResizedCrop` draws it.

use clip_model::Preprocess;
use clip_model::preprocess::{Image, ResizeMode, RgbaImage};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::settings::Augment;
use crate::error::Result;
use crate::random::{log_uniform, uniform};

/// A rectangle, pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Crop {
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
}

impl Crop {
    /// A part of a picture of `width` times `height` pixels; `None` when cropping is off.
    pub fn draw(augment: &Augment, random: &mut ChaCha8Rng, width: usize, height: usize) -> Option<Crop> {
        if augment.square_crop {
            let side = width.min(height);
            let left = random.random_range(0..=width - side);
            let top = random.random_range(0..=height - side);
            return Some(Crop { left, top, width: side, height: side });
        }
        let scale = augment.crop_scale?;
        let (w, h) = (width as f32, height as f32);
        for _ in 0..10 {
            let area = w * h * uniform(random, scale);
            let ratio = log_uniform(random, augment.crop_ratio);
            let (cw, ch) = ((area * ratio).sqrt().round() as usize, (area / ratio).sqrt().round() as usize);
            if (1..=width).contains(&cw) && (1..=height).contains(&ch) {
                let top = random.random_range(0..=height - ch);
                let left = random.random_range(0..=width - cw);
                return Some(Crop { left, top, width: cw, height: ch });
            }
        }
        // None of them fitted: the largest central part with the nearest permitted aspect ratio.
        let ratio = (w / h).clamp(augment.crop_ratio[0], augment.crop_ratio[1]);
        let cw = ((h * ratio).round() as usize).clamp(1, width);
        let ch = ((w / ratio).round() as usize).clamp(1, height);
        Some(Crop { left: (width - cw) / 2, top: (height - ch) / 2, width: cw, height: ch })
    }
}

/// The picture over `background`, as the model's preprocessing resizes it; a part of it fills the square.
pub(super) fn fit(
    picture: &RgbaImage,
    crop: Option<Crop>,
    preprocess: &Preprocess,
    background: [u8; 3],
) -> Result<Image> {
    let image = picture.over(background)?;
    let Some(crop) = crop else { return Ok(preprocess.fit(&image)?) };
    let stride = 3 * image.width();
    let start = crop.top * stride + 3 * crop.left;
    let part = Image::from_strided(crop.width, crop.height, stride, &image.rgb()[start..])?;
    Ok(Preprocess { resize_mode: ResizeMode::Squash, ..preprocess.clone() }.fit(&part)?)
}

#[cfg(test)]
mod tests {
    use super::super::canvas::tests::disc;
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn parts_have_the_area_and_aspect_asked_for() {
        let augment = Augment { crop_scale: Some([0.5, 0.8]), ..Augment::default() };
        let mut random = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..500 {
            let crop = Crop::draw(&augment, &mut random, 300, 200).unwrap();
            assert!(crop.left + crop.width <= 300 && crop.top + crop.height <= 200);
            let share = (crop.width * crop.height) as f32 / 60_000.0;
            assert!((0.49..0.81).contains(&share), "{crop:?}");
            assert!((0.74..1.35).contains(&(crop.width as f32 / crop.height as f32)), "{crop:?}");
        }
        assert_eq!(Crop::draw(&Augment::default(), &mut random, 300, 200), None);
    }

    #[test]
    fn squares_are_as_large_as_the_shorter_side_and_lie_anywhere() {
        let augment = Augment { square_crop: true, ..Augment::default() };
        augment.validate().unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut lefts = std::collections::BTreeSet::new();
        for _ in 0..500 {
            let crop = Crop::draw(&augment, &mut random, 21, 12).unwrap();
            assert_eq!((crop.top, crop.width, crop.height), (0, 12, 12));
            lefts.insert(crop.left);
            assert_eq!(Crop::draw(&augment, &mut random, 12, 40).unwrap().left, 0);
        }
        assert!(lefts.into_iter().eq(0..=9));
        let both = Augment { crop_scale: Some([0.9, 1.0]), ..augment };
        assert!(both.validate().unwrap_err().to_string().contains("both given"));
    }

    #[test]
    fn odd_shapes_get_the_central_part() {
        let augment = Augment { crop_scale: Some([1.0, 1.0]), ..Augment::default() };
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let crop = Crop::draw(&augment, &mut random, 4000, 1).unwrap();
        assert_eq!((crop.width, crop.height), (1, 1));
        let crop = Crop::draw(&augment, &mut random, 400, 90).unwrap();
        assert_eq!(crop, Crop { left: 140, top: 0, width: 120, height: 90 });
    }

    #[test]
    fn the_part_fills_the_square() {
        let preprocess = Preprocess { size: 8, ..Preprocess::default() };
        let picture = disc(16);
        let whole = Crop { left: 0, top: 0, width: 16, height: 16 };
        let fitted = fit(&picture, Some(whole), &preprocess, [255; 3]).unwrap();
        assert_eq!(fitted, preprocess.fit(&picture.over([255; 3]).unwrap()).unwrap());
        let part = Crop { left: 4, top: 3, width: 8, height: 8 };
        let fitted = fit(&picture, Some(part), &preprocess, [255; 3]).unwrap();
        assert_eq!(fitted.rgb()[..3], picture.over([255; 3]).unwrap().rgb()[3 * (3 * 16 + 4)..][..3]);
    }
}
