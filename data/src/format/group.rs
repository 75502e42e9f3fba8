//! Files of an archive to samples: those of a sample share their key, in any order and at any distance.
//!
//! A sample is handed on when the next key begins, as it lies in an archive that keeps each sample's files together. What is
//! then still incomplete waits for the rest (all pictures before all captions, say), up to a limit of memory.

use std::collections::{BTreeMap, HashMap};

use crate::fields::CaptionSource;
use crate::sample::{Builder, Part};

/// Bytes that wait for the rest of their samples.
pub(crate) const LIMIT: usize = 1 << 30;
/// Memory of one that waits besides its files, bytes: about what the two maps take.
const ENTRY: usize = 200;

/// The files that are not yet samples.
pub(crate) struct Groups {
    source: CaptionSource,
    limit: usize,
    current: Option<Builder>,
    /// By the order in which they were put aside.
    waiting: BTreeMap<u64, Builder>,
    numbers: HashMap<String, u64>,
    next: u64,
    bytes: usize,
}

impl Groups {
    /// `limit`: bytes that may wait.
    pub fn new(source: CaptionSource, limit: usize) -> Groups {
        Groups {
            source,
            limit,
            current: None,
            waiting: BTreeMap::new(),
            numbers: HashMap::new(),
            next: 0,
            bytes: 0,
        }
    }

    /// Takes a file, and gives back the sample before it, when that is complete.
    pub fn add(&mut self, key: String, part: Option<Part>, bytes: Vec<u8>) -> Option<Builder> {
        let mut complete = None;
        if self.current.as_ref().is_none_or(|builder| builder.key != key) {
            complete = self.put_aside();
            let waiting = self.numbers.remove(&key).and_then(|number| self.waiting.remove(&number));
            self.bytes -= waiting.as_ref().map_or(0, |builder| builder.bytes() + ENTRY);
            self.current = Some(waiting.unwrap_or_else(|| Builder::new(key)));
        }
        let part = part.filter(|part| Builder::wants(self.source, *part));
        if let (Some(builder), Some(part)) = (&mut self.current, part) {
            builder.add(part, bytes);
        }
        complete
    }

    /// The sample that was worked at, when it is complete; else it waits.
    fn put_aside(&mut self) -> Option<Builder> {
        let builder = self.current.take()?;
        if builder.is_complete(self.source) {
            return Some(builder);
        }
        self.bytes += builder.bytes() + ENTRY;
        self.numbers.insert(builder.key.clone(), self.next);
        self.waiting.insert(self.next, builder);
        self.next += 1;
        None
    }

    /// Whether more waits than may.
    pub fn is_over(&self) -> bool {
        self.bytes > self.limit
    }

    /// What is left at the archive's end: the one that has waited longest, and last the one that was added to last.
    pub fn take(&mut self) -> Option<Builder> {
        self.take_oldest().or_else(|| self.current.take())
    }

    /// The one that has waited longest.
    pub fn take_oldest(&mut self) -> Option<Builder> {
        let (_, builder) = self.waiting.pop_first()?;
        self.numbers.remove(&builder.key);
        self.bytes -= builder.bytes() + ENTRY;
        Some(builder)
    }

    /// The key of the file that was added last.
    pub fn key(&self) -> Option<&str> {
        self.current.as_ref().map(|builder| builder.key.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Part::{Captions, Image};

    fn keys(files: &[(&str, Part)]) -> (Vec<String>, Vec<String>) {
        let mut groups = Groups::new(CaptionSource::Txt, LIMIT);
        let mut complete = Vec::new();
        for (key, part) in files {
            complete.extend(groups.add((*key).to_owned(), Some(*part), vec![1]));
        }
        let mut left = Vec::new();
        while let Some(builder) = groups.take() {
            if builder.is_complete(CaptionSource::Txt) {
                complete.push(builder)
            } else {
                left.push(builder.key)
            }
        }
        assert_eq!((groups.bytes, groups.numbers.len()), (0, 0));
        (complete.into_iter().map(|builder| builder.key).collect(), left)
    }

    #[test]
    fn files_find_each_other_in_any_order() {
        let together = [("a", Image), ("a", Captions), ("b", Captions), ("b", Image)];
        assert_eq!(keys(&together), (vec!["a".into(), "b".into()], vec![]));
        let apart = [("a", Image), ("b", Image), ("c", Image), ("c", Captions), ("a", Captions)];
        assert_eq!(keys(&apart), (vec!["c".into(), "a".into()], vec!["b".into()]));
        // Archives that were appended to each other may use keys twice.
        let twice =
            [("a", Image), ("a", Captions), ("b", Image), ("b", Captions), ("a", Image), ("a", Captions)];
        assert_eq!(keys(&twice).0, ["a", "b", "a"]);
    }

    #[test]
    fn what_waits_is_limited() {
        let mut groups = Groups::new(CaptionSource::Txt, 3 * ENTRY);
        for key in ["a", "b", "c", "d"] {
            assert!(!groups.is_over());
            groups.add(key.into(), Some(Image), vec![0; 10]);
        }
        assert!(groups.is_over());
        assert_eq!(groups.take_oldest().unwrap().key, "a");
        assert!(!groups.is_over());
    }
}
