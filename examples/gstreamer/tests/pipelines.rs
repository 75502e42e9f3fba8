//! What comes out of pipelines with `clipclassify`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::process::Command;
use std::sync::{Arc, Mutex};

use gstreamer::meta::CustomMeta;
use gstreamer::prelude::*;
use gstreamer_video::VideoRegionOfInterestMeta;
use support::{at_source, built, colours, emoji, pipeline, repository, run, run_with, start};

const PICTURES: [&str; 8] = [
    "apple.png",
    "balloon.png",
    "fish.png",
    "mushroom.png",
    "snowman.png",
    "umbrella.png",
    "house.jpg",
    "sun.jpg",
];

/// The label that a buffer's own metadata tells.
fn label_of(buffer: &gstreamer::BufferRef) -> Option<String> {
    CustomMeta::from_buffer(buffer, gstclip::META).ok()?.structure().get("label").ok()
}

#[test]
fn every_format_of_any_size_is_classified() {
    start();
    let element = gstreamer::ElementFactory::make("clipclassify").build().unwrap();
    let caps = element.static_pad("sink").unwrap().pad_template_caps();
    let formats: Vec<String> = caps
        .structure(0)
        .unwrap()
        .get::<gstreamer::List>("format")
        .unwrap()
        .iter()
        .map(|format| format.get::<String>().unwrap())
        .collect();
    assert_eq!(formats.len(), 16, "{formats:?}");
    for format in &formats {
        for colour in ["red", "green", "blue"] {
            let said = run(&format!(
                "videotestsrc pattern={colour} num-buffers=2 ! video/x-raw,width=97,height=55 ! videoconvert \
                 ! video/x-raw,format={format} ! clipclassify model={} labels=red,green,blue ! fakesink",
                colours()
            ))
            .well();
            match format.starts_with("GRAY") {
                true => assert_eq!(said.found.len(), 2, "{format}: {said:?}"),
                false => assert_eq!(said.labels(), [colour, colour], "{format}: {said:?}"),
            }
        }
    }
}

#[test]
fn real_pictures_get_their_names_in_every_colour_space() {
    let folder = tempfile::tempdir().unwrap();
    let model = emoji(folder.path());
    let labels = PICTURES.map(|picture| picture.split('.').next().unwrap());
    for format in ["RGB", "NV12", "I420", "YUY2", "BGRx"] {
        for (picture, name) in PICTURES.iter().zip(labels) {
            let path = repository().join("examples/images").join(picture);
            let decoder = if picture.ends_with("png") { "pngdec" } else { "jpegdec" };
            let said = run(&format!(
                "filesrc location={} ! {decoder} ! videoconvert ! video/x-raw,format={format} \
                 ! clipclassify model={model} labels={} ! fakesink",
                path.display(),
                labels.join(",")
            ))
            .well();
            assert_eq!(said.labels(), [name], "{format}: {said:?}");
        }
    }
}

#[test]
fn buffers_carry_their_outcome_and_are_not_copied() {
    let pipeline = pipeline(&format!(
        "videotestsrc name=source pattern=green num-buffers=5 ! video/x-raw,format=NV12,width=320,height=240 \
         ! clipclassify name=clip model={} labels=red,green top-k=1 ! fakesink",
        colours()
    ));
    let places: Arc<Mutex<[Vec<usize>; 2]>> = Arc::default();
    for (which, element) in ["source", "clip"].into_iter().enumerate() {
        let places = places.clone();
        at_source(&pipeline, element, move |buffer| {
            places.lock().unwrap()[which].push(buffer.map_readable().unwrap().as_ptr() as usize);
            assert_eq!(label_of(buffer), (which == 1).then(|| "green".to_owned()));
        });
    }
    let said = run_with(&pipeline, |_| ()).well();
    let places = places.lock().unwrap();
    assert_eq!(places[0], places[1]);
    assert_eq!(said.found.len(), 5);
    let (element, found) = &said.found[4];
    assert_eq!((element.as_str(), found.get::<u64>("sequence").unwrap()), ("clip", 4));
    assert_eq!(found.get::<u64>("timestamp").unwrap(), 4 * 1_000_000_000 / 30);
    let changed: Vec<bool> = said.found.iter().map(|(_, found)| found.get("changed").unwrap()).collect();
    assert_eq!(changed, [true, false, false, false, false]);
    let probabilities = found.get::<gstreamer::Array>("probabilities").unwrap();
    assert!(probabilities.len() == 1 && probabilities[0].get::<f32>().unwrap() > 0.9, "{found:?}");
}

/// A writer downstream and another reader: a `tee` gives the same buffer to both, so that metadata needs a copy of all but the pixels.
#[test]
fn shared_buffers_are_left_as_they_are() {
    let pipeline = pipeline(&format!(
        "videotestsrc pattern=blue num-buffers=3 ! video/x-raw,format=RGB,width=64,height=64 ! tee name=t \
         t. ! queue ! identity name=other ! fakesink \
         t. ! queue ! clipclassify name=clip model={} labels=red,blue ! fakesink",
        colours()
    ));
    at_source(&pipeline, "other", |buffer| assert_eq!(label_of(buffer), None));
    at_source(&pipeline, "clip", |buffer| assert_eq!(label_of(buffer).as_deref(), Some("blue")));
    assert_eq!(run_with(&pipeline, |_| ()).well().labels(), ["blue"; 3]);
}

#[test]
fn one_of_so_many_buffers_is_classified() {
    let source = "videotestsrc pattern=red num-buffers=7 ! video/x-raw,format=RGB,width=64,height=64";
    let clip = format!("clipclassify model={} labels=red,green", colours());
    assert_eq!(run(&format!("{source} ! {clip} interval=3 ! fakesink")).well().found.len(), 3);
    assert_eq!(run(&format!("{source} ! {clip} messages=changed ! fakesink")).well().labels(), ["red"]);
    assert!(run(&format!("{source} ! {clip} messages=none ! fakesink")).well().found.is_empty());
}

#[test]
fn nothing_is_shown_below_a_threshold_or_for_the_background() {
    let source = "videotestsrc pattern=red num-buffers=2 ! video/x-raw,format=RGB,width=64,height=64";
    for options in ["labels=green,blue min-similarity=0.5", "labels=green,blue background=red"] {
        let said = run(&format!("{source} ! clipclassify model={} {options} ! fakesink", colours())).well();
        assert!(
            said.found.len() == 2 && said.found.iter().all(|(_, found)| !found.has_field("label")),
            "{said:?}"
        );
    }
}

#[test]
fn labels_change_under_way_and_wrong_ones_leave_those_before() {
    let pipeline = pipeline(&format!(
        "videotestsrc pattern=red num-buffers=60 is-live=true ! video/x-raw,format=NV12,width=64,height=64,framerate=60/1 \
         ! clipclassify name=clip model={} labels=red,green ! fakesink",
        colours()
    ));
    let clip = pipeline.by_name("clip").unwrap();
    let said = run_with(&pipeline, |found| match found.get::<u64>("sequence").unwrap() {
        10 => clip.set_property("labels", "green,blue"),
        30 => clip.set_property("labels-file", "/no/such/labels.txt"),
        _ => {}
    })
    .well();
    let labels = said.labels();
    assert_eq!((labels.len(), labels[0].as_str()), (60, "red"));
    assert!(labels[25] != "red" && labels[59] == labels[25], "{labels:?}");
    assert!(said.warnings.len() == 1 && said.warnings[0].contains("labels come from one place"), "{said:?}");
}

/// Left half red, right half blue.
fn two_halves(buffer: &mut gstreamer::Buffer, width: usize) {
    let mut map = buffer.make_mut().map_writable().unwrap();
    for (i, pixel) in map.chunks_exact_mut(3).enumerate() {
        pixel.copy_from_slice(if i % width < width / 2 { &[255, 0, 0] } else { &[0, 0, 255] });
    }
}

#[test]
fn objects_are_classified_each_and_told_in_their_regions() {
    let pipeline = pipeline(&format!(
        "videotestsrc name=source num-buffers=4 ! video/x-raw,format=RGB,width=64,height=32 \
         ! clipclassify name=clip model={} labels=red,green,blue mode=objects ! fakesink",
        colours()
    ));
    let mut number = 0;
    at_source(&pipeline, "source", move |buffer| {
        two_halves(buffer, 64);
        number += 1;
        if number == 4 {
            return;
        }
        let buffer = buffer.make_mut();
        VideoRegionOfInterestMeta::add(buffer, "thing", (0, 0, 32, 32)).set_id(7);
        // Partly outside; not followed by a tracker.
        VideoRegionOfInterestMeta::add(buffer, "thing", (40, 8, 100, 100));
        // Outside.
        VideoRegionOfInterestMeta::add(buffer, "thing", (64, 0, 8, 8));
    });
    let seen: Arc<Mutex<Vec<Vec<Option<String>>>>> = Arc::default();
    at_source(&pipeline, "clip", {
        let seen = seen.clone();
        move |buffer| {
            assert_eq!(label_of(buffer), None);
            let regions = buffer.iter_meta::<VideoRegionOfInterestMeta>();
            let label = |region: gstreamer::MetaRef<'_, VideoRegionOfInterestMeta>| {
                region.param("clip-classification").map(|found| found.get("label").unwrap())
            };
            seen.lock().unwrap().push(regions.map(label).collect());
        }
    });
    let said = run_with(&pipeline, |_| ()).well();
    let tracks: Vec<Option<u64>> = said.found.iter().map(|(_, found)| found.get("track").ok()).collect();
    assert_eq!(tracks, [Some(7), None, Some(7), None, Some(7), None]);
    assert_eq!(said.labels(), ["red", "blue", "red", "blue", "red", "blue"]);
    let found = vec![Some("red".to_owned()), Some("blue".to_owned()), None];
    assert_eq!(*seen.lock().unwrap(), [found.clone(), found.clone(), found, vec![]]);
}

#[test]
fn caps_may_change_in_the_middle() {
    let source = |colour: &str, caps: &str| {
        format!("videotestsrc pattern={colour} num-buffers=3 ! videoconvert ! video/x-raw,{caps} ! c. ")
    };
    let said = run(&format!(
        "concat name=c ! clipclassify model={} labels=red,green,blue ! fakesink {}{}{}",
        colours(),
        source("red", "format=NV12,width=320,height=240"),
        source("blue", "format=BGR,width=77,height=33"),
        source("green", "format=I420,width=640,height=480,colorimetry=bt709")
    ))
    .well();
    assert_eq!(said.labels(), [["red"; 3], ["blue"; 3], ["green"; 3]].concat());
}

#[test]
fn two_elements_go_on_side_by_side() {
    let clip = format!("clipclassify model={} labels=red,blue", colours());
    let said = run(&format!(
        "videotestsrc pattern=red num-buffers=20 ! video/x-raw,format=RGB,width=64,height=64 ! {clip} name=a ! fakesink \
         videotestsrc pattern=blue num-buffers=20 ! video/x-raw,format=NV12,width=64,height=64 ! {clip} name=b ! fakesink"
    ))
    .well();
    for (element, label) in [("a", "red"), ("b", "blue")] {
        let own = said.found.iter().filter(|(from, _)| from == element);
        let labels: Vec<String> = own.map(|(_, found)| found.get("label").unwrap()).collect();
        assert_eq!(labels, [label; 20], "{element}");
    }
}

#[test]
fn what_cannot_be_used_is_an_error_of_the_element() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken");
    std::fs::create_dir(&broken).unwrap();
    for file in std::fs::read_dir(colours()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), broken.join(file.file_name())).unwrap();
    }
    std::fs::write(broken.join("visual.onnx"), "no graph").unwrap();
    let model = colours();
    for (options, said) in [
        (String::new(), "no model: set the property model to a folder that clip-export wrote"),
        (format!("model={} labels=red", folder.path().display()), "No such file or directory"),
        (format!("model={} labels=red", broken.display()), "visual.onnx"),
        (format!("model={model}"), "the model folder holds no labels"),
        (format!("model={model} labels=red labels-file=x"), "labels come from one place"),
        (format!("model={model} labels-file=/no/such/file"), "cannot read /no/such/file"),
        (format!("model={model} labels=red template=x"), "{}"),
        (format!("model={model} labels=red device=gpu"), "device is \"gpu\", expected cpu, or cuda:0"),
        (format!("model={model} labels=red engine=caffe"), "engine is \"caffe\", expected onnx"),
        (format!("model={model} labels=red embedding=true"), "embedding needs GStreamer 1.26 or newer"),
    ] {
        let text = run(&format!("videotestsrc num-buffers=1 ! clipclassify name=clip {options} ! fakesink"));
        let error = text.error.unwrap_or_else(|| panic!("{options} works"));
        assert!(error.starts_with("clip: ") && error.contains(said), "{options}: {error}");
    }
    let said = run(&format!(
        "videotestsrc num-buffers=1 ! video/x-raw,format=NV12,width=64,height=64,colorimetry=1:2:5:1 \
         ! clipclassify name=clip model={model} labels=red ! fakesink"
    ));
    assert!(said.error.unwrap().contains("does not know the colour matrix Fcc"));
}

/// Whoever is told of an outcome may ask for properties, in the same thread.
#[test]
fn a_sync_handler_may_ask_for_counts_until_the_end() {
    let pipeline = pipeline(&format!(
        "videotestsrc pattern=red num-buffers=20 ! video/x-raw,format=RGB,width=64,height=64 \
         ! clipclassify name=clip model={} labels=red,blue latency=async ! fakesink",
        colours()
    ));
    let (clip, asked) = (pipeline.by_name("clip").unwrap(), Arc::new(Mutex::new(0)));
    pipeline.bus().unwrap().set_sync_handler({
        let (clip, asked) = (clip.clone(), asked.clone());
        move |_, message| {
            if message.structure().is_some_and(|structure| structure.name() == "clip-classification") {
                clip.property::<u64>("classified");
                *asked.lock().unwrap() += 1;
            }
            gstreamer::BusSyncReply::Pass
        }
    });
    run_with(&pipeline, |_| ()).well();
    assert!(*asked.lock().unwrap() > 0);
    // Also when the pipeline has ended.
    assert_eq!(clip.property::<u64>("classified") + clip.property::<u64>("dropped"), 20);
}

/// Whoever is told that labels cannot be used may set others, in the same thread.
#[test]
fn a_sync_handler_may_set_other_labels() {
    let pipeline = pipeline(&format!(
        "videotestsrc pattern=red ! video/x-raw,format=RGB,width=64,height=64 \
         ! clipclassify name=clip model={} labels=red,blue ! fakesink",
        colours()
    ));
    let clip = pipeline.by_name("clip").unwrap();
    pipeline.bus().unwrap().set_sync_handler({
        let clip = clip.clone();
        move |_, message| {
            if let gstreamer::MessageView::Warning(_) = message.view() {
                clip.set_property("labels-file", None::<String>);
            }
            gstreamer::BusSyncReply::Drop
        }
    });
    pipeline.set_state(gstreamer::State::Playing).unwrap();
    pipeline.state(gstreamer::ClockTime::from_seconds(60)).0.unwrap();
    clip.set_property("labels-file", "/no/such/labels.txt");
    assert_eq!(clip.property::<Option<String>>("labels-file"), None);
    pipeline.set_state(gstreamer::State::Null).unwrap();
}

/// After a seek, nothing of before is told or attached.
#[test]
fn a_seek_begins_anew() {
    let pipeline = pipeline(&format!(
        "videotestsrc pattern=red ! video/x-raw,format=RGB,width=64,height=64 \
         ! clipclassify name=clip model={} labels=red,blue interval=1000 ! fakesink name=end",
        colours()
    ));
    let timestamps: Arc<Mutex<Vec<u64>>> = Arc::default();
    at_source(&pipeline, "clip", {
        let timestamps = timestamps.clone();
        move |buffer| {
            let meta = CustomMeta::from_buffer(buffer, gstclip::META).unwrap();
            timestamps.lock().unwrap().push(meta.structure().get("timestamp").unwrap());
        }
    });
    let wait = || pipeline.state(gstreamer::ClockTime::from_seconds(60)).0.unwrap();
    pipeline.set_state(gstreamer::State::Paused).unwrap();
    wait();
    let ten = gstreamer::ClockTime::from_seconds(10);
    pipeline.seek_simple(gstreamer::SeekFlags::FLUSH, ten).unwrap();
    wait();
    pipeline.set_state(gstreamer::State::Null).unwrap();
    let timestamps = timestamps.lock().unwrap();
    assert_eq!((timestamps[0], *timestamps.last().unwrap()), (0, ten.nseconds()));
}

/// Two threads that set labels: those that were set last are in use.
#[test]
fn the_last_labels_stay() {
    let pipeline = pipeline(&format!(
        "videotestsrc pattern=red is-live=true ! video/x-raw,format=RGB,width=64,height=64,framerate=60/1 \
         ! clipclassify name=clip model={} labels=red ! fakesink",
        colours()
    ));
    let clip = pipeline.by_name("clip").unwrap();
    pipeline.set_state(gstreamer::State::Playing).unwrap();
    let many = ["red", "green", "blue"].repeat(400).join(",");
    for _ in 0..20 {
        std::thread::scope(|scope| {
            scope.spawn(|| clip.set_property("labels", &many));
            scope.spawn(|| {
                std::thread::sleep(std::time::Duration::from_millis(2));
                clip.set_property("labels", "blue");
            });
        });
        let labels: String = clip.property("labels");
        let last = gstreamer::prelude::ElementExt::bus(&pipeline).unwrap();
        last.set_flushing(true);
        last.set_flushing(false);
        let told = last
            .timed_pop_filtered(gstreamer::ClockTime::from_seconds(10), &[gstreamer::MessageType::Element]);
        let shown = told.unwrap().structure().unwrap().get::<gstreamer::Array>("labels").unwrap();
        // The first message may be about a frame that was under way.
        let next = last
            .timed_pop_filtered(gstreamer::ClockTime::from_seconds(10), &[gstreamer::MessageType::Element]);
        let next = next.unwrap().structure().unwrap().get::<gstreamer::Array>("labels").unwrap();
        let expected = if labels == "blue" { 1 } else { 5 };
        assert_eq!(next.len(), expected, "{} then {}", shown.len(), next.len());
    }
    pipeline.set_state(gstreamer::State::Null).unwrap();
}

#[test]
fn the_overlay_writes_into_the_picture() {
    let written = |element: &str| {
        let pipeline = pipeline(&format!(
            "videotestsrc pattern=red num-buffers=3 ! video/x-raw,format=RGB,width=320,height=240 ! {element} ! \
             identity name=end ! fakesink"
        ));
        let last: Arc<Mutex<Vec<u8>>> = Arc::default();
        at_source(&pipeline, "end", {
            let last = last.clone();
            move |buffer| *last.lock().unwrap() = buffer.map_readable().unwrap().to_vec()
        });
        run_with(&pipeline, |_| ()).well();
        let last = last.lock().unwrap();
        last.chunks_exact(3).filter(|pixel| *pixel != &last[..3]).count()
    };
    assert_eq!(written("identity"), 0);
    let pixels = written(&format!("clipoverlay model={} labels=red,green", colours()));
    assert!(pixels > 100, "{pixels} pixels are written");
    // What Pango would take for markup.
    let pixels = written(&format!("clipoverlay model={} labels=\"red & <b\"", colours()));
    assert!(pixels > 100, "{pixels} pixels are written");
}

#[test]
fn the_tools_of_gstreamer_show_and_run_it() {
    let folder = tempfile::tempdir().unwrap();
    let tool = |name: &str, arguments: &[&str]| {
        let mut command = Command::new(name);
        command
            .args(arguments)
            .env("GST_PLUGIN_PATH", built())
            .env("GST_REGISTRY", folder.path().join("registry"));
        let output = command.env_remove("LD_LIBRARY_PATH").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{name}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    let text = tool("gst-inspect-1.0", &["clipclassify"]);
    for property in
        ["model", "labels", "interval", "top-k", "threshold", "smoothing", "mode", "latency", "device"]
    {
        assert!(text.contains(&format!("\n  {property:<20}: ")), "{property}: {text}");
    }
    assert!(tool("gst-inspect-1.0", &["clip"]).contains("clipoverlay"));
    let model = format!("model={}", colours());
    let launch =
        "-m videotestsrc num-buffers=2 pattern=blue ! video/x-raw,format=NV12 ! clipclassify labels=red,blue";
    let arguments: Vec<&str> = launch.split(' ').chain([model.as_str(), "!", "fakesink"]).collect();
    let text = tool("gst-launch-1.0", &arguments);
    assert_eq!(text.matches("label=(string)blue").count(), 2, "{text}");
}
