//! One sample: a picture with its captions.

use clip_model::preprocess::EXTENSIONS;

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
    Class,
}

/// Key and part of a file in a shard, by its name: `a/b.c.PNG` belongs to `a/b`, and the kind `c.png` is no part of a
/// sample. `None` for hidden files and files without a dot, which belong to no sample.
pub(crate) fn split(name: &str) -> Option<(String, Option<Part>)> {
    let base = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = base + name[base..].find('.')?;
    let part = match name[dot + 1..].to_lowercase().as_str() {
        "txt" => Some(Part::Captions),
        "cls" => Some(Part::Class),
        other => EXTENSIONS.contains(&other).then_some(Part::Image),
    };
    (dot > base).then(|| (name[..dot].to_owned(), part))
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

    /// Of two files for the same part the first counts.
    pub fn add(&mut self, part: Part, bytes: Vec<u8>) {
        match part {
            Part::Image => self.image.get_or_insert(bytes),
            Part::Captions => self.captions.get_or_insert(bytes),
            Part::Class => self.class.get_or_insert(bytes),
        };
    }

    /// The sample, or its key and why the files are none.
    pub fn finish(self) -> std::result::Result<Sample, (String, &'static str)> {
        let key = self.key;
        let Some(image) = self.image else { return Err((key, "it has no image")) };
        let Some(captions) = self.captions else { return Err((key, "it has no .txt file")) };
        let Ok(captions) = String::from_utf8(captions) else {
            return Err((key, "its captions are not UTF-8"));
        };
        let captions: Vec<String> =
            captions.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        if captions.is_empty() {
            return Err((key, "its .txt file has no caption"));
        }
        let class = match self.class.map(|bytes| String::from_utf8_lossy(&bytes).trim().parse()) {
            None => None,
            Some(Ok(class)) => Some(class),
            Some(Err(_)) => return Err((key, "its .cls file is not a class number")),
        };
        Ok(Sample { key, captions, image, class })
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
        assert_eq!(split("b.json"), Some((key("b"), None)));
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
        let sample = builder.finish().unwrap();
        assert_eq!(sample.captions, ["one", "two"]);
        assert_eq!((sample.image, sample.class), (vec![1], Some(7)));
    }

    #[test]
    fn incomplete_samples_say_what_is_missing() {
        use Part::{Captions, Class, Image};
        let reason = |files: &[(Part, &[u8])]| {
            let mut builder = Builder::new("k".into());
            files.iter().for_each(|(part, bytes)| builder.add(*part, bytes.to_vec()));
            builder.finish().unwrap_err().1
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
}
