//! When an image shows none of the labels.

use crate::error::{Error, Result};
use crate::labels::LabelSet;
use crate::scores::Score;

/// Says of a label that was compared with an image whether the image shows it: not when it is one of the background
/// ([`LabelSet::with_background`]), nor when it is below a threshold. The default has no thresholds.
///
/// A softmax gives all of its probability to the labels that there are, also where none fits, and the more of them there are, the less
/// each gets. So for a model without a logit bias, a background or a threshold on the similarity says more than one on the probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    min_probability: f32,
    min_similarity: f32,
}

impl Default for Rule {
    fn default() -> Rule {
        Rule { min_probability: 0.0, min_similarity: -1.0 }
    }
}

impl Rule {
    /// Labels need this probability, 0 to 1, and this similarity, -1 to 1.
    ///
    /// # Errors
    /// [`Error::Threshold`] for numbers outside of that.
    pub fn new(min_probability: f32, min_similarity: f32) -> Result<Rule> {
        let check = |what, value, least, most| match (least..=most).contains(&value) {
            true => Ok(()),
            false => Err(Error::Threshold { what, value, least, most }),
        };
        check("probability", min_probability, 0.0, 1.0)?;
        check("similarity", min_similarity, -1.0, 1.0)?;
        Ok(Rule { min_probability, min_similarity })
    }

    /// Whether the image shows the label. Where each label has a probability of its own, an image may show several.
    pub fn accepts(&self, labels: &LabelSet, score: Score) -> bool {
        // Rounding can make a similarity a little less than -1.
        let similar = self.min_similarity <= -1.0 || score.similarity >= self.min_similarity;
        !labels.is_background(score.index) && score.probability >= self.min_probability && similar
    }

    /// The one label that the image shows: the best one, the first of `scores`, or none.
    pub fn decide(&self, labels: &LabelSet, scores: &[Score]) -> Option<Score> {
        scores.first().copied().filter(|&best| self.accepts(labels, best))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::tests::set;

    const fn score(index: usize, probability: f32, similarity: f32) -> Score {
        Score { index, probability, similarity }
    }

    #[test]
    fn the_best_label_counts_if_it_is_good_enough() {
        let labels = set(&[[0.0, 1.0], [1.0, 0.0]]);
        let scores = [score(1, 0.6, 0.25), score(0, 0.4, 0.2)];
        let decide = |probability, similarity| {
            Rule::new(probability, similarity).unwrap().decide(&labels, &scores).map(|score| score.index)
        };
        assert_eq!(Rule::default().decide(&labels, &scores), Some(scores[0]));
        assert_eq!(Rule::default().decide(&labels, &[]), None);
        assert_eq!(decide(0.6, 0.25), Some(1));
        assert_eq!((decide(0.61, 0.0), decide(0.0, 0.26)), (None, None));
        assert!(Rule::default().accepts(&labels, score(0, 0.0, -1.0000001)));
        assert!(!Rule::new(0.1, -1.0).unwrap().accepts(&labels, score(0, f32::NAN, 0.0)));
    }

    #[test]
    fn a_background_that_is_the_best_is_none_of_the_labels() {
        let labels = set(&[[0.0, 1.0]]).with_background(&set(&[[1.0, 0.0]])).unwrap();
        assert_eq!(Rule::default().decide(&labels, &[score(1, 0.9, 0.9), score(0, 0.1, 0.1)]), None);
        assert_eq!(Rule::default().decide(&labels, &[score(0, 0.9, 0.9)]).map(|s| s.index), Some(0));
    }

    #[test]
    fn thresholds_that_nothing_can_meet_are_refused() {
        for (probability, similarity, said) in [
            (-0.1, 0.0, "probability is -0.1, expected 0 to 1"),
            (1.1, 0.0, "probability is 1.1"),
            (f32::NAN, 0.0, "probability is NaN"),
            (0.0, 1.5, "similarity is 1.5, expected -1 to 1"),
            (0.0, f32::NEG_INFINITY, "similarity is -inf"),
        ] {
            let error = Rule::new(probability, similarity).unwrap_err();
            assert!(matches!(error, Error::Threshold { .. }) && error.to_string().contains(said), "{error}");
        }
    }
}
