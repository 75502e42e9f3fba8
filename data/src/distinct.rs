//! Class names and captions, each once.

use std::collections::HashMap;

/// Distinct texts, numbered in the order of their appearance.
#[derive(Debug, Clone, Default)]
pub struct Distinct {
    texts: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Distinct {
    /// The number of `text`, when it is there.
    pub fn get(&self, text: &str) -> Option<usize> {
        self.numbers.get(text).copied()
    }

    /// The number of `text`, which is added when it is new.
    pub fn number(&mut self, text: &str) -> usize {
        self.get(text).unwrap_or_else(|| {
            let number = self.texts.len();
            self.texts.push(text.to_owned());
            self.numbers.insert(text.to_owned(), number);
            number
        })
    }

    /// All of them, by their numbers.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_the_number_of_its_first_appearance() {
        let mut names = Distinct::default();
        assert_eq!(["cat", "dog", "cat", "emu"].map(|name| names.number(name)), [0, 1, 0, 2]);
        assert_eq!(names.texts(), ["cat", "dog", "emu"]);
        assert_eq!((names.get("dog"), names.get("fox")), (Some(1), None));
    }
}
