//! Shards: plain, gzip, with long names, broken in every way.

use std::slice::from_ref;

use clip_data::{Error, Loader, Sample, read_captions};

use crate::fixture::{batches, failure, gzip, numbers, options, pictures, png, samples, tar, three, write};

#[test]
fn samples_come_in_order_with_captions_and_class() {
    let dir = tempfile::tempdir().unwrap();
    let files: [(&str, &[u8]); 7] = [
        ("d/1.json", b"{}"),
        ("d/1.png", b"one"),
        ("d/1.cls", b"3\n"),
        ("d/1.txt", b"a\n\n b \r\n"),
        ("README", b"not a sample"),
        ("d/2.txt", b"c"),
        ("d/2.JPG", b"two"),
    ];
    let shards = [write(dir.path(), "s.tar", &tar(&files)), numbers(dir.path(), "t.tar", 9..10)];
    let found: Vec<Sample> = samples(&shards).map(Result::unwrap).collect();
    assert_eq!(found.iter().map(|s| s.key.as_str()).collect::<Vec<_>>(), ["d/1", "d/2", "009"]);
    assert_eq!(found[0].captions, ["a", "b"]);
    assert_eq!((found[0].class, found[1].class), (Some(3), None));
    assert_eq!((found[0].image.as_slice(), found[1].image.as_slice()), (&b"one"[..], &b"two"[..]));
    assert_eq!(
        read_captions(&shards, |_| {}).unwrap(),
        ["a", "b", "c", "number 9", "the picture 9 of the test"]
    );
    assert!(matches!(read_captions(&[] as &[&str], |_| {}), Err(Error::NoShards)));
}

#[test]
fn gzip_is_known_by_its_content() {
    let dir = tempfile::tempdir().unwrap();
    let plain = three(dir.path());
    let expected = batches(&plain, options(), 20);
    for name in ["x.tar.gz", "x.tar"] {
        let packed: Vec<_> = plain
            .iter()
            .enumerate()
            .map(|(n, shard)| write(dir.path(), &format!("{n}{name}"), &gzip(&std::fs::read(shard).unwrap())))
            .collect();
        assert_eq!(batches(&packed, options(), 20), expected);
    }
}

#[test]
fn long_names_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let key = format!("{}/{}", "folder".repeat(30), "k".repeat(150));
    let (picture, text) = (format!("{key}.png"), format!("{key}.txt"));
    let shard = write(dir.path(), "s.tar", &tar(&[(&picture, &png(1)), (&text, b"long")]));
    let found: Vec<Sample> = samples(&[shard]).map(Result::unwrap).collect();
    assert_eq!((found.len(), &found[0].key), (1, &key));
}

#[test]
fn samples_without_picture_or_caption_are_left_out_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let files: [(&str, &[u8]); 6] = [
        ("a.png", &png(1)),
        ("b.txt", b"no picture"),
        ("c.png", &png(2)),
        ("c.txt", b"good"),
        ("d.png", &png(3)),
        ("d.txt", b" \n\n"),
    ];
    let shard = write(dir.path(), "s.tar", &tar(&files));
    let mut all = samples(from_ref(&shard));
    assert_eq!(all.by_ref().map(|s| s.unwrap().key).collect::<Vec<_>>(), ["c"]);
    assert_eq!(all.unusable(), 3);
    let said =
        "3 skipped: it has no .txt file (1: a), it has no image (1: b), its .txt file has no caption (1: d)";
    assert_eq!(all.skipped().to_string(), said);
    let batch = &batches(&[shard], options(), 1)[0];
    assert_eq!(pictures(batch), [2; 5]);
    assert!((12..=15).contains(&batch.skipped), "{}", batch.skipped);
}

#[test]
fn a_shard_that_was_cut_is_named_with_the_place() {
    let dir = tempfile::tempdir().unwrap();
    let whole = std::fs::read(numbers(dir.path(), "whole.tar", 0..3)).unwrap();
    // 3 samples of a header and a block of picture and text each; then two blocks of zeros.
    let last = whole.len() - 1024;
    assert!(last >= 3 * 2 * 1024);
    // At most the second of the two end blocks may be missing.
    let cuts = [1, 100, 512, 600, 1023, 1024, 1500, 2047, 2048, 3000, last - 1, last, last + 511];
    for cut in cuts {
        let path = write(dir.path(), "cut.tar", &whole[..cut]);
        let error = samples(from_ref(&path)).find_map(Result::err).unwrap_or_else(|| panic!("cut at {cut}"));
        let message = error.to_string();
        assert!(matches!(error, Error::Shard { offset, .. } if offset <= cut as u64), "{message}");
        assert!(message.contains("cut.tar"), "{message}");
        if cut > 4096 {
            assert!(message.contains("sample `002`"), "{message}");
        }
        let from_loader = failure(&[path], options()).to_string();
        assert_eq!(from_loader, message);
    }
    let path = write(dir.path(), "cut.tar", &whole[..last + 512]);
    assert_eq!(samples(&[path]).map(Result::unwrap).count(), 3);
}

#[test]
fn a_gzip_shard_that_was_cut_or_changed_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let whole = gzip(&std::fs::read(numbers(dir.path(), "whole.tar", 0..3)).unwrap());
    for cut in [5, 20, whole.len() / 2, whole.len() - 1] {
        let path = write(dir.path(), "cut.tar.gz", &whole[..cut]);
        let error = samples(&[path]).find_map(Result::err).unwrap();
        assert!(matches!(error, Error::Shard { .. }), "{error}");
    }
    let mut changed = whole.clone();
    let checksum = changed.len() - 6;
    changed[checksum] ^= 1;
    let path = write(dir.path(), "changed.tar.gz", &changed);
    assert!(matches!(samples(&[path]).find_map(Result::err), Some(Error::Shard { .. })));
}

#[test]
fn what_is_no_tar_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in [("text.tar", b"hello, this is no archive ".repeat(100)), ("empty.tar", vec![])] {
        let path = write(dir.path(), name, &bytes);
        let error = samples(from_ref(&path)).find_map(Result::err).unwrap();
        assert!(matches!(error, Error::Shard { .. }) && error.to_string().contains(name), "{error}");
        assert_eq!(failure(&[path], options()).to_string(), error.to_string());
    }
}

#[test]
fn a_shard_without_samples_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    for (files, left_out) in [
        (tar(&[]), 0),
        (tar(&[("a.json", b"{}".as_slice())]), 1),
        (tar(&[("a.png", b"x".as_slice()), ("b.txt", b"y")]), 2),
    ] {
        let path = write(dir.path(), "s.tar", &files);
        let error = samples(from_ref(&path)).find_map(Result::err).unwrap();
        assert!(matches!(error, Error::EmptyShard { unusable, .. } if unusable == left_out), "{error}");
        assert!(matches!(failure(&[path], options()), Error::EmptyShard { .. }));
    }
}

#[test]
fn a_missing_shard_is_named_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let shards = vec![numbers(dir.path(), "a.tar", 0..3), dir.path().join("missing.tar")];
    let error = Loader::new(&shards, options()).err().unwrap();
    assert!(error.to_string().contains("missing.tar"), "{error:?}");
    let last = samples(&shards).last();
    assert!(matches!(&last, Some(Err(error)) if error.to_string().contains("missing.tar")), "{last:?}");
}
