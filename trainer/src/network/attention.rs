//! Scaled dot-product attention in the form that is fastest on the device.

use tch::{Device, Kind, Tensor};

/// Queries, keys and values `[B, L, D]` to `[B, L, D]`; with `causal`, a query sees the keys at its own position and before.
pub(super) fn attention(q: &Tensor, k: &Tensor, v: &Tensor, heads: i64, causal: bool) -> Tensor {
    let size = q.size();
    let x = match by_products(q) {
        true => products(q, k, v, heads, causal),
        false => {
            let [q, k, v] = [q, k, v].map(|x| split_heads(x, heads));
            Tensor::scaled_dot_product_attention(&q, &k, &v, None::<&Tensor>, 0.0, causal, None, false)
        }
    };
    x.transpose(1, 2).reshape(size.as_slice())
}

/// libtorch's fused kernel multiplies head by head; on a CPU in bf16, batched products of all heads take a fourth of its time
/// for up to some hundred tokens. Their scores, `L` times `L` for each head, are kept for the gradients.
fn by_products(q: &Tensor) -> bool {
    const LONGEST: i64 = 300;
    q.device() == Device::Cpu && q.kind() != Kind::Float && q.size()[1] <= LONGEST
}

fn products(q: &Tensor, k: &Tensor, v: &Tensor, heads: i64, causal: bool) -> Tensor {
    let (batch, length, width) = (q.size()[0], q.size()[1], q.size()[2]);
    let rows = |x: &Tensor| split_heads(x, heads).reshape([batch * heads, length, width / heads]);
    let [q, k, v] = [q, k, v].map(rows);
    let scale = (heads as f64 / width as f64).sqrt();
    let mut mask = Tensor::zeros([1, 1, 1], (q.kind(), q.device()));
    if causal {
        mask = Tensor::full([length, length], f64::NEG_INFINITY, (q.kind(), q.device())).triu(1);
    }
    let scores =
        mask.expand([batch * heads, length, length], false).baddbmm(&q, &k.transpose(1, 2), 1.0, scale);
    let x = scores.softmax(-1, None).bmm(&v);
    x.view([batch, heads, length, width / heads])
}

/// `[B, L, D] -> [B, heads, L, D / heads]`.
fn split_heads(x: &Tensor, heads: i64) -> Tensor {
    let (batch, length, width) = (x.size()[0], x.size()[1], x.size()[2]);
    x.view([batch, length, heads, width / heads]).transpose(1, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_give_what_the_fused_kernel_gives() {
        let random = || Tensor::randn([3, 9, 32], (Kind::Float, Device::Cpu));
        let [q, k, v] = [random(), random(), random()];
        for causal in [false, true] {
            let fused = attention(&q, &k, &v, 4, causal);
            let found = products(&q, &k, &v, 4, causal).transpose(1, 2).reshape([3, 9, 32]);
            let difference = (fused - found).abs().max().double_value(&[]);
            assert!(difference < 1e-5, "{difference}");
        }
    }
}
