//! Which label an image shows, if any.

use clip_runtime::{Rule, Score};

use crate::argument;
use crate::classify::clip_match;
use crate::error::Error;
use crate::guard::guard;
use crate::labels::clip_labels;
use crate::status::clip_status;

/// When an image shows none of the labels. Start from CLIP_RULE_INIT. A field that is 0 sets no threshold.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct clip_rule {
    /// sizeof(clip_rule).
    pub struct_size: usize,
    /// The least probability of a label, up to 1.
    pub min_probability: f32,
    /// The least similarity of a label, from -1 to 1. A softmax gives all of its probability to the labels that there
    /// are, also where none fits; there, this or a background says more.
    pub min_similarity: f32,
}

// SAFETY: numbers, of which zeros are what a caller leaves unset.
unsafe impl argument::Options for clip_rule {
    const SMALLEST: usize = size_of::<clip_rule>();
}

/// Writes the index of the label that an image shows to `*index`: that of the first, best of its `count` matches, or
/// CLIP_NONE when that is one of the background, is below a threshold of `rule`, or when there are no matches. `rule`
/// may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clip_decide(
    labels: *const clip_labels,
    matches: *const clip_match,
    count: usize,
    rule: *const clip_rule,
    index: *mut usize,
) -> clip_status {
    if let Some(index) = unsafe { index.as_mut() } {
        *index = usize::MAX;
    }
    guard(|_| unsafe {
        let index = argument::output(index, "index")?;
        let labels = argument::reference(labels, "labels")?;
        let matches = argument::slice(matches, count, "matches")?;
        let rule = if rule.is_null() { Rule::default() } else { self::rule(rule)? };
        let Some(best) = matches.first() else { return Ok(()) };
        let clip_match { index: found, probability, similarity } = *best;
        if found >= labels.set.len() {
            let known = labels.set.len();
            return Err(Error::Argument(format!(
                "matches[0].index is {found}, and there are {known} labels"
            )));
        }
        if rule.accepts(&labels.set, Score { index: found, probability, similarity }) {
            index.write(found);
        }
        Ok(())
    })
}

/// The rule that C describes.
pub(crate) unsafe fn rule(rule: *const clip_rule) -> Result<Rule, Error> {
    let clip_rule { min_probability, min_similarity, .. } = unsafe { argument::options(rule, "rule") }?;
    let similarity = if min_similarity == 0.0 { -1.0 } else { min_similarity };
    Ok(Rule::new(min_probability, similarity)?)
}
