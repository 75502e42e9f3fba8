//! HTML character references, as Python's `html.unescape` and `ftfy` decode them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

/// Characters of the longest name that Python's pattern takes, without the semicolon.
const LONGEST_NAME: usize = 32;

/// What the bytes 0x80 to 0x9f mean in Windows-1252; the five that it leaves open stand for themselves.
#[rustfmt::skip]
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// HTML 5's named references: `amp;`, and for old names also `amp`.
fn entities() -> &'static HashMap<&'static str, &'static str> {
    static TABLE: OnceLock<HashMap<&str, &str>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let lines = include_str!("html_entities.txt").split_terminator('\n');
        let escaped = |value| match value {
            "\\n" => "\n",
            "\\t" => "\t",
            other => other,
        };
        lines.filter_map(|line| line.split_once(' ')).map(|(name, value)| (name, escaped(value))).collect()
    })
}

/// The character that Windows-1252 has in place of a C1 control character; any other is returned as it is.
pub(super) fn c1_as_windows_1252(c: char) -> char {
    match c {
        '\u{80}'..='\u{9f}' => WINDOWS_1252[c as usize - 0x80],
        _ => c,
    }
}

/// Decodes every character reference in `text` once, as Python's `html.unescape` does: names with or without
/// their semicolon, the longest known prefix of an unknown name, numbers, invalid numbers.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find('&') else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len());
    out.push_str(&text[..first]);
    let mut rest = &text[first..];
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = decode_reference(&rest[at + 1..], &mut out);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Decodes the reference at the start of `text` (behind its ampersand) into `out`; returns what follows it.
fn decode_reference<'t>(text: &'t str, out: &mut String) -> &'t str {
    if let Some(number) = text.strip_prefix('#') {
        let (digits, radix) = match number.strip_prefix(['x', 'X']) {
            Some(hex) => (hex, 16),
            None => (number, 10),
        };
        let length = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
        if length == 0 {
            out.push('&');
            return text;
        }
        // Too large for 32 bits is, like anything above U+10FFFF, no character.
        let value = u32::from_str_radix(&digits[..length], radix).unwrap_or(u32::MAX);
        out.extend(numbered(value));
        let rest = &digits[length..];
        return rest.strip_prefix(';').unwrap_or(rest);
    }
    let ends = |c: char| matches!(c, '\t' | '\n' | '\u{c}' | ' ' | '<' | '&' | '#' | ';');
    let length = text.char_indices().take(LONGEST_NAME).find(|&(_, c)| ends(c)).map(|(at, _)| at);
    let length =
        length.unwrap_or_else(|| text.char_indices().nth(LONGEST_NAME).map_or(text.len(), |(at, _)| at));
    if length == 0 {
        out.push('&');
        return text;
    }
    let whole = length + usize::from(text[length..].starts_with(';'));
    let (name, rest) = text.split_at(whole);
    if let Some(value) = entities().get(name) {
        out.push_str(value);
    } else if let Some((prefix, value)) = longest_prefix(name) {
        out.push_str(value);
        out.push_str(&name[prefix.len()..]);
    } else {
        out.push('&');
        out.push_str(name);
    }
    rest
}

/// The longest name of two characters or more that `text` begins with, `text` itself aside, and its value.
fn longest_prefix(text: &str) -> Option<(&str, &'static str)> {
    let prefixes = (2..text.len()).rev().filter_map(|length| text.get(..length));
    prefixes.into_iter().find_map(|prefix| entities().get(prefix).map(|value| (prefix, *value)))
}

/// The character that a numeric reference stands for: HTML 5's replacements first, nothing for what it forbids.
fn numbered(value: u32) -> Option<char> {
    match value {
        0 => Some('\u{fffd}'),
        0x80..=0x9f => Some(WINDOWS_1252[value as usize - 0x80]),
        0x1..=0x8 | 0xb | 0xe..=0x1f | 0x7f | 0xfdd0..=0xfdef => None,
        _ if value <= 0x10_ffff && value & 0xfffe == 0xfffe => None,
        _ => Some(char::from_u32(value).unwrap_or('\u{fffd}')),
    }
}

/// Decodes the unambiguous references of `text` until none is left, as `ftfy` does: those that end in a
/// semicolon, and names of lower-case letters written in capitals (`P&EACUTE;REZ`).
pub(super) fn unescape_unambiguous(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let mut body = &rest[at + 1..];
        rest = loop {
            match unambiguous(body) {
                // Of `&amp;lt;` an ampersand is decoded first, which begins the next reference.
                Some((value, after)) if value == "&" => body = after,
                Some((value, after)) => {
                    out.push_str(&value);
                    break after;
                }
                None => {
                    out.push('&');
                    break body;
                }
            }
        };
    }
    out.push_str(rest);
    out
}

/// The value of the reference whose ampersand stands before `text`, and what follows it; none where there is
/// no unambiguous one.
fn unambiguous(text: &str) -> Option<(Cow<'static, str>, &str)> {
    /// Characters of the longest reference that ftfy's pattern takes, between `&` (or `&#`) and `;`.
    const LONGEST: usize = 24;
    let body = text.strip_prefix('#').unwrap_or(text);
    let length = body.bytes().take_while(u8::is_ascii_alphanumeric).count();
    if !(1..=LONGEST).contains(&length) || !body[length..].starts_with(';') {
        return None;
    }
    let (name, after) = text.split_at(text.len() - body.len() + length + 1);
    if name.starts_with('#') {
        let mut decoded = String::new();
        let whole = decode_reference(name, &mut decoded).is_empty() && decoded != ";";
        return whole.then_some((Cow::Owned(decoded), after));
    }
    if let Some(value) = entities().get(name) {
        return Some((Cow::Borrowed(value), after));
    }
    let in_capitals = !name.bytes().any(|b| b.is_ascii_lowercase()) && longest_prefix(name).is_none();
    let value = entities().get(name.to_ascii_lowercase().as_str()).filter(|_| in_capitals)?;
    Some((Cow::Owned(value.to_uppercase()), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Left: the text; right: what Python 3.11's `html.unescape` makes of it.
    #[test]
    fn unescapes_as_python_does() {
        for (text, expected) in [
            ("no reference", "no reference"),
            ("fish &amp; chips &lt;3", "fish & chips <3"),
            ("&ampchips &notit; &notin; &noti;", "&chips ¬it; ∉ ¬i;"),
            ("&amp;amp;", "&amp;"),
            ("&#39;&#x27;&#X27&#39", "''''"),
            ("&#128; &#x0; &#xD800; &#99999999999999; &#1;|&#xFFFE;|", "€ \u{fffd} \u{fffd} \u{fffd} ||"),
            ("& &; &# &#; &#x; &x &é; &", "& &; &# &#; &#x; &x &é; &"),
            ("&NewLine;&Tab;", "\n\t"),
            ("&CounterClockwiseContourIntegral;&a&b", "∳&a&b"),
            ("&amp&amp;&&amp;", "&&&&"),
        ] {
            assert_eq!(unescape(text), expected, "{text}");
        }
    }

    /// Left: the text; right: what ftfy 6.3.1's `fixes.unescape_html`, repeated, makes of it.
    #[test]
    fn unescapes_the_unambiguous_as_ftfy_does() {
        for (text, expected) in [
            ("P&EACUTE;REZ &NTILDE; &nTILDE;", "PÉREZ Ñ &nTILDE;"),
            ("BUNDESSTRA&SZLIG;E", "BUNDESSTRASSE"),
            ("&ampchips &notin; &LTIMES; &#59; &#39; &#39", "&ampchips ∉ &LTIMES; &#59; ' &#39"),
            ("&&amp;&#xZZ;", "&&&#xZZ;"),
            ("&amp;amp;#38;EACUTE;", "É"),
        ] {
            assert_eq!(unescape_unambiguous(text), expected, "{text}");
        }
    }
}
