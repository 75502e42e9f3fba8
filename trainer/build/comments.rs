//! The documentation comments of the settings, as a constant for the program: what is written beside a field is what its users
//! read.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use syn::{Attribute, Expr, ExprLit, Fields, Item, Lit, Meta};

/// Where structures of settings are, besides `src/settings/`.
const OTHERS: [&str; 3] =
    ["../model/src/config.rs", "../data/src/augment/settings.rs", "../data/src/settings.rs"];

/// Writes `comments.rs` into the build's folder: a list of structures, each with its name and its fields' names, types and
/// comments.
///
/// # Errors
/// When a source cannot be read, or the constant not be written: which, and why.
pub fn collect() -> Result<(), String> {
    let settings = Path::new("src/settings");
    println!("cargo::rerun-if-changed={}", settings.display());
    let mut files: Vec<PathBuf> = OTHERS.iter().map(PathBuf::from).filter(|path| path.exists()).collect();
    for entry in fs::read_dir(settings).map_err(|e| format!("{}: {e}", settings.display()))? {
        files.push(entry.map_err(|e| format!("{}: {e}", settings.display()))?.path());
    }
    files.sort();
    let mut list = String::from("&[\n");
    for path in files {
        println!("cargo::rerun-if-changed={}", path.display());
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let file = syn::parse_file(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        file.items.iter().for_each(|item| add(&mut list, item));
    }
    list.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    fs::write(out.join("comments.rs"), list).map_err(|e| format!("{}: {e}", out.display()))
}

fn add(list: &mut String, item: &Item) {
    let Item::Struct(structure) = item else { return };
    let Fields::Named(fields) = &structure.fields else { return };
    let _ = writeln!(list, "(\"{}\", &[", structure.ident);
    for field in &fields.named {
        let Some(name) = field.ident.as_ref().filter(|_| !is_skipped(&field.attrs)) else { continue };
        let kind = &field.ty;
        let kind = quote::quote!(#kind).to_string();
        let _ = writeln!(list, "    ({:?}, {kind:?}, {:?}),", name.to_string(), comment(&field.attrs));
    }
    list.push_str("]),\n");
}

/// Whether a field is no setting: `#[serde(skip)]`.
fn is_skipped(attributes: &[Attribute]) -> bool {
    let mut found = false;
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        let _ = attribute.parse_nested_meta(|meta| {
            found |= meta.path.is_ident("skip");
            // What follows a name is of no interest.
            meta.value().and_then(|value| value.parse::<Expr>()).map(drop).or(Ok(()))
        });
    }
    found
}

/// The lines of a comment as one, links taken off.
fn comment(attributes: &[Attribute]) -> String {
    let line = |attribute: &Attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value().trim().to_owned()),
            _ => None,
        },
        _ => None,
    };
    let text = attributes.iter().filter_map(line).collect::<Vec<_>>().join(" ");
    text.replace("[`", "`").replace("`]", "`")
}
