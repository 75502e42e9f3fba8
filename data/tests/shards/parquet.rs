//! Parquet, written as img2dataset and `datasets` lay it out.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use clip_data::{Error, Fields, LoaderOptions, Location, Sample, samples};
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::fixture::{batches, options, pictures, png};

/// A column: what there is of each row.
type Column = Vec<Option<Vec<u8>>>;

/// Two row groups of the same rows.
fn write(path: &Path, schema: &str, columns: &[Column], compression: Compression, deep: bool) {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, properties).unwrap();
    for _ in 0..2 {
        let mut group = writer.next_row_group().unwrap();
        for column in columns {
            let mut writer = group.next_column().unwrap().unwrap();
            let values: Vec<ByteArray> = column.iter().flatten().cloned().map(ByteArray::from).collect();
            let there =
                if deep && column.iter().all(|v| v.as_ref().is_some_and(|v| v.len() > 40)) { 2 } else { 1 };
            let levels: Vec<i16> =
                column.iter().map(|value| if value.is_some() { there } else { 0 }).collect();
            writer.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
            writer.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
}

fn read(path: &Path, fields: Fields) -> (Vec<Sample>, u64) {
    let mut all = samples(&[Location::from(path)], |_| {}).with_fields(fields);
    let found = all.by_ref().map(Result::unwrap).collect();
    (found, all.unusable())
}

fn error(path: &Path, fields: Fields) -> String {
    samples(&[Location::from(path)], |_| {}).with_fields(fields).find_map(Result::err).unwrap().to_string()
}

const IMG2DATASET: &str =
    "message schema { optional binary caption (UTF8); optional binary key (UTF8); optional binary jpg; }";

#[test]
fn img2datasets_tables_are_read() {
    let dir = tempfile::tempdir().unwrap();
    for (name, compression) in [
        ("plain", Compression::UNCOMPRESSED),
        ("snappy", Compression::SNAPPY),
        ("gzip", Compression::GZIP(Default::default())),
        ("zstd", Compression::ZSTD(Default::default())),
    ] {
        let path = dir.path().join(format!("{name}.parquet"));
        let caption =
            vec![Some(b"one".to_vec()), Some(b" ".to_vec()), Some(b"three".to_vec()), Some(b"four".to_vec())];
        let picture = vec![Some(png(1)), Some(png(2)), None, Some(png(4))];
        write(&path, IMG2DATASET, &[caption.clone(), caption, picture], compression, false);
        let (found, unusable) = read(&path, Fields::default());
        assert_eq!((found.len(), unusable), (4, 4), "{name}");
        assert_eq!((&found[0].captions[0][..], &found[1].captions[0][..]), ("one", "four"));
        assert_eq!((&found[1].image, found[2].key.as_str()), (&png(4), "row 5"));
    }
}

#[test]
fn a_struct_of_bytes_is_a_picture_as_datasets_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let schema = "message schema { optional group image { optional binary bytes; optional binary path (UTF8); } \
                  optional binary text (UTF8); }";
    let (bytes, path_column) = (vec![Some(png(1)), Some(png(2))], vec![None, None]);
    let texts = vec![Some(b"one".to_vec()), Some(b"two".to_vec())];
    write(&path, schema, &[bytes, path_column, texts], Compression::SNAPPY, true);
    let text = Fields { caption_key: Some("text".into()), ..Fields::default() };
    let (found, unusable) = read(&path, text);
    assert_eq!((found.len(), unusable, &found[1].image), (4, 0, &png(2)));
}

#[test]
fn a_table_gives_batches_that_resume() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let captions: Column = (0..100).map(|n| Some(format!("number {n}").into_bytes())).collect();
    let images = (0..100).map(|n| Some(png(n))).collect();
    write(&path, IMG2DATASET, &[captions.clone(), captions, images], Compression::SNAPPY, false);
    let options = || LoaderOptions { batch: 50, ..options() };
    let found = batches(std::slice::from_ref(&path), options(), 8);
    let mut epoch: Vec<u8> = found[..4].iter().flat_map(pictures).collect();
    epoch.sort_unstable();
    assert_eq!(epoch, (0..100).flat_map(|n| [n, n]).collect::<Vec<u8>>());
    assert_eq!(batches(&[path], LoaderOptions { start: 250, ..options() }, 3), found[5..]);
}

#[test]
fn broken_tables_and_missing_columns_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let column = vec![Some(b"one".to_vec())];
    write(&path, IMG2DATASET, &[column.clone(), column.clone(), column], Compression::SNAPPY, false);
    let message = error(&path, Fields { caption_key: Some("text".into()), ..Fields::default() });
    assert!(message.contains("no column `text` but `caption`, `key`, `jpg`; caption_key"), "{message}");
    let message = error(&path, Fields { image_key: Some("png".into()), ..Fields::default() });
    assert!(message.contains("no column `png`") && message.contains("image_key"), "{message}");
    let whole = std::fs::read(&path).unwrap();
    for cut in [0, 4, 10, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let message = error(&path, Fields::default());
        assert!(message.contains("cannot be read as a Parquet table"), "{message}");
    }
    // The number of a codec, 1 for Snappy and 4 for Brotli, is stored doubled.
    let codecs = (4..whole.len()).filter(|&at| whole[at] == 2).map(|at| {
        let mut changed = whole.clone();
        changed[at] = 8;
        std::fs::write(&path, &changed).unwrap();
        samples(&[Location::from(path.as_path())], |_| {}).find_map(Result::err)
    });
    let codecs: Vec<String> = codecs.flatten().map(|error| error.to_string()).collect();
    assert!(codecs.iter().any(|message| message.contains("compressed with BROTLI")), "{codecs:?}");
    // Changed bytes are an error or another table, never a panic.
    for at in 4..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x55;
        std::fs::write(&path, &changed).unwrap();
        let found: Result<Vec<Sample>, Error> = samples(&[Location::from(path.as_path())], |_| {}).collect();
        drop(found);
    }
}
