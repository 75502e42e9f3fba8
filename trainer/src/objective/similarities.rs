//! Similarities of all pictures and texts of a batch, some rows at a time: all of a batch of thousands would not fit into memory.

use tch::{Kind, Tensor};

use crate::error::Result;
use crate::network::Network;

/// Rows that are computed at a time.
pub(super) const ROWS: i64 = 2048;

/// The factor on cosine similarities, without its gradient.
pub(super) fn scale(network: &Network) -> Tensor {
    network.logit_scale().detach()
}

/// The rows of a tensor, so many at a time, with the number of the first.
pub(super) fn chunks(tensor: &Tensor, rows: i64) -> impl Iterator<Item = (i64, Tensor)> + '_ {
    let total = tensor.size()[0];
    let starts = (0..).map(move |n| n * rows).take_while(move |&start| start < total);
    starts.map(move |start| (start, tensor.narrow(0, start, rows.min(total - start))))
}

/// Logarithms of the sums of exponentials of a matrix of similarities: what turns them into softmaxes.
pub(super) struct Sums {
    /// Over each row.
    pub rows: Tensor,
    /// Over each column.
    pub columns: Tensor,
}

impl Sums {
    /// Those of `images`, scaled, `[B, D]`, times `texts`, transposed, `[D, B]`.
    pub fn of(images: &Tensor, texts: &Tensor, rows: i64) -> Result<Sums> {
        let mut of_rows = Vec::new();
        let mut columns =
            Tensor::f_full([texts.size()[1]], f64::NEG_INFINITY, (Kind::Float, images.device()))?;
        for (_, chunk) in chunks(images, rows) {
            let logits = chunk.f_matmul(texts)?;
            of_rows.push(logits.f_logsumexp([1i64].as_slice(), false)?);
            columns = columns.f_logaddexp(&logits.f_logsumexp([0i64].as_slice(), false)?)?;
        }
        Ok(Sums { rows: Tensor::f_cat(&of_rows, 0)?, columns })
    }

    /// The softmaxes along the rows and along the columns, added up, of the rows `logits`, the first of which is number `start`.
    pub fn softmaxes(&self, logits: &Tensor, start: i64) -> Result<Tensor> {
        let rows = self.rows.f_narrow(0, start, logits.size()[0])?.f_unsqueeze(1)?;
        let by_row = logits.f_sub(&rows)?.f_exp()?;
        Ok(logits.f_sub(&self.columns.f_unsqueeze(0)?)?.f_exp()?.f_add(&by_row)?)
    }

    /// The sum of both over all rows and columns.
    pub fn total(&self) -> Result<Tensor> {
        Ok(self.rows.f_sum(Kind::Float)?.f_add(&self.columns.f_sum(Kind::Float)?)?)
    }
}
