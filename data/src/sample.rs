//! One sample: a picture with its captions.

use clip_model::preprocess::EXTENSIONS;
use serde_json::Value;

use crate::fields::{CaptionSource, Fields};

/// A picture with its captions, as a shard holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The name that the sample's files share, up to the first dot; folders included.
    pub key: String,
    /// At least one; none is blank.
    pub captions: Vec<String>,
    /// The encoded picture.
    pub image: Vec<u8>,
    /// The class, where the sample has a `.cls` file.
    pub class: Option<usize>,
}

/// What a file is to its sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Image,
    Captions,
    Json,
    Class,
}

/// Key and part of a file in a shard, by its name: `a/b.c.PNG` belongs to `a/b`, and the kind `c.png` is no part of a
/// sample. `None` for hidden files and files without a dot, which belong to no sample.
pub(crate) fn split(name: &str) -> Option<(String, Option<Part>)> {
    let base = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = base + name[base..].find('.')?;
    let part = match name[dot + 1..].to_lowercase().as_str() {
        "txt" => Some(Part::Captions),
        "json" => Some(Part::Json),
        "cls" => Some(Part::Class),
        other => EXTENSIONS.contains(&other).then_some(Part::Image),
    };
    (dot > base).then(|| (name[..dot].to_owned(), part))
}

/// Why the files of a key are no sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unusable {
    pub key: String,
    pub reason: String,
}

/// Collects the files of one sample.
#[derive(Debug)]
pub(crate) struct Builder {
    pub key: String,
    image: Option<Vec<u8>>,
    captions: Option<Vec<u8>>,
    class: Option<Vec<u8>>,
}

impl Builder {
    pub fn new(key: String) -> Self {
        Builder { key, image: None, captions: None, class: None }
    }

    /// Whether the part is one that counts where captions come from `source`.
    pub fn wants(source: CaptionSource, part: Part) -> bool {
        match part {
            Part::Image | Part::Class => true,
            Part::Captions => source == CaptionSource::Txt,
            Part::Json => source == CaptionSource::Json,
        }
    }

    /// Of two files for the same part the first counts.
    pub fn add(&mut self, part: Part, bytes: Vec<u8>) {
        match part {
            Part::Image => self.image.get_or_insert(bytes),
            Part::Captions | Part::Json => self.captions.get_or_insert(bytes),
            Part::Class => self.class.get_or_insert(bytes),
        };
    }

    /// Whether nothing is missing that a sample must have.
    pub fn is_complete(&self, source: CaptionSource) -> bool {
        self.image.is_some() && (self.captions.is_some() || source == CaptionSource::Folder)
    }

    /// Whether there is something that only makes sense with the rest.
    pub fn is_begun(&self) -> bool {
        self.image.is_some() || self.captions.is_some()
    }

    /// Whether there is a class.
    pub fn has_class(&self) -> bool {
        self.class.is_some()
    }

    /// Bytes that are held.
    pub fn bytes(&self) -> usize {
        let parts = [&self.image, &self.captions, &self.class];
        parts.iter().map(|part| part.as_ref().map_or(0, Vec::len)).sum::<usize>() + self.key.len()
    }

    /// The sample, or why the files are none.
    pub fn finish(self, fields: &Fields) -> std::result::Result<Sample, Unusable> {
        let Builder { key, image, captions, class } = self;
        let made = (|| {
            let image = image.ok_or("it has no image")?;
            let captions = match (fields.captions, captions) {
                (CaptionSource::Folder, _) => vec![folder_name(&key)?],
                (CaptionSource::Txt, None) => return Err("it has no .txt file".to_owned()),
                (CaptionSource::Json, None) => return Err("it has no .json file".to_owned()),
                (CaptionSource::Txt, Some(bytes)) => lines(bytes)?,
                (CaptionSource::Json, Some(bytes)) => of_json(&bytes, fields.caption())?,
            };
            let class = match class.map(|bytes| String::from_utf8_lossy(&bytes).trim().parse()) {
                None => None,
                Some(Ok(class)) => Some(class),
                Some(Err(_)) => return Err("its .cls file is not a class number".to_owned()),
            };
            Ok((captions, image, class))
        })();
        match made {
            Ok((captions, image, class)) => Ok(Sample { key, captions, image, class }),
            Err(reason) => Err(Unusable { key, reason }),
        }
    }
}

/// The captions of a `.txt` file: a line each, blank ones left out.
pub(crate) fn lines(bytes: Vec<u8>) -> Result<Vec<String>, String> {
    let text = String::from_utf8(bytes).map_err(|_| "its captions are not UTF-8")?;
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    let captions: Vec<String> = lines.filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if captions.is_empty() {
        return Err("its .txt file has no caption".to_owned());
    }
    Ok(captions)
}

/// The captions of a `.json` file: a string, or a list of strings, under `key`.
pub(crate) fn of_json(bytes: &[u8], key: &str) -> Result<Vec<String>, String> {
    let value: Value =
        serde_json::from_slice(bytes).map_err(|e| format!("its .json file is no JSON: {e}"))?;
    let captions: Vec<String> = match &value[key] {
        Value::String(caption) => {
            [caption.trim()].into_iter().filter(|c| !c.is_empty()).map(str::to_owned).collect()
        }
        Value::Array(list) => {
            let texts = list.iter().filter_map(Value::as_str).map(str::trim);
            texts.filter(|caption| !caption.is_empty()).map(str::to_owned).collect()
        }
        _ => vec![],
    };
    match captions.is_empty() {
        true => Err(format!("its .json file has no caption under `{key}`")),
        false => Ok(captions),
    }
}

/// The class that a folder stands for.
fn folder_name(key: &str) -> Result<String, String> {
    let folder = key.rsplit('/').nth(1).unwrap_or("").replace('_', " ");
    match folder.trim() {
        "" | "." => Err("it is in no folder whose name could be its caption".to_owned()),
        name => Ok(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_end_at_the_first_dot_of_the_file_name() {
        let key = |key: &str| key.to_owned();
        assert_eq!(split("a/b.c.PNG"), Some((key("a/b"), None)));
        assert_eq!(split("a/b.PNG"), Some((key("a/b"), Some(Part::Image))));
        assert_eq!(split("v1.0/b.txt"), Some((key("v1.0/b"), Some(Part::Captions))));
        assert_eq!(split("b.cls"), Some((key("b"), Some(Part::Class))));
        assert_eq!(split("b.json"), Some((key("b"), Some(Part::Json))));
        assert_eq!(split("a/.hidden.png"), None);
        assert_eq!(split("README"), None);
    }

    #[test]
    fn blank_lines_are_no_captions_and_the_first_file_of_a_kind_counts() {
        let mut builder = Builder::new("k".into());
        builder.add(Part::Image, vec![1]);
        builder.add(Part::Image, vec![2]);
        builder.add(Part::Captions, b"one \r\n\n   \n two".to_vec());
        builder.add(Part::Class, b"7\n".to_vec());
        let sample = builder.finish(&Fields::default()).unwrap();
        assert_eq!(sample.captions, ["one", "two"]);
        assert_eq!((sample.image, sample.class), (vec![1], Some(7)));
    }

    #[test]
    fn incomplete_samples_say_what_is_missing() {
        use Part::{Captions, Class, Image};
        let reason = |files: &[(Part, &[u8])]| {
            let mut builder = Builder::new("k".into());
            files.iter().for_each(|(part, bytes)| builder.add(*part, bytes.to_vec()));
            builder.finish(&Fields::default()).unwrap_err().reason
        };
        assert_eq!(reason(&[(Captions, b"a")]), "it has no image");
        assert_eq!(reason(&[(Image, b"")]), "it has no .txt file");
        assert_eq!(reason(&[(Image, b""), (Captions, b" \n")]), "its .txt file has no caption");
        assert_eq!(reason(&[(Image, b""), (Captions, b"\xff")]), "its captions are not UTF-8");
        assert_eq!(
            reason(&[(Image, b""), (Captions, b"a"), (Class, b"x")]),
            "its .cls file is not a class number"
        );
    }

    #[test]
    fn captions_come_from_json_or_the_folder_when_asked_for() {
        let finish = |json: &str, key: &str, captions| {
            let mut builder = Builder::new(key.into());
            builder.add(Part::Image, vec![1]);
            builder.add(Part::Json, json.into());
            builder.finish(&Fields { captions, ..Fields::default() })
        };
        let json = |text| finish(text, "k", CaptionSource::Json);
        assert_eq!(json(r#"{"caption": " a\nb "}"#).unwrap().captions, ["a\nb"]);
        assert_eq!(json(r#"{"caption": ["a", "", null, "b"]}"#).unwrap().captions, ["a", "b"]);
        for (text, reason) in [
            (r#"{"text": "a"}"#, "has no caption under `caption`"),
            ("[1]", "has no caption under"),
            (r#"{"caption": null}"#, "has no caption under"),
            ("{", "is no JSON"),
        ] {
            let unusable = json(text).unwrap_err();
            assert!(unusable.reason.contains(reason), "{unusable:?}");
        }
        assert_eq!(finish("", "x/tiger_cat/1", CaptionSource::Folder).unwrap().captions, ["tiger cat"]);
        assert!(finish("", "1", CaptionSource::Folder).is_err());
    }
}
