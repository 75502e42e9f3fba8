//! Learning from a larger model's similarities (Hinton et al. 2015, arXiv 1503.02531; as open_clip's `DistillClipLoss` has it).

use clip_checkpoint::Checkpoint;
use clip_model::Tokenizer;
use clip_model::config::Family;
use tch::{Device, Kind, Tensor, no_grad};

use super::similarities::{ROWS, Sums, chunks, scale};
use super::{Loss, Objective};
use crate::error::{Error, Result};
use crate::inputs::{Inputs, Normalization};
use crate::network::{Network, Precision};

/// A trained network that the one in training learns from.
pub struct Teacher {
    network: Network,
    normalization: Normalization,
    side: i64,
}

/// Another objective's loss, and how far the student's similarities are from the teacher's.
///
/// For each picture the teacher's similarities to the batch's texts, times its logit scale, are a distribution by softmax, and so
/// are the student's; the loss is the cross-entropy of the second under the first, and the same for each text over the pictures.
pub struct Distillation {
    teacher: Teacher,
    other: Box<dyn Objective>,
    /// The share of this loss; the other's has the rest.
    share: f64,
    rows: i64,
}

impl Teacher {
    /// A checkpoint as the teacher of a network that has this tokenizer and context length.
    ///
    /// # Errors
    /// Those of opening it; [`Error::Settings`] when it reads texts otherwise than the student.
    pub fn open(
        checkpoint: &Checkpoint,
        student: (&Tokenizer, usize),
        device: Device,
        precision: Precision,
    ) -> Result<Teacher> {
        let (tokenizer, context) = student;
        let refuse =
            |what: String| Err(Error::Settings(format!("the teacher cannot be learned from: {what}")));
        if checkpoint.config.family != Family::Clip {
            return refuse("it is a SigLIP, whose texts are padded; a CLIP is needed".to_owned());
        }
        if checkpoint.tokenizer()?.to_json() != tokenizer.to_json() {
            return refuse("it has another tokenizer than the network in training".to_owned());
        }
        if checkpoint.config.text.context_length < context {
            return refuse(format!(
                "it reads {} tokens of a text, the network in training {context}",
                checkpoint.config.text.context_length
            ));
        }
        let normalization = Normalization::new(&checkpoint.preprocess, device)?;
        let network = Network::load(checkpoint, device, precision)?;
        Ok(Teacher { network, normalization, side: checkpoint.config.image.image_size() as i64 })
    }

    /// The embeddings of pictures that are resized for the student, and of texts.
    fn features(&self, inputs: &Inputs) -> Result<[Tensor; 2]> {
        let mut images = inputs.images_for(&self.normalization)?;
        if images.size()[2] != self.side {
            let size = [self.side, self.side];
            images = images.f_internal_upsample_bicubic2d_aa(size, false, None, None)?;
        }
        Ok([self.network.encode_image(&images), self.network.encode_texts(&inputs.ids, &inputs.lengths)])
    }
}

impl Distillation {
    /// Learning from `teacher` for this share of the loss, and for the rest what `other` is trained for.
    pub fn new(teacher: Teacher, other: Box<dyn Objective>, share: f64) -> Distillation {
        Distillation { teacher, other, share, rows: ROWS }
    }
}

impl Objective for Distillation {
    fn features(&self, network: &Network, inputs: &Inputs) -> Result<Vec<Tensor>> {
        let mut features = self.other.features(network, inputs)?;
        // The last two, so that the other objective's are where it looks for them.
        features.extend(no_grad(|| self.teacher.features(inputs))?);
        Ok(features)
    }

    fn loss(&self, network: &Network, features: &[Tensor]) -> Result<Loss> {
        let (own, teachers) = features.split_at(features.len() - 2);
        let mut loss = self.other.loss(network, own)?;
        let taught = no_grad(|| {
            let student = [&own[0], &own[1], &scale(network)];
            let teacher = [&teachers[0], &teachers[1], &scale(&self.teacher.network)];
            soft_cross_entropy(student, teacher, self.rows)
        })?;
        let mix =
            |a: &Tensor, b: &Tensor| a.f_mul_scalar(1.0 - self.share)?.f_add(&b.f_mul_scalar(self.share)?);
        loss.value = mix(&loss.value, &taught.value)?;
        for (gradient, taught) in loss.of_features.iter_mut().zip(&taught.of_features) {
            *gradient = mix(gradient, taught)?;
        }
        for (name, gradient) in &mut loss.of_parameters {
            *gradient = match taught.of_parameters.iter().find(|(found, _)| found == name) {
                Some((_, taught)) => mix(gradient, taught)?,
                None => gradient.f_mul_scalar(1.0 - self.share)?,
            };
        }
        loss.of_features.extend(teachers.iter().map(|feature| feature.zeros_like()));
        Ok(loss)
    }
}

/// The student's and the teacher's embeddings of images and texts, and logit scales.
fn soft_cross_entropy(student: [&Tensor; 3], teacher: [&Tensor; 3], rows: i64) -> Result<Loss> {
    let [images, texts, scale] = student;
    let pairs = images.size()[0] as f64;
    let scaled = images.f_mul(scale)?;
    let transposed = texts.f_transpose(0, 1)?;
    let sums = Sums::of(&scaled, &transposed, rows)?;
    let teachers = teacher[0].f_mul(teacher[2])?;
    let teachers_transposed = teacher[1].f_transpose(0, 1)?;
    let teachers_sums = Sums::of(&teachers, &teachers_transposed, rows)?;
    let mut value = sums.total()?;
    let mut of_images = Vec::new();
    let mut of_texts = texts.f_zeros_like()?;
    for (start, chunk) in chunks(&scaled, rows) {
        let logits = chunk.f_matmul(&transposed)?;
        let theirs = teachers.f_narrow(0, start, chunk.size()[0])?.f_matmul(&teachers_transposed)?;
        let target = teachers_sums.softmaxes(&theirs, start)?;
        value = value.f_sub(&target.f_mul(&logits)?.f_sum(Kind::Float)?)?;
        let gradient = sums.softmaxes(&logits, start)?.f_sub(&target)?.f_mul_scalar(0.5 / pairs)?;
        of_images.push(gradient.f_matmul(texts)?); // with respect to the scaled ones
        let _ = of_texts.f_addmm_(&gradient.f_transpose(0, 1)?, &chunk)?;
    }
    let of_scaled = Tensor::f_cat(&of_images, 0)?;
    let of_log_scale = of_scaled.f_mul(&scaled)?.f_sum(Kind::Float)?;
    Ok(Loss {
        value: value.f_mul_scalar(0.5 / pairs)?,
        of_features: vec![of_scaled.f_mul(scale)?, of_texts],
        of_parameters: vec![("logit_scale", of_log_scale)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// open_clip's formula over all pairs at once, and autograd; 13 rows are no multiple of 5.
    #[test]
    fn chunks_give_the_formulas_loss_and_gradients() {
        tch::manual_seed(13);
        let random = |width: i64| Tensor::randn([13, width], (Kind::Float, Device::Cpu));
        let unit = |x: Tensor| &x / x.norm_scalaropt_dim(2.0, [1i64], true);
        let leaves = [unit(random(6)), unit(random(6)), Tensor::from(2.0f32)]
            .map(|x| x.detach().set_requires_grad(true));
        let [images, texts, log_scale] = &leaves;
        let teacher = [unit(random(9)), unit(random(9)), Tensor::from(11.0f32)];
        let logits = (log_scale.exp() * images).matmul(&texts.transpose(0, 1));
        let theirs = (&teacher[2] * &teacher[0]).matmul(&teacher[1].transpose(0, 1));
        let one_way = |theirs: &Tensor, logits: &Tensor| {
            (theirs.softmax(1, None) * logits.log_softmax(1, None))
                .sum_dim_intlist([1i64].as_slice(), false, None)
                .mean(None)
        };
        let whole =
            (one_way(&theirs, &logits) + one_way(&theirs.transpose(0, 1), &logits.transpose(0, 1))) * -0.5;
        let expected = Tensor::run_backward(&[&whole], &leaves.each_ref(), false, false);
        for rows in [5, 13, 100] {
            let found =
                no_grad(|| soft_cross_entropy([images, texts, &log_scale.exp()], teacher.each_ref(), rows))
                    .unwrap();
            assert!((found.value.double_value(&[]) - whole.double_value(&[])).abs() < 1e-5);
            let gradients = found.of_features.iter().chain([&found.of_parameters[0].1]);
            for (found, expected) in gradients.zip(&expected) {
                let difference = (found - expected).abs().max().double_value(&[]);
                assert!(difference < 5e-6, "{rows} rows: {difference}");
            }
        }
    }
}
