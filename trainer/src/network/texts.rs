//! Texts of different lengths in one batch.
//!
//! A text tower's work goes with the tokens that it sees, padding included. Texts of about one length are encoded together, so
//! that little of it is padding. The embeddings are the same: in a causal tower nothing after a text's end has an influence.

use clip_model::config::{Config, EndOfText, Family};
use tch::{Kind, Tensor};

use super::Network;

/// Groups of texts at most: each is a pass through the tower, which has its own costs.
const GROUPS: usize = 4;

/// Texts in a group at least.
const SMALLEST: usize = 8;

/// Share of the tokens that a division must save.
const WORTHWHILE: f64 = 0.05;

/// Tokens of each of the texts `ids`, `[B, L]`, on the CPU, up to and with the end of text; the longest one's is what SigLIP's
/// texts, which are padded on purpose, all have.
pub(crate) fn lengths(config: &Config, ids: &Tensor) -> Vec<usize> {
    let columns = ids.size()[1];
    if config.family == Family::SigLip {
        return vec![columns as usize; ids.size()[0] as usize];
    }
    let ends = end_position(ids, config.text.end).reshape([-1]) + 1;
    (0..ends.size()[0]).map(|row| ends.int64_value(&[row]) as usize).collect()
}

/// Where each text of `[B, L]` ends, `[B, 1]`: the first of several equal ids counts.
pub(super) fn end_position(ids: &Tensor, end: EndOfText) -> Tensor {
    match end {
        EndOfText::Highest => ids.argmax(1, true),
        EndOfText::Id(id) => ids.eq(i64::from(id)).to_kind(Kind::Int).argmax(1, true),
    }
}

/// Numbers of texts by length, and where the groups end among them; a single group where a division saves too little.
fn divide(lengths: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&text| lengths[text]);
    let count = (lengths.len() / SMALLEST).clamp(1, GROUPS);
    let ends: Vec<usize> = (1..=count).map(|group| group * lengths.len() / count).collect();
    let mut begin = 0;
    let mut tokens = 0;
    for &end in &ends {
        tokens += (end - begin) * order[begin..end].last().map_or(0, |&text| lengths[text]);
        begin = end;
    }
    let together = lengths.len() * lengths.iter().max().copied().unwrap_or(0);
    match (tokens as f64) < (1.0 - WORTHWHILE) * together as f64 {
        true => (order, ends),
        false => ((0..lengths.len()).collect(), vec![lengths.len()]),
    }
}

impl Network {
    /// Like [`Network::encode_text`], in groups of about one length; `lengths`: those of the texts.
    pub(crate) fn encode_texts(&self, ids: &Tensor, lengths: &[usize]) -> Tensor {
        let (order, ends) = divide(lengths);
        let longest = |texts: &[usize]| texts.iter().map(|&text| lengths[text]).max().unwrap_or(1) as i64;
        if ends.len() <= 1 {
            return self.encode_text(&ids.narrow(1, 0, longest(&order)));
        }
        let rows: Vec<i64> = order.iter().map(|&text| text as i64).collect();
        let mut places = vec![0i64; rows.len()];
        rows.iter().enumerate().for_each(|(place, &text)| places[text as usize] = place as i64);
        let [rows, places] =
            [&rows, &places].map(|numbers| Tensor::from_slice(numbers).to_device(ids.device()));
        let sorted = ids.index_select(0, &rows);
        let mut begin = 0;
        let groups: Vec<Tensor> = ends
            .iter()
            .map(|&end| {
                let group = sorted.narrow(0, begin as i64, (end - begin) as i64);
                let group = group.narrow(1, 0, longest(&order[begin..end]));
                begin = end;
                self.encode_text(&group)
            })
            .collect();
        Tensor::cat(&groups, 0).index_select(0, &places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clip_model::config::Config;
    use tch::Device;

    use crate::formats::Precision;
    use crate::init;

    #[test]
    fn texts_of_one_length_stay_together() {
        assert_eq!(divide(&[9; 32]).1, [32]);
        assert_eq!(divide(&[3, 70]).1, [2], "two texts are no two groups");
        let mixed: Vec<usize> = (0..32).map(|n| 4 + n).collect();
        assert_eq!(divide(&mixed).1, [8, 16, 24, 32]);
    }

    #[test]
    fn groups_give_the_embeddings_of_the_whole() {
        let mut config = Config::named("ViT-B/32").unwrap();
        (config.text.layers, config.text.vocab_size, config.text.width, config.text.heads) = (2, 600, 32, 2);
        let parameters = init::parameters(&config, 1, Device::Cpu).unwrap();
        let network = Network::new(config, parameters, Device::Cpu, Precision::Fp32);
        let rows = 33;
        let mut ids = vec![0i64; rows * 40];
        for (row, text) in ids.chunks_mut(40).enumerate() {
            let length = 3 + row * 7 % 37;
            (0..length).for_each(|at| text[at] = ((row * 31 + at * 17) % 500) as i64);
            text[length - 1] = 599;
        }
        let ids = Tensor::from_slice(&ids).view([rows as i64, 40]);
        let lengths = lengths(&network.config, &ids);
        assert_eq!(lengths[..3], [3, 10, 17]);
        let difference = (network.encode_text(&ids) - network.encode_texts(&ids, &lengths)).abs().max();
        assert!(difference.double_value(&[]) < 1e-6, "{difference:?}");
    }
}
