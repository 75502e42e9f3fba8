//! Texts from outside in messages: they are named, and a message must not become as long as a file.

use std::borrow::Cow;

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
