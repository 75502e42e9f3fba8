//! State dicts and folders of others.

use std::path::{Path, PathBuf};

use clip_checkpoint::{Checkpoint, Error, Layout, WEIGHTS};
use clip_model::config::Activation;
use clip_model::tokenizer::Cleaning;
use clip_testkit::torch::{Pickler, scripted, torch_archive, torch_legacy, zip_archive};
use clip_testkit::{Values, assert_same, checkpoint, resnet, small_vit as vit, tensors};

fn put(root: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = root.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn refused(path: &Path) -> String {
    Checkpoint::open(path).unwrap_err().to_string()
}

#[test]
fn state_dicts_of_trainers_are_read_in_every_wrapping() {
    let root = tempfile::tempdir().unwrap();
    let config = vit(Activation::Gelu);
    let weights = tensors(&config);
    let plain = Pickler::default().state_dict("", &weights).finish();
    let wrapped = Pickler::default().raw(b"}(").text("epoch").int(3).text("state_dict");
    let wrapped = wrapped.state_dict("module.", &weights).text("name").text("run").raw(b"u").finish();
    let compiled = Pickler::default().state_dict("_orig_mod.module.", &weights).finish();
    let tower = |t: &Values| Values { name: t.name.replace("visual.", "visual._orig_mod."), ..t.clone() };
    let tower: Vec<Values> = weights.iter().map(tower).collect();
    let tower = Pickler::default().state_dict("", &tower).finish();
    // OpenCLIP's CustomTextCLIP.
    let custom = |t: &Values| match t.name.starts_with("visual.") || t.name == "logit_scale" {
        true => t.clone(),
        false => Values { name: format!("text.{}", t.name), ..t.clone() },
    };
    let custom: Vec<Values> = weights.iter().map(custom).collect();
    let custom = Pickler::default().state_dict("module.", &custom).finish();
    for (name, bytes) in [
        ("plain.pt", torch_archive(&plain, &weights, false)),
        ("wrapped.pt", torch_archive(&wrapped, &weights, false)),
        ("compiled.pt", torch_archive(&compiled, &weights, false)),
        ("compiled_tower.pt", torch_archive(&tower, &weights, false)),
        ("custom_text.pt", torch_archive(&custom, &weights, false)),
        ("legacy.bin", torch_legacy(&plain, &weights)),
        ("legacy_wrapped.bin", torch_legacy(&wrapped, &weights)),
    ] {
        let path = put(root.path(), name, &bytes);
        assert_same(&Checkpoint::open_as(&path, Some(Activation::Gelu)).unwrap(), &config);
        // Which activation it is cannot be known, and is not guessed.
        assert!(refused(&path).contains("state which one"));
        // The same bytes beside a configuration.
        let folder = checkpoint(tempfile::tempdir_in(root.path()).unwrap().path(), &config);
        let (safetensors, torch) = (folder.join(WEIGHTS), folder.join("open_clip_pytorch_model.bin"));
        let _ = std::fs::remove_file(safetensors);
        if folder.exists() {
            std::fs::write(torch, &bytes).unwrap();
            assert_same(&Checkpoint::open(&folder).unwrap(), &config);
        }
    }
}

#[test]
fn openai_archives_are_read_without_being_asked() {
    let root = tempfile::tempdir().unwrap();
    for config in [vit(Activation::QuickGelu), resnet()] {
        let mut all = tensors(&config);
        for (name, shape) in [("input_resolution", vec![]), ("transformer.resblocks.0.attn_mask", vec![8, 8])]
        {
            let data = vec![1.0; shape.iter().product()];
            all.push(Values { name: name.to_owned(), shape, data });
        }
        let path = put(root.path(), "ViT.pt", &torch_archive(&scripted(&all), &all, true));
        assert_same(&Checkpoint::open(&path).unwrap(), &config);
        let stated = Checkpoint::open_as(&path, Some(Activation::Gelu)).unwrap_err().to_string();
        assert!(stated.contains("QuickGELU, not GELU"), "{stated}");
    }
}

#[test]
fn malicious_pickles_are_refused_in_every_format_and_run_nothing() {
    let root = tempfile::tempdir().unwrap();
    let target = root.path().join("run");
    let command = format!("touch {}", target.display());
    let attack = |global: &str| {
        let pickler = Pickler::default().raw(b"}(").text("visual.proj").raw(global.as_bytes());
        pickler.raw(b"(").text(&command).raw(b"tRu").finish()
    };
    for (global, named) in [
        ("cos\nsystem\n", "os.system"),
        ("cposix\nsystem\n", "posix.system"),
        ("cbuiltins\neval\n", "builtins.eval"),
    ] {
        let pickle = attack(global);
        for (script, bytes) in [
            (false, torch_archive(&pickle, &[], false)),
            (true, torch_archive(&pickle, &[], true)),
            (false, torch_legacy(&pickle, &[])),
        ] {
            let message = refused(&put(root.path(), "evil.pt", &bytes));
            assert!(
                message.contains(named) && message.contains("nothing of it was run"),
                "{script}: {message}"
            );
        }
        assert!(refused(&put(root.path(), "evil.pkl", &pickle)).contains(named));
    }
    assert!(!target.exists());
}

#[test]
fn what_is_no_checkpoint_is_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("empty");
    std::fs::create_dir(&folder).unwrap();
    assert!(refused(&folder).contains("neither open_clip_config.json"));
    put(&folder, "config.json", br#"{"model_type": "blip"}"#);
    assert!(refused(&folder).contains(r#"model_type "blip""#));
    put(&folder, "config.json", br#"{"model_type": "siglip2"}"#);
    assert!(refused(&folder).contains("of a fixed resolution are \"siglip\""));
    for (tensor, named) in [
        ("vision_model.post_layernorm.bias", "Hugging Face's layout"),
        ("visual.trunk.norm.bias", "timm"),
        ("text.transformer.resblocks.0.ln_1.bias", "text tower is none of OpenCLIP's own"),
        ("fc.weight", "no CLIP model: its tensors are called fc.weight"),
    ] {
        let values = [Values { name: tensor.to_owned(), shape: vec![2], data: vec![0.0; 2] }];
        let pickle = Pickler::default().state_dict("", &values).finish();
        let message = refused(&put(root.path(), "x.pt", &torch_archive(&pickle, &values, false)));
        assert!(message.contains(named), "{message}");
    }
    let nothing =
        Pickler::default().raw(b"}(").text("model").raw(b"}").text("step").int(1).raw(b"u").finish();
    let message = refused(&put(root.path(), "x.pt", &torch_archive(&nothing, &[], false)));
    assert!(
        message.contains("no state_dict: its dictionary holds no tensors, but [model, step]"),
        "{message}"
    );
    let message = refused(&put(root.path(), "x.zip", &zip_archive(&[("a.txt", b"hi")], false)));
    assert!(message.contains("without data.pkl"), "{message}");
    let message = refused(&put(root.path(), "x.pkl", &Pickler::default().int(1).finish()));
    assert!(message.contains("torch.save did not write"), "{message}");
}

#[test]
fn tensors_that_reach_beyond_their_storage_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let values = [Values { name: "visual.proj".to_owned(), shape: vec![4], data: vec![0.0; 4] }];
    let pickle = |p: Pickler| {
        Pickler::default().raw(b"}(").text("visual.proj").raw(&p.finish()[2..]).raw(b"u").finish()
    };
    let missing = torch_archive(&pickle(Pickler::default().tensor("9", &[4])).replace_stop(), &values, false);
    assert!(refused(&put(root.path(), "x.pt", &missing)).contains("a storage that is missing"));
    let large = torch_archive(&pickle(Pickler::default().tensor("0", &[5])).replace_stop(), &values, false);
    assert!(refused(&put(root.path(), "x.pt", &large)).contains("has 16 bytes, not 5 of 4"));
}

#[test]
fn modules_that_share_others_are_not_walked_for_ever() {
    let root = tempfile::tempdir().unwrap();
    // Each of 60 modules holds the one before it twice: 2^60 ways to the first.
    let object = |p: Pickler| p.raw(b"c__torch__.clip.model\nModule\n)\x81}(");
    let first = object(Pickler::default()).text("w").int(1).raw(b"ubq\x00");
    let nested = (0..60u8).fold(first, |p, i| {
        let inner = [b'h', i];
        object(p).text("a").raw(&inner).text("b").raw(&inner).raw(&[b'u', b'b', b'q', i + 1])
    });
    let started = std::time::Instant::now();
    let message = refused(&put(root.path(), "x.pt", &torch_archive(&nested.finish(), &[], true)));
    assert!(message.contains("more than 262144 attributes"), "{message}");
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    // A name that all of them share is not repeated without end either.
    let long = object(Pickler::default()).text(&"w".repeat(2000)).int(1).raw(b"ub").finish();
    let message = refused(&put(root.path(), "x.pt", &torch_archive(&long, &[], true)));
    assert!(message.contains("a name of more than 1000 bytes"), "{message}");
}

/// Drops the stop of a pickle that was put into another.
trait ReplaceStop {
    fn replace_stop(self) -> Self;
}

impl ReplaceStop for Vec<u8> {
    fn replace_stop(mut self) -> Self {
        let inner = self.len() - 3;
        assert_eq!(self[inner], b'.');
        self.remove(inner);
        self
    }
}

#[test]
fn both_layouts_hold_the_same_model() {
    for config in [vit(Activation::Gelu), vit(Activation::QuickGelu)] {
        let root = tempfile::tempdir().unwrap();
        let ours = Checkpoint::open(checkpoint(root.path(), &config)).unwrap();
        let (hf, back) = (root.path().join("hf"), root.path().join("back"));
        ours.write_as(&hf, Layout::HuggingFace).unwrap();
        let theirs = Checkpoint::open(&hf).unwrap();
        assert_same(&theirs, &config);
        assert_eq!(theirs.preprocess, ours.preprocess);
        assert_eq!(theirs.tokenizer().unwrap().to_json(), ours.tokenizer().unwrap().to_json());
        theirs.write_as(&back, Layout::OpenClip).unwrap();
        assert_same(&Checkpoint::open(&back).unwrap(), &config);
        let again = ours.write_as(&hf, Layout::HuggingFace).unwrap_err();
        assert!(matches!(again, Error::Model(clip_model::Error::Io { action: "create", .. })), "{again:?}");
    }
}

/// The same vocabulary is used in three ways: as OpenAI's, as OpenCLIP's of the checkpoint's own, as transformers'.
#[test]
fn texts_are_cleaned_as_those_do_who_made_the_layout() {
    let root = tempfile::tempdir().unwrap();
    let folder = checkpoint(root.path(), &vit(Activation::Gelu));
    let opened = Checkpoint::open(&folder).unwrap();
    assert_eq!(opened.tokenizer().unwrap().cleaning(), Cleaning::Lower);
    let hf = root.path().join("hf");
    opened.write_as(&hf, Layout::HuggingFace).unwrap();
    assert_eq!(Checkpoint::open(&hf).unwrap().tokenizer().unwrap().cleaning(), Cleaning::None);
    let path = folder.join("open_clip_config.json");
    let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    json["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "of/my-own".into();
    std::fs::write(&path, json.to_string()).unwrap();
    assert_eq!(Checkpoint::open(&folder).unwrap().tokenizer().unwrap().cleaning(), Cleaning::Whitespace);
    // What Hugging Face's layout leaves to the file, OpenCLIP's does itself for a file of its own.
    let back = root.path().join("back");
    Checkpoint::open(&hf).unwrap().write_as(&back, Layout::OpenClip).unwrap();
    assert_eq!(Checkpoint::open(&back).unwrap().tokenizer().unwrap().cleaning(), Cleaning::Whitespace);
}

#[test]
fn a_resnet_has_no_place_in_hugging_faces_layout() {
    let root = tempfile::tempdir().unwrap();
    let ours = Checkpoint::open(checkpoint(root.path(), &resnet())).unwrap();
    let message = ours.write_as(root.path().join("hf"), Layout::HuggingFace).unwrap_err().to_string();
    assert!(message.contains("no ResNet"), "{message}");
    assert!(!root.path().join("hf").exists());
    let copy = root.path().join("copy");
    ours.write_as(&copy, Layout::OpenClip).unwrap();
    assert_same(&Checkpoint::open(&copy).unwrap(), &resnet());
}
