//! The tokenizer against ids recorded from open_clip, and its promises on any string.
//! `tests/parity/tokenizer.py` compares many more strings where Python is at hand.

#![allow(clippy::unwrap_used, reason = "a failing helper fails its test")]

use std::sync::OnceLock;

use clip_model::tokenizer::{self, Cleaning};
use clip_model::{Error, Tokenizer};
use proptest::prelude::*;

const CONTEXT_LENGTH: usize = 77;

#[derive(serde::Deserialize)]
struct Golden {
    text: String,
    ids: Vec<i32>,
}

fn golden() -> impl Iterator<Item = Golden> {
    include_str!("tokenizer_golden.jsonl").lines().map(|line| serde_json::from_str(line).unwrap())
}

/// A small vocabulary of this crate's own, opened as a file is.
fn trained() -> &'static Tokenizer {
    static TRAINED: OnceLock<Tokenizer> = OnceLock::new();
    TRAINED.get_or_init(|| tokenizer::train(captions(), 550).unwrap())
}

fn captions() -> impl Iterator<Item = String> + Send {
    let animals = ["cat", "dog", "caterpillar", "hot dog", "tiger", "Tigress", "chien à poils"];
    (0..70).map(move |i| {
        format!("A photo of the {} number {i}, it's sitting on a mat.", animals[i % animals.len()])
    })
}

#[test]
fn built_in_ids_are_open_clips() {
    let tokenizer = Tokenizer::openai();
    for Golden { text, ids } in golden() {
        assert_eq!(tokenizer.encode(&text, CONTEXT_LENGTH), ids, "{text:.60}");
    }
}

#[test]
fn built_in_survives_its_own_file() {
    let reopened = Tokenizer::from_json(&Tokenizer::openai().to_json()).unwrap();
    for Golden { text, ids } in golden() {
        assert_eq!(reopened.encode(&text, CONTEXT_LENGTH), ids, "{text:.60}");
    }
    assert_eq!((reopened.start_id(), reopened.end_id(), reopened.pad_id()), (Some(49406), 49407, 0));
    assert_eq!(reopened.vocab_size(), 49408);
}

/// With Hugging Face's normalizer in place of ours the file is Hugging Face's CLIP tokenizer: the `tokenizers` crate
/// runs it, and cleans less.
#[test]
fn hugging_face_file_gives_the_same_ids_for_clean_text() {
    let mut file: serde_json::Value = serde_json::from_str(&Tokenizer::openai().to_json()).unwrap();
    let own: serde_json::Value = serde_json::from_str(&trained().to_json()).unwrap();
    file["normalizer"] = own["normalizer"].clone();
    let theirs = Tokenizer::from_json(&file.to_string()).unwrap();
    for text in ["A Photo of  a cat.", "naïve 日本語 👍🏽!", "it's 12 o'clock", ""] {
        assert_eq!(theirs.encode(text, 77), Tokenizer::openai().encode(text, 77), "{text}");
    }
    // transformers' ids: no HTML, and the end token pads.
    assert_eq!(theirs.encode("&amp;", 77), [49406, 261, 6259, 282, 49407]);
    assert_eq!(Tokenizer::openai().encode("&amp;", 77), [49406, 261, 49407]);
    assert_eq!(theirs.pad_id(), 49407);

    // Without its post-processor the usual names are found, and still nothing is added twice.
    file["post_processor"] = serde_json::Value::Null;
    let bare = Tokenizer::from_json(&file.to_string()).unwrap();
    assert_eq!(bare.encode("a cat", 77), theirs.encode("a cat", 77));
}

#[test]
fn batches_are_padded_to_the_longest_row() {
    let batch = Tokenizer::openai().encode_batch(&["a cat", "", "a photo of a dog"], CONTEXT_LENGTH);
    assert_eq!((batch.rows, batch.length), (3, 7));
    assert_eq!(
        batch.ids,
        [
            [49406, 320, 2368, 49407, 0, 0, 0],
            [49406, 49407, 0, 0, 0, 0, 0],
            [49406, 320, 1125, 539, 320, 1929, 49407]
        ]
        .concat()
    );
    let none = Tokenizer::openai().encode_batch(&[] as &[&str], CONTEXT_LENGTH);
    assert_eq!((none.ids.len(), none.rows, none.length), (0, 0, 0));
}

#[test]
fn long_texts_are_cut_with_the_end_kept() {
    let text = vec!["dog"; 10_000].join(" ");
    for tokenizer in [&Tokenizer::openai(), trained()] {
        let ids = tokenizer.encode(&text, CONTEXT_LENGTH);
        let start = tokenizer.start_id().unwrap();
        assert_eq!((ids.len(), ids[0], ids[76]), (77, start, tokenizer.end_id()));
        assert_eq!(tokenizer.encode(&text, 2), [start, tokenizer.end_id()]);
        assert_eq!(tokenizer.encode(&text, 0), [tokenizer.end_id()]);
    }
    // One word of a million letters, or a reference within a reference within ..., is no reason to wait.
    assert_eq!(Tokenizer::openai().encode(&"ab".repeat(500_000), CONTEXT_LENGTH).len(), 77);
    assert_eq!(Tokenizer::openai().encode(&format!("&{}", "amp;".repeat(200_000)), CONTEXT_LENGTH).len(), 3);
}

#[test]
fn training_is_deterministic_and_numbers_the_end_last() {
    let vocabulary = trained();
    assert_eq!((vocabulary.vocab_size(), vocabulary.start_id(), vocabulary.end_id()), (550, Some(548), 549));
    assert_eq!(tokenizer::train(captions(), 550).unwrap().to_json(), vocabulary.to_json());
    let reversed = captions().collect::<Vec<_>>().into_iter().rev();
    assert_eq!(tokenizer::train(reversed, 550).unwrap().to_json(), vocabulary.to_json());

    // Frequent words became one token, case is ignored, no string is unknown.
    let ids = vocabulary.encode("PHOTO", CONTEXT_LENGTH);
    assert_eq!(ids.len(), 3);
    assert_eq!(vocabulary.encode("photo", CONTEXT_LENGTH), ids);
    assert_eq!(vocabulary.encode("日本", CONTEXT_LENGTH).len(), 2 + "日本".len());
}

#[test]
fn training_refuses_sizes_it_cannot_reach() {
    let small = tokenizer::train(captions(), 513).unwrap_err().to_string();
    assert!(small.contains("513 tokens is too small: bytes, start and end alone take 514"), "{small}");
    let large = tokenizer::train(captions(), 10_000).unwrap_err().to_string();
    assert!(large.contains("10000 were asked for: ask for fewer"), "{large}");
    assert_eq!(tokenizer::train(std::iter::empty(), 514).unwrap().encode("ab", 77).len(), 4);
}

#[test]
fn unusable_files_are_refused() {
    let refused = |json: &str| match Tokenizer::from_json(json) {
        Err(Error::Tokenizer(reason)) => reason,
        other => panic!("{other:?}"),
    };
    assert!(refused("{").contains("not a usable tokenizer.json"));
    assert!(refused(r#"{"version": "9", "model": {}}"#).contains("not a usable tokenizer.json"));

    // A vocabulary without special tokens, one that does not have its own, and one that is surrounded by too many.
    let model = r#"{"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}"#;
    let file = |rest: &str| format!(r#"{{"version": "1.0", "model": {model}{rest}}}"#);
    assert!(refused(&file("")).contains("has none of the usual names"));
    let roberta = r#", "post_processor": {"type": "RobertaProcessing", "sep": ["b", 1], "cls": ["a", 7],
        "trim_offsets": false, "add_prefix_space": false}"#;
    assert!(refused(&file(roberta)).contains("adds token id 7, but its vocabulary ends at 1"));
    let template = r#", "post_processor": {"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "b", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                   {"SpecialToken": {"id": "b", "type_id": 0}}, {"SpecialToken": {"id": "b", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {"b": {"id": "b", "ids": [1], "tokens": ["b"]}}}"#;
    assert!(refused(&file(template)).contains("puts 3 tokens around an empty text"));

    let missing = Tokenizer::open("/no/such/tokenizer.json".as_ref()).unwrap_err();
    assert!(matches!(missing, Error::Io { action: "open", .. }));
}

proptest! {
    #[test]
    fn any_string_becomes_valid_ids(text in any::<String>(), context_length in 2usize..100) {
        for tokenizer in [&Tokenizer::openai(), trained()] {
            let ids = tokenizer.encode(&text, context_length);
            prop_assert!(ids.len() <= context_length);
            prop_assert_eq!(ids.first().copied(), tokenizer.start_id());
            prop_assert_eq!(ids.last(), Some(&tokenizer.end_id()));
            let size = i32::try_from(tokenizer.vocab_size()).unwrap();
            prop_assert!(ids.iter().all(|id| (0..size).contains(id)));
        }
    }

    /// Markup, references and escapes, where cleaning has most to do.
    #[test]
    fn markup_never_panics(text in r"([&<>#;x0-9a-fA-F\[\x1b\r\n m]|&amp|&#x|&NotEqualTilde;|é|ﬁ|\u{345}){0,60}") {
        prop_assert!(Tokenizer::openai().encode(&text, 77).len() <= 77);
    }

    /// A shorter context cuts; it changes nothing before the cut.
    #[test]
    fn a_cut_text_begins_like_the_whole(text in any::<String>(), context_length in 3usize..20) {
        let whole = Tokenizer::openai().encode(&text, usize::MAX);
        let cut = Tokenizer::openai().encode(&text, context_length);
        let kept = cut.len() - 1;
        prop_assert_eq!(&cut[..kept], &whole[..kept]);
    }
}

/// The same file gives other ids after another cleaning: OpenCLIP's before any tokenizer, or none, as transformers has it.
#[test]
fn texts_are_cleaned_as_the_tokenizer_was_told() {
    let own = trained();
    assert_eq!(own.cleaning(), Cleaning::Whitespace);
    let bare = Tokenizer::from_json(&own.to_json()).unwrap();
    assert_eq!(bare.cleaning(), Cleaning::None);
    for (dirty, clean) in [("it’s a cat", "it's a cat"), ("cat &amp; dog", "cat & dog"), ("Ã poil", "à poil")]
    {
        assert_eq!(own.encode(dirty, CONTEXT_LENGTH), own.encode(clean, CONTEXT_LENGTH), "{dirty}");
        assert_ne!(bare.encode(dirty, CONTEXT_LENGTH), bare.encode(clean, CONTEXT_LENGTH), "{dirty}");
        let told = bare.clone().with_cleaning(Cleaning::Whitespace).unwrap();
        assert_eq!(told.encode(dirty, CONTEXT_LENGTH), own.encode(dirty, CONTEXT_LENGTH), "{dirty}");
    }
    let canonical = bare.with_cleaning(Cleaning::Canonicalize).unwrap();
    assert_eq!(canonical.encode("It’s a_CAT!", CONTEXT_LENGTH), own.encode("its a cat", CONTEXT_LENGTH));
}

/// OpenAI's vocabulary after another cleaning than its own is the tokenizer of its file.
#[test]
fn the_built_in_vocabulary_can_be_told_too() {
    let openai = Tokenizer::openai();
    assert_eq!(openai.cleaning(), Cleaning::Lower);
    assert!(openai.clone().with_cleaning(Cleaning::Lower).unwrap().is_openai());
    let file = openai.clone().with_cleaning(Cleaning::None).unwrap();
    assert!(!file.is_openai());
    assert_eq!(file.to_json(), openai.to_json());
    assert_eq!(file.encode("women’s hat", CONTEXT_LENGTH), openai.encode("women’s hat", CONTEXT_LENGTH));
    assert_ne!(file.encode("&eacute;", CONTEXT_LENGTH), openai.encode("&eacute;", CONTEXT_LENGTH));
    let whitespace = openai.clone().with_cleaning(Cleaning::Whitespace).unwrap();
    assert!(whitespace.clone().with_cleaning(Cleaning::Lower).unwrap().is_openai());
    assert_eq!(whitespace.encode("&Eacute;", CONTEXT_LENGTH), openai.encode("&eacute;", CONTEXT_LENGTH));
}

/// Ids that cannot be right are refused with words before anything is computed with them, and quickly.
#[test]
fn ids_that_make_no_sense_are_refused() {
    let file = |vocab: &str, rest: &str| {
        let model = format!(r#"{{"type": "BPE", "vocab": {vocab}, "merges": []}}"#);
        format!(r#"{{"version": "1.0", "model": {model}{rest}}}"#)
    };
    let added = |id: &str| {
        format!(
            r#", "added_tokens": [{{"id": {id}, "content": "</s>", "single_word": false, "lstrip": false,
               "rstrip": false, "normalized": false, "special": true}}]"#
        )
    };
    let whole = r#"{"<s>": 0, "</s>": 1, "a": 2}"#;
    let start = std::time::Instant::now();
    for (json, named) in [
        (
            file(r#"{"<s>": 0, "</s>": 4294967295}"#, ""),
            r#"token "</s>" has id 4294967295, expected 0 to 16777215"#,
        ),
        (
            file(r#"{"<s>": 0, "</s>": 18446744073709551615}"#, ""),
            r#"token "</s>" has id 9223372036854775807"#,
        ),
        (file(r#"{"<s>": -1, "</s>": 1}"#, ""), r#"token "<s>" has id -1"#),
        (file(r#"{"<s>": 0.5, "</s>": 1}"#, ""), r#"token "<s>" has an id that is no whole number"#),
        (file(r#"{"<s>": 1, "</s>": 1}"#, ""), r#"tokens "<s>" and "</s>" have the same id 1"#),
        (file(whole, &added("4294967295")), r#"token "</s>" has id 4294967295"#),
        (file(whole, &added("-5")), r#"token "</s>" has id -5"#),
    ] {
        let message = Tokenizer::from_json(&json).unwrap_err().to_string();
        assert!(message.contains(named), "{message}");
    }
    assert!(Tokenizer::from_json(&file(whole, &added("1"))).is_ok());
    let far =
        r#", "post_processor": {"type": "BertProcessing", "sep": ["</s>", 4294967295], "cls": ["<s>", 0]}"#;
    let message = Tokenizer::from_json(&file(whole, far)).unwrap_err().to_string();
    assert!(message.contains("4294967295"), "{message}");
    assert!(start.elapsed().as_secs() < 5);
}

/// At what crate tokenizers panics, the file is refused.
#[test]
fn files_whose_parts_contradict_each_other_are_refused() {
    let file = |rest: &str| {
        let model = r#"{"type": "BPE", "vocab": {"<s>": 0, "</s>": 1, "a": 2}, "merges": []}"#;
        format!(r#"{{"version": "1.0", "model": {model}, {rest}}}"#)
    };
    for rest in [
        r#""pre_tokenizer": {"type": "FixedLength", "length": 0}"#,
        r#""post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x", "type_id": 0}}],
           "pair": [], "special_tokens": {}}"#,
    ] {
        let message = Tokenizer::from_json(&file(rest)).unwrap_err().to_string();
        assert!(message.contains("its parts contradict each other"), "{message}");
    }
    let message =
        Tokenizer::from_json(&file(r#""pre_tokenizer": {"type": "Whitespace"}"#)).map(|t| t.vocab_size());
    assert_eq!(message.unwrap(), 3);
    let long = file(&format!(r#""normalizer": {{"type": "{}"}}"#, "x".repeat(1 << 20)));
    let message = Tokenizer::from_json(&long).unwrap_err().to_string();
    assert!(message.len() < 500, "{}", message.len());
}
