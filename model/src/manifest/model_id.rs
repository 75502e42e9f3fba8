//! What tells one model from another.

use serde::{Deserialize, Serialize};

use super::{Encoder, Manifest};
use crate::tokenizer::Cleaning;

/// Whose embeddings can be compared: a model by its files, as far as a folder has them. The same checkpoint in another precision is another
/// model here, since its embeddings are a little different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelId {
    /// The manifest's name of the model, for messages only.
    pub name: String,
    /// SHA-256 of the image tower's graph and of the files beside it that hold its weights, joined by `+`. Engines that were built of a
    /// graph have its hash, since they give the same embeddings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The same of the text tower.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// SHA-256 of the tokenizer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<String>,
    /// What is done to texts before that tokenizer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clean: Option<Cleaning>,
}

impl ModelId {
    /// The model of a folder.
    pub fn of(manifest: &Manifest) -> ModelId {
        let tokenizer = manifest.tokenizer.as_ref();
        ModelId {
            name: manifest.model.clone(),
            image: manifest.image.as_ref().map(hash),
            text: manifest.text.as_ref().map(hash),
            tokenizer: tokenizer.map(|t| t.sha256.clone()),
            clean: tokenizer.and_then(|t| t.clean),
        }
    }

    /// Whether both are of one model: at least one encoder is the same, and none differs. A folder with one encoder alone is of the same
    /// model as one that has the other too.
    pub fn is_of(&self, other: &ModelId) -> bool {
        let towers = [(&self.image, &other.image), (&self.text, &other.text)];
        let both = |(a, b): &(&Option<String>, &Option<String>)| a.is_some() && b.is_some();
        let texts = self.tokenizer.is_none()
            || other.tokenizer.is_none()
            || (&self.tokenizer, self.clean) == (&other.tokenizer, other.clean);
        let mut shared = towers.into_iter().filter(both).peekable();
        shared.peek().is_some() && shared.all(|(a, b)| a == b) && texts
    }
}

fn hash(encoder: &Encoder) -> String {
    let graph = encoder.graph();
    let files = graph.data.into_iter().map(|file| file.sha256);
    std::iter::once(graph.sha256).chain(files).collect::<Vec<_>>().join("+")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(image: Option<&str>, text: Option<&str>, clean: Option<Cleaning>) -> ModelId {
        let [image, text] = [image, text].map(|hash| hash.map(str::to_owned));
        let tokenizer = text.as_ref().map(|_| "t".to_owned());
        ModelId { name: "test".into(), image, text, tokenizer, clean }
    }

    #[test]
    fn folders_of_one_model_may_lack_an_encoder() {
        let both = id(Some("a"), Some("b"), None);
        assert!(both.is_of(&both));
        for alone in [id(Some("a"), None, None), id(None, Some("b"), None)] {
            assert!(alone.is_of(&both) && both.is_of(&alone) && alone.is_of(&alone));
        }
        // Nothing says that these two belong together.
        assert!(!id(Some("a"), None, None).is_of(&id(None, Some("b"), None)));
    }

    #[test]
    fn what_differs_makes_another_model() {
        let model = id(Some("a"), Some("b"), Some(Cleaning::Lower));
        for other in [
            id(Some("x"), Some("b"), Some(Cleaning::Lower)),
            id(Some("a"), Some("x"), Some(Cleaning::Lower)),
            id(Some("a"), Some("b"), Some(Cleaning::Whitespace)),
            id(Some("a"), Some("b"), None),
            id(Some("x"), None, None),
        ] {
            assert!(!model.is_of(&other) && !other.is_of(&model), "{other:?}");
        }
        let mut other = model.clone();
        other.tokenizer = Some("x".into());
        assert!(!model.is_of(&other));
        other.name = "renamed".into();
        other.tokenizer = model.tokenizer.clone();
        assert!(model.is_of(&other));
    }
}
