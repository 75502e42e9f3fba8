//! Shards: plain, gzip, with long names, broken in every way.

use std::slice::from_ref;

use clip_data::{CaptionSource, Error, Fields, Loader, Sample, read_captions};

use crate::fixture::{
    batches, failure, gzip, locations, numbers, options, pictures, png, samples, tar, three, write,
};

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
        read_captions(&locations(&shards), &Fields::default(), false, |_| {}).unwrap(),
        ["a", "b", "c", "number 9", "the picture 9 of the test"]
    );
    assert!(matches!(read_captions(&[], &Fields::default(), false, |_| {}), Err(Error::NoShards)));
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
fn what_is_no_tar_is_said_in_words_before_anything_starts() {
    let dir = tempfile::tempdir().unwrap();
    let html = b"<!DOCTYPE html><html><title>404</title>".to_vec();
    for (name, bytes, part) in [
        ("text.tar", b"hello, this is no archive ".repeat(100), "it is a text"),
        ("empty.tar", vec![], "it is empty"),
        ("packed.tar", b"BZh91AY&SY\x01\x02".repeat(100), "bunzip2"),
        ("page.tar", html.clone(), "an HTML page"),
        ("table.tar.gz", gzip(&b"url,caption\nx,y\n".repeat(50)), "in gzip, it is a CSV table"),
        ("empty.tar.gz", gzip(b""), "in gzip, it is empty"),
    ] {
        let path = write(dir.path(), name, &bytes);
        let error = samples(from_ref(&path)).find_map(Result::err).unwrap();
        let message = error.to_string();
        assert!(matches!(error, Error::NotATar { .. }), "{message}");
        assert!(message.contains(name) && message.contains(part), "{message}");
        assert_eq!(Loader::new(&[path], options()).err().unwrap().to_string(), message);
    }
    // What is not known is an archive that is broken at once.
    let path = write(dir.path(), "noise.tar", &[7; 2000]);
    assert!(matches!(samples(&[path]).find_map(Result::err), Some(Error::Shard { offset: 0, .. })));
}

#[test]
fn pictures_and_captions_come_in_any_order() {
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..30).map(|n| format!("{n:02}")).collect();
    let picture = |n: usize| (format!("{}.png", names[n]), png(n as u8));
    let caption = |n: usize| (format!("{}.txt", names[n]), format!("number {n}").into_bytes());
    let class = |n: usize| (format!("{}.cls", names[n]), n.to_string().into_bytes());
    let shard = |files: Vec<(String, Vec<u8>)>| {
        let files: Vec<(&str, &[u8])> =
            files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
        let path = write(dir.path(), "s.tar", &tar(&files));
        let mut all = samples(from_ref(&path));
        let found: Vec<Sample> = all.by_ref().map(Result::unwrap).collect();
        assert_eq!((found.len(), all.unusable()), (30, 0));
        found
    };
    let together = shard((0..30).flat_map(|n| [picture(n), caption(n), class(n)]).collect());
    assert_eq!(shard((0..30).flat_map(|n| [class(n), caption(n), picture(n)]).collect()), together);
    assert_eq!(
        shard((0..30).map(class).chain((0..30).map(picture)).chain((0..30).map(caption)).collect()),
        together
    );
    // Another order of the captions is the order of the samples.
    let backwards = shard((0..30).map(picture).chain((0..30).rev().map(caption)).collect());
    assert_eq!(backwards.iter().map(|s| &s.key).collect::<Vec<_>>(), names.iter().rev().collect::<Vec<_>>());
    // A class behind all of them comes too late; nothing else is lost.
    let late = shard((0..30).map(picture).chain((0..30).map(caption)).chain((0..30).map(class)).collect());
    assert!(late.iter().zip(&together).all(|(a, b)| a.image == b.image && a.captions == b.captions));
    assert!(late.iter().all(|sample| sample.class.is_none()));
}

#[test]
fn captions_come_from_json_when_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let files: [(&str, &[u8]); 6] = [
        ("a.json", br#"{"caption": "of a", "text": ["one", "two"]}"#),
        ("a.png", b"a"),
        ("a.txt", b"text of a"),
        ("b.json", br#"{"text": null}"#),
        ("b.png", b"b"),
        ("b.txt", b"text of b"),
    ];
    let path = write(dir.path(), "s.tar", &tar(&files));
    let captions = |fields: Fields| {
        let mut all = samples(from_ref(&path)).with_fields(fields);
        let found: Vec<Vec<String>> = all.by_ref().map(|sample| sample.unwrap().captions).collect();
        (found, all.unusable())
    };
    let json = Fields { captions: CaptionSource::Json, ..Fields::default() };
    assert_eq!(captions(Fields::default()), (vec![vec!["text of a".into()], vec!["text of b".into()]], 0));
    assert_eq!(captions(json.clone()), (vec![vec!["of a".into()]], 1));
    let key = Fields { caption_key: Some("text".into()), ..json };
    assert_eq!(captions(key), (vec![vec!["one".into(), "two".into()]], 1));
}

#[test]
fn a_shard_without_samples_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    for (files, left_out) in [
        (tar(&[]), 0),
        (tar(&[("a.json", b"{}".as_slice())]), 0),
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
