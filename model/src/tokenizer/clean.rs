//! The cleaning of text before its tokenizer, as OpenCLIP does it: `ftfy.fix_text` (6.3), HTML decoded twice, and one of three
//! ways to go on.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::{html, mojibake};
use crate::config::Family;

/// What is done to a text before its tokenizer sees it. All but [`Cleaning::None`] are OpenCLIP's, which calls them so too: text
/// that was decoded in a wrong encoding is repaired, quotes, ligatures and widths are made plain, control characters go, HTML is
/// decoded, white space becomes single spaces with none at either end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cleaning {
    /// Nothing: `tokenizer.json` says all that is done to a text, as for transformers.
    None,
    /// No more than that: OpenCLIP's choice where a checkpoint has a tokenizer of its own.
    Whitespace,
    /// Letters are lower-cased as well: OpenCLIP's choice, and OpenAI's, for OpenAI's vocabulary.
    Lower,
    /// Underscores become spaces, other ASCII punctuation goes, letters are lower-cased: OpenCLIP's choice for SigLIP.
    Canonicalize,
}

impl Cleaning {
    /// What `open_clip.get_tokenizer` chooses for a checkpoint in OpenCLIP's layout.
    pub fn of_open_clip(family: Family, own_tokenizer: bool) -> Cleaning {
        match (family, own_tokenizer) {
            (Family::SigLip, _) => Cleaning::Canonicalize,
            (Family::Clip, true) => Cleaning::Whitespace,
            (Family::Clip, false) => Cleaning::Lower,
        }
    }

    /// Cleans `text`.
    pub fn apply(self, text: &str) -> Cow<'_, str> {
        if self == Cleaning::None {
            return Cow::Borrowed(text);
        }
        let fixed = if is_plain(text) { Cow::Borrowed(text) } else { Cow::Owned(fix_text(text)) };
        let once = html::unescape(&fixed);
        let text = html::unescape(&once);
        Cow::Owned(match self {
            Cleaning::None | Cleaning::Whitespace => with_single_spaces(&text),
            Cleaning::Lower => lower(with_single_spaces(&text)),
            Cleaning::Canonicalize => {
                let kept = text.chars().filter(|&c| c == '_' || !c.is_ascii_punctuation());
                let plain: String = kept.map(|c| if c == '_' { ' ' } else { c }).collect();
                with_single_spaces(&lower(plain))
            }
        })
    }

    /// Whether the front of a text, up to a space, is cleaned as it is within the text: what comes later in the same line may say
    /// in which encoding the front was decoded, that a space in it was half of a character, or that its references are HTML's.
    pub(super) fn cuts_between(self, front: &str, rest: &str) -> bool {
        if self == Cleaning::None {
            return true;
        }
        let line = rest.split('\n').next().unwrap_or_default();
        let word = front.rsplit(' ').next().unwrap_or_default();
        is_plain(line) && is_plain(word) && word.len() > 1 && !(front.contains('&') && line.contains('<'))
    }
}

/// Whether `text` holds nothing for ftfy or HTML to change: printable ASCII without `&`, tabs, line feeds.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t' | b'\n' | b'\x0c') && b != b'&')
}

fn with_single_spaces(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(is_python_space).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// At once, not word by word: the lower case of a final sigma depends on its neighbours.
fn lower(mut text: String) -> String {
    if text.is_ascii() {
        text.make_ascii_lowercase();
        return text;
    }
    text.to_lowercase()
}

/// What Python's `str.split` splits at: Unicode's white space and four information separators.
fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// ftfy's `fix_text`: segment by segment, until nothing changes any more.
fn fix_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut html_allowed = true;
    for segment in text.split_inclusive('\n').flat_map(segments) {
        // An opening angle bracket says that the text is HTML and means its references, from here to the end.
        html_allowed &= !segment.contains('<');
        let mut steps = mojibake::STEPS;
        let mut segment = Cow::Borrowed(segment);
        for _ in 0..PASSES {
            let fixed = fix_segment(&segment, html_allowed, &mut steps);
            if fixed == segment {
                break;
            }
            segment = Cow::Owned(fixed);
        }
        out.push_str(&segment);
    }
    out
}

/// How often [`fix_segment`] is done at most. After three times nothing changes in text that a person may meet; made-up text can
/// ask for a pass of its own for every few characters.
const PASSES: usize = 24;

/// A line in pieces of ftfy's `max_decode_length`, a million characters.
fn segments(mut line: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let end = line.char_indices().nth(1_000_000).map_or(line.len(), |(at, _)| at);
        let (segment, rest) = line.split_at(end);
        line = rest;
        (!segment.is_empty()).then_some(segment)
    })
}

fn fix_segment(text: &str, html_allowed: bool, steps: &mut usize) -> String {
    let text = if html_allowed { Cow::Owned(html::unescape_unambiguous(text)) } else { Cow::Borrowed(text) };
    let text = mojibake::repair(&text, steps);
    let mut simple = String::with_capacity(text.len());
    for c in text.chars() {
        push_simplified(html::c1_as_windows_1252(c), &mut simple);
    }
    let lines = simple.replace("\r\n", "\n").replace(['\r', '\u{2028}', '\u{2029}'], "\n");
    without_terminal_escapes(&lines).chars().filter(|&c| !is_unwanted_control(c)).nfc().collect()
}

/// Latin ligatures as their letters, full- and half-width forms at their usual width, curly quotes straight.
fn push_simplified(c: char, out: &mut String) {
    let letters = match c {
        'Ĳ' => "IJ",
        'ĳ' => "ij",
        // Its apostrophe (U+02BC) is straightened with the other quotes.
        'ŉ' => "'n",
        'Ǳ' => "DZ",
        'ǲ' => "Dz",
        'ǳ' => "dz",
        'Ǆ' => "DŽ",
        'ǅ' => "Dž",
        'ǆ' => "dž",
        'Ǉ' => "LJ",
        'ǈ' => "Lj",
        'ǉ' => "lj",
        'Ǌ' => "NJ",
        'ǋ' => "Nj",
        'ǌ' => "nj",
        'ﬀ' => "ff",
        'ﬁ' => "fi",
        'ﬂ' => "fl",
        'ﬃ' => "ffi",
        'ﬄ' => "ffl",
        'ﬅ' => "ſt",
        'ﬆ' => "st",
        '\u{3000}' => " ",
        '\u{2bc}' | '\u{2018}'..='\u{201b}' => "'",
        '\u{201c}'..='\u{201f}' => "\"",
        '\u{ff01}'..='\u{ffef}' => return out.extend(std::iter::once(c).nfkc()),
        _ => return out.push(c),
    };
    out.push_str(letters);
}

/// `text` without the escape sequences that colour a terminal: ESC, `[`, digits and semicolons, a letter.
fn without_terminal_escapes(text: &str) -> Cow<'_, str> {
    const START: &str = "\u{1b}[";
    if !text.contains(START) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(START) {
        let parameters = &rest[at + START.len()..];
        // Python's `\d` is any decimal digit of Unicode; none but ASCII's is known to occur in an escape.
        let end = parameters.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        if end.starts_with(|c: char| c.is_ascii_alphabetic()) {
            out.push_str(&rest[..at]);
            rest = &end[1..];
        } else {
            let (kept, after) = rest.split_at(at + START.len());
            out.push_str(kept);
            rest = after;
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Control characters without a displayed effect: ASCII's except white space, deprecated Arabic ones,
/// interlinear annotations, the object replacement character, the byte order mark.
fn is_unwanted_control(c: char) -> bool {
    matches!(
        c,
        '\u{0}'..='\u{8}' | '\u{b}' | '\u{e}'..='\u{1f}' | '\u{7f}'
            | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Left: the text; right: what open_clip 3.3's `_clean_lower` makes of it.
    #[test]
    fn cleans_as_the_reference_does() {
        let clean = |text| Cleaning::Lower.apply(text).into_owned();
        for (text, expected) in [
            ("  A\tPhoto \n of  ", "a photo of"),
            ("it’s “curly”", "it's \"curly\""),
            ("ﬂuﬃeﬆ ＬＯＵＤ　ＮＯＩＳＥＳ Ｕﾀｰﾝ ŉ", "fluffiest loud noises uターン 'n"),
            ("cafe\u{301} &amp;amp; cr&egrave;me", "café & crème"),
            ("\u{1b}[36;44mblue\u{1b}[0m \u{1b}[x", "blue "),
            ("a\u{0}b\u{7f}c\u{feff}d\u{b}e", "abcde"),
            ("<b>&EACUTE;</b>\n&EACUTE;", "<b>&eacute;</b> &eacute;"),
            ("&EACUTE;\n<b>&EACUTE;</b>", "é <b>&eacute;</b>"),
            ("ΟΔΥΣΣΕΥΣ ΣΑΣ", "οδυσσευς σας"),
            ("CafÃ© Ã la crÃ¨me â€” &Atilde;&copy;", "café à la crème — é"),
            ("", ""),
        ] {
            assert_eq!(clean(text), expected.trim(), "{text:?}");
        }
    }

    /// Of one text, what open_clip 3.3's `_clean_whitespace` and `_clean_canonicalize` make.
    #[test]
    fn each_cleaning_goes_its_own_way() {
        let text = " A_Cat’s  &amp;amp; “DOG”: cafÃ©,\tÀ &lt;b&gt; ＦＵＬＬ! \u{2014}…";
        for (cleaning, expected) in [
            (Cleaning::None, text),
            (Cleaning::Whitespace, "A_Cat's & \"DOG\": café, À <b> FULL! \u{2014}…"),
            (Cleaning::Lower, "a_cat's & \"dog\": café, à <b> full! \u{2014}…"),
            (Cleaning::Canonicalize, "a cats dog café à b full \u{2014}…"),
        ] {
            assert_eq!(cleaning.apply(text), expected);
        }
    }

    /// What asks for a pass of its own for every few characters must not take minutes.
    #[test]
    fn nothing_takes_long() {
        let deep = |open: &str, close: &str| [open.repeat(100_000), close.repeat(100_000)].concat();
        for text in [
            deep("Ã", "\u{83}"),
            deep("\u{1b}[", "0m"),
            deep("&a&#1;mp;", "#1;"),
            deep("&", "amp;"),
            deep("€Æ", ""),
            "Ã ".repeat(400_000),
            "é".repeat(1_200_000),
        ] {
            let start = std::time::Instant::now();
            for cleaning in [Cleaning::Whitespace, Cleaning::Lower, Cleaning::Canonicalize] {
                cleaning.apply(&text);
            }
            assert!(start.elapsed().as_secs() < 20, "{text:.10}: {:?}", start.elapsed());
        }
    }
}
