//! Ids in a `tokenizer.json`, checked before the `tokenizers` crate computes with them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

/// Token ids that a vocabulary may have: far more than any that is known, and few enough to be counted.
const MOST: i64 = 1 << 24;

/// Refuses ids that are negative, huge, or given to two tokens. What is no such file at all is refused by the crate, in its own
/// words.
pub(super) fn check(json: &str) -> Result<(), String> {
    #[derive(Deserialize)]
    struct File<'a> {
        #[serde(borrow, default)]
        added_tokens: Vec<Added<'a>>,
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
    let Ok(File { added_tokens, model }) = serde_json::from_str::<File<'_>>(json) else { return Ok(()) };
    let mut seen: HashMap<i64, &str> = HashMap::with_capacity(model.vocab.0.len());
    for (token, id) in &model.vocab.0 {
        let id = usable(token, id)?;
        if let Some(other) = seen.insert(id, token) {
            return Err(format!("tokens {:?} and {token:?} have the same id {id}", other));
        }
    }
    added_tokens.iter().try_for_each(|token| usable(&token.content, &token.id).map(drop))
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
