//! The places where ONNX Runtime may lie, see [`super`]. No folder is searched that others could have put something into
//! without having a hand in the program itself.

use std::path::{Path, PathBuf};

use clip_tensorrt::mapped_file;

/// The library's names: as wheels and archives are unpacked, and as distributions install it.
#[cfg(not(target_os = "macos"))]
const NAMES: [&str; 2] = ["libonnxruntime.so", "libonnxruntime.so.1"];
#[cfg(target_os = "macos")]
const NAMES: [&str; 2] = ["libonnxruntime.dylib", "libonnxruntime.1.dylib"];

/// The source tree's own ONNX Runtime, when this code was built there.
const OF_THE_SOURCE_TREE: Option<&str> = option_env!("CLIP_ONNXRUNTIME");

/// What to open, first to last: files by absolute paths, then names that the system searches for.
pub fn candidates() -> Vec<PathBuf> {
    let own = mapped_file(candidates as *const () as usize);
    let program = std::env::current_exe().ok();
    let source_tree = OF_THE_SOURCE_TREE.filter(|folder| !folder.is_empty());
    let folders = folders(own.as_deref(), program.as_deref(), source_tree.map(Path::new));
    let files = folders.iter().flat_map(|folder| NAMES.map(|name| folder.join(name)));
    files.chain(NAMES.map(PathBuf::from)).collect()
}

/// The folders to look into, given the shared library that this code is part of, the program, and the source tree's folder.
fn folders(own: Option<&Path>, program: Option<&Path>, source_tree: Option<&Path>) -> Vec<PathBuf> {
    let beside_own = own.and_then(Path::parent);
    let beside_program = program.and_then(Path::parent);
    let prefix = beside_program.filter(|folder| folder.ends_with("bin")).and_then(Path::parent);
    let lib = prefix.map(|prefix| prefix.join("lib"));
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in [beside_own, beside_program, lib.as_deref(), source_tree].into_iter().flatten() {
        if folder.is_absolute() && !folders.iter().any(|known| known == folder) {
            folders.push(folder.to_owned());
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn searched(own: &str, program: &str, source_tree: Option<&str>) -> Vec<String> {
        let folders = folders(Some(own.as_ref()), Some(program.as_ref()), source_tree.map(Path::new));
        folders.iter().map(|folder| folder.display().to_string()).collect()
    }

    #[test]
    fn no_folder_above_is_searched() {
        assert_eq!(searched("/a/b/libclip.so", "/c/d/program", None), ["/a/b", "/c/d"]);
        assert_eq!(searched("/c/d/program", "/c/d/program", None), ["/c/d"]);
    }

    #[test]
    fn lib_is_searched_for_what_is_installed_in_bin() {
        assert_eq!(
            searched("/usr/lib/libclip.so", "/opt/bin/program", None),
            ["/usr/lib", "/opt/bin", "/opt/lib"]
        );
        assert_eq!(searched("/usr/lib/libclip.so", "/usr/bin/program", None), ["/usr/lib", "/usr/bin"]);
    }

    #[test]
    fn the_source_tree_comes_last() {
        assert_eq!(
            searched("/t/release/p", "/t/release/p", Some("/t/.deps/lib")),
            ["/t/release", "/t/.deps/lib"]
        );
    }

    #[test]
    fn this_code_knows_its_own_file() {
        let exe = std::env::current_exe().unwrap();
        assert_eq!(mapped_file(candidates as *const () as usize), Some(exe.clone()));
        assert_eq!(candidates()[0].parent(), exe.parent());
    }
}
