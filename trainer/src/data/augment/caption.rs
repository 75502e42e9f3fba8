//! Which of a sample's captions is taken, and what of it.

use std::borrow::Cow;

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{Augment, chance};

impl Augment {
    /// One of `captions`, of which there is at least one.
    pub(crate) fn caption<'a>(&self, random: &mut ChaCha8Rng, captions: &'a [String]) -> Cow<'a, str> {
        let chosen = match self.first_caption {
            _ if captions.len() == 1 => 0,
            Some(probability) if chance(random, probability) => 0,
            Some(_) => random.random_range(1..captions.len()),
            None => random.random_range(0..captions.len()),
        };
        let caption = &captions[chosen];
        if self.keywords == 0 || chosen == 0 {
            return Cow::Borrowed(caption);
        }
        let mut words: Vec<&str> =
            caption.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
        let count = random.random_range(1..=self.keywords).min(words.len());
        let (some, _) = words.partial_shuffle(random, count);
        Cow::Owned(some.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use std::collections::HashMap;

    fn counts(augment: &Augment, captions: &[&str]) -> HashMap<String, usize> {
        let captions: Vec<String> = captions.iter().map(|c| (*c).to_owned()).collect();
        let mut random = ChaCha8Rng::seed_from_u64(4);
        let mut counts = HashMap::new();
        for _ in 0..3000 {
            *counts.entry(augment.caption(&mut random, &captions).into_owned()).or_default() += 1;
        }
        counts
    }

    #[test]
    fn all_captions_are_equally_probable() {
        let counts = counts(&Augment::default(), &["a", "b, c", "d"]);
        assert_eq!(counts.len(), 3);
        assert!(counts.values().all(|count| (900..1100).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_first_has_its_probability_and_keywords_are_drawn_from_the_others() {
        let augment = Augment { first_caption: Some(0.7), keywords: 2, ..Augment::default() };
        let counts = counts(&augment, &["name, that is", "x, y, z"]);
        assert!((2000..2200).contains(&counts["name, that is"]), "{counts:?}");
        let drawn = ["x", "y", "z", "x, y", "x, z", "y, x", "y, z", "z, x", "z, y"];
        assert_eq!(counts.len(), 1 + drawn.len());
        assert!(drawn.iter().all(|words| counts[*words] > 50), "{counts:?}");
    }

    #[test]
    fn a_single_caption_is_always_taken() {
        let augment = Augment { first_caption: Some(0.0), keywords: 3, ..Augment::default() };
        assert_eq!(counts(&augment, &["a, b"])["a, b"], 3000);
    }
}
