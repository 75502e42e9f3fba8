//! Real inputs that a model is calibrated and verified on.

use clip_model::Preprocess;
use clip_model::preprocess::Image;

use crate::error::Result;

/// Pictures and texts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Samples {
    /// Pictures, resized and cropped to the model's size.
    pub images: Vec<Image>,
    /// Texts, such as captions or prompts.
    pub texts: Vec<String>,
}

impl Samples {
    /// Pictures of odd shapes, drawn by a formula, and texts of all lengths: for where the user gives none.
    pub fn generated(preprocess: &Preprocess) -> Result<Samples> {
        const SIZES: [(usize, usize); 8] =
            [(640, 480), (480, 640), (300, 20), (17, 230), (1, 1), (224, 224), (65, 64), (511, 333)];
        let images = SIZES.iter().enumerate().map(|(n, &size)| Ok(preprocess.fit(&drawn(n, size)?)?));
        let subjects = [
            "cat",
            "bicycle",
            "bowl of soup",
            "lighthouse on a cliff at night",
            "dog",
            "map",
            "train",
            "tree",
        ];
        let prompt = |(i, subject): (usize, &&str)| match i % 4 {
            0 => (*subject).to_owned(),
            1 => format!("a photo of a {subject}."),
            2 => format!("a blurry drawing of a {subject}, seen from above, in the style of an old master"),
            _ => format!("{subject} ").repeat(100),
        };
        Ok(Samples {
            images: images.collect::<Result<_>>()?,
            texts: subjects.iter().enumerate().map(prompt).collect(),
        })
    }

    /// Three of four samples for calibration, and the rest, which calibration must not see, for verification. A single
    /// one serves as both.
    pub fn split(&self) -> [Samples; 2] {
        let part = |held_out| Samples {
            images: quarter(&self.images, held_out),
            texts: quarter(&self.texts, held_out),
        };
        [part(false), part(true)]
    }
}

/// Every fourth element from the second on, or the others.
fn quarter<T: Clone>(all: &[T], held_out: bool) -> Vec<T> {
    let chosen = all.iter().enumerate().filter(|(i, _)| all.len() < 2 || (i % 4 == 1) == held_out);
    chosen.map(|(_, element)| element.clone()).collect()
}

/// Waves and edges of several sizes, other ones for each `seed`.
fn drawn(seed: usize, (width, height): (usize, usize)) -> Result<Image> {
    let phase = seed as f32 * 1.7;
    let pixel = |i: usize| {
        let (x, y) = ((i % width) as f32, (i / width) as f32);
        let wave = |fx: f32, fy: f32| (x * fx + y * fy + phase).sin();
        let block = if ((i % width) / 24 + (i / width) / 24 + seed).is_multiple_of(3) { 60.0 } else { 0.0 };
        [wave(0.05, 0.02), wave(-0.02, 0.09), wave(0.3, 0.27) * wave(0.01, 0.0)]
            .map(|v| (110.0 + 80.0 * v + block).clamp(0.0, 255.0) as u8)
    };
    Ok(Image::new(width, height, (0..width * height).flat_map(pixel).collect())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calibration_and_verification_share_nothing() {
        let texts =
            |n: usize| Samples { texts: (0..n).map(|i| i.to_string()).collect(), ..Samples::default() };
        let [calibration, verification] = texts(5).split();
        assert_eq!((calibration.texts.join(""), verification.texts.join("")), ("0234".into(), "1".into()));
        let [calibration, verification] = texts(1).split();
        assert_eq!(calibration, verification);
    }

    #[test]
    fn generated_samples_are_all_different() {
        let samples = Samples::generated(&Preprocess::default()).unwrap();
        for (i, image) in samples.images.iter().enumerate() {
            assert!(!samples.images[..i].contains(image), "{i}");
        }
        assert!(samples.texts.iter().any(|t| t.len() > 300) && samples.texts.iter().any(|t| t.len() < 10));
    }
}
