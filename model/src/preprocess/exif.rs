//! Where pictures say how they are to be turned: their EXIF data or, where that does not say, their XMP packet, read as Pillow's
//! `ImageOps.exif_transpose` does, which takes any number for SHORT that Exif asks for.

use std::borrow::Cow;
use std::io::Read;

use super::tiff::directory::Directory;
use crate::orientation::Orientation;

/// EXIF's tag of the orientation.
const TAG: u16 = 274;

/// What is kept of EXIF data, and of a text of a PNG that holds it, bytes; it is at most a few 64 KiB.
const MOST: usize = 1 << 22;

fn from_exif_or_xmp(exif: Option<&[u8]>, xmp: Option<&[u8]>) -> Orientation {
    let value = exif.and_then(exif_value).or_else(|| xmp.and_then(xmp_value));
    value.and_then(Orientation::from_exif).unwrap_or_default()
}

/// Of a TIFF's first directory, whose orientation is the picture's own, or its XMP packet (tag 700).
pub(super) fn of_tiff(directory: &Directory) -> Orientation {
    let value = directory.number(TAG).or_else(|| directory.bytes(700).and_then(xmp_value));
    value.and_then(Orientation::from_exif).unwrap_or_default()
}

/// Of a JPEG's APP1 segments.
pub(super) fn of_jpeg(encoded: &[u8]) -> Orientation {
    let (mut exif, mut xmp) = (Vec::new(), None);
    for (marker, segment) in jpeg_segments(encoded) {
        if marker != 0xe1 {
            continue;
        }
        if segment.starts_with(b"Exif\0\0") {
            // EXIF data over 64 KiB goes on in the next segment.
            exif.extend_from_slice(&segment[6..]);
            exif.truncate(MOST);
        } else if let Some(packet) = segment.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0") {
            xmp = Some(packet);
        }
    }
    from_exif_or_xmp(Some(&exif), xmp)
}

/// Of a PNG's eXIf chunk, or the texts in which older programs keep EXIF data, or its XMP packet.
pub(super) fn of_png(encoded: &[u8]) -> Orientation {
    let (mut exif, mut profile, mut xmp) = (None, None, None);
    for (kind, chunk) in png_chunks(encoded) {
        match &kind {
            b"eXIf" => exif = Some(chunk),
            b"tEXt" | b"zTXt" | b"iTXt" => match png_text(kind, chunk) {
                Some((b"Raw profile type exif", text)) => profile = raw_profile(&text),
                Some((b"XML:com.adobe.xmp", text)) => xmp = Some(text),
                _ => {}
            },
            _ => {}
        }
    }
    from_exif_or_xmp(exif.or(profile.as_deref()), xmp.as_deref())
}

/// Of a WebP's EXIF or XMP chunk, where its header says that there is one.
pub(super) fn of_webp(encoded: &[u8]) -> Orientation {
    let (mut flags, mut exif, mut xmp) = (0, None, None);
    let mut rest = encoded.get(12..).unwrap_or_default();
    while let Some((header, tail)) = rest.split_first_chunk::<8>() {
        let [a, b, c, d, size @ ..] = *header;
        let size = u32::from_le_bytes(size) as usize;
        let chunk = &tail[..size.min(tail.len())];
        match &[a, b, c, d] {
            b"VP8X" => flags = chunk.first().copied().unwrap_or(0),
            b"EXIF" if flags & 8 != 0 => exif = Some(chunk),
            b"XMP " if flags & 4 != 0 => xmp = Some(chunk),
            _ => {}
        }
        rest = tail.get(size.saturating_add(size % 2)..).unwrap_or_default();
    }
    from_exif_or_xmp(exif, xmp)
}

/// The tag's value in EXIF data, which is a TIFF file without a picture.
fn exif_value(mut exif: &[u8]) -> Option<u64> {
    for _ in 0..2 {
        exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    }
    Directory::read(exif).ok()?.number(TAG)
}

/// The first `tiff:Orientation`, an attribute or an element.
fn xmp_value(xmp: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"tiff:Orientation";
    xmp.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME).find_map(|(at, _)| {
        let rest = &xmp[at + NAME.len()..];
        let digit = *rest.strip_prefix(b"=\"").or(rest.strip_prefix(b">"))?.first()?;
        digit.is_ascii_digit().then(|| u64::from(digit - b'0'))
    })
}

/// Marker and content of the segments before the first scan.
fn jpeg_segments(encoded: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = encoded.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        loop {
            let start = rest.iter().position(|&byte| byte == 0xff)?;
            let marker_at = start + rest[start..].iter().position(|&byte| byte != 0xff)?;
            let marker = rest[marker_at];
            rest = &rest[marker_at + 1..];
            match marker {
                0xda | 0xd9 => return None,
                0 | 1 | 0xd0..=0xd8 => continue,
                _ => {}
            }
            let (length, tail) = rest.split_first_chunk::<2>()?;
            let length = usize::from(u16::from_be_bytes(*length)).checked_sub(2)?;
            let (segment, tail) = tail.split_at(length.min(tail.len()));
            rest = tail;
            return Some((marker, segment));
        }
    })
}

/// Kind and content of a PNG's whole chunks.
fn png_chunks(encoded: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = encoded.get(8..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (header, tail) = rest.split_first_chunk::<8>()?;
        let [a, b, c, d, kind @ ..] = *header;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let chunk = tail.get(..length)?;
        // Four bytes of checksum follow.
        rest = tail.get(length + 4..).unwrap_or_default();
        Some((kind, chunk))
    })
}

/// Keyword and text of a PNG's text chunk.
fn png_text(kind: [u8; 4], chunk: &[u8]) -> Option<(&[u8], Cow<'_, [u8]>)> {
    let end = chunk.iter().position(|&byte| byte == 0)?;
    let (keyword, rest) = (&chunk[..end], &chunk[end + 1..]);
    let text = match &kind {
        b"tEXt" => Cow::Borrowed(rest),
        b"zTXt" => Cow::Owned(inflated(rest.get(1..)?)?),
        _ => {
            let compressed = *rest.first()? != 0;
            // Compression flag and method, language, translated keyword.
            let text = rest.get(2..)?.splitn(3, |&byte| byte == 0).nth(2)?;
            if compressed { Cow::Owned(inflated(text)?) } else { Cow::Borrowed(text) }
        }
    };
    Some((keyword, text))
}

fn inflated(data: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    flate2::read::ZlibDecoder::new(data).take(MOST as u64).read_to_end(&mut text).ok()?;
    Some(text)
}

/// ImageMagick's way: a line feed, a name, a length, and the bytes in hexadecimal digits.
fn raw_profile(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.splitn(4, |&byte| byte == b'\n').nth(3)?;
    let digits: Vec<u8> =
        digits.iter().take(MOST).copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// EXIF data with one entry: the orientation, of this type and with these value bytes.
    fn exif(kind: u16, value: [u8; 4]) -> Vec<u8> {
        let mut exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12".to_vec();
        exif.extend(kind.to_be_bytes());
        exif.extend([0, 0, 0, 1]);
        exif.extend(value);
        exif.extend([0; 4]);
        exif
    }

    fn riff(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut file = b"RIFF\0\0\0\0WEBP".to_vec();
        for (kind, chunk) in chunks {
            file.extend([&kind[..], &(chunk.len() as u32).to_le_bytes(), chunk].concat());
            file.resize(file.len().next_multiple_of(2), 0);
        }
        file
    }

    fn png(kind: &[u8; 4], chunk: &[u8]) -> Vec<u8> {
        [&[0; 8], &(chunk.len() as u32).to_be_bytes()[..], kind, chunk, &[0; 4]].concat()
    }

    fn app1(content: &[u8]) -> Vec<u8> {
        [b"\xff\xd8\xff\xe1", &(content.len() as u16 + 2).to_be_bytes()[..], content].concat()
    }

    #[test]
    fn exif_is_read_from_every_format_as_short_and_as_long() {
        for exif in [exif(3, [0, 6, 0, 0]), exif(4, [0, 0, 0, 6])] {
            assert_eq!(of_jpeg(&app1(&[b"Exif\0\0", &exif[..]].concat())), Orientation::TurnedRight);
            assert_eq!(of_png(&png(b"eXIf", &exif)), Orientation::TurnedRight);
            for prefix in [&b""[..], b"Exif\0\0"] {
                let chunk = [prefix, &exif].concat();
                let file = riff(&[(b"VP8X", &[8]), (b"EXIF", &chunk)]);
                assert_eq!(of_webp(&file), Orientation::TurnedRight);
            }
            let hex: String = exif.iter().map(|byte| format!("{byte:02x}")).collect();
            let text = format!("Raw profile type exif\0\nexif\n  26\n{}\n{}\n", &hex[..8], &hex[8..]);
            assert_eq!(of_png(&png(b"tEXt", text.as_bytes())), Orientation::TurnedRight);
        }
    }

    #[test]
    fn xmp_is_read_where_exif_does_not_say() {
        for xmp in [&b"<x tiff:Orientation=\"8\"/>"[..], b"<tiff:Orientation>8</tiff:Orientation>"] {
            let packet = [b"http://ns.adobe.com/xap/1.0/\0", xmp].concat();
            assert_eq!(of_jpeg(&app1(&packet)), Orientation::TurnedLeft);
            let text = [b"XML:com.adobe.xmp\0\0\0\0\0", xmp].concat();
            assert_eq!(of_png(&png(b"iTXt", &text)), Orientation::TurnedLeft);
            assert_eq!(of_webp(&riff(&[(b"VP8X", &[4]), (b"XMP ", xmp)])), Orientation::TurnedLeft);
            let both = riff(&[(b"VP8X", &[12]), (b"EXIF", &exif(3, [0, 2, 0, 0])), (b"XMP ", xmp)]);
            assert_eq!(of_webp(&both), Orientation::MirroredSideways);
        }
    }

    #[test]
    fn what_does_not_say_changes_nothing() {
        for exif in [
            &b""[..],
            b"MM\0*",
            b"Exif\0\0II*\0\xff\xff\xff\xff",
            &exif(2, *b"6\0\0\0"),
            &exif(3, [0, 9, 0, 0]),
        ] {
            assert_eq!(of_jpeg(&app1(&[b"Exif\0\0", exif].concat())), Orientation::Normal);
            assert_eq!(of_png(&png(b"eXIf", exif)), Orientation::Normal);
        }
        assert_eq!(of_webp(&riff(&[(b"EXIF", &exif(3, [0, 6, 0, 0]))])), Orientation::Normal);
        for bytes in
            [&b""[..], b"\xff", b"\xff\xd8\xff\xe1\0", b"RIFF\xff\xff\xff\xffWEBPVP8X\xff\xff\xff\xff"]
        {
            assert_eq!(of_jpeg(bytes), Orientation::Normal);
            assert_eq!(of_png(bytes), Orientation::Normal);
            assert_eq!(of_webp(bytes), Orientation::Normal);
        }
    }
}
