//! ftfy's repair of text that was decoded in the wrong encoding (`cafÃ©` for `café`), as ftfy 6.3 makes it.
//!
//! What such text looks like, and the encodings that are tried, are ftfy's: `mojibake.json`, made by `tables.py` beside this
//! file, under the MIT License (`LICENSE-FTFY`). Names of patterns in the comments are those of ftfy.

use std::borrow::Cow;
use std::sync::OnceLock;

use ahash::AHashMap;
use regex::{Regex, bytes};
use serde::Deserialize;

use super::html::c1_as_windows_1252;

/// Steps of repair that a line of text gets at most. Text that a person may meet was decoded wrongly once or twice; made-up
/// text can ask for a step of its own for every character.
pub(super) const STEPS: usize = 24;

/// `ALTERED_UTF8_RE`: what would be UTF-8 with no-break spaces in place of the spaces.
const SPACED: &str = concat!(
    r"(?-u)[\xc2\xc3\xc5\xce\xd0\xd9] ",
    r"|[\xe2\xe3] [\x80-\x84\x86-\x9f\xa1-\xbf]|[\xe0-\xe3][\x80-\x84\x86-\x9f\xa1-\xbf] ",
    r"|\xf0 [\x80-\xbf][\x80-\xbf]|\xf0[\x80-\xbf] [\x80-\xbf]|\xf0[\x80-\xbf][\x80-\xbf] ",
);

/// `LOSSY_UTF8_RE`: UTF-8 of which a byte was lost.
const LOSSY: &str = concat!(
    r"(?-u)[\xc2-\xdf]\x1a|[\xc2-\xc3]\?",
    r"|\xed[\xa0-\xaf][\x1a?]\xed[\xb0-\xbf][\x1a?\x80-\xbf]|\xed[\xa0-\xaf][\x1a?\x80-\xbf]\xed[\xb0-\xbf][\x1a?]",
    r"|[\xe0-\xef][\x1a?][\x1a\x80-\xbf]|[\xe0-\xef][\x1a\x80-\xbf][\x1a?]",
    r"|[\xf0-\xf4][\x1a?][\x1a\x80-\xbf][\x1a\x80-\xbf]|[\xf0-\xf4][\x1a\x80-\xbf][\x1a?][\x1a\x80-\xbf]",
    r"|[\xf0-\xf4][\x1a\x80-\xbf][\x1a\x80-\xbf][\x1a?]|\x1a",
);

/// `CESU8_RE`: a character as two surrogates of three bytes; and the zero that Java writes.
const VARIANTS: &str = r"(?-u)\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]|\xc0\x80";

/// Beginnings of words that follow Portuguese `à` without a space, see [`restore_no_break_spaces`].
const CONTRACTED: [&[u8]; 5] = [b" ", b"quele", b"quela", b"quilo", b"s "];

struct Patterns {
    /// `BADNESS_RE`: what is hardly ever meant.
    bad: Regex,
    /// `UTF8_DETECTOR_RE`, once: what a character's UTF-8 looks like in some encoding.
    sequence: Regex,
    /// What such sequences do not follow.
    not_behind: Regex,
    encodings: Vec<Encoding>,
    spaced: bytes::Regex,
    lossy: bytes::Regex,
    variants: bytes::Regex,
}

/// An encoding of one byte a character.
struct Encoding {
    /// The bytes of characters beyond ASCII.
    bytes: AHashMap<char, u8>,
    /// Whether bytes without a character stand for themselves, and [`LOST`] for U+FFFD.
    sloppy: bool,
    /// Whether a space may have been a no-break space; in Mac OS's encoding that would find a dash before a space.
    spaces: bool,
}

/// In a sloppy encoding, a byte that was lost.
const LOST: u8 = 0x1a;

fn patterns() -> &'static Patterns {
    #[derive(Deserialize)]
    struct Table {
        bad: String,
        sequence: String,
        not_behind: String,
        encodings: Vec<Row>,
    }
    #[derive(Deserialize)]
    struct Row {
        name: String,
        /// The characters of the bytes 0x80 to 0xff.
        high: Vec<u32>,
    }
    static PATTERNS: OnceLock<Patterns> = OnceLock::new();
    #[expect(clippy::expect_used, reason = "constants, compiled by every test")]
    PATTERNS.get_or_init(|| {
        let table: Table = serde_json::from_str(include_str!("mojibake.json")).expect("the table is whole");
        let regex = |pattern: &str| Regex::new(pattern).expect("the pattern is valid");
        let of_bytes = |pattern: &str| bytes::Regex::new(pattern).expect("the pattern is valid");
        let encodings = table.encodings.into_iter().map(|Row { name, high }| Encoding {
            bytes: high.into_iter().filter_map(char::from_u32).zip(0x80..=0xff).collect(),
            sloppy: name.starts_with("sloppy"),
            spaces: name != "macroman",
        });
        Patterns {
            bad: regex(&table.bad),
            sequence: regex(&table.sequence),
            not_behind: regex(&format!("^{}$", table.not_behind)),
            encodings: encodings.collect(),
            spaced: of_bytes(SPACED),
            lossy: of_bytes(LOSSY),
            variants: of_bytes(VARIANTS),
        }
    })
}

/// `text` as it was before it was decoded in a wrong encoding, as far as that shows. `steps` is what is left of [`STEPS`].
pub(super) fn repair<'t>(text: &'t str, steps: &mut usize) -> Cow<'t, str> {
    let mut text = Cow::Borrowed(text);
    while *steps > 0 && !text.is_ascii() && patterns().bad.is_match(&text) {
        *steps -= 1;
        let better = step(&text, steps);
        if better == text {
            break;
        }
        text = Cow::Owned(better);
    }
    text
}

/// One step of [`repair`].
fn step(text: &str, steps: &mut usize) -> String {
    let decoded = patterns().encodings.iter().find_map(|encoding| encoding.as_utf8(text));
    if let Some(decoded) = decoded {
        return decoded;
    }
    let apart = repair_sequences(text, steps);
    if apart != text {
        return apart;
    }
    text.chars().map(c1_as_windows_1252).collect()
}

impl Encoding {
    /// The text that `text` is when its bytes in this encoding are read as UTF-8.
    fn as_utf8(&self, text: &str) -> Option<String> {
        let byte = |c: char| match c {
            '\u{fffd}' if self.sloppy => Some(LOST),
            '\u{1a}' if self.sloppy => None,
            _ if c.is_ascii() => Some(c as u8),
            _ => self.bytes.get(&c).copied(),
        };
        let mut bytes: Vec<u8> = text.chars().map(byte).collect::<Option<_>>()?;
        let Patterns { spaced, lossy, variants, .. } = patterns();
        if self.spaces && spaced.is_match(&bytes) {
            bytes = restore_no_break_spaces(&bytes);
        }
        if self.sloppy {
            bytes = lossy.replace_all(&bytes, "\u{fffd}".as_bytes()).into_owned();
        }
        let plain = variants.replace_all(&bytes, |found: &bytes::Captures<'_>| match found[0] {
            [_, a, b, _, c, d] => {
                let [a, b, c, d] = [(a & 15, 16), (b & 63, 10), (c & 15, 6), (d & 63, 0)]
                    .map(|(bits, shift)| u32::from(bits) << shift);
                let c = char::from_u32(0x10000 + (a | b | c | d));
                c.unwrap_or(char::REPLACEMENT_CHARACTER).to_string().into_bytes()
            }
            _ => vec![0],
        });
        String::from_utf8(plain.into_owned()).ok()
    }
}

/// `restore_byte_a0`: spaces that were the second half of a character. `Ã la` was `à la`, and its space stays.
fn restore_no_break_spaces(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 8);
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        out.push(first);
        rest = after;
        if let (0xc3, Some(word)) = (first, rest.strip_prefix(b" "))
            && !CONTRACTED.iter().any(|start| word.starts_with(start))
        {
            out.extend(b"\xa0 ");
            rest = word;
        }
    }
    let spaced = |found: &bytes::Captures<'_>| {
        found[0].iter().map(|&b| if b == b' ' { 0xa0 } else { b }).collect::<Vec<u8>>()
    };
    patterns().spaced.replace_all(&out, spaced).into_owned()
}

/// `decode_inconsistent_utf8`: repairs what looks like UTF-8 within a text that is something else as a whole.
fn repair_sequences(text: &str, steps: &mut usize) -> String {
    let Patterns { bad, sequence, not_behind, .. } = patterns();
    let mut out = String::with_capacity(text.len());
    let (mut done, mut from) = (0, 0);
    while let Some(found) = sequence.find_at(text, from) {
        let before = text[..found.start()].char_indices().next_back();
        if before.is_some_and(|(at, _)| not_behind.is_match(&text[at..found.start()])) {
            from = found.start() + text[found.start()..].chars().next().map_or(1, char::len_utf8);
            continue;
        }
        // Neighbours are repaired together.
        let mut end = found.end();
        while let Some(next) = sequence.find_at(text, end).filter(|next| next.start() == end) {
            end = next.end();
        }
        let run = &text[found.start()..end];
        out.push_str(&text[done..found.start()]);
        // A run that is all of the text was tried as such.
        match run.len() < text.len() && bad.is_match(run) {
            true => out.push_str(&repair(run, steps)),
            false => out.push_str(run),
        }
        (done, from) = (end, end);
    }
    out.push_str(&text[done..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Left: the text; right: what ftfy 6.3.1's `fix_encoding` makes of it.
    #[test]
    fn repairs_as_ftfy_does() {
        for (text, expected) in [
            ("cafÃ© Ãœber Ã±", "café Über ñ"),
            ("womenâ€™s â€œhatâ€\u{9d} â€” naÃ¯ve", "women’s “hat” — naïve"),
            ("a womanâ€™s hat", "a woman’s hat"),
            ("a red car â€” parked", "a red car — parked"),
            ("price 5â‚¬", "price 5€"),
            ("â€œlostâ€�", "“lost�"),
            ("voilÃ le travail", "voilà le travail"),
            ("pain Ã la mode, Ã quele dia", "pain à la mode, àquele dia"),
            ("đź“š ðŸ˜€", "📚 😀"),
            ("Ā½ cup, fiancÃ©e", "½ cup, fiancée"),
            ("åå\u{8d}\u{97}ä", "å南ä"),
            ("\u{91}quoted\u{92}", "‘quoted’"),
            ("Ã\u{192}Â©", "é"),
            ("┬ú5", "£5"),
            ("í\u{a0}½í¸\u{80}Ã©", "😀é"),
            ("Ã©À\u{80}", "é\0"),
            // Nothing wrong.
            ("café, 20 °C, Ünïcödé, “quoted” — ½ £5 ©2020", "café, 20 °C, Ünïcödé, “quoted” — ½ £5 ©2020"),
            ("日本語 Привет Ελληνικά שלום", "日本語 Привет Ελληνικά שלום"),
            ("Â", "Â"),
            ("рџђ¶ dog", "рџђ¶ dog"),
            ("", ""),
        ] {
            assert_eq!(repair(text, &mut STEPS.clone()), expected, "{text}");
        }
    }

    /// Text that asks for a step for each of its characters is left half repaired.
    #[test]
    fn the_steps_are_counted() {
        let nested = format!("{}{}", "Ã".repeat(100_000), "\u{83}".repeat(100_000));
        let mut steps = STEPS;
        assert!(repair(&nested, &mut steps).len() > 300_000);
        assert_eq!(steps, 0);
    }
}
