//! What a model folder gives for some images and texts, found in this process or in another one.

use std::io::{self, BufRead, Write};
use std::path::Path;
use std::time::Instant;

use clip_model::preprocess::Image;
use clip_runtime::{Clip, Embeddings, Template};
use serde::{Deserialize, Serialize};

use crate::apart;
use crate::error::{Error, Result};
use crate::labels::Labels;
use crate::overflow::{self, Overflow};

/// What encoders are run on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inputs {
    /// For the image encoder.
    pub images: Vec<Image>,
    /// For the text encoder.
    pub texts: Vec<String>,
    /// A label set, also for the text encoder.
    pub labels: Option<Labels>,
    /// Runs of the image encoder, one image each, that its time is taken of; with none it is 0.
    pub timed: usize,
    /// Whether nothing is wanted but the first number beyond float16, of graphs that give their peaks.
    pub peaks: bool,
}

/// What they gave. An encoder that the folder does not have gave nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// The embedding of each image.
    pub images: Option<Vec<Vec<f32>>>,
    /// The embedding of each text.
    pub texts: Option<Vec<Vec<f32>>>,
    /// That of each label.
    pub labels: Option<Vec<Vec<f32>>>,
    /// Median of the time for one image, milliseconds.
    pub image_ms: f64,
    /// The first number beyond float16.
    pub overflow: Option<Overflow>,
}

/// Runs the encoders of `folder` in `program`, see [`apart`], or in this process when there is none. The runtime refuses
/// embeddings that are not finite or not of length one.
///
/// # Errors
/// [`Error::Trial`] and [`Error::TrialApart`].
pub fn run(folder: &Path, inputs: &Inputs, program: Option<&Path>) -> Result<Outcome> {
    match program {
        Some(program) => apart::run(program, folder, inputs).map_err(Error::TrialApart),
        None => inputs.run(folder).map_err(Error::Trial),
    }
}

impl Inputs {
    /// Runs the encoders of `folder` in this process, which holds the whole model meanwhile.
    ///
    /// # Errors
    /// Those of [`Clip`].
    pub fn run(&self, folder: &Path) -> clip_runtime::Result<Outcome> {
        if self.peaks {
            return Ok(Outcome { overflow: overflow::find(folder, self)?, ..Outcome::default() });
        }
        let clip = Clip::open(folder)?;
        let (image, text) = (&clip.manifest().image, &clip.manifest().text);
        let label_set = |Labels { labels, templates }: &Labels| clip.label_set(labels, templates);
        let labels = self.labels.as_ref().map(label_set).transpose()?;
        let texts = text.as_ref().map(|_| clip.encode_texts(&self.texts)).transpose()?;
        let images = image.as_ref().map(|_| clip.encode_images(&self.images)).transpose()?;
        let rows = |found: &Embeddings| found.rows().map(<[f32]>::to_vec).collect();
        Ok(Outcome {
            images: images.as_ref().map(rows),
            texts: texts.as_ref().map(rows),
            labels: labels.as_ref().map(|set| rows(set.embeddings())),
            image_ms: if image.is_some() { self.time(&clip)? } else { 0.0 },
            overflow: None,
        })
    }

    fn time(&self, clip: &Clip) -> clip_runtime::Result<f64> {
        let mut times = Vec::new();
        for image in self.images.iter().cycle().take(self.timed) {
            let started = Instant::now();
            clip.encode_images(std::slice::from_ref(image))?;
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        Ok(times.get(times.len() / 2).copied().unwrap_or(0.0))
    }

    /// Writes them for [`Inputs::read`]: a line of JSON, then the bytes of the images.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let sizes = self.images.iter().map(|image| [image.width(), image.height()]).collect();
        let labels = self.labels.as_ref().map(|Labels { labels, templates }| {
            (labels.clone(), templates.iter().map(Template::to_string).collect())
        });
        serde_json::to_writer(
            &mut *out,
            &Header { sizes, texts: self.texts.clone(), labels, timed: self.timed, peaks: self.peaks },
        )?;
        out.write_all(b"\n")?;
        self.images.iter().try_for_each(|image| out.write_all(image.rgb()))?;
        out.flush()
    }

    /// Reads what [`Inputs::write`] has written, and nothing beyond.
    ///
    /// # Errors
    /// Those of `input`, and where it is something else.
    pub fn read(input: &mut impl BufRead) -> io::Result<Inputs> {
        let mut line = String::new();
        input.read_line(&mut line)?;
        let header: Header = serde_json::from_str(&line)?;
        let image = |[width, height]: [usize; 2]| {
            let mut rgb = vec![0; 3 * width * height];
            input.read_exact(&mut rgb)?;
            Image::new(width, height, rgb).map_err(io::Error::other)
        };
        let images = header.sizes.into_iter().map(image).collect::<io::Result<_>>()?;
        let labels = |(labels, templates): (Vec<String>, Vec<String>)| {
            let templates = templates.iter().map(|template| template.parse()).collect::<Result<_, _>>();
            templates.map(|templates| Labels { labels, templates }).map_err(io::Error::other)
        };
        let labels = header.labels.map(labels).transpose()?;
        Ok(Inputs { images, texts: header.texts, labels, timed: header.timed, peaks: header.peaks })
    }
}

/// The line before the images.
#[derive(Serialize, Deserialize)]
struct Header {
    /// Width and height of each.
    sizes: Vec<[usize; 2]>,
    texts: Vec<String>,
    /// And their templates.
    labels: Option<(Vec<String>, Vec<String>)>,
    timed: usize,
    peaks: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_read_as_they_were_written() {
        let image =
            |width, height| Image::new(width, height, (0..3 * width * height).map(|i| i as u8).collect());
        let images = vec![image(3, 2).unwrap(), image(1, 5).unwrap()];
        let labels = Labels { labels: vec!["cat".to_owned()], templates: vec!["a {}".parse().unwrap()] };
        let texts = vec!["a\n\"cat\"".to_owned(), String::new()];
        let inputs = Inputs { images, texts, labels: Some(labels), timed: 7, peaks: true };
        let mut written = Vec::new();
        inputs.write(&mut written).unwrap();
        written.extend(b"rest");
        let mut input = written.as_slice();
        assert_eq!(Inputs::read(&mut input).unwrap(), inputs);
        assert_eq!(input, b"rest");
        assert!(Inputs::read(&mut &written[..written.len() - 10]).is_err());
        assert!(Inputs::read(&mut &b""[..]).is_err());
    }
}
