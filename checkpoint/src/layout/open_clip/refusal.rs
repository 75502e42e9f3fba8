//! Fields of OpenCLIP's configuration that no sizes come from: which values leave the network as it is, and which are refused.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// Fields that only matter in training, or whose neutral value leaves the network as it is.
const NEUTRAL: [(&str, &[Neutral]); 43] = {
    use Neutral::*;
    [
        ("act_kwargs", &[]),
        ("attentional_pool", &[]),
        ("attn_pooler_heads", &[Any]),
        ("attn_pooler_queries", &[Any]),
        ("block_type", &[Text("default")]),
        ("bos_id", &[Any]),
        ("cast_dtype", &[]),
        ("custom_text", &[Any]), // where the text tower's tensors lie
        ("embed_cls", &[]),
        ("final_ln_after_pool", &[]),
        ("hf_model_config", &[Any]),
        ("hf_model_name", &[]),
        ("hf_model_pretrained", &[Any]),
        ("hf_pooler_type", &[Any]),
        ("hf_proj_type", &[Any]),
        ("image_seq_len", &[Any]), // what images are measured by in training
        ("init_logit_scale", &[Any]),
        ("ls_init_value", &[]),
        ("multimodal_cfg", &[]),
        ("no_causal_mask", &[]),
        ("no_ln_pre", &[]),
        ("nonscalar_logit_scale", &[Any]), // the same number, alone in a vector
        ("output_dict", &[Any]),
        ("output_tokens", &[]),
        ("pad_id", &[Any]), // what follows the end-of-text token is never seen
        ("patch_dropout", &[Any]),
        ("pool_type", &[Text("tok")]),
        ("pos_embed_type", &[Text("learnable")]),
        ("proj_bias", &[]),
        ("proj_type", &[Text("linear")]),
        ("qk_norm", &[]),
        ("scale_attn", &[]),
        ("scale_attn_inner", &[]),
        ("scale_fc", &[]),
        ("scale_heads", &[]),
        ("scaled_cosine_attn", &[]),
        ("text_arch", &[Text("clip")]),
        ("tiktoken_name", &[Any]), // only read with tokenizer_type "tiktoken"
        ("tokenizer_kwargs", &[]),
        ("tokenizer_mode", &[]),
        ("tokenizer_type", &[]),
        ("timm_model_name", &[]),
        ("variable_text", &[]),
    ]
};

/// Fields that are only read with text_arch "modern", which is refused.
const MODERN: [&str; 15] = [
    "attention_bias",
    "attention_mode",
    "attn_gated",
    "gate_bias",
    "mlp_bias",
    "mlp_type",
    "norm_eps",
    "norm_placement",
    "norm_type",
    "pos_embed",
    "pre_norm",
    "reg_tokens",
    "rope_temperature",
    "value_residual",
    "zero_init_residual",
];

/// A value that leaves the network unchanged. Null, false, zero and empty ones always do.
enum Neutral {
    Any,
    Text(&'static str),
}

/// Null, false, zero and empty values say "not used" wherever OpenCLIP reads them.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
        Value::Bool(true) => false,
    }
}

/// Names a network of other parts than OpenCLIP's own, whose configuration lacks the fields that are needed here.
pub(super) fn other_networks(model: &Value) -> Result<()> {
    for (section, key) in
        [("vision_cfg", "timm_model_name"), ("text_cfg", "hf_model_name"), ("model_cfg", "multimodal_cfg")]
    {
        let value = if section == "model_cfg" { &model[key] } else { &model[section][key] };
        if !is_empty(value) {
            return refuse(section, key, value);
        }
    }
    Ok(())
}

pub(super) fn refuse<T>(section: &str, key: &str, value: &Value) -> Result<T> {
    Err(Error::Config(format!("{section}.{key} = {value} asks for a network that is not supported")))
}

pub(super) fn unknown(section: &str, rest: &Map<String, Value>) -> Result<()> {
    for (key, value) in rest {
        let neutral = NEUTRAL.iter().find(|(name, _)| name == key).is_some_and(|(_, values)| {
            is_empty(value)
                || values.iter().any(|v| match v {
                    Neutral::Any => true,
                    Neutral::Text(text) => value == text,
                })
        });
        let of_no_timm =
            key.starts_with("timm_") && is_empty(rest.get("timm_model_name").unwrap_or(&Value::Null));
        if !neutral && !of_no_timm && !MODERN.contains(&key.as_str()) {
            return refuse(section, key, value);
        }
    }
    Ok(())
}
