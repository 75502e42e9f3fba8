//! Gradient checkpointing (Chen et al. 2016, arXiv 1604.06174; the paper's section 2.5): of a residual block only the input is
//! kept, and its gradients are found by computing it once more.
//!
//! What PyTorch does inside its autograd is done here by hand, since libtorch's custom functions are not to be had without
//! C++: while a tape is on, each block's result is cut off from what it was computed from, and the way back is walked block
//! by block.

use clip_model::ops::Block;
use tch::{Tensor, no_grad};

use super::Network;
use crate::error::Result;
use crate::gradients::Gradients;

/// The blocks of a forward pass, in the order in which they were computed.
#[derive(Default)]
pub(crate) struct Tape {
    towers: Vec<Vec<Kept>>,
}

/// What computes a block's output from its input and the ids of its texts.
type Body = Box<dyn Fn(&Network, &Tensor, Option<&Tensor>) -> Tensor>;

/// A block of which only input and output are kept.
struct Kept {
    block: Body,
    ids: Option<Tensor>,
    /// Its input, with what it was computed from.
    source: Tensor,
    /// Its input, cut off.
    input: Tensor,
    /// Its output, cut off: what the rest of the pass is computed from.
    output: Tensor,
}

impl std::fmt::Debug for Tape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tape of {} towers", self.towers.len())
    }
}

impl Network {
    /// Runs `pass` with a tape when `checkpointing`, and gives its result with what [`Network::backward`] needs.
    pub(crate) fn recorded<R>(&self, checkpointing: bool, pass: impl FnOnce() -> R) -> (R, Tape) {
        self.tape.replace(checkpointing.then(Tape::default));
        let result = pass();
        (result, self.tape.take().unwrap_or_default())
    }

    /// Runs `pass` without the tape.
    pub(super) fn untaped<R>(&self, pass: impl FnOnce() -> R) -> R {
        let tape = self.tape.take();
        let result = pass();
        self.tape.replace(tape);
        result
    }

    /// What follows is another tower, or the same one again.
    pub(super) fn begin_tower(&self) {
        if let Some(tape) = self.tape.borrow_mut().as_mut() {
            tape.towers.push(Vec::new());
        }
    }

    /// A block: kept on the tape when there is one.
    pub(super) fn run_block(&self, x: &Tensor, ids: Option<&Tensor>, block: impl Block) -> Tensor {
        if self.tape.borrow().is_none() {
            return block.run(self, x, ids);
        }
        let input = x.detach().set_requires_grad(true);
        let output = no_grad(|| block.run(self, &input, ids)).set_requires_grad(true);
        let kept = Kept {
            block: Box::new(move |network, x, ids| block.run(network, x, ids)),
            ids: ids.map(Tensor::shallow_clone),
            source: x.shallow_clone(),
            input,
            output: output.shallow_clone(),
        };
        if let Some(tower) = self.tape.borrow_mut().as_mut().and_then(|tape| tape.towers.last_mut()) {
            tower.push(kept);
        }
        output
    }

    /// Adds the gradients of the scalar `target`, which was computed in the pass that `tape` recorded, to `gradients`.
    pub(crate) fn backward(&self, target: &Tensor, tape: Tape, gradients: &mut Gradients) -> Result<()> {
        if !target.requires_grad() {
            return Ok(()); // nothing that is learned has a part in it
        }
        let outputs: Vec<&Tensor> =
            tape.towers.iter().filter_map(|tower| Some(&tower.last()?.output)).collect();
        let mut of_outputs = self.gradients_of(target, &outputs, gradients)?.into_iter();
        for tower in tape.towers {
            if tower.is_empty() {
                continue;
            }
            let Some(mut gradient) = of_outputs.next() else { break };
            let mut source = None;
            for kept in tower.into_iter().rev() {
                let output = self.without_counting(|| (kept.block)(self, &kept.input, kept.ids.as_ref()));
                let target = (output * gradient).sum(kept.input.kind());
                let of_input = self.gradients_of(&target, &[&kept.input], gradients)?.pop();
                gradient = of_input.unwrap_or_else(|| kept.input.zeros_like());
                source = Some(kept.source);
            }
            // What lies before the first block.
            if let Some(source) = source.filter(Tensor::requires_grad) {
                self.gradients_of(&(source * gradient).sum(tch::Kind::Float), &[], gradients)?;
            }
        }
        Ok(())
    }

    /// Adds the gradients of `target` with respect to the parameters to `gradients`; gives those with respect to `others`.
    fn gradients_of(
        &self,
        target: &Tensor,
        others: &[&Tensor],
        gradients: &mut Gradients,
    ) -> Result<Vec<Tensor>> {
        let leaves = self.leaves();
        let parameters = leaves.iter().map(|(_, leaf)| leaf);
        let inputs: Vec<&Tensor> = others.iter().copied().chain(parameters).collect();
        let mut found = Tensor::f_run_backward(&[target], &inputs, false, false)?;
        let of_parameters = found.split_off(others.len());
        for ((index, _), gradient) in leaves.iter().zip(of_parameters) {
            if gradient.defined() {
                gradients.add(*index, gradient)?;
            }
        }
        let defined = found.into_iter().zip(others).map(|(gradient, other)| match gradient.defined() {
            true => Ok(gradient),
            false => other.f_zeros_like(),
        });
        Ok(defined.collect::<std::result::Result<_, _>>()?)
    }
}
