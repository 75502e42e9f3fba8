//! What a file is by its first bytes, when it is no tar: said in words, because a tar's own errors would only say that a checksum is
//! wrong.

use std::io::{self, BufRead, Read};

/// Bytes that are looked at: a tar's first block.
pub(crate) const HEAD: usize = 512;

/// What a table is told to be called.
const TABLE: &str = "a shard is a tar; a table is read where its name ends in .csv, .tsv or .parquet";

/// The first bytes of known files, and what such a file is.
const MAGIC: [(&[u8], &str, &str); 12] = [
    (b"BZh", "a bzip2 file", "a shard is a plain tar or one packed with gzip: unpack it with bunzip2"),
    (b"\xfd7zXZ\0", "an xz file", "a shard is a plain tar or one packed with gzip: unpack it with unxz"),
    (
        b"\x28\xb5\x2f\xfd",
        "a zstd file",
        "a shard is a plain tar or one packed with gzip: unpack it with unzstd",
    ),
    (
        b"\x04\x22\x4d\x18",
        "an lz4 file",
        "a shard is a plain tar or one packed with gzip: unpack it with unlz4",
    ),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "a shard is a tar: pack its files anew"),
    (
        b"PK\x03\x04",
        "a zip archive",
        "a shard is a tar: pack its files anew, or unpack them and name the folder",
    ),
    (b"PAR1", "a Parquet table", TABLE),
    (b"version https://git-lfs", "a pointer of Git LFS", "the file itself was not fetched: run git lfs pull"),
    (
        b"\xff\xd8\xff",
        "a JPEG picture",
        "a shard is a tar of pictures and captions; a folder of them can be named too",
    ),
    (
        b"\x89PNG",
        "a PNG picture",
        "a shard is a tar of pictures and captions; a folder of them can be named too",
    ),
    (b"ARROW1", "an Arrow file", TABLE),
    (b"\x89HDF", "an HDF5 file", "a shard is a tar: write its pictures and captions into one"),
];

/// Why a file that begins with `head` (at most [`HEAD`] bytes, less only where it ends) is no tar; `None` when it is one,
/// or nothing that is known.
pub(crate) fn no_tar(head: &[u8]) -> Option<String> {
    if head.is_empty() {
        return Some("it is empty: it was cut when it was written or fetched".to_owned());
    }
    if is_tar(head) {
        return None;
    }
    let known =
        MAGIC.iter().find(|(magic, ..)| head.starts_with(magic)).map(|(_, what, advice)| (*what, *advice));
    known.or_else(|| of_text(head)).map(|(what, advice)| format!("it is {what}, not a tar: {advice}"))
}

/// Whether a block is a tar's header, by its checksum (POSIX.1-1988, ustar: the sum of the bytes, those of the checksum
/// itself taken as spaces), or the block of zeros that an empty tar begins with.
fn is_tar(head: &[u8]) -> bool {
    let Some(field) = head.get(148..156).filter(|_| head.len() == HEAD) else { return false };
    let text = String::from_utf8_lossy(field);
    let written = u32::from_str_radix(text.trim_matches(['\0', ' ']), 8);
    let sum = head.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    let of_field = field.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    head.iter().all(|&byte| byte == 0) || written == Ok(sum - of_field + 8 * u32::from(b' '))
}

/// What a text is, and what to do.
fn of_text(head: &[u8]) -> Option<(&'static str, &'static str)> {
    // Fewer bytes may be a tar's that was cut in its first name.
    if head.len() < 16 {
        return None;
    }
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The last character may be cut.
        Err(e) if head.len() == HEAD && e.error_len().is_none() => {
            std::str::from_utf8(&head[..e.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let binary = |c: char| c.is_control() && !matches!(c, '\t' | '\r' | '\n');
    if text.contains(binary) {
        return None;
    }
    let start = text.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    let lines: Vec<&str> = start.lines().take(2).collect();
    let columns = |separator: char| {
        lines.iter().map(|line| line.matches(separator).count()).min().unwrap_or(0) > 0 && lines.len() == 2
    };
    Some(if start.starts_with("<!doctype html") || start.starts_with("<html") {
        (
            "an HTML page",
            "servers send one in place of a file that they refuse or do not have; fetch the shard again",
        )
    } else if start.starts_with("<?xml") {
        (
            "an XML text",
            "servers send one in place of a file that they refuse or do not have; fetch the shard again",
        )
    } else if start.starts_with(['{', '[']) {
        ("a JSON text", "a shard is a tar of pictures and captions")
    } else if columns('\t') || columns(',') {
        ("a CSV table by the look of it", TABLE)
    } else {
        ("a text", "a shard is a tar of pictures and captions; a file that lists shards is given as @FILE")
    })
}

/// The first [`HEAD`] bytes, fewer only where the file ends. They are not taken from `reader`'s chain: put them in front.
pub(crate) fn read_head(reader: &mut dyn BufRead) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD);
    reader.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(head: &[u8]) -> String {
        no_tar(head).unwrap_or_default()
    }

    #[test]
    fn what_is_no_tar_is_named() {
        for (head, part) in [
            (&b""[..], "it is empty"),
            (b"BZh91AY&SY", "a bzip2 file"),
            (b"\xfd7zXZ\0\0", "an xz file"),
            (b"\x28\xb5\x2f\xfd\x04", "a zstd file"),
            (b"PAR1\x15\x04", "a Parquet table"),
            (b"PK\x03\x04", "a zip archive"),
            (b"\n<!DOCTYPE HTML>\n<html>", "an HTML page"),
            (b"<?xml version=\"1.0\"?><Error>", "an XML text"),
            (b"filepath\ttitle\na.jpg\tcat\n", "a CSV table"),
            (b"url,caption\nhttp://x/a.jpg,cat\n", "a CSV table"),
            ("{\"é\": \"a longer text\"}".as_bytes(), "a JSON text"),
            (b"hello, this is no archive", "a text"),
            (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS"),
        ] {
            assert!(said(head).contains(part), "{}", said(head));
        }
    }

    #[test]
    fn tars_and_what_is_not_known_pass() {
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        header.set_cksum();
        assert_eq!(no_tar(header.as_bytes()), None);
        // A tar of the old kind has no `ustar`; one whose first file is called as a bzip2 file begins is a tar.
        let mut old = tar::Header::new_old();
        old.as_mut_bytes()[..4].copy_from_slice(b"BZh9");
        old.set_size(5);
        old.set_cksum();
        assert_eq!(no_tar(old.as_bytes()), None);
        assert_eq!(no_tar(&[0; HEAD]), None);
        assert_eq!(no_tar(&[0, 1, 2, 3]), None);
    }
}
