//! Plans of TensorRT, on a machine whose GPU and TensorRT are doubles.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing helper fails its test")]

mod colours;
mod machine;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clip_model::manifest::Engine;
use clip_model::{Manifest, files};
use clip_runtime::plan::PlanOptions;
use clip_runtime::{Clip, Device, EngineKind, Error, Image, Options};
use machine::{Machine, asked, build_plans, folder, say, sizes, told};

fn plain(i: u8) -> Image {
    let colour = [[200, i, 0], [i, 200, 9], [9, i, 255]][usize::from(i) % 3];
    Image::new(9, 12, colour.repeat(9 * 12)).unwrap()
}

fn texts() -> Vec<String> {
    let words = ["red", "green", "blue", "plus red"];
    (0..300).map(|i| format!("{}{}", "photo of ".repeat(i % 3), words[i % 7 % 4])).collect()
}

fn nearly(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-6)
}

/// Builds plans: folder, towers, batch, length, and flags; or by TensorRT-RTX in the file that a flag names.
#[test]
fn plan() {
    let Some(arguments) = asked("plan") else { return };
    let [folder, towers, batch, length, flags] = &arguments[..] else { panic!("{arguments:?}") };
    let options = PlanOptions {
        batch: sizes(batch),
        length: sizes(length),
        version_compatible: flags.contains("version"),
        hardware_compatible: flags.contains("hardware"),
        rtx: flags.starts_with('/'),
        library: flags.starts_with('/').then(|| flags.split(' ').next().unwrap().into()),
        targets: if flags.contains("portable") || !flags.starts_with('/') { vec![] } else { vec![86, 120] },
        ..PlanOptions::default()
    };
    build_plans(folder.as_ref(), towers, &options);
}

/// A folder with plans.
fn with_plans(machine: &Machine, towers: &str, batch: &str, length: &str, flags: &str) -> tempfile::TempDir {
    let folder = folder();
    machine.run("plan", &[folder.path().to_str().unwrap(), towers, batch, length, flags], &[]);
    folder
}

/// Opens a folder with options, and says what came of it.
#[test]
fn open() {
    let Some(arguments) = asked("open") else { return };
    let mut options = Options::new();
    for word in &arguments[1..] {
        options = match word.split_once('=') {
            None if word == "rebuild" => options.rebuild(true),
            Some(("engine", engine)) => options.engine(engine.parse::<EngineKind>().unwrap()),
            Some(("device", device)) => options.device(device.parse::<Device>().unwrap()),
            Some(("tensorrt", path)) => options.tensorrt(Some(path.into())),
            _ => panic!("{word}"),
        };
    }
    let options = options.watch_rebuild(|graph, progress| {
        if progress.depth == 0 && progress.done == 0 {
            say(&format!("{} {}", graph.file_name().unwrap().display(), progress.phase));
        }
        std::ops::ControlFlow::Continue(())
    });
    let clip = match Clip::open_with(&arguments[0], &options) {
        Ok(clip) => clip,
        Err(error) => return say(&told(&error)),
    };
    for (engine, file) in [(clip.image_engine(), clip.image_file()), (clip.text_engine(), clip.text_file())] {
        let file = file.unwrap().extension().unwrap().display();
        say(&format!("opened {file} by {}", engine.unwrap()));
    }
    say(&format!("{} unverified", clip.unverified().len()));
    let labels = clip.label_set(&["red", "green", "blue"], &[]).unwrap();
    for (i, label) in ["red", "green", "blue"].iter().enumerate() {
        assert_eq!(clip.classify(&plain(i as u8), &labels, 1).unwrap()[0].label, *label);
    }
}

fn opened(machine: &Machine, folder: &Path, options: &[&str], variables: &[(&str, &str)]) -> String {
    machine.run("open", &[&[folder.to_str().unwrap()], options].concat(), variables)
}

#[test]
fn plans_give_what_their_graphs_give() {
    const NAME: &str = "plans_give_what_their_graphs_give";
    if let Some(arguments) = asked(NAME) {
        let plans = Clip::open(&arguments[0]).unwrap();
        let graphs = Clip::open_with(&arguments[0], &Options::new().engine(EngineKind::Onnx)).unwrap();
        assert_eq!((plans.engine().name, plans.engine().device), ("TensorRT", Device::Cuda(0)));
        assert_eq!((graphs.engine().name, graphs.engine().device), ("ONNX Runtime", Device::Cpu));
        // More than go into a run, and fewer than a run has at least.
        let images: Vec<Image> = (0..70).map(plain).collect();
        for n in [1, 2, 3, 7, 70] {
            let [of_plans, of_graphs] =
                [&plans, &graphs].map(|clip| clip.encode_images(&images[..n]).unwrap());
            assert_eq!(of_plans.len(), n);
            assert!(nearly(of_plans.as_slice(), of_graphs.as_slice()), "{n} images");
        }
        let texts = texts();
        for n in [1, 2, 300] {
            let [of_plans, of_graphs] = [&plans, &graphs].map(|clip| clip.encode_texts(&texts[..n]).unwrap());
            assert!(nearly(of_plans.as_slice(), of_graphs.as_slice()), "{n} texts");
        }
        // Labels of the one are good for the other: it is the same model.
        let labels = graphs.label_set(&["red", "green", "blue"], &[]).unwrap();
        assert_eq!(plans.classify(&images[1], &labels, 1).unwrap()[0].label, "green");
        return;
    }
    let Some(machine) = Machine::new() else { return };
    for (batch, length) in [("1:4:6", "1:4:8"), ("2:2:2", "4:4:8"), ("5:8:100", "8:8:8")] {
        let folder = with_plans(&machine, "visual text", batch, length, "");
        machine.calls();
        machine.run(NAME, &[folder.path().to_str().unwrap()], &[]);
        let sizes = sizes(batch);
        let calls = machine.calls();
        let shapes = calls.iter().filter(|call| call.method == "setInputShape");
        let rows: Vec<u64> =
            shapes.map(|call| call.arguments["dims"][0].as_u64().unwrap()).filter(|&n| n > 0).collect();
        let [min, max] = [sizes.min, sizes.max].map(|n| n as u64);
        assert!(rows.iter().all(|n| (min..=max).contains(n)) && rows.contains(&max), "{batch}: {rows:?}");
    }
}

#[test]
fn many_threads_share_a_model() {
    const NAME: &str = "many_threads_share_a_model";
    if let Some(arguments) = asked(NAME) {
        let clip = Clip::open_with(&arguments[0], &Options::new().threads(2)).unwrap();
        let images: Vec<Image> = (0..40).map(plain).collect();
        let texts = texts();
        let expected = (clip.encode_images(&images).unwrap(), clip.encode_texts(&texts).unwrap());
        let done = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (clip, images, texts, expected, done) = (&clip, &images, &texts, &expected, &done);
                scope.spawn(move || {
                    for _ in 0..5 {
                        let some = &images[thread..thread + 32];
                        let found = clip.encode_images(some).unwrap();
                        let rows = found.rows().zip(expected.0.rows().skip(thread));
                        assert!(rows.into_iter().all(|(a, b)| nearly(a, b)));
                        let found = clip.encode_texts(texts).unwrap();
                        assert!(nearly(found.as_slice(), expected.1.as_slice()));
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(done.into_inner(), 40);
        say(&clip.threads().to_string());
        return;
    }
    let Some(machine) = Machine::new() else { return };
    let folder = with_plans(&machine, "visual text", "1:4:8", "1:4:8", "");
    machine.calls();
    let threads: usize = machine.run(NAME, &[folder.path().to_str().unwrap()], &[]).parse().unwrap();
    // One for each tower and thread of the model, and one for the graph of the batches of images, which are all of 8.
    let calls = machine.calls();
    let contexts = calls.iter().filter(|call| call.method == "createExecutionContext").count();
    assert!((2..=threads * 3).contains(&contexts), "{contexts} contexts for {threads} threads");
}

#[test]
fn what_comes_often_is_replayed_as_a_graph() {
    const NAME: &str = "what_comes_often_is_replayed_as_a_graph";
    if let Some(arguments) = asked(NAME) {
        let clip = Clip::open_with(&arguments[0], &Options::new().threads(1)).unwrap();
        let (one, many): (Vec<Image>, Vec<Image>) =
            ((0..1).map(plain).collect(), (0..8).map(plain).collect());
        let first = [&one, &many].map(|images| clip.encode_images(images).unwrap());
        for _ in 0..9 {
            for (images, first) in [&one, &many].into_iter().zip(&first) {
                assert!(nearly(clip.encode_images(images).unwrap().as_slice(), first.as_slice()));
            }
            clip.encode_texts(&["red"]).unwrap();
        }
        return;
    }
    let Some(machine) = Machine::new() else { return };
    let folder = with_plans(&machine, "visual text", "1:4:8", "1:4:8", "");
    for variables in [&[][..], &[("DOUBLE_CUDA_LAZY", "1")]] {
        machine.calls();
        machine.run(NAME, &[folder.path().to_str().unwrap()], variables);
        let calls = machine.calls();
        let count = |method: &str| calls.iter().filter(|call| call.method == method).count();
        // Each of the two batches from its fourth run on; texts, whose lengths vary, never.
        assert_eq!((count("cuStreamEndCapture"), count("cuGraphLaunch")), (2, 14), "{variables:?}");
    }
}

#[test]
fn a_tower_has_the_engine_that_its_file_was_made_for() {
    let Some(machine) = Machine::new() else { return };
    let folder = with_plans(&machine, "visual", "1:4:8", "1:4:8", "");
    let said = opened(&machine, folder.path(), &[], &[]);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("opened plan by TensorRT 11.4.0, CUDA device 0 ("), "{said}");
    assert!(lines[1].starts_with("opened onnx by ONNX Runtime 1.") && lines[1].ends_with(", CPU"), "{said}");
    assert_eq!(lines[2], "1 unverified");
    // Asked for, an engine is every tower's: the graph beside the plan runs, and TensorRT has no plan for the text.
    let said = opened(&machine, folder.path(), &["engine=onnx"], &[]);
    assert!(said.starts_with("opened onnx by") && said.ends_with("0 unverified"), "{said}");
    let said = opened(&machine, folder.path(), &["engine=tensorrt"], &[]);
    assert!(said.ends_with("text.onnx is an ONNX graph, and TensorRT runs plans: build one of it"), "{said}");
    let said = opened(&machine, folder.path(), &["device=cpu"], &[]);
    assert!(said.contains("CPU was asked for, and TensorRT does not compute there"), "{said}");
    let said = opened(&machine, folder.path(), &["device=cuda:1"], &[]);
    assert!(said.contains("there is no CUDA device 1: the driver finds 1, counted from 0"), "{said}");

    // The graph's hash is looked at when the graph is run, and only then.
    colours::change_a_byte(&folder.path().join("visual.onnx"));
    assert!(opened(&machine, folder.path(), &[], &[]).starts_with("opened plan"));
    let said = opened(&machine, folder.path(), &["engine=onnx"], &[]);
    assert!(said.contains("visual.onnx has sha256"), "{said}");
}

#[test]
fn a_plan_of_another_machine_is_refused_by_what_differs() {
    let Some(machine) = Machine::new() else { return };
    let folder = with_plans(&machine, "visual text", "1:4:8", "1:4:8", "");
    let cases: [(&[(&str, &str)], &str); 4] = [
        (
            &[("DOUBLE_CUDA_SM", "87")],
            "it was built for compute capability 8.6 (DOUBLE), and CUDA device 0 (DOUBLE) has 8.7",
        ),
        (
            &[("DOUBLE_TENSORRT_VERSION", "110300")],
            "it was built by TensorRT 11.4.0, which alone runs it, and LIBRARY is version 11.3.0",
        ),
        (
            &[("DOUBLE_TENSORRT_VERSION", "101303")],
            "it was built by TensorRT 11.4.0, of the family 11, and LIBRARY is version 10.13.3, of the family 10",
        ),
        (
            &[("DOUBLE_TENSORRT_VERSION", "110500"), ("DOUBLE_CUDA_SM", "120")],
            "is version 11.5.0; it was built for compute",
        ),
    ];
    for (variables, words) in cases {
        let variables = [variables, &[("DOUBLE_CUDA_NAME", "DOUBLE")]].concat();
        let said = opened(&machine, folder.path(), &[], &variables);
        let start = format!("{} does not fit this machine: ", folder.path().join("visual.plan").display());
        assert!(said.starts_with(&start) && said.ends_with(". Build it anew of visual.onnx"), "{said}");
        let (first, last) = words.split_once("LIBRARY").unwrap_or((words, ""));
        let first = first.replace("(DOUBLE), and", &format!("({}), and", built_on(folder.path())));
        assert!(said.contains(&first) && said.contains(last), "{words}: {said}");
        // TensorRT itself was not asked.
        assert!(!machine.calls().iter().any(|call| call.method == "deserializeCudaEngine"));
    }
    let said = opened(&machine, folder.path(), &["engine=rtx"], &[]);
    assert!(said.contains("TensorRT-RTX") && !said.contains("opened"), "{said}");

    // Plans that promise more are taken where they keep it.
    let folder = with_plans(&machine, "visual text", "1:4:8", "1:4:8", "version hardware");
    for (variables, fits) in [
        (("DOUBLE_CUDA_SM", "89"), true),
        (("DOUBLE_CUDA_SM", "75"), false),
        (("DOUBLE_TENSORRT_VERSION", "110500"), true),
        (("DOUBLE_TENSORRT_VERSION", "110300"), false),
    ] {
        machine.calls();
        let said = opened(&machine, folder.path(), &[], &[variables]);
        let refused = said.contains("does not fit this machine");
        assert_eq!(refused, !fits, "{variables:?}: {said}");
        if refused {
            assert!(said.contains("and higher ones, and") || said.contains("and later ones, and"), "{said}");
        }
        // Code for the host is allowed to such plans, once it is known that they are the manifest's.
        let allowed = machine.calls().iter().any(|call| call.method == "setEngineHostCodeAllowed");
        assert_eq!(allowed, fits, "{variables:?}");
    }
}

#[test]
fn plans_of_tensorrt_rtx_run_on_the_gpus_that_they_were_built_for() {
    let Some(machine) = Machine::with_rtx() else { return };
    let library = machine.doubles.infer();
    let (library, tensorrt) = (library.to_str().unwrap(), format!("tensorrt={}", library.display()));
    let opened = |folder: &Path, options: &[&str], sm: &str| {
        opened(&machine, folder, &[&[tensorrt.as_str()], options].concat(), &[("DOUBLE_CUDA_SM", sm)])
    };
    let folder = with_plans(&machine, "visual text", "1:4:8", "1:4:8", library);
    for sm in ["86", "120"] {
        let said = opened(folder.path(), &[], sm);
        assert!(said.starts_with("opened plan by TensorRT-RTX 1.7."), "{said}");
    }
    let said = opened(folder.path(), &[], "89");
    assert!(said.contains("it was built for compute capability 8.6, 12.0, and CUDA device 0 ("), "{said}");
    let said = opened(folder.path(), &["rebuild"], "89");
    assert!(said.contains("visual.onnx ") && said.contains("opened plan by TensorRT-RTX 1.7."), "{said}");
    // A portable one runs on all GPUs of its kind, and a GPU of another kind has none built for it.
    let folder = with_plans(&machine, "visual text", "1:4:8", "1:4:8", &format!("{library} portable"));
    for sm in ["80", "89", "121"] {
        let said = opened(folder.path(), &[], sm);
        assert!(said.starts_with("opened plan by TensorRT-RTX 1.7."), "{said}");
    }
    let said = opened(folder.path(), &[], "90");
    assert!(
        said.contains("portable among GPUs of compute capability 8.0, 8.6, 8.9, 12.0, 12.1, and"),
        "{said}"
    );
    let said = opened(machine::folder().path(), &["rebuild", "engine=rtx"], "90");
    assert!(said.contains("builds no engines for compute capability 9.0"), "{said}");
    // TensorRT itself runs none of these.
    let Some(machine) = Machine::new() else { return };
    let said = machine.run("open", &[folder.path().to_str().unwrap(), "engine=tensorrt"], &[]);
    assert!(said.contains("it was built by TensorRT-RTX 1.7."), "{said}");
    assert!(said.contains("and is to be run by TensorRT 11.4.0"), "{said}");
}

/// The name of the GPU that the image encoder's plan was built on.
fn built_on(folder: &Path) -> String {
    Manifest::read(folder).unwrap().image.unwrap().plan().unwrap().device.clone().unwrap()
}

#[test]
fn a_machine_without_what_it_takes_says_so() {
    let Some(machine) = Machine::new() else { return };
    let folder = with_plans(&machine, "visual text", "1:4:8", "1:4:8", "");
    let empty = tempfile::tempdir().unwrap();
    let tensorrt = format!("tensorrt={}", empty.path().display());
    let cases: [(&[&str], (&str, &str), &str); 7] = [
        (&[], ("DOUBLE_CUDA_DEVICES", "0"), "there is no CUDA device 0: the driver finds no GPU"),
        (
            &[],
            ("DOUBLE_CUDA_DRIVER_VERSION", "11040"),
            "the NVIDIA driver serves CUDA 11.4, and 12.2 or newer is needed",
        ),
        (&[], ("DOUBLE_CUDA_MEMORY", "4096"), "could not be allocated. There may not be enough free memory"),
        (
            &[],
            ("DOUBLE_TENSORRT_FAIL", "deserialize"),
            "visual.plan: TensorRT 11.4.0 does not take the plan: ",
        ),
        (
            &[],
            ("DOUBLE_TENSORRT_FAIL", "context"),
            "visual.plan: TensorRT cannot make room to run the engine: ",
        ),
        (
            &[],
            ("DOUBLE_TENSORRT_VERSION", "120000"),
            "is version 12.0.0 (120000), and known are TensorRT 10 and 11",
        ),
        (&[&tensorrt], ("A", "b"), "TensorRT was not found: "),
    ];
    for (options, variable, words) in cases {
        let said = opened(&machine, folder.path(), options, &[variable]);
        assert!(said.contains(words) && !said.contains("opened"), "{words}: {said}");
    }
    // No driver at all: TensorRT alone is where the loader looks.
    let alone = tempfile::tempdir().unwrap();
    std::fs::copy(machine.doubles.infer(), alone.path().join("libnvinfer.so.11")).unwrap();
    let mut command = machine.command("open", &[folder.path().to_str().unwrap()], &[]);
    let output = command.env("LD_LIBRARY_PATH", alone.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("there is no NVIDIA driver: libcuda.so.1 cannot be opened"), "{said}");
}

#[test]
fn a_run_that_fails_does_not_spoil_the_next() {
    const NAME: &str = "a_run_that_fails_does_not_spoil_the_next";
    const FAIL: &str = "DOUBLE_TENSORRT_FAIL";
    if let Some(arguments) = asked(NAME) {
        let clip = Clip::open_with(&arguments[0], &Options::new().threads(1)).unwrap();
        let images: Vec<Image> = (0..3).map(plain).collect();
        let expected = clip.encode_images(&images).unwrap();
        // SAFETY: no other thread of this process looks at the environment now.
        unsafe { std::env::set_var(FAIL, "enqueue") };
        for _ in 0..3 {
            say(&told(&clip.encode_images(&images).unwrap_err()));
        }
        unsafe { std::env::remove_var(FAIL) };
        assert_eq!(clip.encode_images(&images).unwrap(), expected);
        return;
    }
    let Some(machine) = Machine::new() else { return };
    let folder = with_plans(&machine, "visual", "1:4:8", "1:4:8", "");
    machine.calls();
    let said = machine.run(NAME, &[folder.path().to_str().unwrap()], &[]);
    let failed = "visual.plan: TensorRT cannot run the engine: ";
    assert!(said.starts_with("cannot run ") && said.matches(failed).count() == 3, "{said}");
    // What failed was made anew: the first one, and one for each run after it.
    let calls = machine.calls();
    let contexts = calls.iter().filter(|call| call.method == "createExecutionContext").count();
    assert_eq!(contexts, 4);
    // The text tower is run once when the folder is opened.
    let folder = with_plans(&machine, "text", "1:4:8", "1:4:8", "");
    let said = opened(&machine, folder.path(), &[], &[(FAIL, "enqueue")]);
    assert!(said.contains("cannot run ") && said.contains("text.plan: TensorRT cannot run"), "{said}");
}

/// A driver does not work in a fork, so nothing of it is called there.
#[test]
fn a_fork_is_told_to_open_the_model_again() {
    const NAME: &str = "a_fork_is_told_to_open_the_model_again";
    if let Some(arguments) = asked(NAME) {
        let clip = Clip::open(&arguments[0]).unwrap();
        let picture = plain(0);
        clip.encode_images(&[&picture]).unwrap();
        say("forks");
        let logged = || std::fs::metadata(std::env::var_os("DOUBLE_CUDA_LOG").unwrap()).unwrap().len();
        let before = logged();
        // SAFETY: the fork only calls what takes no lock that another thread may hold, and ends without destructors.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let refused = matches!(clip.encode_images(&[&picture]), Err(Error::Forked { .. }));
            drop(clip);
            unsafe { libc::_exit(if refused && logged() == before { 0 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: it is a child of this process.
        unsafe { libc::waitpid(child, &mut status, 0) };
        assert_eq!(status, 0);
        clip.encode_images(&[&picture]).unwrap();
        return;
    }
    let Some(machine) = Machine::new() else { return };
    let folder = with_plans(&machine, "visual text", "1:4:8", "1:4:8", "");
    assert_eq!(machine.run(NAME, &[folder.path().to_str().unwrap()], &[]), "forks");
}

#[test]
fn texts_beyond_the_plan_are_refused_by_their_length() {
    const NAME: &str = "texts_beyond_the_plan_are_refused_by_their_length";
    if let Some(arguments) = asked(NAME) {
        let clip = Clip::open(&arguments[0]).unwrap();
        clip.encode_texts(&["red", "green red"]).unwrap();
        let error = clip.encode_texts(&["red", "photo of red photo of red"]).unwrap_err();
        say(&told(&error));
        clip.encode_texts(&["red"]).unwrap();
        return;
    }
    let Some(machine) = Machine::new() else { return };
    let folder = with_plans(&machine, "visual text", "1:4:8", "3:4:5", "");
    let said = machine.run(NAME, &[folder.path().to_str().unwrap()], &[]);
    let end = "text.plan was built for at most 5: build it for longer ones";
    assert!(said.starts_with("text 1 has 8 tokens, and ") && said.ends_with(end), "{said}");
}

#[test]
fn a_plan_that_does_not_fit_is_built_anew_once() {
    let Some(machine) = Machine::new() else { return };
    let folder = with_plans(&machine, "visual text", "1:4:8", "1:4:8", "");
    let before = files::sha256(&folder.path().join("visual.plan")).unwrap();
    let orin = [("DOUBLE_CUDA_SM", "87")];
    let builds = |machine: &Machine| {
        machine.calls().iter().filter(|call| call.method == "buildSerializedNetwork").count()
    };
    builds(&machine);
    let said = opened(&machine, folder.path(), &["rebuild"], &orin);
    assert!(said.contains("visual.onnx ") && said.contains("text.onnx "), "its progress is told: {said}");
    assert!(said.contains("opened plan by TensorRT 11.4.0") && said.ends_with("2 unverified"), "{said}");
    assert_eq!(builds(&machine), 2);
    // The next time it is there, and not for another GPU, another version or other graphs.
    let said = opened(&machine, folder.path(), &["rebuild"], &orin);
    assert!(said.starts_with("opened plan"), "{said}");
    assert_eq!(builds(&machine), 0);
    opened(&machine, folder.path(), &["rebuild"], &[("DOUBLE_CUDA_SM", "89")]);
    assert_eq!(builds(&machine), 2);
    opened(
        &machine,
        folder.path(),
        &["rebuild"],
        &[("DOUBLE_CUDA_SM", "87"), ("DOUBLE_TENSORRT_VERSION", "110500")],
    );
    assert_eq!(builds(&machine), 2);
    // What fits is run as it is.
    opened(&machine, folder.path(), &["rebuild"], &[]);
    assert_eq!(builds(&machine), 0);
    assert_eq!(
        files::sha256(&folder.path().join("visual.plan")).unwrap(),
        before,
        "the folder is left alone"
    );

    // A folder of graphs alone has plans built for it when TensorRT is asked for.
    let graphs = machine::folder();
    let said = opened(&machine, graphs.path(), &["rebuild", "engine=tensorrt"], &[]);
    assert!(said.contains("opened plan by TensorRT"), "{said}");
    assert_eq!(builds(&machine), 2);
    assert_eq!(
        opened(&machine, graphs.path(), &["rebuild", "engine=tensorrt"], &[]),
        said[said.find("opened").unwrap()..]
    );
    assert_eq!(builds(&machine), 0);
    let said = opened(&machine, graphs.path(), &["rebuild"], &[]);
    assert!(said.starts_with("opened onnx"), "{said}");

    // Graphs that are not the manifest's are not built.
    colours::change_a_byte(&folder.path().join("visual.onnx"));
    let said = opened(&machine, folder.path(), &["rebuild"], &[("DOUBLE_CUDA_SM", "120")]);
    assert!(said.contains("visual.onnx has sha256") && !said.contains("opened"), "{said}");
}

#[test]
fn damaged_plans_are_found_in_the_folder_and_replaced_in_the_cache() {
    let Some(machine) = Machine::new() else { return };
    let folder = with_plans(&machine, "visual text", "1:4:8", "1:4:8", "");
    let plan = folder.path().join("visual.plan");
    let whole = std::fs::read(&plan).unwrap();
    std::fs::write(&plan, &whole[..whole.len() / 2]).unwrap();
    let said = opened(&machine, folder.path(), &[], &[]);
    assert!(said.contains("visual.plan has sha256"), "{said}");
    // With the right hash it is TensorRT that refuses it; that, too, is mended where it is asked for.
    let mut manifest = Manifest::read(folder.path()).unwrap();
    manifest.image.as_mut().unwrap().sha256 = files::sha256(&plan).unwrap();
    manifest.write(folder.path()).unwrap();
    let said = opened(&machine, folder.path(), &[], &[]);
    assert!(said.contains("visual.plan: TensorRT 11.4.0 does not take the plan: "), "{said}");
    let said = opened(&machine, folder.path(), &["rebuild"], &[]);
    assert!(said.contains("visual.onnx ") && said.contains("opened plan by"), "{said}");
    assert_eq!(opened(&machine, folder.path(), &["rebuild"], &[]).lines().count(), 3, "it was kept");

    // Whatever is wrong in the cache, the plan is built again.
    let file = |extension: &str| {
        let entries = std::fs::read_dir(machine.plans()).unwrap().map(|entry| entry.unwrap().path());
        entries.into_iter().find(|path| path.extension().is_some_and(|e| e == extension)).unwrap()
    };
    for (extension, content) in
        [("plan", &whole[..9]), ("json", b"{"), ("json", b""), ("json", b"[1, 2]"), ("lock", b"?")]
    {
        std::fs::write(file(extension), content).unwrap();
        let said = opened(&machine, folder.path(), &["rebuild"], &[]);
        assert!(said.contains("opened plan by"), "{said}");
        assert_eq!(said.contains("visual.onnx "), extension != "lock", "{extension}: {said}");
    }
    // A description that names another plan is not followed.
    let text = std::fs::read_to_string(file("json")).unwrap();
    let mut other: clip_model::manifest::Encoder = serde_json::from_str(&text).unwrap();
    other.file = "../../../etc/passwd".to_owned();
    if let Engine::TensorRt(plan) = &mut other.engine {
        plan.compute_capabilities = vec![87];
    }
    std::fs::write(file("json"), serde_json::to_vec(&other).unwrap()).unwrap();
    let said = opened(&machine, folder.path(), &["rebuild"], &[]);
    assert!(said.contains("visual.onnx ") && said.contains("opened plan by"), "{said}");
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let Some(machine) = Machine::new() else { return };
    let folder = with_plans(&machine, "visual text", "1:4:8", "1:4:8", "");
    let orin = ("DOUBLE_CUDA_SM", "87");
    machine.calls();
    // A file where the folder has to be stops root, too.
    std::fs::write(machine.home.path().join("cache"), "").unwrap();
    let said = opened(&machine, folder.path(), &["rebuild"], &[orin]);
    let plans = machine.plans();
    assert!(said.contains(&format!("cannot keep plans in {} (XDG_CACHE_HOME", plans.display())), "{said}");
    assert!(said.ends_with("Not a directory (os error 20)"), "{said}");
    let none = [orin, ("XDG_CACHE_HOME", ""), ("HOME", "")];
    let said = opened(&machine, folder.path(), &["rebuild"], &none);
    assert!(said.contains("neither XDG_CACHE_HOME nor HOME is set"), "{said}");
    assert!(!machine.calls().iter().any(|call| call.method == "parse"), "nothing was built");
}

#[test]
fn a_build_can_be_cancelled_and_leaves_nothing() {
    const NAME: &str = "a_build_can_be_cancelled_and_leaves_nothing";
    if let Some(arguments) = asked(NAME) {
        let options = Options::new().rebuild(true).watch_rebuild(|_, _| std::ops::ControlFlow::Break(()));
        say(&told(&Clip::open_with(&arguments[0], &options).unwrap_err()));
        return;
    }
    let Some(machine) = Machine::new() else { return };
    let folder = with_plans(&machine, "visual text", "1:4:8", "1:4:8", "");
    let said = machine.run(NAME, &[folder.path().to_str().unwrap()], &[("DOUBLE_CUDA_SM", "87")]);
    assert_eq!(said, "the build was cancelled");
    let left: Vec<_> = std::fs::read_dir(machine.plans()).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(left.iter().all(|path| path.extension().is_some_and(|e| e == "lock")), "{left:?}");
}

#[test]
fn two_processes_build_a_plan_once() {
    let Some(machine) = Machine::new() else { return };
    let folder = with_plans(&machine, "visual text", "1:4:8", "1:4:8", "");
    machine.calls();
    let variables = [("DOUBLE_CUDA_SM", "87"), ("DOUBLE_TENSORRT_STEP_MS", "200")];
    let started = Instant::now();
    let arguments = [folder.path().to_str().unwrap(), "rebuild"];
    let mut children: Vec<_> = (0..3)
        .map(|_| {
            let mut command = machine.command("open", &arguments, &variables);
            command.stdout(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut said = String::new();
    for child in children.drain(..) {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("opened plan by TensorRT"), "{text}");
        said += &text;
    }
    assert!(said.contains("waiting for another process that builds it"), "{said}");
    assert!(started.elapsed() < Duration::from_secs(60));
    let builds = machine.calls().iter().filter(|call| call.method == "buildSerializedNetwork").count();
    assert_eq!(builds, 2, "one for each tower");
}
