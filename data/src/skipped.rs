//! Samples that were left out: how many, why, and the first of them by name.

use std::fmt::{self, Display};

use serde::Serialize;

/// Samples that are named for a reason; what follows is only counted.
const NAMED: usize = 5;

/// Reasons that are told apart. Those that a file's own content is part of could be as many as there are samples.
const REASONS: usize = 16;

/// What stands for the reasons after these.
const OTHER: &str = "other reasons";

/// The samples that were left out, by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Skipped {
    reasons: Vec<SkipReason>,
}

/// The samples that were left out for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SkipReason {
    /// Why.
    pub reason: String,
    /// How many samples.
    pub count: u64,
    /// The first of them: their keys, some with what was wrong in brackets.
    pub first: Vec<String>,
}

impl Skipped {
    /// Counts a sample.
    pub fn add(&mut self, reason: impl Display, sample: impl Into<String>) {
        self.count(&reason.to_string(), 1, [sample.into()]);
    }

    /// Counts those of `other` too.
    pub fn merge(&mut self, other: &Skipped) {
        for SkipReason { reason, count, first } in &other.reasons {
            self.count(reason, *count, first.iter().cloned());
        }
    }

    fn count(&mut self, reason: &str, count: u64, names: impl IntoIterator<Item = String>) {
        let full = self.reasons.len() >= REASONS;
        let place = |text: &str| self.reasons.iter().position(|r| r.reason == text);
        let (text, place) = match place(reason) {
            None if full => (OTHER, place(OTHER)),
            found => (reason, found),
        };
        let place = place.unwrap_or_else(|| {
            self.reasons.push(SkipReason { reason: text.to_owned(), count: 0, first: Vec::new() });
            self.reasons.len() - 1
        });
        let entry = &mut self.reasons[place];
        entry.count += count;
        entry.first.extend(names.into_iter().take(NAMED - entry.first.len()));
    }

    /// How many samples there are.
    pub fn total(&self) -> u64 {
        self.reasons.iter().map(|reason| reason.count).sum()
    }

    /// The reasons, in the order in which they appeared.
    pub fn reasons(&self) -> &[SkipReason] {
        &self.reasons
    }
}

/// `3 skipped: it has no image (2: a, b), its captions are not UTF-8 (1: c)`.
impl Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} skipped", self.total())?;
        for (number, SkipReason { reason, count, first }) in self.reasons.iter().enumerate() {
            let more = if first.len() as u64 == *count { "" } else { ", ..." };
            let before = if number == 0 { ": " } else { ", " };
            write!(f, "{before}{reason} ({count}: {}{more})", first.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_reason_are_named() {
        let mut skipped = Skipped::default();
        assert_eq!(skipped.to_string(), "0 skipped");
        (0..7).for_each(|n| skipped.add("it has no image", format!("k{n}")));
        skipped.add("its captions are not UTF-8", "z");
        let said =
            "8 skipped: it has no image (7: k0, k1, k2, k3, k4, ...), its captions are not UTF-8 (1: z)";
        assert_eq!(skipped.to_string(), said);

        let mut total = Skipped::default();
        total.add("its captions are not UTF-8", "a");
        total.merge(&skipped);
        assert_eq!((total.total(), total.reasons()[0].count), (9, 2));
        assert_eq!(total.reasons()[0].first, ["a", "z"]);
        let json = serde_json::to_value(&total).unwrap();
        assert_eq!(json[1]["count"], 7);
        assert_eq!(json[1]["first"][4], "k4");
    }

    #[test]
    fn reasons_are_bounded() {
        let mut skipped = Skipped::default();
        (0..100).for_each(|n| skipped.add(format!("byte {n} is wrong"), "k"));
        assert_eq!(skipped.total(), 100);
        assert_eq!(skipped.reasons().len(), REASONS + 1);
        let last = &skipped.reasons()[REASONS];
        assert_eq!((last.reason.as_str(), last.count, last.first.len()), (OTHER, 84, NAMED));
    }
}
