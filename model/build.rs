//! Compiles the glue to libjpeg-turbo, src/preprocess/jpeg.c.

fn main() {
    println!("cargo:rerun-if-changed=src/preprocess/jpeg.c");
    let mut build = cc::Build::new();
    if let Some(folders) = std::env::var_os("DEP_JPEG_INCLUDE") {
        build.includes(std::env::split_paths(&folders));
    }
    build.file("src/preprocess/jpeg.c").warnings(true).compile("clip_jpeg");
}
