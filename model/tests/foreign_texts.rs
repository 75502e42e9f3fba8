//! Whatever lies in a file of texts or of a tokenizer of somebody else's, reading it ends in a result. The files are the seeds of the
//! fuzz targets, with parts changed, doubled, or left out.

#![allow(clippy::unwrap_used, reason = "a failing helper fails its test")]

use std::path::Path;

use clip_testkit::fuzzing;
use proptest::prelude::*;
use proptest::sample::Index;

/// The seeds of a target, with their names.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// What is put in place of a part: what is found in such files, and what is not.
const PIECES: [&[u8]; 16] = [
    b"",
    b"0",
    b"-1",
    b"4294967295",
    b"18446744073709551615",
    b"1e308",
    b"null",
    b"[]",
    b"{}",
    b"\"\"",
    b"\"a\"",
    b"true",
    b"{}{}",
    b"\xff\xfe",
    "Ã\u{83}".as_bytes(),
    b"&amp;",
];

/// One of the seeds, in which up to four parts are replaced by pieces or by parts of it.
fn changed(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let edits = prop::collection::vec((any::<[Index; 4]>(), 0usize..12, any::<bool>()), 0..5);
    (prop::sample::select(seeds(target)), edits).prop_map(|(mut bytes, edits)| {
        for ([at, piece, from, length], replaced, copies) in edits {
            let start = at.index(bytes.len() + 1);
            let end = (start + replaced).min(bytes.len());
            let from = from.index(bytes.len() + 1);
            let own = bytes[from..(from + length.index(60)).min(bytes.len())].to_vec();
            let new = if copies { own } else { PIECES[piece.index(PIECES.len())].to_vec() };
            bytes.splice(start..end, new);
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tokenizers(bytes in changed("tokenizer")) {
        fuzzing::tokenizer(&bytes);
    }

    #[test]
    fn compiled_rules(bytes in changed("charsmap")) {
        fuzzing::charsmap(&bytes);
    }

    #[test]
    fn lists_of_texts(bytes in changed("texts")) {
        fuzzing::texts(&bytes);
    }

    #[test]
    fn stored_labels(bytes in changed("stored_labels")) {
        fuzzing::stored_labels(&bytes);
    }

    #[test]
    fn manifests(bytes in changed("manifest")) {
        fuzzing::manifest(&bytes);
    }
}
