//! sentencepiece's compiled normalizer rules, checked before the `tokenizers` crate sees them: it panics at those it cannot parse, and
//! follows what they say without looking.
//!
//! The format is that of crate `spm_precompiled`: the length in bytes of a trie (a double array of 32-bit units, as darts-clone
//! makes it), the trie, and replacement texts, each ended by a zero, into which its values point.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

/// Refuses a `tokenizer.json` with rules that cannot be followed.
pub(super) fn check(json: &str) -> Result<(), String> {
    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        normalizer: Value,
    }
    // What is no such file at all is refused by the crate, in its own words.
    serde_json::from_str::<File>(json).map_or(Ok(()), |file| check_all(&file.normalizer))
}

fn check_all(value: &Value) -> Result<(), String> {
    match value {
        Value::Array(values) => values.iter().try_for_each(check_all),
        Value::Object(fields) => {
            let rules = fields.get("precompiled_charsmap");
            if rules.is_some() || fields.get("type").is_some_and(|kind| kind == "Precompiled") {
                let bytes = rules.and_then(Value::as_str).and_then(|text| STANDARD.decode(text).ok());
                if !bytes.is_some_and(|bytes| can_be_followed(&bytes)) {
                    return Err("the precompiled_charsmap of its normalizer is damaged".to_owned());
                }
            }
            fields.values().try_for_each(check_all)
        }
        _ => Ok(()),
    }
}

/// Whether every walk through the trie stays inside, and every value points to the start of a character.
fn can_be_followed(bytes: &[u8]) -> bool {
    let Some((size, rest)) = bytes.split_first_chunk::<4>() else { return false };
    let units = u32::from_le_bytes(*size) as usize / 4;
    let Some((trie, texts)) = rest.split_at_checked(units * 4) else { return false };
    let Ok(texts) = std::str::from_utf8(texts) else { return false };
    let trie: Vec<usize> =
        trie.as_chunks::<4>().0.iter().map(|&unit| u32::from_le_bytes(unit) as usize).collect();
    let Some(&root) = trie.first() else { return false };

    let mut seen = vec![false; trie.len()];
    let mut nodes = vec![offset(root)];
    while let Some(node) = nodes.pop() {
        for byte in 1..=255 {
            let position = node ^ byte;
            let Some(&unit) = trie.get(position) else { return false };
            if unit & (1 << 31 | 0xff) != byte || std::mem::replace(&mut seen[position], true) {
                continue;
            }
            let next = position ^ offset(unit);
            let has_value = unit >> 8 & 1 == 1;
            let points = |&value: &usize| texts.is_char_boundary(value & ((1 << 31) - 1));
            if has_value && !trie.get(next).is_some_and(points) {
                return false;
            }
            nodes.push(next);
        }
    }
    true
}

/// What a unit's position is combined with to find its children.
fn offset(unit: usize) -> usize {
    (unit >> 10) << ((unit & 1 << 9) >> 6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::Tokenizer;
    use proptest::prelude::*;

    /// Rules that make "a" into the text at `value`.
    fn rules(value: u32, texts: &[u8]) -> Vec<u8> {
        let mut trie = vec![0u32; 512];
        trie[0] = 256 << 10; // children in the second block
        trie[256 ^ 0x61] = 0x61 | 1 << 8 | 0x61 << 10; // its value at the start of the block
        trie[256] = 1 << 31 | value;
        let units = trie.iter().flat_map(|unit| unit.to_le_bytes());
        2048u32.to_le_bytes().into_iter().chain(units).chain(texts.iter().copied()).collect()
    }

    fn tokenizer(charsmap: &Value) -> String {
        serde_json::json!({
            "version": "1.0",
            "normalizer": {"type": "Sequence", "normalizers": [{"type": "Precompiled", "precompiled_charsmap": charsmap}]},
            "model": {"type": "BPE", "unk_token": null, "merges": [],
                      "vocab": {"<s>": 0, "</s>": 1, "a": 2, "b": 3, "c": 4}},
        })
        .to_string()
    }

    fn encoded(bytes: &[u8]) -> Value {
        STANDARD.encode(bytes).into()
    }

    #[test]
    fn sound_rules_are_followed() {
        let tokenizer = Tokenizer::from_json(&tokenizer(&encoded(&rules(2, b"b\0c\0")))).unwrap();
        assert_eq!(tokenizer.encode("ab", 9), [0, 4, 3, 1]);
    }

    #[test]
    fn damaged_rules_are_refused() {
        let whole = rules(0, b"b\0");
        let mut outside = whole.clone();
        outside[4..8].copy_from_slice(&(512u32 << 10).to_le_bytes());
        for damaged in [
            Value::Null,
            "AAAA".into(),
            "/////w==".into(),
            "?".into(),
            encoded(&[0; 4]),
            encoded(&whole[..900]),
            encoded(&rules(9, b"b\0")),
            encoded(&rules(1, "é".as_bytes())),
            encoded(&rules(0, b"\xff")),
            encoded(&outside),
        ] {
            let message = Tokenizer::from_json(&tokenizer(&damaged)).unwrap_err().to_string();
            assert!(message.contains("precompiled_charsmap of its normalizer is damaged"), "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_rules_make_a_tokenizer_panic(
            changes in prop::collection::vec((0usize..2056, any::<u8>()), 0..4),
            text in "[a-c\u{e9}]{0,6}",
        ) {
            let mut bytes = rules(0, b"b\0c\0");
            for (position, byte) in changes {
                if let Some(found) = bytes.get_mut(position) {
                    *found = byte;
                }
            }
            if let Ok(tokenizer) = Tokenizer::from_json(&tokenizer(&encoded(&bytes))) {
                tokenizer.encode(&text, 9);
            }
        }
    }
}
