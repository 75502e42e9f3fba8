//! The binary interface of libclip.so against ffi/abi.txt: what programs were compiled with, and so nobody may change, only add to.
//!
//!     make abi        # writes ffi/abi.txt anew, unless that would break programs without another SONAME
#![cfg(all(target_os = "linux", target_pointer_width = "64"))]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const FFI: &str = env!("CARGO_MANIFEST_DIR");

/// Set by `make abi`.
const WRITE: &str = "CLIP_WRITE_ABI";

const REMEDY: &str = "undo it, or add what is new at the end and leave what is old as it was; or raise ABI in ffi/build.rs, which \
                      gives the library another SONAME (see CONTRIBUTING.md), and run `make abi`";

/// What clip.h declares.
#[derive(Debug, Default)]
struct Header {
    constants: Vec<String>,
    /// Names, each with its fields: type and name.
    structs: Vec<(String, Vec<(String, String)>)>,
    typedefs: Vec<String>,
    functions: Vec<String>,
}

impl Header {
    fn parse(text: &str) -> Header {
        let mut header = Header::default();
        let text = without_comments(text).replace("\\\n", " ");
        for line in text.lines() {
            let Some(definition) = line.strip_prefix("#define CLIP_") else { continue };
            // Not the header's own guard, not its version, and no initialisers, which are no part of a compiled program's interface.
            if let Some((name, value)) = definition.split_once(' ')
                && !value.trim_start().starts_with('{')
                && !name.starts_with("VERSION_")
            {
                header.constants.push(format!("CLIP_{name}"));
            }
        }
        let code: String = text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join(" ");
        let code = code.replace("extern \"C\" {", "");
        let mut rest = code.as_str();
        while let Some(end) = statement_end(rest) {
            header.take(&rest[..end].split_whitespace().collect::<Vec<_>>().join(" "));
            rest = &rest[end + 1..];
        }
        header
    }

    fn take(&mut self, statement: &str) {
        if let Some((head, body)) = statement.split_once('{') {
            let name = head.trim().trim_start_matches("typedef struct ").to_owned();
            let (fields, _) = body.rsplit_once('}').unwrap();
            let fields = fields.split(';').map(str::trim).filter(|field| !field.is_empty());
            self.structs.push((name, fields.map(declarator).collect()));
        } else if statement.starts_with("typedef struct ") {
            // A handle: nothing of it is known to programs.
        } else if statement.starts_with("typedef ") {
            self.typedefs.push(statement.to_owned());
        } else {
            self.functions.push(prototype(statement));
        }
    }

    /// A C program that prints all of it.
    fn program(&self) -> String {
        let mut program =
            "#include <stddef.h>\n#include <stdio.h>\n#include \"clip.h\"\nint main(void)\n{\n".to_owned();
        for name in &self.constants {
            writeln!(program, "    printf(\"constant {name} %lld\\n\", (long long)({name}));").unwrap();
        }
        for (name, fields) in &self.structs {
            writeln!(program, "    printf(\"struct {name} %zu bytes\\n\", sizeof({name}));").unwrap();
            for (of, field) in fields {
                writeln!(
                    program,
                    "    printf(\"field {name}.{field} {of} at %zu, %zu bytes\\n\", offsetof({name}, {field}), \
                     sizeof((({name} *)0)->{field}));"
                )
                .unwrap();
            }
        }
        program + "    return 0;\n}\n"
    }
}

/// Where the first statement ends: at a semicolon that is in no braces.
fn statement_end(code: &str) -> Option<usize> {
    let mut depth = 0;
    code.char_indices().find_map(|(at, letter)| {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        (letter == ';' && depth == 0).then_some(at)
    })
}

fn without_comments(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("/*") {
        code += before;
        rest = comment.split_once("*/").unwrap().1;
    }
    code += rest;
    code.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n").collect()
}

/// Type and name of a field or a parameter.
fn declarator(text: &str) -> (String, String) {
    let (text, array) =
        text.split_once('[').map_or((text, String::new()), |(text, n)| (text, format!("[{n}")));
    let start = text.rfind(|letter: char| !letter.is_alphanumeric() && letter != '_').map_or(0, |at| at + 1);
    (text[..start].trim().to_owned() + &array, text[start..].to_owned())
}

/// A function without the names of its parameters, which may change.
fn prototype(statement: &str) -> String {
    let (head, parameters) = statement.split_once('(').unwrap();
    let parameters = parameters.strip_suffix(')').unwrap();
    let types: Vec<String> = match parameters {
        "void" => vec!["void".to_owned()],
        // A pointer to a function has commas of its own.
        some if some.contains('(') => vec![some.to_owned()],
        some => some.split(',').map(|parameter| declarator(parameter.trim()).0).collect(),
    };
    format!("{head}({})", types.join(", "))
}

fn dump() -> String {
    let root = Path::new(FFI).join("..");
    let header = Header::parse(&std::fs::read_to_string(root.join("include/clip.h")).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (source, program) = (folder.path().join("dump.c"), folder.path().join("dump"));
    std::fs::write(&source, header.program()).unwrap();
    let compiler = std::env::var_os("CC").unwrap_or("cc".into());
    let mut cc = Command::new(compiler);
    cc.args(["-std=c99", "-I"]).arg(root.join("include")).arg(&source).arg("-o").arg(&program);
    let compiled = cc.output().unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let printed = String::from_utf8(Command::new(program).output().unwrap().stdout).unwrap();
    let library = std::env::current_exe().unwrap().with_file_name("libclip.so");
    let dynamic = Command::new("readelf").arg("-d").arg(library).output().unwrap().stdout;
    let dynamic = String::from_utf8(dynamic).unwrap();
    let soname = dynamic.split("soname: [").nth(1).and_then(|rest| rest.split(']').next()).unwrap();
    let types = header.typedefs.iter().map(|line| format!("{line}\n"));
    let functions = header.functions.iter().map(|line| format!("function {line}\n"));
    let lines: String = types.chain(functions).collect();
    format!("soname {soname}\n{printed}{lines}")
}

/// Whether programs tell the library how large their struct is, so that it may grow.
fn tells_its_size(name: &str, lines: &BTreeSet<&str>) -> bool {
    let field = format!("field {name}.struct_size size_t at 0,");
    lines.iter().any(|line| line.starts_with(&field))
}

/// What a program that was built with `old` would find changed.
fn breaks<'a>(old: &'a str, new: &str) -> Vec<&'a str> {
    let kept: BTreeSet<&str> = new.lines().collect();
    let grown = |line: &str| {
        let size = |line: &str| line.strip_suffix(" bytes")?.rsplit(' ').next()?.parse::<usize>().ok();
        let Some(name) = line.strip_prefix("struct ").and_then(|rest| rest.split(' ').next()) else {
            return false;
        };
        let now = kept.iter().find(|line| line.starts_with(&format!("struct {name} ")));
        tells_its_size(name, &kept) && now.is_some_and(|now| size(now) > size(line))
    };
    old.lines().filter(|line| !kept.contains(line) && !grown(line)).collect()
}

#[test]
fn programs_that_were_compiled_go_on_working() {
    let path = PathBuf::from(FFI).join("abi.txt");
    let new = dump();
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    let broken = breaks(&old, &new);
    let soname = |dump: &str| dump.lines().next().map(str::to_owned);
    assert!(
        broken.is_empty() || soname(&old) != soname(&new),
        "the interface of compiled programs is broken, which have\n    {}\n{REMEDY}",
        broken.join("\n    ")
    );
    if std::env::var_os(WRITE).is_some() {
        return std::fs::write(path, new).unwrap();
    }
    let added: Vec<&str> = new.lines().filter(|line| !old.lines().any(|known| known == *line)).collect();
    assert!(
        old == new,
        "ffi/abi.txt does not have what is new: run `make abi` and commit it\n    {}",
        added.join("\n    ")
    );
}

/// The functions in the file by which Debian's packages say which version they need, each with the version that brought it.
fn symbols(known: &str, functions: &str) -> String {
    let mut lines: Vec<String> = functions
        .lines()
        .filter_map(|line| line.strip_prefix("function ")?.split('(').next()?.rsplit([' ', '*']).next())
        .map(|name| {
            let start = format!(" {name}@Base ");
            let line = known.lines().find(|line| line.starts_with(&start)).map(str::to_owned);
            line.unwrap_or_else(|| start + env!("CARGO_PKG_VERSION"))
        })
        .collect();
    lines.sort();
    let head = known.lines().take_while(|line| !line.starts_with(" clip_")).map(str::to_owned);
    head.chain(lines).map(|line| line + "\n").collect()
}

#[test]
fn debian_knows_since_when_each_function_is_there() {
    let path = PathBuf::from(FFI).join("../packaging/debian/libclip0.symbols");
    let known = std::fs::read_to_string(&path).unwrap();
    let new = symbols(&known, &dump());
    let soname = dump().lines().next().unwrap().replace("soname ", "");
    assert!(known.starts_with(&format!("{soname} ")), "{known}");
    if std::env::var_os(WRITE).is_some() {
        return std::fs::write(path, new).unwrap();
    }
    assert_eq!(known, new, "run `make abi` and commit packaging/debian/libclip0.symbols");
}

#[test]
fn a_new_function_gets_this_version_and_others_keep_theirs() {
    let known = "libclip.so.0 libclip0 #MINVER#\n* Field: x\n clip_b@Base 0.0.7\n clip_gone@Base 0.0.1\n";
    let new = symbols(known, "soname x\nfunction const char *clip_a(int)\nfunction int clip_b(void)\n");
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        new,
        format!("libclip.so.0 libclip0 #MINVER#\n* Field: x\n clip_a@Base {version}\n clip_b@Base 0.0.7\n")
    );
}

#[test]
fn a_header_is_read_whole() {
    let header = Header::parse(
        "/* A; comment { */\n#ifndef CLIP_H\n#define CLIP_H\nextern \"C\" {\n#define CLIP_OK 0\n#define CLIP_VERSION_MAJOR 0\n/// It;\n#define CLIP_A_INIT {1, 2}\n\
         typedef struct clip_a clip_a;\ntypedef int32_t clip_status;\ntypedef void (*clip_call)(void *user, int n);\n\
         typedef struct clip_b {\n    /// One.\n    const char *name;\n    float scores[4];\n} clip_b;\n\
         clip_status clip_do(const clip_a *const *as, size_t n,\n                    float *out);\nint clip_none(void);\n} /* C */\n#endif\n",
    );
    assert_eq!(header.constants, ["CLIP_OK"]);
    let fields =
        [("const char *", "name"), ("float[4]", "scores")].map(|(of, name)| (of.to_owned(), name.to_owned()));
    assert_eq!(header.structs, [("clip_b".to_owned(), fields.to_vec())]);
    assert_eq!(
        header.typedefs,
        ["typedef int32_t clip_status", "typedef void (*clip_call)(void *user, int n)"]
    );
    assert_eq!(
        header.functions,
        ["clip_status clip_do(const clip_a *const *, size_t, float *)", "int clip_none(void)"]
    );
}

#[test]
fn what_breaks_programs_is_found() {
    let old = "soname a\nconstant CLIP_OK 0\nstruct clip_b 16 bytes\n\
               field clip_b.struct_size size_t at 0, 8 bytes\nfield clip_b.n int at 8, 4 bytes\nfunction int clip_do(int)\nstruct clip_c 8 bytes\n";
    let broken = |from: &str, to: &str| breaks(old, &old.replace(from, to)).join("; ");
    assert_eq!(broken("", ""), "");
    assert_eq!(broken("clip_do(int)\n", "clip_do(int)\nfunction int clip_new(void)\n"), "");
    assert_eq!(broken("clip_b 16 bytes", "clip_b 24 bytes"), "", "a struct that tells its size may grow");
    assert_eq!(broken("clip_b 16 bytes", "clip_b 8 bytes"), "struct clip_b 16 bytes");
    assert_eq!(broken("clip_c 8 bytes", "clip_c 16 bytes"), "struct clip_c 8 bytes");
    assert_eq!(broken("n int at 8", "n int at 12"), "field clip_b.n int at 8, 4 bytes");
    assert_eq!(broken("OK 0", "OK 1"), "constant CLIP_OK 0");
    assert_eq!(broken("clip_do(int)", "clip_do(long)"), "function int clip_do(int)");
    assert_eq!(broken("function int clip_do(int)\n", ""), "function int clip_do(int)");
}
