//! What a `tokenizer.json` may ask for, checked before the `tokenizers` crate computes with it: ids, and how much longer a
//! normalizer makes a text.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::Value;

/// Token ids that a vocabulary may have: far more than any that is known, and few enough to be counted.
const MOST: i64 = 1 << 24;

/// How many times longer the replacements of a normalizer may make a text together. Those that are known leave it as long as
/// it was.
const GROWTH: f64 = 16.0;

/// Characters that a normalizer may put in front of a text.
const PREPENDED: usize = 1024;

/// Refuses a normalizer by which a short text becomes one that does not fit into memory, and ids that are negative, huge, or given to two tokens. What is no such file at all is refused by the crate, in its own
/// words.
pub(super) fn check(json: &str) -> Result<(), String> {
    #[derive(Deserialize)]
    struct File<'a> {
        #[serde(borrow, default)]
        added_tokens: Vec<Added<'a>>,
        #[serde(default)]
        normalizer: Value,
        #[serde(borrow)]
        model: Model<'a>,
    }
    #[derive(Deserialize)]
    struct Added<'a> {
        #[serde(borrow)]
        content: Cow<'a, str>,
        id: Id,
    }
    #[derive(Deserialize)]
    struct Model<'a> {
        #[serde(borrow, default)]
        vocab: Vocabulary<'a>,
    }
    let Ok(File { added_tokens, normalizer, model }) = serde_json::from_str::<File<'_>>(json) else {
        return Ok(());
    };
    let growth = growth(&normalizer)?;
    if growth > GROWTH {
        return Err(format!(
            "its normalizer makes a text up to {growth:.0} times longer, expected at most {GROWTH}"
        ));
    }
    let mut seen: HashMap<i64, &str> = HashMap::with_capacity(model.vocab.0.len());
    for (token, id) in &model.vocab.0 {
        let id = usable(token, id)?;
        if let Some(other) = seen.insert(id, token) {
            return Err(format!("tokens {:?} and {token:?} have the same id {id}", other));
        }
    }
    added_tokens.iter().try_for_each(|token| usable(&token.content, &token.id).map(drop))
}

/// By how much the replacements of a normalizer can lengthen a text.
fn growth(normalizer: &Value) -> Result<f64, String> {
    let characters = |text: &Value| text.as_str().map_or(0, |text| text.chars().count());
    match normalizer["type"].as_str() {
        Some("Sequence") => {
            let steps = normalizer["normalizers"].as_array().map_or(&[][..], Vec::as_slice);
            steps.iter().try_fold(1.0, |product, step| Ok(product * growth(step)?))
        }
        Some("Replace") => {
            // A pattern may match a single character, or between two of them.
            let matched = characters(&normalizer["pattern"]["String"]).max(1);
            Ok((characters(&normalizer["content"]) as f64 / matched as f64).max(1.0))
        }
        Some("Prepend") if characters(&normalizer["prepend"]) > PREPENDED => Err(format!(
            "its normalizer puts {} characters in front of a text, expected at most {PREPENDED}",
            characters(&normalizer["prepend"])
        )),
        _ => Ok(1.0),
    }
}

fn usable(token: &str, id: &Id) -> Result<i64, String> {
    match id.0 {
        Some(id) if (0..MOST).contains(&id) => Ok(id),
        Some(id) => Err(format!("token {token:?} has id {id}, expected 0 to {}", MOST - 1)),
        None => Err(format!("token {token:?} has an id that is no whole number")),
    }
}

/// A whole number of any size, as far as 64 bits hold it.
struct Id(Option<i64>);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        Ok(Id(number.as_i64().or_else(|| number.is_u64().then_some(i64::MAX))))
    }
}

/// Tokens with their ids. Of a list, whose places are the ids, nothing is kept.
#[derive(Default)]
struct Vocabulary<'a>(Vec<(Cow<'a, str>, Id)>);

impl<'de: 'a, 'a> Deserialize<'de> for Vocabulary<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Vocabulary<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a vocabulary")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                #[derive(Deserialize)]
                struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
                let mut tokens = Vec::new();
                while let Some((Name(token), id)) = map.next_entry()? {
                    tokens.push((token, id));
                }
                Ok(Vocabulary(tokens))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Vocabulary::default())
            }
            fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
                Ok(Vocabulary::default())
            }
        }
        deserializer.deserialize_any(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn checked(normalizer: &Value) -> Result<(), String> {
        check(&json!({ "normalizer": normalizer, "model": {} }).to_string())
    }

    #[test]
    fn normalizers_that_make_texts_grow_are_refused() {
        let replace = |pattern: &str, content: &str| json!({"type": "Replace", "pattern": {"String": pattern}, "content": content});
        let sequence = |steps: &[Value]| json!({"type": "Sequence", "normalizers": steps});
        let prepend = |n: usize| json!({"type": "Prepend", "prepend": "a".repeat(n)});
        let usual = [replace("&quot;", "\""), replace(" ", "\u{2581}"), json!({"type": "NFC"}), prepend(1)];
        for fine in [Value::Null, sequence(&usual), replace("a", &"a".repeat(16)), prepend(1024)] {
            assert_eq!(checked(&fine), Ok(()), "{fine}");
        }
        let four = [(); 4].map(|()| replace("a", "aaaaa"));
        for (grows, reason) in [
            (replace("a", &"a".repeat(17)), "up to 17 times longer, expected at most 16"),
            (sequence(&[sequence(&four)]), "up to 625 times longer"),
            (
                json!({"type": "Replace", "pattern": {"Regex": "x*"}, "content": "a".repeat(40)}),
                "up to 40 times",
            ),
            (prepend(1025), "puts 1025 characters in front"),
        ] {
            assert!(checked(&grows).unwrap_err().contains(reason), "{grows}");
        }
    }
}
