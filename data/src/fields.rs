//! Where in a data set captions and pictures are looked for.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What the caption of a picture is taken from, in tars and folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CaptionSource {
    /// The `.txt` file beside the picture: a caption a line.
    #[default]
    Txt,
    /// The `.json` file beside the picture: the string, or the list of strings, under [`Fields::caption_key`].
    Json,
    /// The name of the folder that the picture is in, `_` read as a space: `.../tiger_cat/1.jpg` is a `tiger cat`.
    Folder,
}

/// Where in a data set captions and pictures are looked for; each format has names of its own where nothing is said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields {
    /// What captions of tars and folders are taken from.
    pub captions: CaptionSource,
    /// Key in `.json` files and column of tables. `None`: `caption`, in CSV and TSV `title` (OpenCLIP's `--csv-caption-key`).
    pub caption_key: Option<String>,
    /// Column of tables that holds the picture or its path. `None`: in CSV and TSV `filepath` (OpenCLIP's `--csv-img-key`), in
    /// Parquet the first of `jpg`, `png`, `webp` and `image` that is there.
    pub image_key: Option<String>,
    /// What separates the columns of a CSV table, one ASCII character. `None`: a tab where the name ends in `.tsv`, else a comma.
    pub separator: Option<char>,
}

impl Fields {
    /// Checks the values.
    ///
    /// # Errors
    /// [`Error::Options`] with the first one that makes no sense.
    pub fn validate(&self) -> Result<()> {
        let bad = |reason: String| Err(Error::Options(reason));
        for (name, key) in [("caption_key", &self.caption_key), ("image_key", &self.image_key)] {
            if key.as_ref().is_some_and(String::is_empty) {
                return bad(format!("{name} is empty, expected the name of a column or key"));
            }
        }
        match self.separator {
            Some(separator) if !separator.is_ascii() || matches!(separator, '"' | '\r' | '\n') => {
                bad(format!("separator is {separator:?}, expected one ASCII character such as `;`"))
            }
            _ => Ok(()),
        }
    }

    /// The key of captions in `.json` files and Parquet.
    pub(crate) fn caption(&self) -> &str {
        self.caption_key.as_deref().unwrap_or("caption")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_nothing_is_refused() {
        let message = |fields: Fields| fields.validate().unwrap_err().to_string();
        assert!(
            message(Fields { image_key: Some(String::new()), ..Fields::default() }).contains("image_key")
        );
        assert!(message(Fields { separator: Some('é'), ..Fields::default() }).contains("separator is 'é'"));
        assert!(Fields { separator: Some('\t'), ..Fields::default() }.validate().is_ok());
    }
}
