//! Random changes to pictures and captions, all off by default.
//!
//! The order: colours, ink, then one resampling that rotates, scales, shears and shifts, then the background, then
//! the mirror.

mod canvas;
mod crop;
mod geometry;
mod paint;
mod settings;

use clip_model::Preprocess;
use clip_model::preprocess::{Image, RgbaImage};
use rand_chacha::ChaCha8Rng;

use crate::error::Result;
use crate::random::chance;
use canvas::Canvas;
use crop::Crop;
use geometry::Map;
pub use settings::Augment;

impl Augment {
    /// A picture as the model sees it. With nothing switched on, exactly [`Preprocess::fit`].
    pub(crate) fn apply(
        &self,
        picture: &RgbaImage,
        preprocess: &Preprocess,
        random: &mut ChaCha8Rng,
    ) -> Result<Image> {
        let image = self.changed(picture, preprocess, random)?;
        match chance(random, self.flip) {
            true => mirrored(&image),
            false => Ok(image),
        }
    }

    /// The picture as the model would see it, changed in all but its direction.
    fn changed(
        &self,
        picture: &RgbaImage,
        preprocess: &Preprocess,
        random: &mut ChaCha8Rng,
    ) -> Result<Image> {
        let crop = Crop::draw(self, random, picture.width(), picture.height());
        if !self.moves() && !self.paints() {
            return crop::fit(picture, crop, preprocess, preprocess.background);
        }
        let mut canvas = match self.moves() {
            true => Canvas::new(picture, 2 * preprocess.size),
            false => Canvas::fitted(picture, crop, preprocess)?,
        };
        paint::color(self, random, &mut canvas);
        paint::ink(self, random, &mut canvas);
        if self.moves() {
            let map = Map::draw(self, random, (picture.width(), picture.height()), crop, preprocess);
            canvas = map.sample(&canvas, preprocess.size);
        }
        paint::background(self, random, &mut canvas, preprocess.background);
        canvas.to_image()
    }
}

/// Left for right.
fn mirrored(image: &Image) -> Result<Image> {
    let rows = image.rgb().chunks_exact(3 * image.width());
    let rgb = rows.flat_map(|row| row.chunks_exact(3).rev().flatten().copied()).collect();
    Ok(Image::new(image.width(), image.height(), rgb)?)
}
