//! The cleaning of text before OpenAI's tokenizer, as `open_clip.tokenize` does it.
//!
//! The reference runs `ftfy.fix_text`, decodes HTML twice, reduces white space and lower-cases. Of ftfy (6.3),
//! everything is here except its one statistical step, the repair of text that was decoded in the wrong
//! encoding (`Ã©` for `é`): such text is taken as it is.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use super::html;

/// Cleans `text`: what is left has single spaces, none at either end, and is in lower case.
pub(super) fn clean(text: &str) -> String {
    if is_plain(text) {
        return lower_with_single_spaces(text);
    }
    let fixed = fix_text(text);
    let once = html::unescape(&fixed);
    lower_with_single_spaces(&html::unescape(&once))
}

/// Whether the front of a text, up to a space, is cleaned as it is within the text: an angle bracket later in the same line
/// would say that references in the front are HTML's, see [`fix_text`].
pub(super) fn html_stays_html(front: &str, rest: &str) -> bool {
    let line = rest.split('\n').next().unwrap_or_default();
    !(front.contains('&') && line.contains('<'))
}

/// Whether `text` holds nothing for ftfy or HTML to change: printable ASCII without `&`, tabs, line feeds.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t' | b'\n' | b'\x0c') && b != b'&')
}

fn lower_with_single_spaces(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(is_python_space).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    // At once, not word by word: the lower case of a final sigma depends on its neighbours.
    if out.is_ascii() {
        out.make_ascii_lowercase();
        return out;
    }
    out.to_lowercase()
}

/// What Python's `str.split` splits at: Unicode's white space and four information separators.
fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// ftfy's `fix_text` without its repair of encodings: line by line, until nothing changes any more.
fn fix_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut html_allowed = true;
    for line in text.split_inclusive('\n') {
        // An opening angle bracket says that the text is HTML and means its references, from here to the end.
        html_allowed &= !line.contains('<');
        let mut line = Cow::Borrowed(line);
        loop {
            let fixed = fix_line(&line, html_allowed);
            if fixed == line {
                break;
            }
            line = Cow::Owned(fixed);
        }
        out.push_str(&line);
    }
    out
}

fn fix_line(line: &str, html_allowed: bool) -> String {
    let line = if html_allowed { Cow::Owned(html::unescape_unambiguous(line)) } else { Cow::Borrowed(line) };
    let mut simple = String::with_capacity(line.len());
    for c in line.chars() {
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
            ("", ""),
        ] {
            assert_eq!(clean(text), expected.trim(), "{text:?}");
        }
    }
}
