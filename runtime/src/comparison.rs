//! Embeddings of images that were computed before, compared with labels.

use crate::clip::Clip;
use crate::embeddings::Embeddings;
use crate::error::{Error, Result};
use crate::labels::LabelSet;
use crate::scores::{Match, Score};

impl Clip {
    /// [`Clip::classify`] for embeddings that were computed before, `[n, dim]`. Rows need not be normalised: only where they point to
    /// counts.
    ///
    /// # Errors
    /// [`Error::ForeignLabels`]; [`Error::Count`] for what is no whole number of rows; [`Error::Row`] for a row that is not finite or is
    /// zero.
    pub fn classify_embeddings<'a>(
        &self,
        embeddings: &[f32],
        labels: &'a LabelSet,
        top: usize,
    ) -> Result<Vec<Vec<Match<'a>>>> {
        labels.check_model(self.id())?;
        let dim = self.embed_dim();
        if !embeddings.len().is_multiple_of(dim) {
            let expected = embeddings.len().next_multiple_of(dim);
            return Err(Error::Count { what: "whole embeddings", expected, found: embeddings.len() });
        }
        labels.matches(&Embeddings::normalized(embeddings, dim)?, self.logits(), top)
    }

    /// Fills `found` with the `top` labels nearest to one normalised embedding, `[dim]`, best first, as [`Clip::classify`] does it. Once
    /// the vector had room for all labels of the set, nothing is allocated.
    ///
    /// # Errors
    /// [`Error::ForeignLabels`]; [`Error::Count`] for an embedding of another width.
    pub fn nearest_into(
        &self,
        embedding: &[f32],
        labels: &LabelSet,
        top: usize,
        found: &mut Vec<Score>,
    ) -> Result<()> {
        labels.check_model(self.id())?;
        if embedding.len() != self.embed_dim() {
            let (expected, found) = (self.embed_dim(), embedding.len());
            return Err(Error::Count { what: "an embedding", expected, found });
        }
        labels.nearest_into(embedding, self.logits(), top, found)
    }
}
