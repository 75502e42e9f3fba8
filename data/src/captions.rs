//! Captions: all of some shards, some of a text file, and the one that a visit of a sample takes.

use std::borrow::Cow;
use std::path::Path;

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::augment::Augment;
use crate::error::{Error, Result};
use crate::fields::Fields;
use crate::location::Location;
use crate::pictures::evenly;
use crate::random::chance;
use crate::samples::samples;
use crate::warnings::Warn;

/// All captions of `shards`, in order: what a vocabulary is trained from.
///
/// # Errors
/// As [`samples`]; [`Error::NoShards`] when there are none.
pub fn read_captions(
    shards: &[Location],
    fields: &Fields,
    skip_bad_shards: bool,
    warn: Warn,
) -> Result<Vec<String>> {
    if shards.is_empty() {
        return Err(Error::NoShards);
    }
    let mut captions = Vec::new();
    for sample in samples(shards, warn).with_fields(fields.clone()).skipping_bad_shards(skip_bad_shards) {
        captions.extend(sample?.captions);
    }
    Ok(captions)
}

/// At most `limit` lines of `text`, the content of `file`, evenly chosen; blank ones do not count.
///
/// # Errors
/// [`Error::NoSamples`] when there is none.
pub fn choose_lines(text: &str, file: impl AsRef<Path>, limit: usize) -> Result<Vec<String>> {
    // Some editors begin a file with a byte order mark.
    let lines = text.trim_start_matches('\u{feff}').lines();
    let lines: Vec<&str> = lines.filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        let reason = "there is no text in it: write one a line".to_owned();
        return Err(Error::NoSamples { path: file.as_ref().to_owned(), reason });
    }
    Ok(evenly(lines.len(), limit).map(|i| lines[i].to_owned()).collect())
}

/// One of a sample's `captions`, of which there is at least one, or some words of it.
pub(crate) fn choose<'a>(augment: &Augment, random: &mut ChaCha8Rng, captions: &'a [String]) -> Cow<'a, str> {
    let chosen = match augment.first_caption {
        _ if captions.len() == 1 => 0,
        Some(probability) if chance(random, probability) => 0,
        Some(_) => random.random_range(1..captions.len()),
        None => random.random_range(0..captions.len()),
    };
    let caption = &captions[chosen];
    if augment.keywords == 0 || chosen == 0 {
        return Cow::Borrowed(caption);
    }
    let mut words: Vec<&str> = caption.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    let count = random.random_range(1..=augment.keywords).min(words.len());
    let (some, _) = words.partial_shuffle(random, count);
    Cow::Owned(some.join(", "))
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
            *counts.entry(choose(augment, &mut random, &captions).into_owned()).or_default() += 1;
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

    #[test]
    fn texts_are_lines_that_say_something() {
        let choose = |text: &str| choose_lines(text, "captions.txt", 9);
        assert_eq!(choose("\u{feff}cat\r\n\n \t\na dog").unwrap(), ["cat", "a dog"]);
        for nothing in ["", "\u{feff}", "\n  \n"] {
            let message = choose(nothing).unwrap_err().to_string();
            assert_eq!(message, "no samples from captions.txt: there is no text in it: write one a line");
        }
    }
}
