//! Whatever lies in a file of somebody else's, reading it ends in a result: no panic, no memory beyond the file's size.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use clip_testkit::fuzzing;
use clip_testkit::torch::zip_archive;
use proptest::prelude::*;

/// `{"w": tensor}` as `torch.save` pickles it.
const PICKLE: &[u8] = b"\x80\x02}q\x00X\x01\x00\x00\x00wq\x01ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\x00\x00\
    \x00storageq\x03ctorch\nFloatStorage\nq\x04X\x01\x00\x00\x000q\x05X\x03\x00\x00\x00cpuq\x06K\x04tq\x07QK\x00K\x02K\x02\
    \x86q\x08K\x02K\x01\x86q\t\x89ccollections\nOrderedDict\nq\n)Rq\x0btq\x0cRq\rs.";

fn legacy() -> Vec<u8> {
    let mut file = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.".to_vec();
    file.extend(PICKLE);
    file.extend(b"\x80\x02](X\x01\x00\x00\x000e.\x04\0\0\0\0\0\0\0");
    file.extend([0; 16]);
    file
}

/// The two files of an archive, stored.
fn archive() -> Vec<u8> {
    zip_archive(&[("m/data.pkl", PICKLE), ("m/data/0", &[0; 16])], false)
}

fn safetensors() -> Vec<u8> {
    let header = br#"{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"BF16","shape":[],"data_offsets":[16,18]}}"#;
    [&(header.len() as u64).to_le_bytes()[..], header, &[0; 18]].concat()
}

const MANIFEST: &str = r#"{"schema": 1, "producer": "x", "model": "x", "embed_dim": 8, "logit_scale": 1.0}"#;

/// A file with some of its bytes changed, and maybe an end cut off.
fn mutated(whole: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((0..whole.len(), any::<u8>()), 0..6);
    (changes, 0..=whole.len(), any::<bool>()).prop_map(move |(changes, end, cut)| {
        let mut bytes = whole.clone();
        changes.into_iter().for_each(|(at, value)| bytes[at] = value);
        bytes.truncate(if cut { end } else { bytes.len() });
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzzing::pickle(&bytes);
        fuzzing::weights(&bytes);
        fuzzing::manifest(&bytes);
        for start in [&b"PK\x03\x04"[..], b"\x80\x02"] {
            fuzzing::weights(&[start, &bytes].concat());
        }
    }

    #[test]
    fn mutations_of_valid_files(
        pickle in mutated(PICKLE.to_vec()),
        legacy in mutated(legacy()),
        archive in mutated(archive()),
        safetensors in mutated(safetensors()),
        manifest in mutated(MANIFEST.into()),
        open_clip in mutated(include_bytes!("../../fuzz/seeds/open_clip_config/eos.json").to_vec()),
        hugging_face in mutated(include_bytes!("../../fuzz/seeds/hugging_face_config/clip.json").to_vec()),
        preprocessor in mutated(include_bytes!("../../fuzz/seeds/preprocessor_config/shortest.json").to_vec()),
    ) {
        fuzzing::open_clip_config(&open_clip);
        fuzzing::hugging_face_config(&hugging_face);
        fuzzing::preprocessor_config(&preprocessor);
        fuzzing::pickle(&pickle);
        fuzzing::weights(&legacy);
        fuzzing::weights(&archive);
        fuzzing::weights(&safetensors);
        fuzzing::manifest(&manifest);
    }
}

#[test]
fn the_files_that_are_mutated_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    for bytes in [legacy(), archive()] {
        let path = folder.path().join("weights");
        std::fs::write(&path, bytes).unwrap();
        // Read as far as that its one tensor is none of a CLIP model's.
        let message = clip_checkpoint::Checkpoint::open(&path).unwrap_err().to_string();
        assert!(message.contains("its tensors are called w"), "{message}");
    }
    let path = folder.path().join("a.safetensors");
    std::fs::write(&path, safetensors()).unwrap();
    let weights = clip_checkpoint::Weights::open(&path).unwrap();
    assert_eq!(weights.get("a").unwrap().to_f32().unwrap(), [0.0; 4]);
}
