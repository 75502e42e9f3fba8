//! Linker arguments of `libclip.so`. That nothing but `clip_*` is exported is rustc's own doing (it writes the
//! version script of a `cdylib`) and is tested in `tests/library.rs`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // The plain name, because cargo writes that one file: `-Ltarget/release -lclip` works as soon as it is built.
        // A number belongs here once the interface promises to stay compatible.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libclip.so");
        // ONNX Runtime's threads and exit handlers outlive a `dlclose`; so must the code they call.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
