//! Long texts, of which only the front is needed: a model sees 77 tokens, whatever comes after them.

/// Bytes of a text that are looked at first.
pub(super) const BYTES: usize = 1 << 14;

/// The tokens of `text` by `whole`: at least the first `limit` of them, or all. Only so much of the text is looked at as gives
/// that many, `bytes` at first.
///
/// The text is cut at spaces, where words end: `is_apart` says whether the tokens of what lies before the space are the
/// same without what lies behind it.
pub(super) fn encode<T>(
    text: &str,
    mut bytes: usize,
    limit: usize,
    is_apart: impl Fn(&str, &str) -> bool,
    whole: impl Fn(&str) -> Vec<T>,
) -> Vec<T> {
    while let Some(space) = text.as_bytes().get(bytes..).and_then(|b| b.iter().position(|&b| b == b' ')) {
        let (front, rest) = text.split_at(bytes + space);
        if is_apart(front, rest) {
            let tokens = whole(front);
            if tokens.len() >= limit {
                return tokens;
            }
        }
        bytes = bytes.saturating_mul(4).max(front.len());
    }
    whole(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::bpe::Bpe;
    use crate::tokenizer::{Cleaning, Kind, Tokenizer, train};
    use proptest::prelude::*;
    use std::sync::OnceLock;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        /// Wherever a text is cut, and however few tokens are asked for, they are those of the whole text.
        #[test]
        fn the_front_has_the_tokens_of_the_whole(
            text in r"([a-cΣσ '\n\r\t<>&;#0-9\[\x1b\u{301}\u{345}\u{3000}é가ﬁ]|Ã©|Ã |â€™|Â |&Atilde;|&copy;|&amp;|&EACUTE;|&lt| |&#32;){0,40}",
            bytes in 1usize..20,
            limit in 0usize..8,
        ) {
            let first = |mut tokens: Vec<u16>| { tokens.truncate(limit); tokens };
            let whole = |text: &str| Bpe::openai().encode(text, usize::MAX);
            let cut = |front: &str, rest: &str| Cleaning::Lower.cuts_between(front, rest);
            let front = encode(&text, bytes, limit, cut, whole);
            prop_assert_eq!(first(front), first(whole(&text)), "{:?}", Cleaning::Lower.apply(&text));
        }

        #[test]
        fn so_it_is_with_a_vocabulary_of_our_own(
            text in r"([a-cΣσ '\n\t<|\u{301}\u{345}\u{3000}é가]|<\|endoftext\|>| ){0,40}",
            bytes in 1usize..20,
            limit in 0usize..8,
        ) {
            static TRAINED: OnceLock<Tokenizer> = OnceLock::new();
            let tokenizer =
                TRAINED.get_or_init(|| train(["aa ab ba cab cab".to_owned()].into_iter(), 516).unwrap());
            let Kind::File(file) = &tokenizer.kind else { panic!("{tokenizer:?}") };
            let first = |mut tokens: Vec<i32>| { tokens.truncate(limit); tokens };
            let whole = |text: &str| file.encode(text, usize::MAX, Cleaning::None);
            prop_assert_eq!(first(encode(&text, bytes, limit, |_, _| true, whole)), first(whole(&text)));
        }
    }

    #[test]
    fn what_comes_after_the_front_is_not_looked_at() {
        let text = "word ".repeat(100_000);
        let looked_at = std::cell::Cell::new(0);
        let whole = |text: &str| {
            looked_at.set(looked_at.get() + text.len());
            text.split(' ').map(str::to_owned).collect()
        };
        assert!(encode(&text, BYTES, 75, |_, _| true, whole).len() >= 75);
        assert!(looked_at.get() < 2 * BYTES, "{}", looked_at.get());
    }
}
