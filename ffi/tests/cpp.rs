//! What C++ compilers say about clip.hpp, and what programs do that use it.
#![allow(clippy::unwrap_used, clippy::panic)]

mod programs;

use std::path::Path;
use std::process::Command;

use programs::{
    alone, another_model, built, checker, colours, compiler, is_emulated, is_silent, repository, run,
    write_bmp,
};

/// The strictest that the header promises.
const WARNINGS: [&str; 6] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wshadow", "-Wconversion"];

/// The user's compiler, and clang where there is one that makes programs for this machine.
fn compilers() -> Vec<Command> {
    let clang = || Command::new("clang++");
    let has_clang =
        !is_emulated() && clang().arg("--version").output().is_ok_and(|output| output.status.success());
    [Some(compiler("CXX", "c++")), has_clang.then(clang)].into_iter().flatten().collect()
}

/// The command that compiles a program against libclip.so; with symbols that every valgrind reads, also from clang.
fn compile(mut compiler: Command, source: &str, options: &[&str], program: &Path) -> Command {
    compiler.args(WARNINGS).args(options).args(["-gdwarf-4", "-O1", "-I"]).arg(repository().join("include"));
    compiler.arg(repository().join(source)).arg("-o").arg(program);
    compiler.arg("-L").arg(built()).args(["-lclip", "-lpthread"]);
    compiler.arg(format!("-Wl,-rpath,{}", built().display()));
    compiler
}

/// One standard is enough to look for leaks, which takes long.
fn everything_works(options: &[&str], is_checked: bool) {
    let other = another_model();
    for compiler in compilers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        let mut compiler = compile(compiler, "ffi/tests/cpp/clip.cpp", options, &path);
        let mut program = if is_checked {
            checker(compiler, &path)
        } else {
            run(&mut compiler);
            alone(&path)
        };
        let output = run(program.arg(colours()).arg(other.path()).arg(folder.path()));
        is_silent(&output);
    }
}

#[test]
fn cpp17_with_exceptions() {
    everything_works(&["-std=c++17"], true);
}

#[test]
fn cpp17_with_results() {
    everything_works(&["-std=c++17", "-DCLIP_NO_EXCEPTIONS"], true);
}

#[test]
fn cpp20_with_exceptions() {
    everything_works(&["-std=c++20"], false);
}

#[test]
fn cpp20_without_exceptions_in_the_compiler() {
    everything_works(&["-std=c++20", "-fno-exceptions"], false);
}

/// A result that nobody looks at is a mistake that the compiler tells.
#[test]
fn results_have_to_be_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("ignored.cpp");
    let program = "#define CLIP_NO_EXCEPTIONS\n#include \"clip.hpp\"\nvoid f(const clip::labels &l) { l.save(\"a\"); }\n";
    std::fs::write(&source, program).unwrap();
    let mut compiler = compiler("CXX", "c++");
    compiler.args(WARNINGS).args(["-std=c++17", "-fsyntax-only", "-I"]).arg(repository().join("include"));
    let output = compiler.arg(&source).output().unwrap();
    assert!(
        !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("nodiscard"),
        "{output:?}"
    );
}

/// Two files of a program may include it.
#[test]
fn it_is_included_more_than_once() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = ["a.cpp", "b.cpp"].map(|name| folder.path().join(name));
    std::fs::write(
        &a,
        "#include \"clip.hpp\"\n#include \"clip.hpp\"\nint f() { return clip::version_number(); }\n",
    )
    .unwrap();
    std::fs::write(
        &b,
        "#include \"clip.hpp\"\nint f();\nint main() { return f() - clip::version_number(); }\n",
    )
    .unwrap();
    let mut compiler = compiler("CXX", "c++");
    compiler.args(WARNINGS).args(["-std=c++17", "-I"]).arg(repository().join("include")).args([&a, &b]);
    compiler.arg("-o").arg(folder.path().join("program")).arg("-L").arg(built()).arg("-lclip");
    run(compiler.arg(format!("-Wl,-rpath,{}", built().display())));
    run(&mut alone(folder.path().join("program")));
}

#[test]
fn the_example_classifies_and_knows_none() {
    let folder = tempfile::tempdir().unwrap();
    let other = another_model();
    let path = folder.path().join("program");
    run(&mut compile(compiler("CXX", "c++"), "examples/cpp/classify.cpp", &["-std=c++17"], &path));
    let program = || alone(&path);
    let picture = folder.path().join("blue.bmp");
    write_bmp(&picture, [0, 9, 255]);
    let output = run(program().arg(other.path()).arg("-").arg(&picture));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with(&format!("{}: blue\n", picture.display())), "{text}");
    assert_eq!(text.lines().count(), 3, "{text}");
    let output = program().arg(colours()).arg("-").arg(&picture).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("(CLIP_ERROR_MISSING)") && output.status.code() == Some(1), "{said}");
}
