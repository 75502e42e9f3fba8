//! README's program in Rust, word for word: a test of clip-ffi compares the two.
#![allow(clippy::unwrap_used)]

mod colours;

fn program() -> Result<(), Box<dyn std::error::Error>> {
    use clip_runtime::{Clip, Options};

    let clip = Clip::open_with("emoji", &Options::new().threads(2))?;
    let labels = clip.label_set(&["cat", "dog", "bicycle"], &["a photo of a {}.".parse()?])?;
    for found in clip.classify(&clip.open_image("photo.jpg")?, &labels, 3)? {
        println!("{:5.1} %  {}", 100.0 * found.probability, found.label);
    }
    Ok(())
}

#[test]
fn it_runs() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::rename(colours::changed(|_, _| ()).keep(), folder.path().join("emoji")).unwrap();
    let picture = colours::folder().with_file_name("../../examples/images/sun.jpg");
    std::fs::copy(picture, folder.path().join("photo.jpg")).unwrap();
    // The only test of its process.
    std::env::set_current_dir(folder.path()).unwrap();
    program().unwrap();
}
