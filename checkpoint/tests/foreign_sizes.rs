//! Whatever numbers a configuration holds, it is read or refused: at once, without a panic, and before anything of its sizes
//! is allocated.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use clip_checkpoint::{CONFIG, OpenClip};
use clip_testkit::fuzzing;
use proptest::prelude::*;
use serde_json::{Value, json};

/// Numbers of every kind: small ones, powers of two and their neighbours, whatever fits into 64 bits, fractions.
fn number() -> impl Strategy<Value = Value> {
    let near = (0u32..64, -1i64..=1).prop_map(|(bits, d)| json!((1u64 << bits).wrapping_add_signed(d)));
    prop_oneof![
        4 => (0u64..100).prop_map(|n| json!(n)),
        4 => near,
        1 => any::<u64>().prop_map(|n| json!(n)),
        1 => any::<i64>().prop_map(|n| json!(n)),
        1 => any::<f64>().prop_map(|n| json!(n)),
        1 => Just(json!(null)),
    ]
}

/// A number, or so many of them.
fn sizes(n: usize) -> impl Strategy<Value = Value> {
    prop_oneof![3 => number(), 1 => prop::collection::vec(number(), n).prop_map(Value::from)]
}

/// `config` with arbitrary numbers in some of the fields of its sections.
fn changed(config: Value, fields: &'static [(&'static str, usize)]) -> impl Strategy<Value = Value> {
    let changes = prop::collection::vec(0..fields.len(), 1..4).prop_flat_map(move |picked| {
        let values: Vec<_> =
            picked.into_iter().map(|i| sizes(fields[i].1).prop_map(move |v| (i, v))).collect();
        values
    });
    changes.prop_map(move |changes| {
        let mut config = config.clone();
        for (i, value) in changes {
            // Another change may have put a number where there was a section.
            if let Some(field) = config.pointer_mut(fields[i].0) {
                *field = value;
            }
        }
        config
    })
}

fn open_clip() -> impl Strategy<Value = Value> {
    let text = json!({"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12,
        "mlp_ratio": 4.0, "pool_type": "eos", "eos_id": 49406, "norm_kwargs": {"eps": 1e-5}});
    let vit = json!({"image_size": 224, "layers": 12, "width": 768, "patch_size": 32, "head_width": 64, "mlp_ratio": 4.0});
    let resnet = json!({"image_size": 224, "layers": [3, 4, 6, 3], "width": 64, "head_width": 64, "patch_size": null,
        "mlp_ratio": 4.0});
    let config =
        move |vision| json!({"model_cfg": {"embed_dim": 512, "vision_cfg": vision, "text_cfg": text}});
    let fields = &[
        ("/model_cfg/embed_dim", 1),
        ("/model_cfg/vision_cfg/image_size", 2),
        ("/model_cfg/vision_cfg/layers", 4),
        ("/model_cfg/vision_cfg/width", 1),
        ("/model_cfg/vision_cfg/patch_size", 1),
        ("/model_cfg/vision_cfg/head_width", 1),
        ("/model_cfg/vision_cfg/mlp_ratio", 1),
        ("/model_cfg/text_cfg/context_length", 1),
        ("/model_cfg/text_cfg/vocab_size", 1),
        ("/model_cfg/text_cfg/width", 1),
        ("/model_cfg/text_cfg/heads", 1),
        ("/model_cfg/text_cfg/layers", 1),
        ("/model_cfg/text_cfg/mlp_ratio", 1),
        ("/model_cfg/text_cfg/eos_id", 1),
        ("/model_cfg/text_cfg/norm_kwargs/eps", 1),
    ];
    prop_oneof![changed(config(vit), fields), changed(config(resnet), fields)]
}

fn hugging_face() -> impl Strategy<Value = Value> {
    let tower = |mut more: Value| {
        for (key, value) in [("hidden_size", 512), ("intermediate_size", 2048), ("num_hidden_layers", 12)] {
            more[key] = value.into();
        }
        more
    };
    let config = json!({
        "projection_dim": 512,
        "text_config": tower(json!({"vocab_size": 49408, "num_attention_heads": 8, "max_position_embeddings": 77,
            "layer_norm_eps": 1e-5, "eos_token_id": 49407, "projection_size": 512})),
        "vision_config": tower(json!({"num_attention_heads": 8, "num_channels": 3, "image_size": 224, "patch_size": 32,
            "layer_norm_eps": 1e-5})),
    });
    changed(
        config,
        &[
            ("/projection_dim", 1),
            ("/text_config/vocab_size", 1),
            ("/text_config/hidden_size", 1),
            ("/text_config/intermediate_size", 1),
            ("/text_config/num_hidden_layers", 1),
            ("/text_config/num_attention_heads", 1),
            ("/text_config/max_position_embeddings", 1),
            ("/text_config/layer_norm_eps", 1),
            ("/text_config/eos_token_id", 2),
            ("/text_config/projection_size", 1),
            ("/vision_config/hidden_size", 1),
            ("/vision_config/intermediate_size", 1),
            ("/vision_config/num_hidden_layers", 1),
            ("/vision_config/num_attention_heads", 1),
            ("/vision_config/num_channels", 1),
            ("/vision_config/image_size", 2),
            ("/vision_config/patch_size", 2),
            ("/vision_config/layer_norm_eps", 1),
        ],
    )
}

fn preprocessor() -> impl Strategy<Value = Value> {
    let config = json!({"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}, "resample": 3,
        "rescale_factor": 1.0 / 255.0, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]});
    changed(
        config,
        &[
            ("/size", 2),
            ("/size/shortest_edge", 1),
            ("/crop_size", 1),
            ("/crop_size/height", 1),
            ("/resample", 1),
            ("/rescale_factor", 1),
            ("/image_mean", 3),
            ("/image_std", 3),
            ("/image_std/1", 1),
        ],
    )
}

/// Milliseconds, with room for a machine that has other things to do.
fn at_once(read: impl FnOnce(&[u8]), config: &Value) {
    let bytes = config.to_string();
    let started = Instant::now();
    read(bytes.as_bytes());
    assert!(started.elapsed() < Duration::from_secs(2), "{:?} for {bytes}", started.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_numbers_in_open_clips_configuration(config in open_clip()) {
        at_once(fuzzing::open_clip_config, &config);
    }

    #[test]
    fn any_numbers_in_hugging_faces_configuration(config in hugging_face()) {
        at_once(fuzzing::hugging_face_config, &config);
    }

    #[test]
    fn any_numbers_in_hugging_faces_preprocessing(config in preprocessor()) {
        at_once(fuzzing::preprocessor_config, &config);
    }
}

/// Each of these overflowed, or was believed and would have taken tens of gigabytes.
#[test]
fn sizes_that_no_model_has_are_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    for (field, value, named) in [
        ("/vision_cfg/layers", 1u64 << 24, "layers is 16777216"),
        ("/vision_cfg/image_size", 1 << 24, "image_size is 16777216"),
        ("/vision_cfg/patch_size", 1, "make 50176 patches"),
        ("/vision_cfg/width", 1 << 24, "width is 16777216"),
        ("/text_cfg/layers", 1 << 24, "text layers is 16777216"),
        ("/text_cfg/width", 1 << 24, "text width is 16777216"),
        ("/text_cfg/context_length", 1 << 24, "context_length is 16777216"),
        ("/embed_dim", u64::MAX, "embed_dim is 18446744073709551615"),
    ] {
        let mut model = json!({"embed_dim": 512, "vision_cfg": {"image_size": 224, "layers": 12, "width": 768, "patch_size": 32},
            "text_cfg": {"width": 512, "heads": 8, "layers": 12, "context_length": 77}});
        *model.pointer_mut(field).unwrap() = value.into();
        std::fs::write(root.path().join(CONFIG), json!({ "model_cfg": model }).to_string()).unwrap();
        let message = OpenClip::read(root.path()).unwrap_err().to_string();
        assert!(message.contains(named), "{message}");
    }
}
