//! A classifier beside the encoder and the labels that it is made of.

use std::path::Path;

use clip_model::manifest::{self, Classifier, Precision, Values};
use clip_model::{Manifest, Preprocess};
use clip_runtime::{Clip, Image, Result};
use serde::{Deserialize, Serialize};

use super::inputs::Inputs;
use super::session::{self, Tensor, least};
use crate::error::{self, Error};

/// How far a probability may be from the runtime's. Both run the same nodes; the runtime takes similarities and probabilities in
/// double precision.
const CLOSE: f32 = 1e-4;

/// How far the probabilities of a softmax may be from one together.
const SUM: f32 = 1e-3;

/// The probabilities of pictures, one after the other, as a classifier and as the runtime gives them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Classified {
    /// The classifier's; None for what is no number, which JSON cannot say.
    pub found: Vec<Option<f32>>,
    /// The runtime's, of the image encoder and the stored labels.
    pub expected: Vec<f32>,
    /// Labels of a picture.
    pub labels: usize,
    /// Whether all labels of a picture have one together.
    pub softmax: bool,
    /// Whether the two must be close: not where a tower that rounds gets a picture normalised in the graph by one and outside by
    /// the other, whose last bits differ.
    pub same: bool,
}

impl Classified {
    /// Runs the classifier of `folder`, which is open as `clip`, on the images of `inputs`. None when there is none.
    ///
    /// # Errors
    /// Those of [`Clip`], and of the classifier's files.
    pub fn of(folder: &Path, clip: &Clip, inputs: &Inputs) -> Result<Option<Classified>> {
        let Manifest { classifier: Some(classifier), preprocess, image: Some(tower), logit_bias, .. } =
            clip.manifest()
        else {
            return Ok(None);
        };
        let Some(labels) = clip.stored_labels() else { return Ok(None) };
        for (file, sha256) in classifier.all_files() {
            manifest::verified(folder, file, sha256)?;
        }
        let session = session::open_encoder(folder, &classifier.encoder, inputs)?;
        let input = &classifier.encoder.input;
        // TensorRT chooses other kernels for either.
        let plan = !inputs.graphs && classifier.encoder.plan().is_some();
        let same = !plan
            && (tower.precision == Precision::Fp32
                || tower.input == *input && classifier.values != Values::Pixels);
        let mut classified =
            Classified { labels: labels.len(), softmax: logit_bias.is_none(), same, ..Classified::default() };
        for image in &inputs.images {
            let pixels = pixels(image, preprocess, classifier)?;
            let outputs = session.run(&[(&input.name, &pixels)])?;
            let given = outputs.first().map_or(&[][..], |output| &output.values);
            let finite = |i: usize| given.get(i).copied().filter(|value| value.is_finite());
            classified.found.extend((0..labels.len()).map(finite));
            let mut matches = clip.classify(image, labels, labels.len())?;
            matches.sort_by_key(|found| found.index);
            classified.expected.extend(matches.iter().map(|found| found.probability));
        }
        Ok(Some(classified))
    }

    /// Refuses what is no probability, and what is not the runtime's.
    ///
    /// # Errors
    /// [`Error::Classifier`].
    pub fn check(&self) -> error::Result<()> {
        let apart = |(&found, &expected): (&Option<f32>, &f32)| match found {
            Some(found) if !(0.0..=1.0 + SUM).contains(&found) => true,
            Some(found) => self.same && (found - expected).abs() > CLOSE,
            None => true,
        };
        let refused = |i: usize| Error::Classifier {
            index: i % self.labels,
            found: self.found[i],
            expected: self.expected[i],
        };
        if let Some(i) = self.found.iter().zip(&self.expected).position(apart) {
            return Err(refused(i));
        }
        let rows = self.found.chunks(self.labels.max(1));
        let mut sums = rows.map(|row| row.iter().flatten().sum::<f32>());
        match sums.position(|sum| self.softmax && (sum - 1.0).abs() > SUM) {
            Some(row) => Err(refused(row * self.labels)),
            None => Ok(()),
        }
    }
}

/// A picture as the classifier takes it, in a batch that it takes.
fn pixels(image: &Image, preprocess: &Preprocess, classifier: &Classifier) -> Result<Tensor> {
    let (side, rows) = (preprocess.size, least(&classifier.encoder));
    let size = 3 * side * side;
    if classifier.values == Values::Bytes {
        let mut bytes = preprocess.fit(image)?.rgb().to_vec();
        bytes.resize(rows * size, 0);
        return Ok(Tensor::UInt8(vec![rows, side, side, 3], bytes));
    }
    let mut numbers = vec![0.0; rows * size];
    if classifier.values == Values::Normalised {
        preprocess.apply(image, &mut numbers[..size])?;
    } else {
        for (i, level) in preprocess.fit(image)?.rgb().iter().enumerate() {
            numbers[i % 3 * side * side + i / 3] = f32::from(*level);
        }
    }
    Ok(Tensor::Float32(vec![rows, 3, side, side], numbers))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classified(found: [Option<f32>; 3], softmax: bool, same: bool) -> Classified {
        Classified { found: found.to_vec(), expected: vec![0.2, 0.3, 0.5], labels: 3, softmax, same }
    }

    #[test]
    fn probabilities_are_the_runtimes() {
        let index = |classified: Classified| match classified.check() {
            Err(Error::Classifier { index, .. }) => Some(index),
            Err(other) => panic!("{other}"),
            Ok(()) => None,
        };
        let near = [Some(0.2), Some(0.300_01), Some(0.499_99)];
        let far = [Some(0.3), Some(0.2), Some(0.5)];
        assert_eq!(index(classified(near, true, true)), None);
        assert_eq!(index(classified(far, true, true)), Some(0));
        assert_eq!(index(classified(far, true, false)), None);
        assert_eq!(index(classified([Some(0.3), Some(0.3), Some(0.5)], true, false)), Some(0));
        assert_eq!(index(classified([Some(0.3), Some(0.3), Some(0.5)], false, false)), None);
        for none in [None, Some(-0.1), Some(1.1)] {
            assert_eq!(index(classified([Some(0.2), none, Some(0.5)], false, false)), Some(1));
        }
        let message = classified([Some(0.2), None, Some(0.5)], true, true).check().unwrap_err().to_string();
        assert!(
            message.contains("it gives no number for label 2, where encoder and labels give 0.3"),
            "{message}"
        );
    }

    #[test]
    fn what_is_no_number_survives_json() {
        let json = serde_json::to_string(&classified([None, Some(0.5), None], true, true)).unwrap();
        assert_eq!(serde_json::from_str::<Classified>(&json).unwrap().found, [None, Some(0.5), None]);
    }
}
