//! Random changes to pictures and captions, all off by default.
//!
//! The order: colours, ink, then one resampling that rotates, scales, shears and shifts, then the background.

mod canvas;
mod crop;
mod geometry;
mod paint;
mod settings;

use clip_model::Preprocess;
use clip_model::preprocess::RgbaImage;
use rand_chacha::ChaCha8Rng;

use crate::error::Result;
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
        let crop = Crop::draw(self, random, picture.width(), picture.height());
        if !self.moves() && !self.paints() {
            let image = crop::fit(picture, crop, preprocess, preprocess.background)?;
            return Ok(preprocess.normalize(&image, out)?);
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
        Ok(preprocess.normalize(&canvas.to_image()?, out)?)
    }
}
