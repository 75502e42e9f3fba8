//! Texts from outside in messages: they are named, and a message must not become as long as a file.

use std::borrow::Cow;
use std::path::Path;

/// Characters that a message shows of a text.
const SHOWN: usize = 120;

/// `text`, or its beginning and its size when it is long.
///
/// ```
/// assert_eq!(clip_model::excerpt("a cat"), "a cat");
/// assert!(clip_model::excerpt(&"a".repeat(1 << 20)).ends_with("aaa… (1048576 bytes)"));
/// ```
pub fn excerpt(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}… ({} bytes)", &text[..end], text.len())),
    }
}

/// A path in a message, where an empty one would leave a hole.
pub fn shown(path: &Path) -> Cow<'_, str> {
    match path.as_os_str().is_empty() {
        true => Cow::Borrowed("\"\" (an empty path)"),
        false => path.to_string_lossy(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_at_a_character() {
        assert_eq!(excerpt("short"), "short");
        let long = "\u{fc}".repeat(SHOWN + 1);
        assert_eq!(excerpt(&long), format!("{}… ({} bytes)", "\u{fc}".repeat(SHOWN), long.len()));
        assert_eq!(excerpt(&long[2..]), long[2..]);
    }
}
