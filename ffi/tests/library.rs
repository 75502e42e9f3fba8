//! What a C compiler, a linker and valgrind say about libclip and clip.h.
#![allow(clippy::unwrap_used, clippy::panic)]

mod programs;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use programs::{
    FFI, alone, another_model, built, checker, colours, compiler, is_silent, repository, run, write_bmp,
};

/// The strictest C99 that examples/c promises.
fn cc() -> Command {
    let mut cc = compiler("CC", "cc");
    cc.args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g", "-O1", "-I"])
        .arg(repository().join("include"));
    cc
}

/// Compiles a program against libclip.so, and gives back how to run it under a checker.
fn checked(source: &str, folder: &Path) -> Command {
    let program = folder.join("program");
    let mut cc = cc();
    cc.arg(repository().join(source)).arg("-o").arg(&program);
    cc.arg("-L").arg(built()).args(["-lclip", "-lm"]).arg(format!("-Wl,-rpath,{}", built().display()));
    checker(cc, &program)
}

/// The functions that clip.h declares.
fn declared() -> Vec<String> {
    let header = std::fs::read_to_string(repository().join("include/clip.h")).unwrap();
    let code = header.lines().filter(|line| !line.starts_with(['/', ' ', '#', '}']));
    let mut names: Vec<String> = code
        .filter_map(|line| line.split_once('(')?.0.rsplit([' ', '*']).next().map(str::to_owned))
        .filter(|name| name.starts_with("clip_"))
        .collect();
    names.sort();
    names
}

#[test]
fn exactly_the_functions_of_the_header_are_exported() {
    let output = run(Command::new("nm").args(["-D", "--defined-only"]).arg(built().join("libclip.so")));
    let symbols = String::from_utf8(output.stdout).unwrap();
    let mut exported: Vec<_> = symbols.lines().filter_map(|line| line.split_whitespace().last()).collect();
    exported.sort();
    assert!(exported.contains(&"clip_model_open"), "{symbols}");
    assert_eq!(exported, declared());
}

/// The statements of the C programs of these tests, each in one line.
fn statements() -> Vec<String> {
    let files = std::fs::read_dir(Path::new(FFI).join("tests/c")).unwrap().map(|entry| entry.unwrap().path());
    let programs = files.filter(|path| path.extension().is_some_and(|extension| extension == "c"));
    let text: String = programs.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    text.split(';').map(|statement| statement.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// A new function needs lines there: a call that works, and calls with each wrong argument.
#[test]
fn every_function_is_called_well_and_wrongly() {
    let statements = statements();
    let header = std::fs::read_to_string(repository().join("include/clip.h")).unwrap();
    let missing: Vec<String> = declared()
        .into_iter()
        .filter(|name| {
            let calls = |what: &str| {
                statements
                    .iter()
                    .any(|statement| statement.contains(&format!("{name}(")) && statement.contains(what))
            };
            let can_fail = header.lines().any(|line| line.starts_with(&format!("clip_status {name}(")));
            let takes_nothing = header.lines().any(|line| line.ends_with(&format!("{name}(void);")));
            !match can_fail {
                true => calls("WORKS(") && calls("CLIP_ERROR_NULL"),
                false => {
                    takes_nothing && calls("") || name == "clip_status_name" || calls(&format!("{name}(NULL"))
                }
            }
        })
        .collect();
    assert!(missing.is_empty(), "ffi/tests/c/ does not call with good and with wrong arguments: {missing:?}");
}

#[test]
fn the_library_has_a_name_and_needs_only_the_system() {
    let output = run(Command::new("readelf").arg("-d").arg(built().join("libclip.so")));
    let dynamic = String::from_utf8(output.stdout).unwrap();
    assert!(dynamic.contains("Library soname: [libclip.so.0]"), "{dynamic}");
    for needed in dynamic.lines().filter(|line| line.contains("(NEEDED)")) {
        let known = ["libc.so", "libm.so", "libgcc_s.so", "ld-linux", "libpthread.so", "libdl.so"];
        assert!(known.iter().any(|name| needed.contains(name)), "{needed}");
    }
}

/// docs/decisions/011-size.md says what it consists of.
#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn the_library_is_not_larger_than_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let stripped = folder.path().join("stripped.so");
    run(Command::new("strip").arg("-o").arg(&stripped).arg(built().join("libclip.so")));
    let bytes = stripped.metadata().unwrap().len();
    assert!(bytes < 6_800_000, "libclip.so has {bytes} bytes");
}

#[test]
fn the_header_is_c99_and_cpp11_and_stands_alone() {
    // With what a program needs before it includes the header, and what would give warnings if it were not whole.
    const PROGRAM: &str = "
        struct clip_match;
        struct clip_open_options;
        void forward(struct clip_match *match, struct clip_open_options *options);
        #include \"clip.h\"
        #include \"clip.h\"
        #if CLIP_VERSION_NUMBER < 100
        #error old
        #endif
        clip_status open_it(clip_model **model);
        clip_status open_it(clip_model **model)
        {
            clip_open_options options = CLIP_OPEN_OPTIONS_INIT;
            options.threads = 1;
            return clip_version_number() < CLIP_VERSION_NUMBER ? CLIP_ERROR_ARGUMENT : clip_model_open(\"\", &options, model);
        }
    ";
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("header.c");
    std::fs::write(&source, PROGRAM).unwrap();
    run(cc().args(["-fsyntax-only", "-Wstrict-prototypes"]).arg(&source));
    for standard in ["-std=c++11", "-std=c++17"] {
        let mut cpp = compiler("CXX", "c++");
        cpp.args([standard, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-x", "c++", "-I"]);
        run(cpp.arg(repository().join("include")).arg(&source));
    }

    let header = std::fs::read_to_string(repository().join("include/clip.h")).unwrap();
    let includes: Vec<_> = header.lines().filter(|line| line.starts_with("#include")).collect();
    assert_eq!(includes, ["#include <stddef.h>", "#include <stdint.h>"]);
    assert!(header.lines().count() <= 700, "the header is a manual, not a book");
}

/// Programs whose authors have all warnings on start from the macros, or from zeros.
#[test]
fn structs_are_started_without_a_warning() {
    let header = std::fs::read_to_string(repository().join("include/clip.h")).unwrap();
    let words = |prefix: &str, suffix: &str| -> Vec<String> {
        let lines = header.lines().filter_map(|line| line.strip_prefix(prefix)?.split([' ', '{']).next());
        lines.filter(|name| name.ends_with(suffix)).map(str::to_owned).collect()
    };
    let structs: Vec<String> = words("typedef struct ", "")
        .into_iter()
        .filter(|name| header.contains(&format!("typedef struct {name} {{")))
        .collect();
    let macros = words("#define ", "_INIT");
    assert!(structs.len() >= 9 && macros.len() >= 4, "{structs:?} {macros:?}");
    let function = |zeros: &str| {
        let zeroed = structs.iter().map(|name| format!("    {{ {name} value {zeros}; (void)value; }}\n"));
        let started = macros.iter().map(|name| {
            let of = name.trim_end_matches("_INIT").to_lowercase();
            format!("    {{ {of} value = {name}; (void)value; }}\n")
        });
        let body: String = zeroed.chain(started).collect();
        format!("#include \"clip.h\"\nvoid start(void);\nvoid start(void)\n{{\n{body}}}\n")
    };
    let folder = tempfile::tempdir().unwrap();
    let (c, cpp) = (folder.path().join("start.c"), folder.path().join("start.cpp"));
    std::fs::write(&c, function("= {0}")).unwrap();
    std::fs::write(&cpp, function("{}")).unwrap();
    run(cc().arg("-fsyntax-only").arg(&c));
    let mut compiler = compiler("CXX", "c++");
    compiler.args(["-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-I"]);
    run(compiler.arg(repository().join("include")).arg(&cpp));
}

#[test]
fn the_example_inside_the_header_compiles() {
    let header = std::fs::read_to_string(repository().join("include/clip.h")).unwrap();
    let comment = header.split("*/").next().unwrap();
    let code: String = comment
        .lines()
        .filter_map(|line| line.strip_prefix(" *     "))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(code.contains("clip_model_open("), "{code}");
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("example.c");
    let program =
        format!("#include <stdio.h>\n#include \"clip.h\"\nint main(void)\n{{\n{code}return 0;\n}}\n");
    std::fs::write(&source, program).unwrap();
    run(cc().arg("-fsyntax-only").arg(&source));
}

#[test]
fn wrong_arguments_come_back_as_a_status() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(checked("ffi/tests/c/wrong.c", folder.path()).arg(colours()));
    is_silent(&output);
}

#[test]
fn label_sets_come_from_every_source() {
    let folder = tempfile::tempdir().unwrap();
    let other = another_model();
    let mut program = checked("ffi/tests/c/labels.c", folder.path());
    let output = run(program.arg(colours()).arg(other.path()).arg(folder.path()));
    is_silent(&output);
}

#[test]
fn frames_are_classified_one_by_one_and_in_streams() {
    let folder = tempfile::tempdir().unwrap();
    let other = another_model();
    let mut program = checked("ffi/tests/c/frames.c", folder.path());
    let output = run(program.arg(colours()).arg(other.path()));
    is_silent(&output);
}

#[test]
fn programs_of_an_older_header_go_on_working() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(checked("ffi/tests/c/older.c", folder.path()).arg(colours()));
    is_silent(&output);
}

#[test]
#[cfg(target_os = "linux")]
fn engines_of_tensorrt_are_built_and_run() {
    let Some(doubles) = clip_testkit::doubles::build() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut program = checked("ffi/tests/c/engines.c", folder.path());
    doubles.environment(&mut program);
    program.env("LD_LIBRARY_PATH", &doubles.folder).env("XDG_CACHE_HOME", folder.path());
    let output = run(program.arg(colours()));
    is_silent(&output);
}

/// Compiles the program that meets with scarcity, and runs it: not under valgrind, which has threads and memory of its own.
fn where_scarce(what: &str) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("scarce");
    let mut cc = cc();
    cc.arg(repository().join("ffi/tests/c/scarce.c")).arg("-o").arg(&program).arg("-rdynamic");
    cc.arg("-L").arg(built()).args(["-lclip", "-ldl"]).arg(format!("-Wl,-rpath,{}", built().display()));
    run(&mut cc);
    run(alone(program).arg(what).arg(colours()));
}

#[test]
#[cfg(target_os = "linux")]
fn too_little_memory_is_a_status() {
    where_scarce("memory");
}

#[test]
#[cfg(target_os = "linux")]
fn threads_that_cannot_be_made_are_done_without() {
    where_scarce("threads");
}

#[test]
#[cfg(target_os = "linux")]
fn threads_with_small_stacks_may_call() {
    where_scarce("stack");
}

#[test]
#[cfg(target_os = "linux")]
fn a_fork_frees_the_model_and_opens_it_again() {
    where_scarce("fork");
}

/// The C program's arguments: model, labels, three pictures of one colour; and what it prints, less the numbers.
fn colour_pictures(folder: &Path) -> (Vec<PathBuf>, Vec<String>) {
    let labels = folder.join("labels.txt");
    std::fs::write(&labels, "\u{feff}red\r\n\n  \n  green \nblue").unwrap();
    let mut arguments = vec![colours(), labels];
    let mut expected = Vec::new();
    for (name, colour) in [("blue", [0, 9, 255]), ("red", [250, 9, 0]), ("green", [0, 240, 9])] {
        let path = folder.join(format!("{name}.bmp"));
        write_bmp(&path, colour);
        expected.push(path.display().to_string());
        expected.push(name.to_owned());
        arguments.push(path);
    }
    (arguments, expected)
}

/// Path and best label of each picture.
fn best(stdout: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len() % 4, 0, "a path and three labels each: {text}");
    lines.chunks(4).flat_map(|l| [l[0].to_owned(), l[1].split("%  ").last().unwrap().to_owned()]).collect()
}

#[test]
fn the_c_program_classifies_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (arguments, expected) = colour_pictures(folder.path());
    let home = folder.path().join("home");
    let mut program = checked("examples/c/classify.c", folder.path());
    // ONNX Runtime's usage data would begin with files in here.
    program
        .env("HOME", &home)
        .env("XDG_CACHE_HOME", &home)
        .env_remove("ORT_DISABLE_TELEMETRY")
        .env_remove("CI");
    let output = run(program.args(arguments));
    assert_eq!(best(&output.stdout), expected);
    is_silent(&Output { stdout: Vec::new(), ..output });
    assert!(!home.exists(), "nothing is written to the user's folders");
}

#[test]
fn the_c_program_says_what_failed() {
    let folder = tempfile::tempdir().unwrap();
    let (arguments, expected) = colour_pictures(folder.path());
    let corrupt = folder.path().join("corrupt.jpg");
    std::fs::write(&corrupt, b"\xff\xd8\xff\xe0").unwrap();
    let fails = |arguments: &[PathBuf], status, reason: &str| {
        let output = checked("examples/c/classify.c", folder.path()).args(arguments).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{stderr}");
        assert!(stderr.contains(reason), "{stderr}");
        output.stdout
    };
    // The other pictures are classified.
    let mut spoilt = arguments.clone();
    spoilt.insert(3, corrupt.clone());
    let stdout = fails(&spoilt, 1, &format!("{}: cannot decode", corrupt.display()));
    assert_eq!(best(&stdout), expected);

    fails(&arguments[..2], 2, "usage:");
    let mut no_model = arguments.clone();
    no_model[0] = folder.path().into();
    fails(&no_model, 1, "(CLIP_ERROR_FILE)");
    let mut no_labels = arguments.clone();
    no_labels[1] = folder.path().join("none.txt");
    fails(&no_labels, 1, "none.txt: No such file");
    let mut not_stored = arguments.clone();
    not_stored[1] = "-".into();
    fails(&not_stored, 1, "(CLIP_ERROR_MISSING)");
    std::fs::write(&no_labels[1], " \n").unwrap();
    fails(&no_labels, 1, "(CLIP_ERROR_PROMPT)");
}

#[test]
fn the_static_library_links_too() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("classify");
    let mut cc = cc();
    cc.arg(repository().join("examples/c/classify.c")).arg("-o").arg(&program);
    run(cc.arg(built().join("libclip.a")).args(["-lpthread", "-ldl", "-lm"]));
    let (arguments, expected) = colour_pictures(folder.path());
    // The program lies elsewhere, so it must be told where ONNX Runtime is.
    let library = repository().join(".deps/onnxruntime/lib/libonnxruntime.so");
    let mut command = alone(program);
    if std::env::var_os("ORT_DYLIB_PATH").is_none() {
        command.env("ORT_DYLIB_PATH", library);
    }
    assert_eq!(best(&run(command.args(arguments)).stdout), expected);
}
