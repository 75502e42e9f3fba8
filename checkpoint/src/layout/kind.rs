//! What kind of file weights lie in, told by how it begins.

use std::path::Path;

use crate::error::Result;
use crate::torch;
use crate::weights::{LONGEST_HEADER, Weights, read_at};

/// Kinds of files that hold tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A header's length in eight bytes, and the header, which begins with `{`.
    Safetensors,
    /// PyTorch's: a zip archive, or a run of pickles.
    Torch,
}

impl Kind {
    /// The kind of file number `file`.
    pub(super) fn of(weights: &Weights, file: usize, path: &Path) -> Result<Kind> {
        let size = weights.file_size(file)?;
        let mut beginning = vec![0; size.min(9) as usize];
        read_at(weights.file(file), path, &mut beginning, 0)?;
        Ok(Kind::told(&beginning, size))
    }

    /// The kind of a file of `size` bytes that begins like this.
    ///
    /// No file is valid as both. The header's length of a safetensors file may look like the beginning of a zip archive or of
    /// a pickle, but not with a `{` behind it: an archive has its compression method there (`{`, 123, is none), and PyTorch's
    /// pickles begin with a number whose first bytes make an impossible length.
    fn told(beginning: &[u8], size: u64) -> Kind {
        if let [length @ .., b'{'] = beginning
            && let Ok(length) = length.try_into().map(u64::from_le_bytes)
            && length <= LONGEST_HEADER
            && length + 8 <= size
        {
            return Kind::Safetensors;
        }
        match beginning {
            [0x80, 2..=5, ..] => Kind::Torch,
            _ if beginning.starts_with(&torch::ARCHIVE) => Kind::Torch,
            _ => Kind::Safetensors,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clip_model::config::Activation;
    use clip_testkit::torch::{Pickler, torch_archive, torch_legacy};
    use clip_testkit::{Values, checkpoint, vit};

    use crate::checkpoint::Checkpoint;
    use crate::layout::open_clip::WEIGHTS;

    /// Header lengths whose bytes look like a pickle of each protocol or like a zip archive.
    fn lengths() -> Vec<u64> {
        let mut lengths = vec![0x0403_4b50]; // PK\3\4
        for protocol in 0..=5 {
            for high in [0u64, 1, 0x8a, 0x58a, 0x95] {
                lengths.push(high << 16 | protocol << 8 | 0x80);
            }
        }
        lengths
    }

    #[test]
    fn no_header_length_makes_a_safetensors_file_another() {
        for length in lengths() {
            let beginning = [&length.to_le_bytes()[..], b"{"].concat();
            assert_eq!(Kind::told(&beginning, length + 8), Kind::Safetensors, "{length:#x}");
        }
    }

    #[test]
    fn headers_padded_to_lengths_that_look_like_pickles_are_read() {
        let root = tempfile::tempdir().unwrap();
        let config = vit(16, [32, 16, 384, 1, 64], [8, 49408, 256, 4, 1], 0.5, Activation::Gelu);
        let folder = checkpoint(root.path(), &config);
        let whole = std::fs::read(folder.join(WEIGHTS)).unwrap();
        let length = u64::from_le_bytes(whole[..8].try_into().unwrap());
        let (header, data) = whole[8..].split_at(length as usize);
        for padded in lengths().into_iter().filter(|&padded| padded > length && padded < 1 << 20) {
            let spaces = vec![b' '; (padded - length) as usize];
            let bytes = [&padded.to_le_bytes()[..], header, &spaces, data].concat();
            std::fs::write(folder.join(WEIGHTS), bytes).unwrap();
            assert_eq!(Checkpoint::open(&folder).unwrap().config, config);
            // The same without a configuration beside it.
            let file = folder.join(WEIGHTS);
            let opened = Checkpoint::open_as(&file, Some(Activation::Gelu)).unwrap();
            for Values { name, data, .. } in clip_testkit::tensors(&config) {
                assert!(opened.tensor(&name).unwrap().to_f32().unwrap() == data, "{name}");
            }
        }
    }

    #[test]
    fn files_of_pytorchs_are_never_taken_for_safetensors() {
        let tensors = [Values { name: "w".into(), shape: vec![2], data: vec![1.0; 2] }];
        let pickle = Pickler::default().state_dict("", &tensors).finish();
        let mut legacy = torch_legacy(&pickle, &tensors);
        let number = legacy[2..15].to_vec();
        for protocol in 2..=5 {
            legacy[1] = protocol;
            assert_eq!(Kind::told(&legacy[..9], 1 << 40), Kind::Torch);
            // From protocol 4 on pickles come in frames.
            let framed = [&[0x80, protocol, 0x95, 13, 0, 0, 0, 0, 0, 0, 0], &number[..]].concat();
            assert_eq!(Kind::told(&framed[..9], 1 << 40), Kind::Torch);
        }
        let mut archive = torch_archive(&pickle, &tensors, false);
        for version in [0, 10, 20, 45] {
            for method in [0, 8] {
                (archive[4], archive[8]) = (version, method);
                assert_eq!(Kind::told(&archive[..9], 1 << 40), Kind::Torch);
            }
        }
        for (short, kind) in
            [(&b""[..], Kind::Safetensors), (b"\x80\x02", Kind::Torch), (b"PK", Kind::Safetensors)]
        {
            assert_eq!(Kind::told(short, short.len() as u64), kind);
        }
    }
}
