//! The examples of cameras in C++ are built and run with real pictures, as their READMEs say.
//!
//! What a package is missing for is left out with a sentence.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use clip_tests::{onnxruntime, output, repository, run, succeeds};
use serde_json::Value;
use tempfile::TempDir;

const LABELS: &str = "models/emoji-tiny/everyday-100.txt";

/// Where libclip.so lies, target/release/deps.
fn built() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// Run in the repository, with this build's library.
fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(repository()).env("ORT_DYLIB_PATH", onnxruntime());
    command.env("LD_LIBRARY_PATH", built()).env("CLIP_LIBRARY", built().join("libclip.so"));
    command
}

/// models/emoji-tiny as a model folder, and programs that several tests run.
struct Work {
    folder: TempDir,
}

impl Work {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn model(&self) -> PathBuf {
        self.path("emoji")
    }

    /// Builds an example by its Makefile, with warnings as errors.
    fn make(&self, example: &str) {
        let out = |name: &str, value: &Path| format!("{name}={}", value.display());
        let mut make = command("make");
        make.args(["-C", example, "CXXFLAGS=-O1 -Werror"]);
        run(make.arg(out("OUT", self.folder.path())).arg(out("CLIP", &built())));
    }

    /// A picture as a raw frame.
    fn raw(&self, format: &str, padding: usize, picture: &str) -> PathBuf {
        let path = self.path(&format!("{picture}.{padding}.{format}"));
        let mut frames = command(self.path("frames"));
        run(frames.arg(self.model()).args([format, &padding.to_string()]).arg(&path).arg(image(picture)));
        path
    }

    fn camera(&self) -> Command {
        let mut camera = command(self.path("camera"));
        camera.arg("--model").arg(self.model()).args([
            "--labels-file",
            LABELS,
            "--policy",
            "block",
            "--headless",
        ]);
        camera
    }
}

static WORK: LazyLock<Work> = LazyLock::new(|| {
    let work = Work { folder: tempfile::tempdir().unwrap() };
    run(command(built().with_file_name("clip-export")).args(["models/emoji-tiny", "-o"]).arg(work.model()));
    work.make("examples/camera");
    let mut cc = command("cc");
    cc.args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-Iinclude", "tests/cameras/frames.c", "-o"]);
    run(cc.arg(work.path("frames")).arg("-L").arg(built()).args(["-lclip", "-lm"]));
    let mut cc = command("cc");
    cc.args([
        "-std=gnu11",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-O1",
        "-fPIC",
        "-shared",
        "tests/cameras/v4l2.c",
        "-o",
    ]);
    run(cc.arg(work.path("v4l2.so")));
    work
});

fn image(name: &str) -> PathBuf {
    repository().join("examples/images").join(name)
}

/// What clip-run finds in a picture.
fn expected(picture: &str) -> (String, f64) {
    let mut program = command(built().with_file_name("clip-run"));
    program.arg("classify").arg(WORK.model()).arg(image(picture)).args([
        "--labels-file",
        LABELS,
        "--top",
        "1",
    ]);
    let text = run(program.arg("--json"));
    let found: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let best = &found["labels"][0];
    (best["label"].as_str().unwrap().to_owned(), best["probability"].as_f64().unwrap())
}

/// The frames' lines, and the last one.
#[track_caller]
fn lines(text: &str) -> (Vec<Value>, Value) {
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.pop().unwrap_or_else(|| panic!("{text}"));
    (lines, last)
}

/// The camera's program found what clip-run finds in these pictures.
#[track_caller]
fn shows(text: &str, pictures: &[&str], tolerance: f64) {
    let (frames, last) = lines(text);
    assert_eq!(frames.len(), pictures.len(), "{text}");
    assert_eq!((&last["done"], &last["failed"]), (&Value::from(pictures.len()), &Value::from(0)), "{text}");
    for (frame, picture) in frames.iter().zip(pictures) {
        let (label, probability) = expected(picture);
        assert_eq!(frame["label"], *label, "{picture}: {text}");
        let difference = (frame["probability"].as_f64().unwrap() - probability).abs();
        assert!(difference <= tolerance, "{picture}: {difference}\n{text}");
        assert!(frame["latency_ms"].as_f64().unwrap() > 0.0 && frame["dropped"] == 0, "{text}");
    }
}

#[test]
fn a_camera_of_pictures() {
    let all = [
        "apple.png",
        "balloon.png",
        "fish.png",
        "house.jpg",
        "mushroom.png",
        "snowman.png",
        "sun.jpg",
        "umbrella.png",
    ];
    shows(&run(WORK.camera().args(["--pictures", "examples/images"])), &all, 1e-5);
    let mjpeg = WORK.path("two.mjpeg");
    let bytes = ["sun.jpg", "house.jpg"].map(|name| std::fs::read(image(name)).unwrap()).concat();
    std::fs::write(&mjpeg, bytes).unwrap();
    shows(&run(WORK.camera().arg("--pictures").arg(&mjpeg)), &["sun.jpg", "house.jpg"], 1e-5);
    // As many cameras name them; a picture that is none is named.
    let folder = WORK.path("card");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(image("sun.jpg"), folder.join("IMG_0001.JPG")).unwrap();
    shows(&run(WORK.camera().arg("--pictures").arg(&folder)), &["sun.jpg"], 1e-5);
    std::fs::write(folder.join("IMG_0002.JPG"), "no picture").unwrap();
    let broken = output(WORK.camera().arg("--pictures").arg(&folder));
    assert!(!broken.status.success() && String::from_utf8_lossy(&broken.stderr).contains("IMG_0002.JPG: "));
    // Output that is lost is an error.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut camera = WORK.camera();
    let lost = output(camera.args(["--pictures", "examples/images"]).stdout(full));
    assert_eq!(lost.status.code(), Some(1), "{lost:?}");
}

#[test]
fn a_camera_of_raw_frames() {
    for (format, tolerance) in [("rgb", 1e-5), ("nv12", 0.02), ("i420", 0.02), ("yuyv", 0.02)] {
        let file = WORK.raw(format, 0, "fish.png");
        let layout = format!("{format}:256x256");
        shows(&run(WORK.camera().args(["--raw", &layout]).arg(&file)), &["fish.png"], tolerance);
    }
    let file = WORK.raw("rgb", 0, "sun.jpg");
    let output = output(WORK.camera().args(["--raw", "rgb:256x200"]).arg(&file));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("ends within a frame"), "{said}");
}

/// The camera's program, with the double of a camera that gives these frames.
fn v4l2(format: &str, stride: usize, frames: &[PathBuf], fault: &str) -> Command {
    let mut camera = WORK.camera();
    camera.args(["--v4l2", "/dev/video-double"]).env("LD_PRELOAD", WORK.path("v4l2.so"));
    camera.env("CLIP_CAMERA", "/dev/video-double").env("CLIP_CAMERA_SIZE", "256x256");
    camera.env("CLIP_CAMERA_FORMAT", format).env("CLIP_CAMERA_STRIDE", stride.to_string());
    let frames: Vec<_> = frames.iter().map(|path| path.display().to_string()).collect();
    camera.env("CLIP_CAMERA_FRAMES", frames.join(":")).env("CLIP_CAMERA_FAULT", fault);
    camera
}

#[test]
fn v4l2_in_each_format() {
    let pictures = ["sun.jpg", "house.jpg"];
    let frames = |format: &str, padding| pictures.map(|picture| WORK.raw(format, padding, picture));
    let of =
        |format, stride, frames: &[PathBuf]| run(v4l2(format, stride, frames, "").args(["--frames", "2"]));
    shows(&of("NV12", 320, &frames("nv12", 64)), &pictures, 0.02);
    shows(&of("YU12", 320, &frames("i420", 64)), &pictures, 0.02);
    shows(&of("YUYV", 544, &frames("yuyv", 32)), &pictures, 0.02);
    shows(&of("MJPG", 0, &pictures.map(image)), &pictures, 1e-5);
}

#[test]
fn v4l2_with_faults() {
    let frames = ["sun.jpg", "house.jpg", "fish.png"].map(|picture| WORK.raw("nv12", 64, picture));
    for fault in ["interrupted", "damaged"] {
        let text = run(v4l2("NV12", 320, &frames, fault).args(["--frames", "3"]));
        shows(&text, &["sun.jpg", "house.jpg", "fish.png"], 0.02);
    }
    let refused = |format, fault, part: &str| {
        let output = output(&mut v4l2(format, 320, &frames, fault));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && said.contains(part), "{said}");
        String::from_utf8(output.stdout).unwrap()
    };
    refused("NV12", "busy", "another program uses it");
    refused("NV12", "mplane", "--gstreamer");
    refused("H264", "", "has none of the formats");
    // What it gave before is told.
    shows(&refused("NV12", "", "it was unplugged"), &["sun.jpg", "house.jpg", "fish.png"], 0.02);
}

#[test]
fn a_signal_ends_it() {
    let frames = [WORK.raw("nv12", 64, "sun.jpg")];
    let mut camera = command("env");
    let with = v4l2("NV12", 320, &frames, "");
    for (name, value) in with.get_envs() {
        camera.env(name, value.unwrap());
    }
    camera.env("CLIP_CAMERA_END", "silent").args(["--default-signal=INT", "timeout", "--signal=INT", "2"]);
    let output = output(camera.arg(with.get_program()).args(with.get_args()));
    let (frames, last) = lines(std::str::from_utf8(&output.stdout).unwrap());
    assert!(frames.len() == 1 && last["done"] == 1, "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("camera: off"), "{output:?}");
}

#[test]
fn gstreamer_as_a_camera() {
    if !succeeds(
        "pkg-config",
        &["--exists", "gstreamer-app-1.0", "gstreamer-video-1.0"],
        "libgstreamer-plugins-base1.0-dev",
    ) {
        return;
    }
    if succeeds("gst-inspect-1.0", &["videotestsrc"], "gstreamer1.0-plugins-base") {
        for format in ["NV12", "I420", "YUY2", "RGB", "GRAY8"] {
            let pipeline =
                format!("videotestsrc num-buffers=20 ! video/x-raw,format={format},width=322,height=240");
            let (frames, last) = lines(&run(WORK.camera().args(["--gstreamer", &pipeline])));
            assert!(frames.len() == 20 && last["done"] == 20, "{format}: {last}");
        }
    }
    if succeeds("gst-inspect-1.0", &["jpegdec"], "gstreamer1.0-plugins-good") {
        let pipeline = format!(
            "filesrc location={} ! jpegdec ! videoconvert ! video/x-raw,format=RGB",
            image("sun.jpg").display()
        );
        shows(&run(WORK.camera().args(["--gstreamer", &pipeline])), &["sun.jpg"], 0.02);
    }
    for (pipeline, part) in
        [("nosuchelement", "no pipeline"), ("filesrc location=/nowhere ! decodebin", "failed")]
    {
        let output = output(WORK.camera().args(["--gstreamer", pipeline]));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && said.contains(part), "{said}");
    }
}

#[test]
fn opencv_pictures() {
    if !succeeds("pkg-config", &["--exists", "opencv4"], "libopencv-videoio-dev") {
        return;
    }
    WORK.make("examples/opencv");
    let pictures = ["house.jpg", "sun.jpg", "mushroom.png"];
    let mut classify = command(WORK.path("classify"));
    let text = run(classify.arg(WORK.model()).arg(LABELS).args(pictures.map(image)));
    for (line, picture) in text.lines().zip(pictures) {
        let (label, probability) = expected(picture);
        assert!(line.ends_with(&format!(": {label}, {:.1} %", 100.0 * probability)), "{line}: {probability}");
    }
    assert_eq!(text.lines().count(), 3);

    let [house, sun] = ["house.jpg", "sun.jpg"].map(|name| std::fs::read(image(name)).unwrap());
    let video = WORK.path("video.avi");
    std::fs::write(&video, avi(&[&sun, &house, &sun])).unwrap();
    let mut classify = command(WORK.path("classify"));
    let text = run(classify.arg(WORK.model()).arg(LABELS).arg("--video").arg(&video));
    let labels = ["sun.jpg", "house.jpg", "sun.jpg"].map(|picture| expected(picture).0);
    let found = text.lines().map(|line| line.split([':', ',']).nth(1).unwrap().trim()).collect::<Vec<_>>();
    assert_eq!(found, labels, "{text}");
}

/// What `pkg-config` says of OpenCV's headers, as the system's, so that warnings are about this program.
fn opencv_s_headers() -> Vec<String> {
    let flags = run(Command::new("pkg-config").args(["--cflags-only-I", "opencv4"]));
    flags.split_whitespace().map(|flag| flag.replacen("-I", "-isystem", 1)).collect()
}

#[test]
fn every_kind_of_mat() {
    if !succeeds("pkg-config", &["--exists", "opencv4"], "libopencv-imgproc-dev") {
        return;
    }
    let mut compiler = command("c++");
    compiler.args([
        "-std=c++17",
        "-Wall",
        "-Wextra",
        "-Wpedantic",
        "-Werror",
        "-Iinclude",
        "-Iexamples/opencv",
    ]);
    compiler.args(opencv_s_headers()).arg("tests/cameras/mats.cpp").arg("-o").arg(WORK.path("mats"));
    compiler.arg("-L").arg(built()).args([
        "-lclip",
        "-lopencv_imgcodecs",
        "-lopencv_imgproc",
        "-lopencv_core",
    ]);
    run(&mut compiler);
    let mut mats = command(WORK.path("mats"));
    let text = run(mats.arg(WORK.model()).arg(image("house.jpg")).args(["house", "sun"]));
    let lines: Vec<(&str, &str)> = text.lines().map(|line| line.split_once(' ').unwrap()).collect();
    let of = |name: &str| -> f64 {
        lines
            .iter()
            .find(|line| line.0 == name)
            .unwrap_or_else(|| panic!("{name}: {text}"))
            .1
            .parse()
            .unwrap()
    };
    let mut program = command(built().with_file_name("clip-run"));
    program.arg("classify").arg(WORK.model()).arg(image("house.jpg")).args([
        "--labels",
        "house,sun",
        "--json",
    ]);
    let found: Value = serde_json::from_str(run(&mut program).trim()).unwrap();
    let expected = found["labels"][0]["probability"].as_f64().unwrap();
    for (name, tolerance) in
        [("bgr", 2e-6), ("part", 2e-6), ("bgra", 2e-6), ("rgb", 2e-6), ("i420", 0.01), ("nv12", 0.01)]
    {
        assert!((of(name) - expected).abs() <= tolerance, "{name}, {expected}: {text}");
    }
    assert!((of("grey") - of("grey16")).abs() < 1e-3 && of("grey") > 0.5, "{text}");
    assert!(
        text.contains("the cv::Mat is CV_32FC3, not CV_8UC3") && text.contains("holds no picture"),
        "{text}"
    );
}

/// A video of JPEGs of 256 x 256 pixels: the least that AVI's readers take.
fn avi(jpegs: &[&[u8]]) -> Vec<u8> {
    let numbers = |all: &[u32]| all.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
    let chunk = |name: &str, parts: &[&[u8]]| {
        let mut content = parts.concat();
        let size = content.len() as u32;
        content.resize(content.len().next_multiple_of(2), 0);
        [name.as_bytes(), &size.to_le_bytes(), &content].concat()
    };
    let count = jpegs.len() as u32;
    let header = chunk("avih", &[&numbers(&[100_000, 0, 0, 0, count, 0, 1, 0, 256, 256, 0, 0, 0, 0])]);
    let stream = numbers(&[0, 0, 0, 1, 10, 0, count, 0, 0, 0, 0, 256 << 16 | 256]);
    let stream = chunk("strh", &[b"vidsMJPG", &stream]);
    let format = chunk("strf", &[&numbers(&[40, 256, 256, 24 << 16 | 1]), b"MJPG", &numbers(&[0; 5])]);
    let headers = [header, chunk("LIST", &[b"strl", &stream, &format])].concat();
    let frames: Vec<u8> = jpegs.iter().flat_map(|jpeg| chunk("00dc", &[jpeg])).collect();
    let lists = [chunk("LIST", &[b"hdrl", &headers]), chunk("LIST", &[b"movi", &frames])].concat();
    chunk("RIFF", &[b"AVI ", &lists])
}
