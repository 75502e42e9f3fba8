//! The descriptions of a model that several programs read, as Hugging Face's hub has them.

use clip_checkpoint::{TOKENIZER, hugging_face};
use serde_json::{Map, Value, json};

use super::ports::path;
use super::source::Source;

/// `config.json` of the whole model.
pub fn config(source: &Source<'_>) -> Value {
    let mut fields = hugging_face::describe(&source.checkpoint.config, &source.tokenizer);
    // Where it is not said, fastembed in Rust pads with 0.
    fields["pad_token_id"] = source.pad_id().into();
    fields
}

/// A file of JSON at `folder/name`.
pub fn file(folder: &str, name: &str, fields: &Value) -> (String, String) {
    (path(folder, name), format!("{fields:#}\n"))
}

/// The tokenizer, in the three files that programs look for.
pub fn tokenizer(source: &Source<'_>, folder: &str) -> Vec<(String, String)> {
    let tokenizer = &source.tokenizer;
    let roles = ["bos_token", "eos_token", "pad_token"].into_iter().zip(tokenizer.special_names());
    let named = roles.filter_map(|(role, name)| Some((role.to_owned(), Value::from(name?))));
    vec![
        (path(folder, TOKENIZER), tokenizer.to_json()),
        (path(folder, "tokenizer_config.json"), tokenizer_config(source)),
        file(folder, "special_tokens_map.json", &Value::from(named.collect::<Map<_, _>>())),
    ]
}

/// What transformers wants to know besides. It would feed the kinds of tokens, too, if it were not told what there is.
fn tokenizer_config(source: &Source<'_>) -> String {
    let text = source.tokenizer.to_config_json(source.context_length());
    let Ok(Value::Object(mut fields)) = serde_json::from_str(&text) else { return text };
    fields.insert("model_input_names".to_owned(), json!(["input_ids", "attention_mask"]));
    format!("{:#}\n", Value::Object(fields))
}

/// What is done to a picture.
pub fn preprocessor(source: &Source<'_>, folder: &str) -> (String, String) {
    let checkpoint = source.checkpoint;
    let text = hugging_face::write_preprocessor(&checkpoint.preprocess, checkpoint.config.family);
    (path(folder, hugging_face::PREPROCESSOR), text)
}

/// All of it, in the folder itself, with this `config.json`.
pub fn whole(source: &Source<'_>, config: &Value) -> Vec<(String, String)> {
    let mut texts = vec![file("", hugging_face::CONFIG, config)];
    if source.text.is_some() {
        texts.extend(tokenizer(source, ""));
    }
    if source.image.is_some() {
        texts.push(preprocessor(source, ""));
    }
    texts
}
