//! OpenAI's vocabulary and byte-level byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909), built in.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::OnceLock;

use ahash::AHashMap;
use regex::Regex;

use super::clean::Cleaning;
use super::front;

/// Token ids of the 256 bytes; the same bytes at the end of a word follow.
pub(super) const BYTES: u16 = 256;
/// Start of text; the end of text follows and is the last id.
pub(super) const START: u16 = 49406;
/// End of text.
pub(super) const END: u16 = 49407;
/// The special tokens as `open_clip.tokenize` finds them in text.
const START_TEXT: &str = "<start_of_text>";
const END_TEXT: &str = "<end_of_text>";

/// The reference's pattern for words: special tokens, English contractions, runs of letters, single digits, runs
/// of anything else that is not white space. The reference ignores case throughout; outside of the first group
/// this shows at a single character, the combining iota U+0345, which it drops.
const WORDS: &str = concat!(
    r"(?i:<start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d)",
    r"|\p{L}+|\p{N}|[^\s\p{L}\p{N}\u{345}]+"
);

/// OpenAI's 48,894 merges as pairs of token ids, under the MIT License (`LICENSE-OPENAI-CLIP`); made by `tables.py`
/// beside this file.
const MERGES: &[u8] = include_bytes!("openai_merges.bin");

/// Words up to this many bytes are merged by the quadratic method, longer ones by the queue.
const SHORT_WORD: usize = 48;

/// OpenAI's merges, and the pattern that splits text into words.
#[derive(Debug)]
pub(super) struct Bpe {
    /// Two adjacent tokens to the token that replaces them. A lower id was merged earlier in training.
    merges: AHashMap<(u16, u16), u16>,
    words: Regex,
    byte_ids: [u16; 256],
}

/// The merges in order: merge `i` makes token `512 + i` out of these two.
pub(super) fn merges() -> impl Iterator<Item = (u16, u16)> {
    MERGES.chunks_exact(4).map(|m| (u16::from_le_bytes([m[0], m[1]]), u16::from_le_bytes([m[2], m[3]])))
}

/// The bytes in the order of their token ids: the printable ones of Latin-1 first.
pub(super) fn bytes_in_order() -> impl Iterator<Item = u8> {
    (0..=255).filter(|&b| is_printable(b)).chain((0..=255).filter(|&b| !is_printable(b)))
}

/// Whether a byte stands for itself in the written vocabulary: visible characters of Latin-1.
pub(super) fn is_printable(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff)
}

impl Bpe {
    /// The one instance, built at its first use (about 2 ms).
    pub(super) fn openai() -> &'static Bpe {
        static BPE: OnceLock<Bpe> = OnceLock::new();
        BPE.get_or_init(|| {
            let mut byte_ids = [0; 256];
            for (id, byte) in (0..).zip(bytes_in_order()) {
                byte_ids[usize::from(byte)] = id;
            }
            #[expect(clippy::expect_used, reason = "a constant pattern, compiled by every test")]
            let words = Regex::new(WORDS).expect("the pattern is valid");
            Bpe { merges: merges().zip(2 * BYTES..).collect(), words, byte_ids }
        })
    }

    /// The tokens of `text` without start and end: at least the first `limit` of them, or all.
    pub(super) fn encode(&self, text: &str, limit: usize) -> Vec<u16> {
        let cut = |front: &str, rest: &str| Cleaning::Lower.cuts_between(front, rest);
        front::encode(text, front::BYTES, limit, cut, |text| self.encode_whole(text, limit))
    }

    fn encode_whole(&self, text: &str, limit: usize) -> Vec<u16> {
        let text = Cleaning::Lower.apply(text);
        let mut tokens = Vec::new();
        for word in self.words.find_iter(&text) {
            if tokens.len() >= limit {
                break;
            }
            match word.as_str() {
                START_TEXT => tokens.push(START),
                END_TEXT => tokens.push(END),
                word => self.encode_word(word, &mut tokens),
            }
        }
        tokens
    }

    /// Appends the tokens of one word: its bytes, then merges in the order of training, leftmost first.
    fn encode_word(&self, word: &str, tokens: &mut Vec<u16>) {
        let start = tokens.len();
        tokens.extend(word.bytes().map(|b| self.byte_ids[usize::from(b)]));
        if let Some(last) = tokens.last_mut() {
            *last += BYTES;
        }
        let merged = if tokens.len() - start <= SHORT_WORD {
            self.merge_short(&mut tokens[start..])
        } else {
            self.merge_long(&mut tokens[start..])
        };
        tokens.truncate(start + merged);
    }

    /// Merges within `word` in place; returns the number of tokens left at its front. Quadratic, but the fastest
    /// for the words of real text.
    fn merge_short(&self, word: &mut [u16]) -> usize {
        let mut length = word.len();
        loop {
            let pairs = word[..length].windows(2).enumerate();
            let first = pairs.filter_map(|(at, p)| self.merges.get(&(p[0], p[1])).map(|&id| (id, at))).min();
            let Some((id, at)) = first else { return length };
            word[at] = id;
            word.copy_within(at + 2..length, at + 1);
            length -= 1;
        }
    }

    /// As [`Bpe::merge_short`], in O(n log n): a text without spaces must not take minutes.
    fn merge_long(&self, word: &mut [u16]) -> usize {
        let length = word.len();
        // A doubly linked list over the positions: a merged token stays at the left position, the right one dies.
        let mut next: Vec<usize> = (1..=length).collect();
        let mut previous: Vec<usize> = (0..length).map(|at| at.wrapping_sub(1)).collect();
        let mut alive = vec![true; length];
        let candidate = |word: &[u16], at: usize, right: usize| {
            let pair = (*word.get(at)?, *word.get(right)?);
            self.merges.get(&pair).map(|&id| Reverse((id, at, right, pair)))
        };
        let mut queue: BinaryHeap<_> = (0..length).filter_map(|at| candidate(word, at, at + 1)).collect();
        while let Some(Reverse((id, at, right, pair))) = queue.pop() {
            let stale = !alive[at] || !alive[right] || next[at] != right || (word[at], word[right]) != pair;
            if stale {
                continue;
            }
            word[at] = id;
            alive[right] = false;
            next[at] = next[right];
            if let Some(back) = previous.get_mut(next[at]) {
                *back = at;
            }
            queue.extend(candidate(word, previous[at], at));
            queue.extend(candidate(word, at, next[at]));
        }
        let mut kept = 0;
        for at in (0..length).filter(|&at| alive[at]) {
            word[kept] = word[at];
            kept += 1;
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_makes_every_token_from_earlier_ones() {
        assert_eq!(merges().count(), usize::from(START - 2 * BYTES));
        for ((left, right), id) in merges().zip(2 * BYTES..) {
            assert!(left < id && right < id, "merge {id} uses {left} and {right}");
        }
    }

    /// The two methods of merging agree, on every kind of word.
    #[test]
    fn short_and_long_words_merge_alike() {
        let bpe = Bpe::openai();
        for word in [
            "a",
            "hello",
            "photographing",
            "aaaaaaaaaaaaaaaaaaaaaa",
            "привет",
            "!!!!!!!!?!?!?!...",
            "👩‍👩‍👧‍👦👩‍👩‍👧‍👦",
            "hahahahahahahaha",
        ] {
            let mut short: Vec<u16> = word.bytes().map(|b| bpe.byte_ids[usize::from(b)]).collect();
            *short.last_mut().unwrap() += BYTES;
            let mut long = short.clone();
            let (s, l) = (bpe.merge_short(&mut short), bpe.merge_long(&mut long));
            assert_eq!(short[..s], long[..l], "{word}");
        }
    }
}
