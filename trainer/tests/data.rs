//! Runs on data that is not as it should be, or not any more.

#![allow(clippy::unwrap_used)]

mod runs;

use clip_trainer::train::train;
use runs::{VIT, job, log, png, settings, shard};

#[test]
fn other_data_under_the_same_names_is_noticed_by_a_run_that_goes_on() {
    let root = tempfile::tempdir().unwrap();
    let (shard, out) = (shard(root.path(), "colours.tar"), root.path().join("run"));
    let toml = settings(VIT, "steps = 2\nwarmup = 1");
    let mut job = job(&toml, std::slice::from_ref(&shard), &out);
    train(&job).unwrap();
    job.resume = true;
    train(&job).unwrap();
    // The same name and size, and other captions.
    let text = std::fs::read(&shard).unwrap();
    let at = text.windows(6).position(|window| window == b"colour").unwrap();
    let mut changed = text.clone();
    changed[at..at + 6].copy_from_slice(b"cOlOuR");
    std::fs::write(&shard, &changed).unwrap();
    let message = train(&job).unwrap_err().to_string();
    assert!(message.contains("other data under the same name: colours.tar"), "{message}");
    job.resume_with = vec!["shards".to_owned()];
    train(&job).unwrap();
}

#[test]
fn bad_shards_are_skipped_counted_and_resumed_on_request() {
    let root = tempfile::tempdir().unwrap();
    let good = shard(root.path(), "colours.tar");
    let (empty, missing) = (root.path().join("empty.tar"), root.path().join("missing.tar"));
    std::fs::write(&empty, b"").unwrap();
    let shards = [good, empty, missing];
    let out = root.path().join("run");
    let toml = |steps: u64| {
        let toml = settings(VIT, &format!("steps = {steps}\nwarmup = 1"));
        toml.replace("[data]\n", "[data]\nskip_bad_shards = true\n")
    };
    let strict = job(&toml(4).replace("skip_bad_shards = true", ""), &shards, &root.path().join("strict"));
    let message = train(&strict).unwrap_err().to_string();
    assert!(message.contains("empty.tar") && !root.path().join("strict").exists(), "{message}");
    let whole = job(&toml(8), &shards, &root.path().join("whole"));
    train(&whole).unwrap();
    let mut half = job(&toml(4), &shards, &out);
    train(&half).unwrap();
    half.settings.optim.steps = 8;
    half.resume = true;
    half.resume_with = vec!["optim.steps".to_owned()];
    // The schedule is a function of the length of the run, so that the losses differ; the data does not.
    train(&half).unwrap();
    let lines = log(&whole.out);
    assert_eq!(lines.len(), 8);
    assert!(lines[7]["bad_shards"].as_u64().unwrap() >= 2, "{}", lines[7]);
    // 64 samples of 16.
    assert_eq!((lines[7]["samples"].as_u64(), lines[7]["epoch"].as_f64()), (Some(64), Some(4.0)));
    let resumed = log(&out);
    let last = resumed.last().unwrap();
    assert_eq!((last["samples"].as_u64(), last["epoch"].as_f64()), (Some(64), Some(4.0)));
}

#[test]
fn a_tables_columns_and_separator_are_those_of_the_settings() {
    let root = tempfile::tempdir().unwrap();
    let mut table = String::from("picture;text\n");
    for n in 0..8u8 {
        let pixels = [n * 30, 200, 255 - n * 30].repeat(20 * 20);
        std::fs::write(root.path().join(format!("{n}.png")), png(&pixels, 20, 20)).unwrap();
        table.push_str(&format!("{n}.png;colour number {n}, a picture of the colour {n}\n"));
    }
    let path = root.path().join("colours.csv");
    std::fs::write(&path, table).unwrap();
    let fields = "[data]\nseparator = \";\"\nimage_key = \"picture\"\ncaption_key = \"text\"";
    let toml = settings(VIT, "steps = 2\nwarmup = 1").replace("[data]", fields);
    let toml = toml
        .replace("tokenizer = \"train\"", "tokenizer = \"openai\"")
        .replace("vocab_size = 520", "vocab_size = 49408");
    train(&job(&toml, &[path], &root.path().join("run"))).unwrap();
}

#[test]
fn bytes_of_what_is_no_tar_are_not_printed() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("noise.tar");
    let noise: Vec<u8> = (0..4096u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8 | 0x80).collect();
    std::fs::write(&path, [b"\x1b[31m".as_slice(), &noise].concat()).unwrap();
    let toml = settings(VIT, "steps = 2\nwarmup = 1");
    let message = train(&job(&toml, &[path], &root.path().join("run"))).unwrap_err().to_string();
    assert!(message.contains("noise.tar") && !message.chars().any(char::is_control), "{message}");
}
