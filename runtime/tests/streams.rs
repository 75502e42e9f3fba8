//! Streams: order, what is dropped, smoothing, regions, labels that change, and that results are those of single images.

#![allow(clippy::unwrap_used, clippy::panic)]

mod colours;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use clip_runtime::frame::{Frame, FrameLayout, PixelFormat, Rect};
use clip_runtime::stream::{
    Counts, Dispatcher, Outcome, Pushed, Region, State, Stream, StreamOptions, WhenFull,
};
use clip_runtime::{Clip, Error, LabelSet, Rule};

const RED: [u8; 3] = [255, 0, 0];
const GREEN: [u8; 3] = [0, 255, 0];
const BLUE: [u8; 3] = [0, 0, 255];

/// Long enough for anything, and short enough to fail before a test's patience ends.
const LONG: Duration = Duration::from_secs(60);

fn clip() -> Arc<Clip> {
    Arc::new(Clip::open(colours::folder()).unwrap())
}

fn labels(clip: &Clip) -> LabelSet {
    clip.label_set(&["red", "green", "blue"], &[]).unwrap()
}

/// A picture of one colour, or of two halves side by side.
fn pixels(left: [u8; 3], right: [u8; 3]) -> Vec<u8> {
    (0..8).flat_map(|_| [left.repeat(8), right.repeat(8)].concat()).collect()
}

fn push(stream: &Stream, pixels: &[u8], tag: u64) -> Pushed {
    let layout = FrameLayout::new(PixelFormat::Rgb, 16, 8).unwrap();
    stream.push(&Frame::new(layout, &[pixels]).unwrap(), tag).unwrap()
}

fn one(stream: &Stream, colour: [u8; 3], tag: u64) -> Pushed {
    push(stream, &pixels(colour, colour), tag)
}

/// The next outcome, which there must be.
fn next(stream: &Stream) -> Outcome {
    let mut outcome = Outcome::default();
    assert!(stream.poll(LONG, &mut outcome).unwrap());
    outcome
}

fn name(outcome: &Outcome) -> Option<&str> {
    outcome.name(&outcome.items()[0])
}

/// A stream whose dispatcher stands still, within the outcome of a first frame, until it is told to go on. It gives tags and whether they
/// were dropped.
fn held(options: StreamOptions) -> (Stream, mpsc::Sender<()>, mpsc::Receiver<(u64, bool)>) {
    let clip = clip();
    let (go, wait) = mpsc::channel();
    let (tell, told) = mpsc::channel();
    let (at_it, is_at_it) = mpsc::channel();
    let mut first = true;
    let stream = Dispatcher::with_batch(Arc::clone(&clip), 1)
        .unwrap()
        .stream_with(labels(&clip), options, move |outcome| {
            if std::mem::take(&mut first) {
                at_it.send(()).unwrap();
                wait.recv().unwrap();
            }
            let _ = tell.send((outcome.tag, matches!(outcome.state, State::Dropped)));
        })
        .unwrap();
    assert_eq!(one(&stream, RED, 100), Pushed::Taken(0));
    is_at_it.recv_timeout(LONG).unwrap();
    (stream, go, told)
}

#[test]
fn the_oldest_frame_goes_for_a_new_one() {
    let (stream, go, told) = held(StreamOptions::new().capacity(2));
    for tag in 1..=5 {
        assert_eq!(one(&stream, GREEN, tag), Pushed::Taken(tag));
    }
    go.send(()).unwrap();
    stream.flush().unwrap();
    let found: Vec<_> = told.try_iter().collect();
    assert_eq!(found, [(100, false), (1, true), (2, true), (3, true), (4, false), (5, false)]);
    assert_eq!(stream.counts(), Counts { pushed: 6, done: 3, dropped: 3, failed: 0 });
}

#[test]
fn a_new_frame_goes_where_that_is_asked_for() {
    let (stream, go, told) = held(StreamOptions::new().capacity(2).when_full(WhenFull::DropNewest));
    let pushed: Vec<_> = (1..=4).map(|tag| one(&stream, GREEN, tag)).collect();
    assert_eq!(pushed, [Pushed::Taken(1), Pushed::Taken(2), Pushed::Dropped, Pushed::Dropped]);
    go.send(()).unwrap();
    stream.flush().unwrap();
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [(100, false), (1, false), (2, false)]);
    assert_eq!(stream.counts(), Counts { pushed: 5, done: 3, dropped: 2, failed: 0 });
}

#[test]
fn whoever_pushes_waits_where_that_is_asked_for() {
    let (stream, go, told) = held(StreamOptions::new().capacity(1).when_full(WhenFull::Block));
    one(&stream, GREEN, 1);
    std::thread::scope(|scope| {
        let (done, is_done) = mpsc::channel();
        let stream = &stream;
        scope.spawn(move || done.send(one(stream, GREEN, 2)).unwrap());
        assert!(is_done.recv_timeout(Duration::from_millis(200)).is_err(), "there was no room");
        go.send(()).unwrap();
        assert_eq!(is_done.recv_timeout(LONG).unwrap(), Pushed::Taken(2));
    });
    stream.flush().unwrap();
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [(100, false), (1, false), (2, false)]);
}

#[test]
fn frames_that_wait_are_given_back_at_the_end() {
    let (stream, go, told) = held(StreamOptions::new().capacity(3));
    for tag in 1..=2 {
        one(&stream, GREEN, tag);
    }
    let waiting = std::thread::spawn(move || drop(stream));
    std::thread::sleep(Duration::from_millis(100));
    go.send(()).unwrap();
    waiting.join().unwrap();
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [(100, false), (1, true), (2, true)]);
}

#[test]
fn a_flush_waits_for_what_was_pushed_before_alone() {
    let clip = clip();
    let dispatcher = Dispatcher::new(Arc::clone(&clip)).unwrap();
    let stream = dispatcher.stream_with(labels(&clip), StreamOptions::new(), |_| ()).unwrap();
    let (done, flushed) = (AtomicBool::new(false), mpsc::channel());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let pixels = pixels(RED, RED);
            while !done.load(Ordering::Relaxed) {
                push(&stream, &pixels, 1);
            }
        });
        scope.spawn(|| (0..20).for_each(|_| flushed.0.send(stream.flush().is_ok()).unwrap()));
        let found: Vec<_> = (0..20).map(|_| flushed.1.recv_timeout(LONG)).collect();
        done.store(true, Ordering::Relaxed);
        assert!(found.iter().all(|result| *result == Ok(true)), "{found:?}");
    });
}

/// A frame that is refused takes no other's place.
/// Black has no direction in this model's space. It runs together with the frames of other streams.
#[test]
fn a_frame_that_is_nothing_to_the_model_fails_alone() {
    let clip = clip();
    let dispatcher = Dispatcher::new(Arc::clone(&clip)).unwrap();
    let (go, wait) = mpsc::channel();
    let (at_it, is_at_it) = mpsc::channel();
    let mut first = true;
    let holding = dispatcher.stream_with(labels(&clip), StreamOptions::new(), move |_| {
        if std::mem::take(&mut first) {
            at_it.send(()).unwrap();
            wait.recv().unwrap();
        }
    });
    let holding = holding.unwrap();
    one(&holding, RED, 0);
    is_at_it.recv_timeout(LONG).unwrap();
    let [bad, good] = [(); 2].map(|()| dispatcher.stream(labels(&clip), StreamOptions::new()).unwrap());
    one(&bad, [0; 3], 1);
    one(&good, BLUE, 2);
    go.send(()).unwrap();
    assert!(matches!(next(&bad).state, State::Failed(_)));
    assert_eq!(name(&next(&good)), Some("blue"));
}

#[test]
fn a_refused_frame_costs_no_other() {
    let (stream, go, told) = held(StreamOptions::new().capacity(1));
    one(&stream, GREEN, 1);
    let layout = FrameLayout::new(PixelFormat::Rgb, 16, 8).unwrap();
    let pixels = pixels(RED, RED);
    let outside = Region { rect: Rect { left: 9, top: 0, width: 8, height: 8 }, track: 1 };
    stream.push_regions(&Frame::new(layout, &[&pixels]).unwrap(), [outside], 2).unwrap_err();
    go.send(()).unwrap();
    stream.flush().unwrap();
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [(100, false), (1, false)]);
}

/// Also those that run with the frame whose function it is.
#[test]
fn frames_of_a_stream_that_goes_in_the_function_of_another_are_given_back() {
    let clip = clip();
    let dispatcher = Dispatcher::new(Arc::clone(&clip)).unwrap();
    let place: Arc<Mutex<Option<Stream>>> = Arc::default();
    let (tell, told) = mpsc::channel();
    let options = StreamOptions::new().capacity(100);
    let other = dispatcher.stream_with(labels(&clip), options, move |outcome| {
        tell.send(outcome.tag).unwrap();
    });
    let (go, wait) = mpsc::channel();
    let (ended, has_ended) = mpsc::channel();
    let theirs = Arc::clone(&place);
    let mut first = true;
    let own = dispatcher.stream_with(labels(&clip), options, move |_| {
        if std::mem::take(&mut first) {
            wait.recv().unwrap();
        } else {
            drop(theirs.lock().unwrap().take());
            let _ = ended.send(());
        }
    });
    let (own, other) = (own.unwrap(), other.unwrap());
    one(&own, RED, 0);
    for tag in 0..50 {
        one(&other, BLUE, tag);
        if tag < 4 {
            one(&own, RED, tag);
        }
    }
    *place.lock().unwrap() = Some(other);
    go.send(()).unwrap();
    has_ended.recv_timeout(LONG).unwrap();
    own.flush().unwrap();
    assert_eq!(told.try_iter().collect::<Vec<_>>(), (0..50).collect::<Vec<_>>());
}

#[test]
fn a_function_that_is_told_cannot_wait_for_itself() {
    let clip = clip();
    let dispatcher = Dispatcher::new(Arc::clone(&clip)).unwrap();
    let place: Arc<Mutex<Option<Arc<Stream>>>> = Arc::default();
    let (tell, told) = mpsc::channel();
    let own = Arc::clone(&place);
    let options = StreamOptions::new().capacity(1).when_full(WhenFull::Block);
    let stream = dispatcher.stream_with(labels(&clip), options, move |outcome| {
        let Some(stream) = own.lock().unwrap().clone() else { return };
        let layout = FrameLayout::new(PixelFormat::Rgb, 16, 8).unwrap();
        let pixels = pixels(RED, RED);
        let push = || stream.push(&Frame::new(layout, &[&pixels]).unwrap(), 7).err();
        if outcome.tag == 1 {
            tell.send([stream.flush().err(), push(), push()].map(|error| error.map(|e| e.to_string())))
                .unwrap();
        }
    });
    let stream = Arc::new(stream.unwrap());
    *place.lock().unwrap() = Some(Arc::clone(&stream));
    one(&stream, RED, 1);
    let [flushed, pushed, full] = told.recv_timeout(LONG).unwrap();
    *place.lock().unwrap() = None;
    for refused in [flushed, full] {
        let said = refused.expect("it would wait");
        assert!(said.contains("a function that is told of outcomes cannot wait for others"), "{said}");
    }
    assert_eq!(pushed, None);
    let error = stream.poll(LONG, &mut Outcome::default()).unwrap_err().to_string();
    assert!(error.contains("are told to the function"), "{error}");
}

/// One thread waits for room, for which the function that is told has to end, which pushes, too.
#[test]
fn a_function_may_push_while_another_thread_waits_for_room() {
    let clip = clip();
    let dispatcher = Dispatcher::with_batch(Arc::clone(&clip), 1).unwrap();
    let place: Arc<Mutex<Option<Arc<Stream>>>> = Arc::default();
    let own = Arc::clone(&place);
    let options = StreamOptions::new().capacity(1).when_full(WhenFull::Block);
    let stream = dispatcher.stream_with(labels(&clip), options, move |outcome| {
        let Some(stream) = own.lock().unwrap().clone().filter(|_| outcome.tag == 0) else { return };
        // The other thread fills the queue, and waits then.
        std::thread::sleep(Duration::from_millis(5));
        let layout = FrameLayout::new(PixelFormat::Rgb, 16, 8).unwrap();
        let pixels = pixels(RED, RED);
        if let Err(error) = stream.push(&Frame::new(layout, &[&pixels]).unwrap(), 1) {
            assert!(matches!(error, Error::StreamCall(_)), "{error}");
        }
    });
    let stream = Arc::new(stream.unwrap());
    *place.lock().unwrap() = Some(Arc::clone(&stream));
    let (done, is_done) = mpsc::channel();
    let pusher = Arc::clone(&stream);
    std::thread::spawn(move || {
        (0..30).for_each(|_| {
            one(&pusher, GREEN, 0);
        });
        done.send(pusher.flush().is_ok()).unwrap();
    });
    assert_eq!(is_done.recv_timeout(LONG), Ok(true));
    *place.lock().unwrap() = None;
}

#[test]
fn results_of_many_threads_are_in_order_and_those_of_single_frames() {
    let clip = clip();
    let labels = labels(&clip);
    let dispatcher = Dispatcher::new(Arc::clone(&clip)).unwrap();
    let options = StreamOptions::new().when_full(WhenFull::Block).capacity(8).top(3);
    let wrong = Arc::new(AtomicUsize::new(0));
    let colour = |tag: u64| [(tag * 37 % 256) as u8, (tag * 91 % 256) as u8, 200];
    let streams: Vec<(Stream, Arc<Mutex<Vec<u64>>>)> = (0..4)
        .map(|_| {
            let order = Arc::new(Mutex::new(Vec::new()));
            let (told, labels_, clip, wrong) =
                (Arc::clone(&order), labels.clone(), Arc::clone(&clip), Arc::clone(&wrong));
            let mut found = Vec::new();
            let stream = dispatcher.stream_with(labels.clone(), options, move |outcome| {
                told.lock().unwrap().push(outcome.sequence);
                let pixels = pixels(colour(outcome.tag), BLUE);
                let layout = FrameLayout::new(PixelFormat::Rgb, 16, 8).unwrap();
                let frame = Frame::new(layout, &[&pixels]).unwrap();
                clip.classify_each_frame(&[frame], &labels_, 3, |_, scores| found = scores.to_vec()).unwrap();
                let same = outcome
                    .scores(&outcome.items()[0])
                    .iter()
                    .zip(&found)
                    .all(|(a, b)| a.index == b.index && (a.probability - b.probability).abs() < 1e-5);
                wrong.fetch_add(usize::from(!same), Ordering::Relaxed);
            });
            (stream.unwrap(), order)
        })
        .collect();
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let (stream, _) = &streams[thread as usize % 4];
            scope.spawn(move || {
                for i in 0..100 {
                    let tag = thread * 1000 + i;
                    push(stream, &pixels(colour(tag), BLUE), tag);
                }
            });
        }
    });
    for (stream, order) in &streams {
        stream.flush().unwrap();
        assert_eq!(*order.lock().unwrap(), (0..200).collect::<Vec<u64>>());
        assert_eq!(stream.counts().done, 200);
    }
    assert_eq!(wrong.load(Ordering::Relaxed), 0);
}

#[test]
fn a_label_has_to_hold_and_changes_with_the_label_set() {
    let clip = clip();
    let dispatcher = Dispatcher::new(Arc::clone(&clip)).unwrap();
    let stream = dispatcher.stream(labels(&clip), StreamOptions::new().hold(2)).unwrap();
    let seen = |colour| {
        one(&stream, colour, 0);
        let outcome = next(&stream);
        (name(&outcome).map(str::to_owned), outcome.items()[0].changed)
    };
    assert_eq!(seen(RED), (None, false));
    assert_eq!(seen(RED), (Some("red".into()), true));
    assert_eq!(seen(GREEN), (Some("red".into()), false));
    assert_eq!(seen(RED), (Some("red".into()), false));
    assert_eq!(seen(GREEN), (Some("red".into()), false));
    assert_eq!(seen(GREEN), (Some("green".into()), true));
    let others = clip.label_set(&["blue", "green"], &[]).unwrap();
    stream.set_labels(others).unwrap();
    // What was shown is gone, which is a change.
    assert_eq!(seen(BLUE), (None, true));
    assert_eq!(seen(BLUE), (Some("blue".into()), true));
    assert_eq!(stream.labels().len(), 2);

    let foreign = colours::with_labels(&["x"], &[[1.0, 0.0, 0.0, 0.0]]);
    let foreign = Clip::open(foreign.path()).unwrap().stored_labels().unwrap().clone();
    // The same image tower encoded these, so that they fit.
    stream.set_labels(foreign).unwrap();
}

#[test]
fn a_smoothed_stream_follows_slowly_and_a_rule_says_none() {
    let clip = clip();
    let dispatcher = Dispatcher::new(Arc::clone(&clip)).unwrap();
    let stream = dispatcher.stream(labels(&clip), StreamOptions::new().smoothing(0.7)).unwrap();
    let seen = |colour| {
        one(&stream, colour, 0);
        name(&next(&stream)).map(str::to_owned)
    };
    let found: Vec<_> = [RED, GREEN, RED, GREEN, GREEN, GREEN].map(|c| seen(c).unwrap()).into();
    assert_eq!(found[..3], ["red", "red", "red"]);
    assert_eq!(found[5], "green");

    let strict = StreamOptions::new().rule(Rule::new(0.0, 1.0).unwrap());
    let stream = dispatcher.stream(labels(&clip), strict).unwrap();
    push(&stream, &pixels(RED, BLUE), 0);
    let outcome = next(&stream);
    assert_eq!((name(&outcome), outcome.scores(&outcome.items()[0]).len()), (None, 3));
}

#[test]
fn regions_are_seen_anew_in_every_third_of_their_frames() {
    let clip = clip();
    let dispatcher = Dispatcher::new(Arc::clone(&clip)).unwrap();
    let stream = dispatcher.stream(labels(&clip), StreamOptions::new().refresh(3)).unwrap();
    let layout = FrameLayout::new(PixelFormat::Rgb, 16, 8).unwrap();
    let half = |left, track| Region { rect: Rect { left, top: 0, width: 8, height: 8 }, track };
    let seen = |left, right| {
        let pixels = pixels(left, right);
        let frame = Frame::new(layout, &[&pixels]).unwrap();
        stream.push_regions(&frame, [half(0, 7), half(8, 9)], 0).unwrap();
        let outcome = next(&stream);
        let item = |i: usize| {
            let item = &outcome.items()[i];
            (item.track.unwrap(), outcome.name(item).unwrap().to_owned(), item.fresh)
        };
        [item(0), item(1)]
    };
    let of = |left: &str, right: &str, fresh| [(7, left.to_owned(), fresh), (9, right.to_owned(), fresh)];
    assert_eq!(seen(RED, BLUE), of("red", "blue", true));
    assert_eq!(seen(GREEN, RED), of("red", "blue", false));
    assert_eq!(seen(GREEN, RED), of("red", "blue", false));
    assert_eq!(seen(GREEN, RED), of("green", "red", true));

    let pixels = pixels(RED, RED);
    let frame = Frame::new(layout, &[&pixels]).unwrap();
    let error = stream.push_regions(&frame, [half(0, 7), half(9, 9)], 0).unwrap_err().to_string();
    assert!(error.contains("region 1 is 8x8 pixels at (9, 0), which are not in a frame of 16x8"), "{error}");
    let error = stream.push_regions(&frame, [half(0, 7), half(8, 7)], 0).unwrap_err().to_string();
    assert!(error.contains("region 1 is track 7, as one before in the same frame"), "{error}");
    stream.push_regions(&frame, [], 5).unwrap();
    let outcome = next(&stream);
    assert_eq!((outcome.tag, outcome.items().len()), (5, 0));
}

#[test]
fn outcomes_that_nobody_polls_do_not_pile_up() {
    let clip = clip();
    let stream =
        Dispatcher::new(Arc::clone(&clip)).unwrap().stream(labels(&clip), StreamOptions::new()).unwrap();
    let pixels = pixels(RED, RED);
    for tag in 0..2000 {
        push(&stream, &pixels, tag);
    }
    stream.flush().unwrap();
    let counts = stream.counts();
    assert_eq!(counts.pushed, 2000);
    let mut outcome = Outcome::default();
    let mut tags = Vec::new();
    while stream.poll(Duration::ZERO, &mut outcome).unwrap() {
        tags.push(outcome.tag);
    }
    assert!(tags.len() < 300 && tags.is_sorted(), "{}", tags.len());
    assert!(matches!(push(&stream, &pixels, 1), Pushed::Taken(_)));
    assert_eq!(next(&stream).tag, 1);
}

#[test]
fn a_function_that_panics_ends_its_stream_alone() {
    let clip = clip();
    let dispatcher = Dispatcher::new(Arc::clone(&clip)).unwrap();
    let bad = dispatcher.stream_with(labels(&clip), StreamOptions::new(), |_| panic!("on purpose")).unwrap();
    let good = dispatcher.stream(labels(&clip), StreamOptions::new()).unwrap();
    one(&bad, RED, 1);
    bad.flush().unwrap();
    let layout = FrameLayout::new(PixelFormat::Rgb, 16, 8).unwrap();
    let pixels = pixels(RED, RED);
    let error = bad.push(&Frame::new(layout, &[&pixels]).unwrap(), 2).unwrap_err();
    assert!(matches!(error, Error::StreamEnded(_)), "{error}");
    assert!(error.to_string().contains("panicked"), "{error}");
    one(&good, RED, 3);
    assert_eq!(next(&good).tag, 3);
}

#[test]
fn a_stream_may_go_within_its_own_function() {
    let clip = clip();
    let dispatcher = Dispatcher::new(Arc::clone(&clip)).unwrap();
    let place: Arc<Mutex<Option<Stream>>> = Arc::default();
    let (tell, told) = mpsc::channel();
    let own = Arc::clone(&place);
    let stream = dispatcher.stream_with(labels(&clip), StreamOptions::new(), move |_| {
        drop(own.lock().unwrap().take());
        tell.send(()).unwrap();
    });
    drop(dispatcher);
    *place.lock().unwrap() = Some(stream.unwrap());
    let pixels = pixels(RED, RED);
    let layout = FrameLayout::new(PixelFormat::Rgb, 16, 8).unwrap();
    place.lock().unwrap().as_ref().unwrap().push(&Frame::new(layout, &[&pixels]).unwrap(), 2).unwrap();
    told.recv_timeout(LONG).unwrap();
}

#[test]
fn what_makes_no_sense_is_refused() {
    let clip = clip();
    let dispatcher = Dispatcher::new(Arc::clone(&clip)).unwrap();
    let error = dispatcher.stream(labels(&clip), StreamOptions::new().capacity(0)).unwrap_err();
    assert!(matches!(error, Error::StreamOptions(_)), "{error}");
    let folder = colours::changed(|folder, manifest| {
        std::fs::remove_file(folder.join("visual.onnx")).unwrap();
        manifest["image"] = serde_json::Value::Null;
    });
    let error = Dispatcher::new(Arc::new(Clip::open(folder.path()).unwrap())).unwrap_err();
    assert!(matches!(error, Error::Missing { .. }), "{error}");
}
