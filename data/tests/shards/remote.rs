//! Shards on a web server: one of our own, which breaks off when it is told to.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clip_data::{DataSet, Loader, LoaderOptions, Location, samples};

use crate::fixture::{batches, numbers, options};

/// What the server does besides answering.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Trouble {
    None,
    /// Every second answer ends after half of what it announced.
    BreaksOff,
    /// Every second answer is that it is busy.
    Busy,
    /// There is nothing.
    Missing,
}

/// Serves `bytes` under any name, for as long as the process lives. Gives its address and counts its answers.
fn serve(bytes: Vec<u8>, trouble: Trouble, tag: bool) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (count, bytes) = (Arc::new(AtomicUsize::new(0)), Arc::new(bytes));
    let counted = count.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (bytes, count) = (bytes.clone(), counted.clone());
            std::thread::spawn(move || {
                while answer(stream.as_ref().unwrap(), &bytes, trouble, tag, &count).is_some() {}
            });
        }
    });
    (address, count)
}

/// Answers one request; `None` at the connection's end.
fn answer(stream: &TcpStream, bytes: &[u8], trouble: Trouble, tag: bool, count: &AtomicUsize) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut start) = (String::new(), None);
    loop {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(range) = line.to_lowercase().strip_prefix("range: bytes=") {
            start = range.split('-').next().and_then(|from| from.trim().parse::<usize>().ok());
        }
        if line == "\r\n" {
            break;
        }
    }
    let odd = count.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
    let mut out = stream;
    if trouble == Trouble::Missing {
        out.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").ok()?;
        return Some(());
    }
    if trouble == Trouble::Busy && odd {
        out.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").ok()?;
        return Some(());
    }
    let (status, from) = (if start.is_some() { "206 Partial Content" } else { "200 OK" }, start.unwrap_or(0));
    let body = &bytes[from..];
    let tag = if tag { "ETag: \"one\"\r\n" } else { "" };
    let range = format!("Content-Range: bytes {from}-{}/{}\r\n", bytes.len() - 1, bytes.len());
    let range = if start.is_some() { range } else { String::new() };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{tag}{range}\r\n", body.len());
    out.write_all(head.as_bytes()).ok()?;
    if trouble == Trouble::BreaksOff && odd {
        out.write_all(&body[..body.len() / 2]).ok()?;
        return None;
    }
    out.write_all(body).ok()
}

fn location(address: &str) -> [Location; 1] {
    [Location::parse(&format!("{address}/data/a.tar")).unwrap()]
}

#[test]
fn a_shard_of_a_server_gives_what_its_file_gives() {
    let dir = tempfile::tempdir().unwrap();
    let shard = numbers(dir.path(), "a.tar", 0..50);
    let expected = batches(std::slice::from_ref(&shard), options(), 25);
    for (trouble, answers) in [(Trouble::None, 1), (Trouble::BreaksOff, 2), (Trouble::Busy, 2)] {
        let (address, count) = serve(std::fs::read(&shard).unwrap(), trouble, true);
        let data = DataSet::of(&location(&address));
        let found: Vec<_> = Loader::open(&data, options()).unwrap().take(25).map(Result::unwrap).collect();
        assert!(found == expected, "{trouble:?}");
        assert!(count.load(Ordering::SeqCst) >= answers, "{trouble:?}");
    }
}

#[test]
fn what_cannot_be_fetched_is_an_error_or_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let shard = numbers(dir.path(), "a.tar", 0..50);
    let (missing, _) = serve(vec![], Trouble::Missing, true);
    let error = samples(&location(&missing), |_| {}).find_map(Result::err).unwrap();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(error.to_string().contains("/data/a.tar") && cause.contains("404"), "{error}: {cause}");
    // Without a tag nobody knows that the rest belongs to the same object.
    let (broken, _) = serve(std::fs::read(&shard).unwrap(), Trouble::BreaksOff, false);
    assert!(samples(&location(&broken), |_| {}).any(|sample| sample.is_err()));
    let shards = [location(&missing), [Location::from(&shard)]].concat();
    let skipping = LoaderOptions { skip_bad_shards: true, ..options() };
    let found: Vec<_> = Loader::new(&shards, skipping).unwrap().take(10).map(Result::unwrap).collect();
    assert_eq!(found[9].position, 50);
    assert_eq!(found[9].bad_shards, 1);
}
