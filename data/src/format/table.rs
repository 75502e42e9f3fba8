//! A CSV or TSV table with the paths of pictures and their captions, as OpenCLIP's `--dataset-type csv` reads it.

use std::fs::File;
use std::io::{BufReader, SeekFrom};
use std::path::{Path, PathBuf};

use clip_model::files;
use csv::{ByteRecord, Position, Reader as Csv, ReaderBuilder};
use rand_chacha::ChaCha8Rng;

use super::folder::{numbers, read};
use super::{Reader, Shard};
use crate::error::{Error, Result};
use crate::fields::Fields;
use crate::sample::{Sample, Unusable};

/// Columns that are named when the right one is missing.
const NAMED: usize = 20;

/// The rows of a table. Of each only its place in the file is held.
pub(crate) struct Table {
    shard: Shard,
    /// The table's folder, in which relative paths begin.
    folder: PathBuf,
    csv: Csv<BufReader<File>>,
    image: usize,
    caption: usize,
    /// Where each row begins, bytes.
    rows: Vec<u64>,
    /// What comes next is at the end.
    order: Vec<usize>,
}

impl Table {
    /// In the order of the rows, or in the one that `order` gives.
    ///
    /// # Errors
    /// [`Error::Table`] for a table without the columns that `fields` names, or that is none; [`Error::Model`] for what is no file.
    pub fn open(shard: Shard, path: &Path, fields: &Fields, order: Option<ChaCha8Rng>) -> Result<Table> {
        let bad = |reason: String| Error::Table { shard: shard.location.clone(), reason };
        let unread = |e: csv::Error| bad(format!("it cannot be read as a table: {e}"));
        let tabs = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tsv"));
        let separator = fields.separator.unwrap_or(if tabs { '\t' } else { ',' });
        let file = BufReader::with_capacity(1 << 16, files::open(path)?);
        let mut csv = ReaderBuilder::new().delimiter(separator as u8).flexible(true).from_reader(file);
        let header = csv.byte_headers().map_err(unread)?.clone();
        let names: Vec<String> = header
            .iter()
            .map(|name| String::from_utf8_lossy(name).trim_start_matches('\u{feff}').to_owned())
            .collect();
        let column = |setting: &str, name: &str| {
            names.iter().position(|found| found == name).ok_or_else(|| {
                let found = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                bad(format!(
                    "it has no column `{name}` but {found}, separated by {separator:?}; {setting} and separator say others"
                ))
            })
        };
        let image = column("image_key", fields.image_key.as_deref().unwrap_or("filepath"))?;
        let caption = column("caption_key", fields.caption_key.as_deref().unwrap_or("title"))?;
        let (mut rows, mut row) = (Vec::new(), ByteRecord::new());
        while csv.read_byte_record(&mut row).map_err(unread)? {
            rows.extend(row.position().map(Position::byte));
        }
        let order = numbers(rows.len(), order);
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Ok(Table { shard, folder, csv, image, caption, rows, order })
    }

    /// The sample of a row; a row of a file that was changed meanwhile is an error of the table.
    fn read(&mut self, number: usize) -> Result<Result<Sample, Unusable>> {
        let bad = |e: csv::Error| Error::Table {
            shard: self.shard.location.clone(),
            reason: format!("row {} cannot be read any more: {e}", number + 1),
        };
        let byte = self.rows[number];
        self.csv.seek_raw(SeekFrom::Start(byte), Position::new()).map_err(bad)?;
        let mut row = ByteRecord::new();
        self.csv.read_byte_record(&mut row).map_err(bad)?;
        let field =
            |column: usize| row.get(column).map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
        let (Some(name), Some(caption)) = (field(self.image), field(self.caption)) else {
            let reason = "the row has fewer columns than the header".to_owned();
            return Ok(Err(Unusable { key: format!("row {}", number + 1), reason }));
        };
        if name.is_empty() || caption.is_empty() {
            let reason = if name.is_empty() { "it has no path" } else { "it has no caption" };
            return Ok(Err(Unusable { key: format!("row {}", number + 1), reason: reason.to_owned() }));
        }
        let image = read(&self.folder.join(&name), files::IMAGE_LIMIT, &name);
        Ok(image.map(|image| Sample { key: name, captions: vec![caption], image, class: None }))
    }
}

impl Reader for Table {
    fn next(&mut self) -> Result<Option<(usize, Sample)>> {
        while let Some(number) = self.order.pop() {
            let made = self.read(number)?;
            if let Some(sample) = self.shard.take(made) {
                return Ok(Some((number, sample)));
            }
        }
        match self.shard.found {
            0 => Err(self.shard.empty("relative paths in a table begin at the folder that it is in")),
            _ => Ok(None),
        }
    }

    fn unusable(&self) -> u64 {
        self.shard.unusable
    }
}
