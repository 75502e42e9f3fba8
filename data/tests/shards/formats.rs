//! Folders and tables.

use std::path::Path;
use std::slice::from_ref;

use clip_data::{CaptionSource, Error, Fields, LoaderOptions, Location, Sample, check_shards, samples};

use crate::fixture::{batches, options, pictures, png, write};

fn read(path: &Path, fields: Fields) -> (Vec<Sample>, u64) {
    let mut all = samples(&[Location::from(path)], |_| {}).with_fields(fields);
    let found = all.by_ref().map(Result::unwrap).collect();
    (found, all.unusable())
}

fn captions(path: &Path, fields: Fields) -> Vec<(String, Vec<String>)> {
    read(path, fields).0.into_iter().map(|sample| (sample.key, sample.captions)).collect()
}

fn error(path: &Path, fields: Fields) -> Error {
    samples(&[Location::from(path)], |_| {}).with_fields(fields).find_map(Result::err).unwrap()
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["tiger_cat", "dog"] {
        std::fs::create_dir(dir.path().join(folder)).unwrap();
    }
    for n in 0..30u8 {
        let name = format!("{}/{n:02}", if n.is_multiple_of(2) { "tiger_cat" } else { "dog" });
        write(dir.path(), &format!("{name}.png"), &png(n));
        write(dir.path(), &format!("{name}.txt"), format!("number {n}\n\nthe picture {n}\n").as_bytes());
        write(dir.path(), &format!("{name}.json"), format!("{{\"caption\": \"json {n}\"}}").as_bytes());
    }
    dir
}

#[test]
fn a_folder_has_captions_beside_its_pictures() {
    let dir = folder();
    write(dir.path(), "alone.png", &png(99));
    let (found, unusable) = read(dir.path(), Fields::default());
    assert_eq!((found.len(), unusable), (30, 1));
    assert_eq!(
        (found[0].key.as_str(), &found[0].captions[..]),
        ("dog/01", &["number 1".to_owned(), "the picture 1".to_owned()][..])
    );
    assert_eq!(found[0].image, png(1));
    let json = Fields { captions: CaptionSource::Json, ..Fields::default() };
    assert_eq!(captions(dir.path(), json)[0].1, ["json 1"]);
}

#[test]
fn the_names_of_folders_are_classes_when_asked_for() {
    let dir = folder();
    let named = || Fields { captions: CaptionSource::Folder, ..Fields::default() };
    let found = captions(dir.path(), named());
    assert_eq!((found[0].1[0].as_str(), found[29].1[0].as_str()), ("dog", "tiger cat"));
    // A folder of one class.
    assert_eq!(
        captions(&dir.path().join("tiger_cat"), named())[0],
        ("00".to_owned(), vec!["tiger cat".to_owned()])
    );
}

#[test]
fn a_folder_without_captions_says_what_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.png", &png(1));
    let message = error(dir.path(), Fields::default()).to_string();
    assert!(
        message.contains("(1 had only one of them)") && message.contains(".txt file of the same name"),
        "{message}"
    );
}

#[test]
fn the_pictures_of_a_folder_are_shuffled_as_a_whole_and_resume() {
    let dir = folder();
    let shards = [dir.path().to_owned()];
    // A buffer of 2 alone would leave the classes one behind the other.
    let options = || LoaderOptions { batch: 30, shuffle_buffer: 2, ..options() };
    let found = batches(&shards, options(), 3);
    for batch in &found {
        let mut sorted = pictures(batch);
        let of_dog = sorted[..15].iter().filter(|&n| n % 2 == 1).count();
        assert!((3..=12).contains(&of_dog), "{sorted:?}");
        sorted.sort_unstable();
        assert_eq!(sorted, (0..30).collect::<Vec<u8>>());
    }
    assert_ne!(pictures(&found[0]), pictures(&found[1]));
    let rest = batches(&shards, LoaderOptions { start: 30, threads: 5, ..options() }, 2);
    assert_eq!(rest[..], found[1..]);
    // 1 keeps the order.
    let kept = batches(&shards, LoaderOptions { shuffle_buffer: 1, ..options() }, 1);
    assert_eq!(pictures(&kept[0])[..3], [1, 3, 5]);
}

#[test]
fn csv_and_tsv_have_open_clips_columns_where_nothing_is_said() {
    let dir = folder();
    let csv = "\u{feff}id,filepath,title\n1,dog/01.png,\"a, b\"\n2,tiger_cat/00.png,\"two\nlines\"\n";
    let csv = write(dir.path(), "a.csv", csv.as_bytes());
    assert_eq!(
        captions(&csv, Fields::default()),
        [
            ("dog/01.png".to_owned(), vec!["a, b".to_owned()]),
            ("tiger_cat/00.png".to_owned(), vec!["two\nlines".to_owned()])
        ]
    );
    let tsv = write(dir.path(), "a.tsv", b"filepath\ttitle\r\ndog/01.png\tone, two\r\n");
    assert_eq!(captions(&tsv, Fields::default())[0].1, ["one, two"]);
    let named = Fields {
        caption_key: Some("text".into()),
        image_key: Some("file".into()),
        separator: Some(';'),
        ..Fields::default()
    };
    let other = write(dir.path(), "b.csv", b"text;file\nthree;dog/01.png\n");
    assert_eq!(captions(&other, named)[0], ("dog/01.png".to_owned(), vec!["three".to_owned()]));
}

#[test]
fn rows_that_cannot_be_used_are_left_out_and_counted() {
    let dir = folder();
    let rows =
        "filepath,title\ndog/01.png,one\nno/such.png,two\n,three\ndog/03.png,\nonly\ndog/05.png,six,more\n";
    let csv = write(dir.path(), "a.csv", rows.as_bytes());
    let (found, unusable) = read(&csv, Fields::default());
    assert_eq!((found.len(), unusable), (2, 4));
    assert_eq!(found[1].captions, ["six"]);
}

#[test]
fn a_table_is_shuffled_as_a_whole_and_resumes() {
    let dir = folder();
    let row =
        |n: u8| format!("{}/{n:02}.png,number {n}\n", if n.is_multiple_of(2) { "tiger_cat" } else { "dog" });
    let rows: String = (0..30).map(row).collect();
    let csv = write(dir.path(), "a.csv", format!("filepath,title\n{rows}").as_bytes());
    let options = || LoaderOptions { batch: 30, shuffle_buffer: 2, ..options() };
    let found = batches(from_ref(&csv), options(), 3);
    for batch in &found {
        let mut sorted = pictures(batch);
        assert!(sorted[..10].iter().any(|&n| n > 15), "{sorted:?}");
        sorted.sort_unstable();
        assert_eq!(sorted, (0..30).collect::<Vec<u8>>());
    }
    assert_eq!(batches(from_ref(&csv), LoaderOptions { start: 60, ..options() }, 1)[0], found[2]);
}

#[test]
fn tables_without_the_columns_name_those_that_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let csv = write(dir.path(), "a.csv", b"url\tcaption\nx\ty\n");
    let message = error(&csv, Fields::default()).to_string();
    for part in ["no column `filepath`", "`url\tcaption`", "separated by ','", "image_key"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(matches!(check_shards(from_ref(&csv)), Err(Error::Table { .. })), "before anything starts");
    let empty = write(dir.path(), "b.csv", b"");
    assert!(matches!(error(&empty, Fields::default()), Error::Table { .. }));
    let headless = write(dir.path(), "c.csv", b"filepath,title\n");
    assert!(matches!(error(&headless, Fields::default()), Error::EmptyShard { .. }));
    let remote = Location::parse("s3://bucket/a.parquet").unwrap();
    let message = samples(&[remote], |_| {}).find_map(Result::err).unwrap().to_string();
    assert!(message.contains("a table is read from a file only"), "{message}");
}
