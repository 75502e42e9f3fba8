//! The code in README.md and docs/ is compiled as it stands there; what is a whole program runs, too.
#![allow(clippy::unwrap_used, clippy::panic)]

mod programs;

use std::path::Path;
use std::process::Command;

use programs::{alone, built, colours, compiler, repository, run, write_bmp};

fn document(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}

/// The indented block of a document in which a text occurs, without its indentation.
fn indented(path: &str, contained: &str) -> String {
    let document = document(path);
    let mut blocks = vec![String::new()];
    for line in document.lines() {
        match line.strip_prefix("    ") {
            Some(code) => *blocks.last_mut().unwrap() += &format!("{code}\n"),
            None if line.is_empty() => blocks.last_mut().unwrap().push('\n'),
            None => blocks.push(String::new()),
        }
    }
    let mut found = blocks.into_iter().filter(|block| block.contains(contained));
    let block = found.next().unwrap_or_else(|| panic!("no code of {path} contains {contained}"));
    assert!(found.next().is_none(), "{path} contains {contained} more than once");
    block
}

/// The fenced block of a language.
fn fenced(path: &str, language: &str) -> String {
    let (document, fence) = (document(path), format!("```{language}\n"));
    let mut blocks = document.split(&fence);
    let block = blocks.nth(1).unwrap_or_else(|| panic!("{path} has no {language}"));
    assert!(blocks.next().is_none(), "{path} has more than one block of {language}");
    block.split("```").next().unwrap().to_owned()
}

/// The compiler's verdict on a program.
fn compiles(mut compiler: Command, name: &str, program: &str) {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join(name);
    std::fs::write(&source, program).unwrap();
    compiler.args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I"]);
    run(compiler.arg(repository().join("include")).arg(&source));
}

fn cc() -> Command {
    let mut cc = compiler("CC", "cc");
    cc.arg("-std=c99");
    cc
}

#[test]
fn a_frame_in_c() {
    let code = indented("docs/cameras.md", "clip_classify_frame(");
    let program = format!(
        "#include \"clip.h\"
        void example(const clip_model *, const clip_labels *, const uint8_t *, const uint8_t *);
        void example(const clip_model *model, const clip_labels *labels, const uint8_t *luma, const uint8_t *chroma)
        {{
        clip_match matches[3];
        size_t count;
        {code}
        }}"
    );
    compiles(cc(), "frame.c", &program);
}

#[test]
fn a_stream_in_c() {
    let code = indented("docs/cameras.md", "clip_stream_push(");
    let (function, statements) = code.split_once("\n}\n").unwrap();
    let program = format!(
        "#include <stdio.h>
        #include \"clip.h\"
        {function}
        }}
        int next_frame(clip_frame *frame);
        void example(const clip_model *model, const clip_labels *labels, uint64_t timestamp);
        void example(const clip_model *model, const clip_labels *labels, uint64_t timestamp)
        {{
        clip_frame frame = CLIP_FRAME_INIT;
        clip_stream *stream = NULL;
        {statements}
        clip_stream_free(stream);
        }}"
    );
    compiles(cc(), "stream.c", &program);
}

#[test]
fn a_picture_in_cpp() {
    let code = indented("README.md", "clip::model::open(");
    let program =
        format!("#include <cstdio>\n#include \"clip.hpp\"\nvoid example();\nvoid example()\n{{\n{code}}}\n");
    for standard in ["-std=c++17", "-std=c++20"] {
        let mut cpp = compiler("CXX", "c++");
        cpp.arg(standard);
        compiles(cpp, "picture.cpp", &program);
    }
}

/// runtime/tests/readme.rs runs it.
#[test]
fn a_picture_in_rust() {
    let code = indented("README.md", "use clip_runtime::");
    let tested = document("runtime/tests/readme.rs");
    let indented: String = code
        .lines()
        .map(|line| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") })
        .collect();
    assert!(
        tested.contains(indented.trim_end()),
        "runtime/tests/readme.rs does not contain README's\n{code}"
    );
}

/// Links between documents lead to files; those to other sites are not followed.
#[test]
fn links_lead_somewhere() {
    let mut documents = vec![repository().join("README.md"), repository().join("examples/python/README.md")];
    documents
        .extend(std::fs::read_dir(repository().join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    let mut count = 0;
    for path in documents.iter().filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
        let text = std::fs::read_to_string(path).unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap()) {
            let is_other = link.contains("://") || link.is_empty();
            assert!(
                is_other || path.with_file_name(link).exists(),
                "{}: {link} is not there",
                path.display()
            );
            count += 1;
        }
    }
    assert!(count > 20);
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok() && !programs::is_emulated()
}

/// Runs a program of docs/bindings.md: a picture's labels, and what it says where there is no model.
fn classifies(folder: &Path, mut program: impl FnMut() -> Command) {
    let picture = folder.join("blue.bmp");
    write_bmp(&picture, [0, 9, 255]);
    let output = run(program().arg(colours()).arg(&picture).args(["red", "green", "blue"]));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "100.0 %  blue\n  0.0 %  green\n  0.0 %  red\n",
        "as examples/c/classify.c prints it"
    );
    let output = program().arg(folder).arg(&picture).arg("red").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("clip.json: No such file") && output.status.code() == Some(1), "{said}");
}

#[test]
fn go() {
    if !is_there("go") {
        return println!("skipped: no Go (golang-go)");
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("classify.go"), fenced("docs/bindings.md", "go")).unwrap();
    let mut go = Command::new("go");
    go.current_dir(folder.path()).args(["build", "-o", "classify", "classify.go"]);
    go.env("CGO_ENABLED", "1").env("CGO_CFLAGS", format!("-I{}", repository().join("include").display()));
    go.env("CGO_LDFLAGS", format!("-L{0} -Wl,-rpath,{0}", built().display()));
    go.env("GOCACHE", folder.path().join("cache")).env("GOFLAGS", "").env("GO111MODULE", "auto");
    run(&mut go);
    classifies(folder.path(), || alone(folder.path().join("classify")));
}

#[test]
fn c_sharp() {
    if !is_there("mcs") || !is_there("mono") {
        return println!("skipped: no Mono (mono-mcs, mono-runtime)");
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("classify.cs"), fenced("docs/bindings.md", "csharp")).unwrap();
    run(Command::new("mcs").current_dir(folder.path()).args(["-warnaserror", "classify.cs"]));
    // Mono looks for libraries beside the program.
    std::os::unix::fs::symlink(built().join("libclip.so"), folder.path().join("libclip.so.0")).unwrap();
    classifies(folder.path(), || {
        let mut program = alone("mono");
        program.arg(folder.path().join("classify.exe"));
        program
    });
}
