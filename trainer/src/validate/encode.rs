//! Texts and class names as embeddings.

use tch::{Kind, Tensor};

use super::Validator;
use crate::error::Result;
use crate::network::Network;

/// Texts that are encoded at a time.
const BATCH: usize = 256;

impl Validator {
    /// Embeddings of length one, `[texts, embed_dim]`; there is at least one text.
    pub(super) fn encode_texts(&self, network: &Network, texts: &[String]) -> Result<Tensor> {
        let context = network.config.text.context_length;
        let encode = |texts: &[String]| -> Result<Tensor> {
            self.go_on()?;
            let batch = self.tokenizer.encode_batch(texts, context);
            let ids: Vec<i64> = batch.ids.iter().map(|&id| i64::from(id)).collect();
            let ids = Tensor::f_from_slice(&ids)?.f_view([batch.rows as i64, batch.length as i64])?;
            Ok(network.encode_text(&ids.f_to_device(network.device)?))
        };
        let parts: Vec<Tensor> = texts.chunks(BATCH).map(encode).collect::<Result<_>>()?;
        Ok(Tensor::f_cat(&parts, 0)?)
    }

    /// Embeddings of length one of class names, `[names, embed_dim]`: the mean over the templates of what each gives, of length
    /// one, brought to length one again (the paper's section 3.1.4; open_clip's `build_zero_shot_classifier`).
    pub(super) fn encode_classes(&self, network: &Network, names: &[String]) -> Result<Tensor> {
        let count = self.templates.len().max(1);
        let encode = |names: &[String]| -> Result<Tensor> {
            let fill =
                |name: &String| self.templates.iter().map(|template| template.fill(name)).collect::<Vec<_>>();
            let texts: Vec<String> = names.iter().flat_map(fill).collect();
            let embeddings = self.encode_texts(network, &texts)?;
            let each = embeddings.f_view([names.len() as i64, count as i64, -1])?;
            let mean = each.f_mean_dim(1i64, false, Kind::Float)?;
            let length = mean.f_norm_scalaropt_dim(2.0, [1i64], true)?.f_clamp_min(1e-12)?;
            Ok(mean.f_div(&length)?)
        };
        let parts: Vec<Tensor> = names.chunks((BATCH / count).max(1)).map(encode).collect::<Result<_>>()?;
        Ok(Tensor::f_cat(&parts, 0)?)
    }
}

#[cfg(test)]
mod tests {
    use crate::validate::tests::{network, validator};

    #[test]
    fn a_class_is_the_mean_of_unit_embeddings() {
        let (network, names) = (network(), ["cat", "dog", "emu"].map(str::to_owned));
        let found = validator(&["a {}", "the big {}!"]).encode_classes(&network, &names).unwrap();
        let of = |template: &str| validator(&[template]).encode_classes(&network, &names).unwrap();
        let sum = of("a {}") + of("the big {}!");
        let expected = &sum / sum.norm_scalaropt_dim(2.0, [1i64], true);
        assert_eq!(found.size(), [3, 16]);
        assert!((&found - expected).abs().max().double_value(&[]) < 1e-6);
        // Templates differ, so that the mean is none of them.
        assert!((&found - of("a {}")).abs().max().double_value(&[]) > 1e-3);
    }

    /// More texts than are encoded at a time.
    #[test]
    fn many_classes_are_encoded_in_parts() {
        let network = network();
        let names: Vec<String> = (0..150).map(|n| format!("number {n}")).collect();
        let validator = validator(&["a {}", "{}"]);
        let all = validator.encode_classes(&network, &names).unwrap();
        let last = validator.encode_classes(&network, &names[149..]).unwrap();
        assert_eq!(all.size(), [150, 16]);
        assert!((all.narrow(0, 149, 1) - last).abs().max().double_value(&[]) < 1e-5);
    }
}
