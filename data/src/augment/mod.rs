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
    /// A picture to normalised pixels `[3,S,S]`. With nothing switched on, exactly [`Preprocess::apply`].
    pub(crate) fn apply(
        &self,
        picture: &RgbaImage,
        preprocess: &Preprocess,
        random: &mut ChaCha8Rng,
        out: &mut [f32],
    ) -> Result<()> {
        let image = self.changed(picture, preprocess, random)?;
        preprocess.normalize(&image, out)?;
        if chance(random, self.flip) {
            out.chunks_exact_mut(preprocess.size).for_each(<[f32]>::reverse);
        }
        Ok(())
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
