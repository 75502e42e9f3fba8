//! Linker arguments of `libclip.so`, and the name under which programs look for it. That nothing but `clip_*` is exported
//! is rustc's own doing (it writes the version script of a `cdylib`) and is tested in `tests/library.rs`.

#[cfg(unix)]
use std::path::Path;

/// The number in the SONAME, by which the system finds the library for programs that were compiled with its interface. It is raised by one
/// when that breaks, and for nothing else: see CONTRIBUTING.md and tests/abi.rs.
const ABI: u32 = 0;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    let soname = &format!("libclip.so.{ABI}");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,{soname}");
    // ONNX Runtime's threads and exit handlers outlive a `dlclose`; so must the code they call.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // Cargo writes libclip.so alone, into target/release and, for tests/, into its folder deps. Programs linked with it
    // look for libclip.so.0, which is there as a link, as `ldconfig` would make it. OUT_DIR is release/build/NAME/out.
    #[cfg(unix)]
    for folder in ["../../..", "../../../deps"] {
        let link = Path::new(&std::env::var_os("OUT_DIR").unwrap_or_default()).join(folder).join(soname);
        if let Err(error) = std::os::unix::fs::symlink("libclip.so", &link)
            && error.kind() != std::io::ErrorKind::AlreadyExists
        {
            println!("cargo::warning=cannot make the link {}: {error}", link.display());
        }
    }
}
