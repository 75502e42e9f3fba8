//! Where shards come from: commands, named pipes, several sources; what is resampled; what happens to bad shards.

use std::collections::{BTreeMap, BTreeSet};

use clip_data::{DataSet, Error, Lengths, Loader, LoaderOptions, Location};

use crate::fixture::{batches, numbers, options, pictures, png, tar, three, write};

fn drawn(data: &DataSet, options: LoaderOptions, count: usize) -> Vec<clip_data::Batch> {
    Loader::open(data, options).unwrap().take(count).map(Result::unwrap).collect()
}

fn parse(words: &[String], weights: &[f64]) -> DataSet {
    DataSet::parse(words, weights).unwrap()
}

#[test]
#[cfg(unix)]
fn a_command_gives_what_its_file_gives() {
    let dir = tempfile::tempdir().unwrap();
    let shards = three(dir.path());
    let words: Vec<String> = shards.iter().map(|shard| format!("pipe:cat {}", shard.display())).collect();
    let data = parse(&words, &[]);
    assert_eq!(drawn(&data, options(), 30), batches(&shards, options(), 30));
}

#[test]
#[cfg(unix)]
fn a_command_that_fails_is_an_error_even_behind_a_whole_archive() {
    let dir = tempfile::tempdir().unwrap();
    let shard = numbers(dir.path(), "a.tar", 0..3);
    for (command, part) in [
        (format!("cat {}; exit 3", shard.display()), "exit status: 3"),
        ("exit 4".to_owned(), "exit status: 4"),
        ("no-such-program-anywhere".to_owned(), "exit status: 127"),
    ] {
        let data = parse(&[format!("pipe:{command} 2>/dev/null")], &[]);
        let error = Loader::open(&data, options()).unwrap().find_map(Result::err).unwrap();
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        let message = format!("{error}: {cause}");
        assert!(message.contains(part) && message.contains("pipe:"), "{message}");
    }
}

#[test]
#[cfg(unix)]
fn a_named_pipe_is_read_once_an_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let shard = numbers(dir.path(), "a.tar", 0..20);
    let pipe = dir.path().join("pipe.tar");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (from, to) = (std::fs::read(&shard).unwrap(), pipe.clone());
    // As `while cat a.tar > pipe.tar; do :; done` does. What is written before an epoch's reader has closed the pipe is read by it,
    // behind the archive's end.
    std::thread::spawn(move || while std::fs::write(&to, &from).is_ok() {});
    let two = LoaderOptions { batch: 20, ..options() };
    assert_eq!(batches(&[pipe], two.clone(), 2), batches(&[shard], two, 2));
}

#[test]
fn sources_have_their_weights_and_resume_at_any_position() {
    let dir = tempfile::tempdir().unwrap();
    let words = [numbers(dir.path(), "a.tar", 0..20), numbers(dir.path(), "b.tar", 100..130)];
    let words = words.map(|path| path.display().to_string());
    let data = parse(&words, &[1.0, 3.0]);
    let options = || LoaderOptions { batch: 8, ..options() };
    let whole = drawn(&data, options(), 100);
    let of_first = whole.iter().flat_map(pictures).filter(|&n| n < 100).count();
    assert!((150..250).contains(&of_first), "{of_first} of 800, expected about 200");
    // Each source has epochs of its own, in which each of its samples comes once.
    let of_second: Vec<u8> = whole.iter().flat_map(pictures).filter(|&n| n >= 100).collect();
    for epoch in of_second.chunks_exact(30) {
        assert_eq!(epoch.iter().copied().collect::<BTreeSet<u8>>(), (100..130).collect());
    }
    assert_eq!(whole[99].samples, Some(50));
    for stop in [1, 7, 30, 61] {
        let start = whole[stop - 1].position;
        for threads in [1, 5] {
            let rest = drawn(&data, LoaderOptions { start, threads, ..options() }, 5);
            assert!(
                rest.iter().zip(&whole[stop..]).all(|(a, b)| a.pictures == b.pictures && a.ids == b.ids),
                "after {stop}"
            );
        }
    }
}

#[test]
fn resampled_shards_come_with_replacement_and_resume() {
    let dir = tempfile::tempdir().unwrap();
    let shards = three(dir.path());
    let options = || LoaderOptions { resampled: true, ..options() };
    let whole = batches(&shards, options(), 200);
    let mut counts = BTreeMap::new();
    whole.iter().flat_map(pictures).for_each(|n| *counts.entry(n).or_insert(0) += 1);
    assert_eq!(counts.len(), 47);
    let exact = batches(&shards, LoaderOptions { resampled: false, ..options() }, 200);
    let mut of_exact = BTreeMap::new();
    exact.iter().flat_map(pictures).for_each(|n| *of_exact.entry(n).or_insert(0) += 1);
    let spread = |counts: &BTreeMap<u8, i32>| counts.values().max().unwrap() - counts.values().min().unwrap();
    assert!(spread(&counts) > spread(&of_exact), "{counts:?}");
    for stop in [1, 9, 10, 50, 150] {
        let start = whole[stop - 1].position;
        assert_eq!(
            batches(&shards, LoaderOptions { start, ..options() }, 5)[..],
            whole[stop..stop + 5],
            "after {stop}"
        );
    }
}

#[test]
fn counted_shards_are_not_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let shards = three(dir.path());
    let mut loader = Loader::new(&shards, options()).unwrap();
    let whole: Vec<_> = loader.by_ref().take(40).map(Result::unwrap).collect();
    let lengths = loader.lengths();
    assert_eq!((&lengths, lengths.total()), (&Lengths(vec![Some(20), Some(15), Some(12)]), Some(47)));
    // 47 samples, of which the buffer holds 16.
    assert_eq!((whole[2].samples, whole[7].samples), (None, Some(47)));
    let start = whole[29].position;
    let rest = batches(&shards, LoaderOptions { start, lengths, ..options() }, 5);
    assert_eq!(rest[..], whole[30..35]);
    // Lengths are believed: with others, the same position is in another epoch.
    let lengths = Lengths(vec![Some(1), Some(1), Some(1)]);
    assert_ne!(batches(&shards, LoaderOptions { start, lengths, ..options() }, 5)[..], whole[30..35]);
}

#[test]
fn bad_shards_are_skipped_on_request_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut shards = three(dir.path());
    let whole = std::fs::read(&shards[0]).unwrap();
    // Ten samples of four blocks each; that the last one is whole would show behind it.
    shards.push(write(dir.path(), "cut.tar", &whole[..10 * 4 * 512 + 100]));
    shards.push(write(dir.path(), "empty.tar", b""));
    shards.push(dir.path().join("missing.tar"));
    shards.push(write(dir.path(), "page.tar", b"<!doctype html><title>404</title>"));
    assert!(Loader::new(&shards, options()).is_err(), "not unless asked for");
    let options = || LoaderOptions { skip_bad_shards: true, batch: 56, ..options() };
    let found = batches(&shards, options(), 6);
    for batch in &found {
        let mut pictures = pictures(batch);
        pictures.sort_unstable();
        let mut expected: Vec<u8> = (0..47).chain(0..9).collect();
        expected.sort_unstable();
        assert_eq!(pictures, expected, "an epoch is what can be read");
    }
    assert_eq!(found[0].samples, Some(56));
    assert!((20..=24).contains(&found[5].bad_shards), "{}", found[5].bad_shards);
    for stop in [1, 3] {
        let mut rest =
            batches(&shards, LoaderOptions { start: found[stop - 1].position, threads: 7, ..options() }, 2);
        rest.iter_mut().zip(&found[stop..]).for_each(|(a, b)| a.bad_shards = b.bad_shards);
        assert_eq!(rest[..], found[stop..stop + 2]);
    }
}

#[test]
fn when_all_shards_are_bad_the_loader_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let shards = [write(dir.path(), "empty.tar", b""), dir.path().join("missing.tar")];
    for resampled in [false, true] {
        let options = LoaderOptions { skip_bad_shards: true, resampled, ..options() };
        let error = Loader::new(&shards, options).unwrap().find_map(Result::err).unwrap();
        assert!(matches!(error, Error::AllBad { count: 1.., .. }), "{error}");
    }
}

#[test]
fn too_many_samples_that_cannot_be_used_stop_the_loader() {
    let dir = tempfile::tempdir().unwrap();
    let good = png(1);
    let files = |broken: usize| -> Vec<(String, Vec<u8>)> {
        let picture = |n| if n < broken { b"no picture".to_vec() } else { good.clone() };
        (0..100)
            .flat_map(|n| [(format!("{n}.png"), picture(n)), (format!("{n}.txt"), b"a".to_vec())])
            .collect()
    };
    let shard = |broken| {
        let files = files(broken);
        let files: Vec<(&str, &[u8])> =
            files.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
        [write(dir.path(), "s.tar", &tar(&files))]
    };
    let options = || LoaderOptions { batch: 10, max_skipped: 0.1, ..options() };
    let mut loader = Loader::new(&shard(20), options()).unwrap();
    let error = loader.find_map(Result::err).unwrap();
    let Error::TooManySkipped { skipped, met, .. } = error else { panic!("{error}") };
    assert!(met >= 1000 && skipped * 10 > met, "{skipped} of {met}");
    assert_eq!(batches(&shard(9), options(), 200).len(), 200);
    assert_eq!(batches(&shard(20), LoaderOptions { max_skipped: 0.3, ..options() }, 200).len(), 200);
}

#[test]
fn fewer_samples_than_a_batch_are_told_of() {
    static SAID: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());
    let dir = tempfile::tempdir().unwrap();
    let shard = numbers(dir.path(), "one.tar", 0..1);
    let warn = |line: &str| SAID.lock().unwrap().push(line.to_owned());
    batches(&[shard], LoaderOptions { batch: 256, warn, ..options() }, 2);
    let said = SAID.lock().unwrap();
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("the data has 1 samples, fewer than a batch of 256"), "{said:?}");
}

#[test]
fn what_is_ready_and_the_time_of_waiting_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut loader = Loader::new(&three(dir.path()), options()).unwrap();
    assert_eq!(loader.supply().capacity, 10);
    loader.draw().unwrap();
    assert!(loader.supply().waited > std::time::Duration::ZERO);
    // The threads need no one to ask.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        std::thread::sleep(std::time::Duration::from_millis(20));
        loader.draw().unwrap();
        if loader.supply().ready >= 5 || std::time::Instant::now() > deadline {
            break;
        }
    }
    assert!((5..=10).contains(&loader.supply().ready), "{:?}", loader.supply());
}

#[test]
fn a_location_reads_as_a_path_does() {
    let dir = tempfile::tempdir().unwrap();
    let shards = three(dir.path());
    let locations: Vec<Location> = shards.iter().map(Location::from).collect();
    let found = Loader::new(&locations, options()).unwrap().take(3).map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(found, batches(&shards, options(), 3));
}
