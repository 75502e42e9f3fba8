//! A Parquet table that holds pictures and captions, as img2dataset (`--output_format parquet`) and Hugging Face's `datasets` write
//! them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use clip_model::files;
use parquet::basic::Compression;
use parquet::errors::{ParquetError, Result as Parsed};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;

use super::{Reader, Shard};
use crate::error::{Error, Result};
use crate::fields::Fields;
use crate::sample::{Sample, Unusable};

/// Columns that hold pictures where nothing is said: img2dataset names them after `--encode_format`, `datasets` `image`.
const IMAGES: [&str; 5] = ["jpg", "png", "webp", "image", "jpeg"];
/// Columns that are named when the right one is missing.
const NAMED: usize = 20;
/// Rows that are read at a time: their pictures are in memory together.
const ROWS: usize = 64;

/// The rows of a table, in order.
pub(crate) struct Parquet {
    shard: Shard,
    rows: RowIter<'static>,
    /// Which of the two columns that are read is the picture's.
    image: String,
    caption: String,
    /// Rows read so far.
    row: usize,
}

impl Parquet {
    /// # Errors
    /// [`Error::Table`] for what is no Parquet table, or has no columns of the names; [`Error::Model`] for what is no file.
    pub fn open(shard: Shard, path: &Path, fields: &Fields) -> Result<Parquet> {
        let bad = |reason: String| Error::Table { shard: shard.location.clone(), reason };
        let file = files::open(path)?;
        let unread = |e| bad(format!("it cannot be read as a Parquet table: {e}"));
        let reader = caught(|| SerializedFileReader::new(file)).map_err(unread)?;
        let columns = reader.metadata().row_groups().iter().flat_map(|group| group.columns());
        if let Some(other) = columns.map(|column| column.compression()).find(|codec| !is_read(*codec)) {
            let reason =
                format!("it is compressed with {other}; write it with Snappy, gzip, Zstandard or none");
            return Err(bad(reason));
        }
        let schema = reader.metadata().file_metadata().schema().clone();
        let names: Vec<&str> = schema.get_fields().iter().map(|field| field.name()).collect();
        let has = |name: &&str| names.contains(name);
        let missing = |what: &str, setting: &str| {
            let found: Vec<String> = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
            bad(format!("it has no column {what} but {}; {setting} says another", found.join(", ")))
        };
        let image = match &fields.image_key {
            Some(key) => has(&key.as_str())
                .then(|| key.clone())
                .ok_or_else(|| missing(&format!("`{key}`"), "image_key"))?,
            None => IMAGES
                .into_iter()
                .find(has)
                .map(str::to_owned)
                .ok_or_else(|| missing("of pictures (jpg, png, webp or image)", "image_key"))?,
        };
        let caption = fields.caption().to_owned();
        if !has(&caption.as_str()) {
            return Err(missing(&format!("`{caption}`"), "caption_key"));
        }
        let wanted = schema
            .get_fields()
            .iter()
            .filter(|field| [&image, &caption].into_iter().any(|name| field.name() == name));
        let projection =
            Type::group_type_builder(schema.name()).with_fields(wanted.cloned().collect()).build();
        let rows = caught(|| RowIter::from_file_into(Box::new(reader)).project(Some(projection?)));
        let rows = rows.map_err(unread)?.with_batch_size(ROWS);
        Ok(Parquet { shard, rows, image, caption, row: 0 })
    }

    fn sample(&self, row: Row) -> Result<Sample, Unusable> {
        let key = format!("row {}", self.row);
        let unusable = |reason: &str| Unusable { key: key.clone(), reason: reason.to_owned() };
        let (mut image, mut captions) = (None, Vec::new());
        for (name, field) in row.into_columns() {
            if name == self.image {
                image = picture(field);
            } else if name == self.caption {
                captions = texts(field);
            }
        }
        let image = image.ok_or_else(|| unusable("it has no picture"))?;
        match captions.is_empty() {
            true => Err(unusable("it has no caption")),
            false => Ok(Sample { key, captions, image, class: None }),
        }
    }
}

/// Whether this crate is built with the codec.
fn is_read(codec: Compression) -> bool {
    use Compression::{GZIP, SNAPPY, UNCOMPRESSED, ZSTD};
    matches!(codec, UNCOMPRESSED | SNAPPY | GZIP(_) | ZSTD(_))
}

/// The bytes, or those of the part `bytes`.
fn picture(field: Field) -> Option<Vec<u8>> {
    match field {
        Field::Bytes(bytes) if !bytes.is_empty() => Some(bytes.data().to_vec()),
        Field::Group(row) => row
            .into_columns()
            .into_iter()
            .find(|(name, _)| name == "bytes")
            .and_then(|(_, bytes)| picture(bytes)),
        _ => None,
    }
}

/// A text, or a list of them; blank ones are none.
fn texts(field: Field) -> Vec<String> {
    match field {
        Field::Str(text) => {
            let text = text.trim();
            if text.is_empty() { vec![] } else { vec![text.to_owned()] }
        }
        Field::ListInternal(list) => list.elements().iter().cloned().flat_map(texts).collect(),
        _ => vec![],
    }
}

/// What `parse` gives. The library panics on some broken files.
fn caught<T>(parse: impl FnOnce() -> Parsed<T>) -> Parsed<T> {
    catch_unwind(AssertUnwindSafe(parse))
        .unwrap_or_else(|_| Err(ParquetError::General("it is broken".to_owned())))
}

impl Reader for Parquet {
    fn next(&mut self) -> Result<Option<(usize, Sample)>> {
        while let Some(row) = caught(|| self.rows.next().transpose()).transpose() {
            self.row += 1;
            let row = row.map_err(|e| Error::Table {
                shard: self.shard.location.clone(),
                reason: format!("it is broken at row {}: {e}", self.row),
            })?;
            let made = self.sample(row);
            if let Some(sample) = self.shard.take(made) {
                return Ok(Some((self.row - 1, sample)));
            }
        }
        match self.shard.found {
            0 => Err(self.shard.empty("each row of a table has a picture and a caption")),
            _ => Ok(None),
        }
    }

    fn unusable(&self) -> u64 {
        self.shard.unusable
    }
}
