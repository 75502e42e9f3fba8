//! Where label sets come from: texts, a file, embeddings that are there already, and pictures.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::path::Path;

use clip_model::preprocess::Image;
use clip_model::templates::Template;
use clip_model::{excerpt, memory};

use crate::clip::Clip;
use crate::embeddings::{Embeddings, normalize};
use crate::error::{Error, Result};
use crate::labels::LabelSet;

/// Texts of a label set that are held at once; 80 templates for 1,000 labels are 80,000.
const TEXTS_AT_ONCE: usize = 4096;

/// Bytes that a text takes besides its letters, and what a growing list of them wastes.
const TEXT: usize = 3 * size_of::<String>();

impl Clip {
    /// Encodes labels, to be compared with images: each label in every template (`{}` alone when there is none),
    /// the mean of the normalised embeddings, normalised again.
    ///
    /// A label that occurs twice is kept twice, each with its share of the probability.
    ///
    /// # Errors
    /// [`Error::NoLabels`] when there is no label; [`Error::LabelWithoutDirection`]; else as [`Clip::encode_texts`].
    pub fn label_set(&self, labels: &[impl AsRef<str>], templates: &[Template]) -> Result<LabelSet> {
        self.label_set_with(labels, templates, &mut |_| {})
    }

    /// [`Clip::label_set`] that tells `progress` now and then how many labels are done.
    ///
    /// # Errors
    /// As [`Clip::label_set`].
    pub fn label_set_with(
        &self,
        labels: &[impl AsRef<str>],
        templates: &[Template],
        progress: &mut dyn FnMut(usize),
    ) -> Result<LabelSet> {
        if labels.is_empty() {
            return Err(Error::NoLabels);
        }
        let each = templates.len().max(1);
        let around: usize = templates.iter().map(Template::bytes).sum();
        let dim = self.embed_dim();
        let mut values = memory::with_capacity("labels", labels.len().saturating_mul(dim))?;
        let mut mean = memory::filled("an embedding", 0.0, dim)?;
        for labels in labels.chunks((TEXTS_AT_ONCE / each).max(1)) {
            let labels = labels.iter().map(AsRef::as_ref);
            let bytes = labels.clone().map(|label| label.len() * each + around + each * TEXT).sum();
            memory::available("the texts of labels", bytes)?;
            let fill = |label: &str| match templates {
                [] => vec![label.to_owned()],
                templates => templates.iter().map(|template| template.fill(label)).collect(),
            };
            let texts: Vec<String> = labels.clone().flat_map(fill).collect();
            let rows = self.encode_texts(&texts)?;
            for (label, rows) in labels.zip(rows.as_slice().chunks_exact(each * dim)) {
                mean.fill(0.0);
                for row in rows.chunks_exact(dim) {
                    mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += x / each as f32);
                }
                normalize(&mut mean)
                    .ok_or_else(|| Error::LabelWithoutDirection { label: excerpt(label).into_owned() })?;
                values.extend_from_slice(&mean);
            }
            progress(values.len() / dim);
        }
        let templates = templates.iter().map(Template::to_string).collect();
        LabelSet::new(labels, templates, Embeddings::new(values, dim), self.id().clone())
    }

    /// Reads the file of a label set, which [`LabelSet::save`] wrote, or of this model folder.
    ///
    /// # Errors
    /// [`clip_model::Error::Labels`] when it is none, or another model's: a file says which model encoded its labels. Those of model
    /// folders do not, so that only this folder's own is taken.
    pub fn open_label_set(&self, path: impl AsRef<Path>) -> Result<LabelSet> {
        LabelSet::open(path.as_ref(), self.manifest(), self.id())
    }

    /// Labels whose embeddings are there already, `[labels, dim]`: of another program with the same model, for example, or weights of
    /// a linear probe. Rows need not be normalised: they are scaled to length one here.
    ///
    /// Nothing can tell whether they are this model's.
    ///
    /// # Errors
    /// [`Error::NoLabels`]; [`Error::Count`] when there are not as many rows as labels; [`Error::Row`] for one that is not finite or
    /// is zero.
    pub fn label_set_from_embeddings(
        &self,
        labels: &[impl AsRef<str>],
        embeddings: &[f32],
    ) -> Result<LabelSet> {
        let rows = self.rows(labels.len(), embeddings)?;
        LabelSet::new(labels, Vec::new(), rows, self.id().clone())
    }

    /// Labels that are shown instead of described: `labels[i]` is what `images[i]` shows. The embeddings of all images with the same
    /// label are averaged; labels have the order in which each is first named.
    ///
    /// Images are more similar to each other than to texts, whatever they show. So compare such labels with each other, or by a threshold on the
    /// similarity, and not beside labels of texts; the model's logit scale is not made for them either.
    ///
    /// # Errors
    /// [`Error::NoLabels`]; [`Error::Count`] when labels and images are not equally many; [`Error::LabelWithoutDirection`]; else as
    /// [`Clip::encode_images`].
    pub fn label_set_from_images<I: Borrow<Image> + Sync>(
        &self,
        labels: &[impl AsRef<str>],
        images: &[I],
    ) -> Result<LabelSet> {
        if labels.len() != images.len() {
            let (expected, found) = (images.len(), labels.len());
            return Err(Error::Count { what: "the labels of images", expected, found });
        }
        self.of_examples(labels, &self.encode_images(images)?)
    }

    /// [`Clip::label_set_from_images`] by the normalised embeddings of the images, `[labels, dim]`, which were computed before.
    ///
    /// # Errors
    /// [`Error::NoLabels`]; [`Error::Count`]; [`Error::Row`]; [`Error::LabelWithoutDirection`].
    pub fn label_set_from_image_embeddings(
        &self,
        labels: &[impl AsRef<str>],
        embeddings: &[f32],
    ) -> Result<LabelSet> {
        self.of_examples(labels, &self.rows(labels.len(), embeddings)?)
    }

    /// Normalised copies of embeddings from outside, one for each of `n` labels.
    fn rows(&self, n: usize, embeddings: &[f32]) -> Result<Embeddings> {
        let dim = self.embed_dim();
        let (expected, found) = (n.saturating_mul(dim), embeddings.len());
        if found != expected {
            return Err(Error::Count { what: "the embeddings of labels", expected, found });
        }
        Embeddings::normalized(embeddings, dim)
    }

    fn of_examples(&self, labels: &[impl AsRef<str>], rows: &Embeddings) -> Result<LabelSet> {
        let (names, values) = mean(labels, rows)?;
        LabelSet::new(&names, Vec::new(), Embeddings::new(values, rows.dim()), self.id().clone())
    }
}

/// The distinct labels in the order of their first rows, and the normalised mean of the rows of each.
fn mean<'a>(labels: &'a [impl AsRef<str>], rows: &Embeddings) -> Result<(Vec<&'a str>, Vec<f32>)> {
    let dim = rows.dim();
    let (mut names, mut values) = (Vec::new(), memory::with_capacity("labels", rows.as_slice().len())?);
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (label, row) in labels.iter().map(AsRef::as_ref).zip(rows.rows()) {
        let place = *places.entry(label).or_insert(names.len());
        if place == names.len() {
            names.push(label);
            values.extend_from_slice(row);
        } else {
            values[place * dim..][..dim].iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
    }
    for (label, values) in names.iter().zip(values.chunks_exact_mut(dim)) {
        normalize(values)
            .ok_or_else(|| Error::LabelWithoutDirection { label: excerpt(label).into_owned() })?;
    }
    Ok((names, values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_label_are_averaged_in_the_order_of_the_labels() {
        let rows = Embeddings::new(vec![1.0, 0.0, 0.6, 0.8, 0.0, 1.0], 2);
        let (names, values) = mean(&["b", "a", "b"], &rows).unwrap();
        assert_eq!(names, ["b", "a"]);
        let half = 0.5f32.sqrt();
        assert!(values.iter().zip([half, half, 0.6, 0.8]).all(|(x, y)| (x - y).abs() < 1e-6), "{values:?}");
    }

    #[test]
    fn rows_that_cancel_each_other_are_refused() {
        let rows = Embeddings::new(vec![1.0, 0.0, -1.0, 0.0], 2);
        let error = mean(&["cat", "cat"], &rows).unwrap_err();
        assert!(matches!(&error, Error::LabelWithoutDirection { label } if label == "cat"), "{error}");
        assert!(mean(&["cat", "dog"], &rows).is_ok());
    }
}
