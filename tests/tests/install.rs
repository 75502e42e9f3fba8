//! What `make install` installs is used as its users do: through pkg-config and CMake, in C and C++, dynamic and static.
//!
//! The tests are left out of `make test`, since what is installed is built by itself: `make test-install`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use clip_tests::{has, onnxruntime, output, outside_of_cargo, repository, run};
use tempfile::TempDir;

const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

fn colours() -> PathBuf {
    repository().join("runtime/tests/colours")
}

/// The command without what would lead it to the source tree's libraries.
fn alone(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_remove("LD_LIBRARY_PATH").env_remove("ORT_DYLIB_PATH");
    command
}

fn compiler(variable: &str, otherwise: &str) -> Command {
    alone(std::env::var_os(variable).unwrap_or(otherwise.into()))
}

/// `make install` or `make uninstall`.
fn make(target: &str, prefix: &Path, root: &Path) -> Output {
    let mut make = Command::new("make");
    make.arg("--directory").arg(repository()).arg(target);
    make.arg(format!("PREFIX={}", prefix.display())).arg(format!("DESTDIR={}", root.display()));
    output(outside_of_cargo(&mut make))
}

/// Where all tests find it installed: a prefix of its own, as for one user, with ONNX Runtime put beside libclip.so.
struct Installed {
    folder: TempDir,
}

impl Installed {
    fn new() -> Installed {
        let folder = tempfile::tempdir().unwrap();
        let installed = Installed { folder };
        let made = make("install", &installed.prefix(), Path::new(""));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        std::os::unix::fs::symlink(onnxruntime(), installed.lib().join("libonnxruntime.so")).unwrap();
        installed
    }

    fn prefix(&self) -> PathBuf {
        self.folder.path().join("prefix")
    }

    fn lib(&self) -> PathBuf {
        self.prefix().join("lib")
    }

    fn program(&self, name: &str) -> Command {
        alone(self.prefix().join("bin").join(name))
    }

    /// What pkg-config says, word by word.
    fn pkg_config(&self, arguments: &[&str]) -> Vec<String> {
        let mut pkg_config = alone("pkg-config");
        pkg_config.env("PKG_CONFIG_PATH", self.lib().join("pkgconfig")).args(arguments).arg("clip");
        run(&mut pkg_config).split_whitespace().map(str::to_owned).collect()
    }
}

static INSTALLED: LazyLock<Installed> = LazyLock::new(Installed::new);

/// Pictures of one colour, and the labels that the examples take: lines for C, a label set for C++.
struct Colours {
    folder: TempDir,
}

const NAMES: [(&str, [u8; 3]); 3] = [("blue", [0, 9, 255]), ("red", [250, 9, 0]), ("green", [0, 240, 9])];

impl Colours {
    fn new() -> Colours {
        let folder = tempfile::tempdir().unwrap();
        for (name, [r, g, b]) in NAMES {
            let pixels = [r, g, b].repeat(4);
            let file = [b"P6 2 2 255\n", &pixels[..]].concat();
            std::fs::write(folder.path().join(name).with_extension("ppm"), file).unwrap();
        }
        std::fs::write(folder.path().join("labels.txt"), "red\ngreen\nblue\n").unwrap();
        let mut labels = INSTALLED.program("clip-run");
        labels.arg("labels").arg(colours()).args(["--labels", "red,green,blue", "-o"]);
        run(labels.arg(folder.path().join("labels.safetensors")));
        Colours { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs an example, which is in C or in C++, and looks at what it says of each picture.
    #[track_caller]
    fn are_told_apart_by(&self, mut program: Command, is_cpp: bool) {
        let labels = if is_cpp { "labels.safetensors" } else { "labels.txt" };
        program.arg(colours()).arg(self.path(labels));
        program.args(NAMES.map(|(name, _)| self.path(&format!("{name}.ppm"))));
        let said = run(&mut program);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 12, "{said}");
        for ((name, _), lines) in NAMES.iter().zip(lines.chunks(4)) {
            assert!(
                lines[0].contains(&format!("{name}.ppm")) && lines[1].ends_with(&format!("%  {name}")),
                "{said}"
            );
        }
    }
}

/// The examples by the standards that they are compiled as.
const STANDARDS: [(&str, &str); 4] = [("c", "c99"), ("c", "c11"), ("cpp", "c++17"), ("cpp", "c++20")];

fn compile(language: &str, standard: &str, source: &Path) -> Command {
    let mut compiler = match language {
        "c" => compiler("CC", "cc"),
        _ => compiler("CXX", "c++"),
    };
    compiler.arg(format!("-std={standard}")).args(WARNINGS).arg(source);
    compiler
}

#[test]
#[ignore = "builds what is installed: make test-install"]
fn pkg_config_leads_to_it() {
    if !has("pkg-config", "pkg-config") {
        return;
    }
    assert_eq!(INSTALLED.pkg_config(&["--modversion"]), [env!("CARGO_PKG_VERSION")]);
    let folder = tempfile::tempdir().unwrap();
    let pictures = Colours::new();
    for (language, standard) in STANDARDS {
        let source = repository().join(format!("examples/{language}/classify.{language}"));
        let is_cpp = language == "cpp";
        // As docs/install.md says it.
        let program = folder.path().join(format!("dynamic-{standard}"));
        let mut compiler = compile(language, standard, &source);
        compiler.args(INSTALLED.pkg_config(&["--cflags", "--libs"])).arg("-o").arg(&program);
        run(&mut compiler);
        let mut command = alone(&program);
        command.env("LD_LIBRARY_PATH", INSTALLED.lib());
        pictures.are_told_apart_by(command, is_cpp);
        assert!(run(Command::new("readelf").arg("-d").arg(&program)).contains("[libclip.so.0]"));

        let program = folder.path().join(format!("static-{standard}"));
        let mut compiler = compile(language, standard, &source);
        compiler.args(INSTALLED.pkg_config(&["--cflags"])).arg("-o").arg(&program);
        compiler.args(static_library());
        run(&mut compiler);
        assert!(!run(Command::new("readelf").arg("-d").arg(&program)).contains("libclip"));
        let mut command = alone(&program);
        command.env("ORT_DYLIB_PATH", onnxruntime());
        pictures.are_told_apart_by(command, is_cpp);
    }
}

/// What stands behind the sources of a program that has the library inside.
fn static_library() -> Vec<String> {
    let libs = INSTALLED.pkg_config(&["--libs", "--static"]);
    let archive = format!("{}/libclip.a", INSTALLED.pkg_config(&["--variable=libdir"])[0]);
    libs.into_iter().map(|word| if word == "-lclip" { archive.clone() } else { word }).collect()
}

#[test]
#[ignore = "builds what is installed: make test-install"]
fn cmake_finds_it() {
    if !has("cmake", "cmake") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let project = repository().join("tests/install");
    let configure = |source: &Path, build: &str| {
        let mut cmake = alone("cmake");
        cmake
            .arg("-S")
            .arg(source)
            .arg("-B")
            .arg(folder.path().join(build))
            .arg("-DCMAKE_BUILD_TYPE=Release");
        cmake.arg(format!("-DCMAKE_PREFIX_PATH={}", INSTALLED.prefix().display()));
        cmake
    };
    run(&mut configure(&project, "build"));
    run(alone("cmake").arg("--build").arg(folder.path().join("build")).arg("--parallel"));
    let pictures = Colours::new();
    for program in ["c99", "c11", "cpp17", "cpp20"] {
        // CMake gives the program the library's place.
        let command = alone(folder.path().join(format!("build/{program}_clip")));
        pictures.are_told_apart_by(command, program.starts_with("cpp"));
        let mut command = alone(folder.path().join(format!("build/{program}_clip_static")));
        command.env("ORT_DYLIB_PATH", onnxruntime());
        pictures.are_told_apart_by(command, program.starts_with("cpp"));
    }

    // What breaks raises MINOR while MAJOR is 0.
    for (asked, fits) in [("", true), ("0", true), ("0.1", true), ("0.1.0 EXACT", true), ("0.0.9", false)]
        .into_iter()
        .chain([("0.2", false), ("0.1.1", false), ("0.10", false), ("1", false)])
    {
        let source = folder.path().join("asks");
        std::fs::create_dir_all(&source).unwrap();
        let lists = format!(
            "cmake_minimum_required(VERSION 3.16)\nproject(asks NONE)\nfind_package(clip {asked} CONFIG REQUIRED)\n"
        );
        std::fs::write(source.join("CMakeLists.txt"), lists).unwrap();
        let _ = std::fs::remove_dir_all(folder.path().join("asked"));
        let found = output(&mut configure(&source, "asked"));
        assert_eq!(found.status.success(), fits, "find_package(clip {asked}): {found:?}");
    }
}

/// The names that a shared library gives to others.
fn exported(library: &Path) -> Vec<String> {
    let names = run(Command::new("nm").args(["-D", "--defined-only", "--format=posix"]).arg(library));
    names.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

#[test]
#[ignore = "builds what is installed: make test-install"]
fn a_plugin_exports_its_own_functions_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (plugin, host) = (folder.path().join("plugin.so"), folder.path().join("host"));
    let mut compiler = compile("c", "c99", &repository().join("tests/install/plugin.c"));
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&plugin);
    compiler.arg("-I").arg(INSTALLED.prefix().join("include")).arg(INSTALLED.lib().join("libclip.a"));
    run(compiler.args(["-lpthread", "-ldl", "-lm"]));
    assert_eq!(exported(&plugin), ["plugin_opens"]);

    let mut compiler = compile("c", "c99", &repository().join("tests/install/plugin_host.c"));
    run(compiler.arg("-D_GNU_SOURCE").arg("-o").arg(&host).arg("-ldl"));
    run(alone(&host).arg(&plugin).arg(colours()).env("ORT_DYLIB_PATH", onnxruntime()));
}

#[test]
#[ignore = "builds what is installed: make test-install"]
fn another_libjpeg_in_the_program_is_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let header = folder.path().join("header.c");
    std::fs::write(&header, "#include <stdio.h>\n#include <jpeglib.h>\n").unwrap();
    if !output(compiler("CC", "cc").arg("-fsyntax-only").arg(&header)).status.success() {
        println!("skipped: there is no jpeglib.h (Debian's package libjpeg-dev)");
        return;
    }
    let archive = INSTALLED.lib().join("libclip.a").display().to_string();
    for (number, libraries) in
        [[&*archive, "-ljpeg"], ["-ljpeg", &archive], [&archive, "-l:libjpeg.a"], ["-l:libjpeg.a", &archive]]
            .iter()
            .enumerate()
    {
        let program = folder.path().join(format!("jpeg-{number}"));
        let mut compiler = compile("c", "c99", &repository().join("tests/install/jpeg.c"));
        compiler.arg("-I").arg(INSTALLED.prefix().join("include")).arg("-o").arg(&program);
        run(compiler.args(libraries).args(["-lpthread", "-ldl", "-lm"]));
        let said = run(alone(&program).arg(colours()).env("ORT_DYLIB_PATH", onnxruntime()));
        assert_eq!(said, "libjpeg: red, libclip: red\n", "{libraries:?}");
    }
}

/// All files and links below a folder, relative to it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut open = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => open.push(entry.path()),
                false => found.push(entry.path().strip_prefix(folder).unwrap().to_owned()),
            }
        }
    }
    found.sort();
    found
}

#[test]
#[ignore = "builds what is installed: make test-install"]
fn no_file_says_where_it_was_built() {
    let home = std::env::var("HOME").unwrap();
    let places =
        [repository().display().to_string(), home].map(|place| format!("{}/", place.trim_end_matches('/')));
    assert!(places.iter().all(|place| place.len() > 1), "{places:?}");
    let prefix = INSTALLED.prefix();
    let files = files(&prefix);
    assert!(files.iter().any(|file| file.ends_with("libclip.a")), "{files:?}");
    for file in files {
        // ONNX Runtime is not ours.
        if file.ends_with("libonnxruntime.so") {
            continue;
        }
        let bytes = std::fs::read(prefix.join(&file)).unwrap();
        for place in &places {
            let at = bytes.windows(place.len()).position(|window| window == place.as_bytes());
            let around =
                |at: usize| String::from_utf8_lossy(&bytes[at..bytes.len().min(at + 100)]).into_owned();
            assert!(at.is_none(), "{}: {:?}", file.display(), at.map(around));
        }
    }
}

#[test]
#[ignore = "builds what is installed: make test-install"]
fn links_have_the_names_that_linkers_look_for() {
    let lib = INSTALLED.lib();
    let version = env!("CARGO_PKG_VERSION");
    let target = |name: &str| std::fs::read_link(lib.join(name)).unwrap();
    assert_eq!(target("libclip.so"), Path::new("libclip.so.0"));
    assert_eq!(target("libclip.so.0"), Path::new(&format!("libclip.so.{version}")));
    assert!(lib.join(format!("libclip.so.{version}")).symlink_metadata().unwrap().is_file());
    let declared = std::fs::read_to_string(INSTALLED.prefix().join("include/clip.h")).unwrap();
    assert!(exported(&lib.join("libclip.so")).iter().all(|name| declared.contains(&format!("{name}("))));
}

#[test]
#[ignore = "builds what is installed: make test-install"]
fn pages_of_the_manual_and_completions_are_in_order() {
    let share = INSTALLED.prefix().join("share");
    let pages = files(&share.join("man/man1"));
    assert!(pages.len() >= 11, "{pages:?}");
    if has("man", "man-db") {
        for page in &pages {
            let mut man = alone("man");
            man.env("LC_ALL", "C.UTF-8").env("MANWIDTH", "80").env("MANROFFSEQ", "");
            man.args(["--warnings", "--encoding=UTF-8", "--local-file"])
                .arg(share.join("man/man1").join(page));
            let output = output(&mut man);
            // How a line breaks depends on the terminal's width.
            let said = String::from_utf8_lossy(&output.stderr);
            let warning = said.lines().find(|line| !line.ends_with("cannot adjust line"));
            assert!(output.status.success() && warning.is_none(), "{}: {output:?}", page.display());
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(text.contains("NAME") && text.contains("SYNOPSIS"), "{text}");
        }
    }
    let shells = [
        ("bash", "bash-completion/completions/clip-run"),
        ("bash", "bash-completion/completions/clip-export"),
        ("zsh", "zsh/site-functions/_clip-run"),
        ("zsh", "zsh/site-functions/_clip-export"),
        ("fish", "fish/vendor_completions.d/clip-run.fish"),
        ("fish", "fish/vendor_completions.d/clip-export.fish"),
    ];
    for (shell, file) in shells {
        let file = share.join(file);
        assert!(file.exists(), "{}", file.display());
        if has(shell, shell) {
            run(alone(shell).arg("-n").arg(&file));
        }
    }
    // What the shell offers after `clip-run cl`.
    let file = share.join("bash-completion/completions/clip-run");
    let script = format!(
        "source '{}'; COMP_WORDS=(clip-run cl); COMP_CWORD=1; offer=$(complete -p clip-run | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
         $offer clip-run cl clip-run; echo \"${{COMPREPLY[@]}}\"",
        file.display()
    );
    assert_eq!(run(alone("bash").args(["--norc", "-c", &script])), "classify\n");
}

#[test]
#[ignore = "builds what is installed: make test-install"]
fn the_programs_find_onnx_runtime_or_say_how() {
    let info = |program: &mut Command| output(program.arg("info").arg(colours()));
    // In ../lib, where the tests' installation has it.
    let found = info(&mut INSTALLED.program("clip-run"));
    assert!(found.status.success(), "{found:?}");
    // Alone, the program is without it; nothing of this source tree is used.
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("clip-run");
    std::fs::copy(INSTALLED.prefix().join("bin/clip-run"), &program).unwrap();
    let picture = folder.path().join("red.ppm");
    std::fs::write(&picture, [&b"P6 1 1 255\n"[..], &[255, 0, 0]].concat()).unwrap();
    let classify = |program: &mut Command| {
        output(program.arg("classify").arg(colours()).arg(&picture).args(["--labels", "red,blue"]))
    };
    let missing = classify(&mut alone(&program));
    let said = String::from_utf8(missing.stderr).unwrap();
    if missing.status.success() {
        println!("skipped: this system has an ONNX Runtime of its own");
    } else {
        assert!(said.contains("onnxruntime==") && said.contains("ORT_DYLIB_PATH"), "{said}");
        assert!(!said.contains(".deps/onnxruntime/lib"), "{said}");
    }
    let named = classify(alone(&program).env("ORT_DYLIB_PATH", onnxruntime()));
    assert!(named.status.success() && String::from_utf8_lossy(&named.stdout).contains("red"), "{named:?}");
}

/// A package is made of a staging tree, which no installed file must name; and what was installed can be removed.
#[test]
#[ignore = "builds what is installed: make test-install"]
fn a_staging_tree_is_the_same_and_is_removed_whole() {
    // One after the other, since both build.
    let mut expected = files(&INSTALLED.prefix());
    expected.retain(|file| !file.ends_with("libonnxruntime.so"));
    let root = tempfile::tempdir().unwrap();
    let prefix = Path::new("/opt/clip");
    let made = make("install", prefix, root.path());
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let staged = root.path().join("opt/clip");
    assert_eq!(files(&staged), expected);
    for file in ["lib/pkgconfig/clip.pc", "lib/cmake/clip/clipConfig.cmake"] {
        let text = std::fs::read_to_string(staged.join(file)).unwrap();
        assert!(!text.contains(root.path().to_str().unwrap()) && !text.contains('@'), "{file}: {text}");
    }
    let removed = make("uninstall", prefix, root.path());
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    assert_eq!(files(&staged), Vec::<PathBuf>::new());

    let refused = make("install", Path::new("relative"), root.path());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("'relative' is no absolute path"), "{said}");
}
