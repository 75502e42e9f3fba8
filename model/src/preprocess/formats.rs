//! The picture formats that are decoded: the one list that everything which reads or looks for pictures goes by.

use std::path::Path;

use crate::error::Error;

/// The formats in words, for help texts and messages.
pub const FORMATS: &str = "JPEG, PNG, WebP, GIF (first frame), BMP, TIFF or PNM";

/// The extensions that pictures of these formats have, in lower case without the dot. Only what looks for pictures
/// among other files goes by them; a picture is decoded by its first bytes, whatever its name.
pub const EXTENSIONS: [&str; 15] = [
    "jpg", "jpeg", "jpe", "png", "webp", "gif", "bmp", "dib", "tif", "tiff", "ppm", "pgm", "pbm", "pnm",
    "pfm",
];

/// Whether a file is taken for a picture by its extension, one of [`EXTENSIONS`] in any case. Hidden files are not:
/// some systems put files like `._a.jpg` beside pictures.
pub fn is_picture_name(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    !hidden && EXTENSIONS.contains(&&*extension.to_ascii_lowercase())
}

/// A picture format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Jpeg,
    Png,
    WebP,
    Gif,
    Bmp,
    Tiff,
    Pnm,
}

impl Format {
    /// Known by the first bytes.
    pub(super) fn of(encoded: &[u8]) -> Option<Format> {
        let starts = |start: &[u8]| encoded.starts_with(start);
        if starts(b"\xff\xd8\xff") {
            Some(Format::Jpeg)
        } else if starts(b"\x89PNG\r\n\x1a\n") {
            Some(Format::Png)
        } else if starts(b"RIFF") && encoded.get(8..12) == Some(b"WEBP") {
            Some(Format::WebP)
        } else if starts(b"GIF87a") || starts(b"GIF89a") {
            Some(Format::Gif)
        } else if super::bmp::recognized(encoded) {
            Some(Format::Bmp)
        } else if super::tiff::recognized(encoded) {
            Some(Format::Tiff)
        } else if super::pnm::recognized(encoded) {
            Some(Format::Pnm)
        } else {
            None
        }
    }

    /// The format's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Format::Jpeg => "JPEG",
            Format::Png => "PNG",
            Format::WebP => "WebP",
            Format::Gif => "GIF",
            Format::Bmp => "BMP",
            Format::Tiff => "TIFF",
            Format::Pnm => "PNM",
        }
    }
}

/// The error of a decoder.
pub(super) fn unreadable(format: &str, error: impl std::fmt::Display) -> Error {
    Error::Image(format!("{format}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_known_by_their_names() {
        for name in ["a.jpg", "dir.x/b.JPEG", "c.tar.Tiff", "d.ppm", "e.dib"] {
            assert!(is_picture_name(Path::new(name)), "{name}");
        }
        for name in ["._a.jpg", ".jpg", "jpg", "a.jpg.txt", "a.", "dir.jpg/a", "._b.png"] {
            assert!(!is_picture_name(Path::new(name)), "{name}");
        }
    }
}
