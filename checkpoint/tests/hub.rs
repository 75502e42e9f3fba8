//! Downloads from a hub that is a server of our own on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clip_checkpoint::hub::{Id, Progress, Settings, fetch};
use clip_checkpoint::{Error, Result};
use tempfile::TempDir;

use clip_testkit::hub::{Model, Reply, Request, Server, range, tag};

const NAME: &str = "me/mine";
const WEIGHTS: &str = "open_clip_model.safetensors";

/// Not one read of a socket, so that a cut falls inside.
fn weights() -> Vec<u8> {
    (0..300_000u64).map(|i| ((i * i) >> 7) as u8).collect()
}

fn model() -> Model {
    let weights = weights();
    Model::new(
        NAME,
        &[
            ("README.md", b"a model"),
            ("open_clip_config.json", b"{}"),
            (WEIGHTS, &weights),
            ("open_clip_pytorch_model.bin", b"not wanted"),
            ("tokenizer.json", b"{\"model\": {}}"),
        ],
    )
}

fn hub(model: Model) -> Server {
    Server::start(move |request| model.answer(request))
}

/// A cache of its own for each test.
struct Work {
    cache: TempDir,
    settings: Settings,
}

impl Work {
    fn new(endpoint: &str) -> Work {
        let cache = tempfile::tempdir().unwrap();
        let settings = Settings {
            endpoint: endpoint.to_owned(),
            cache: cache.path().join("hub"),
            token: None,
            offline: false,
            certificates: None,
            pause: Duration::from_millis(1),
        };
        Work { cache, settings }
    }

    fn fetch(&self, id: &str) -> Result<PathBuf> {
        fetch(&Id::parse(id).unwrap(), &self.settings, &mut |_| {})
    }

    fn refusal(&self, id: &str) -> String {
        let error = self.fetch(id).unwrap_err();
        let source = std::error::Error::source(&error).map_or(String::new(), |source| format!(": {source}"));
        format!("{error}{source}")
    }

    /// Names and sizes of the model's contents.
    fn blobs(&self) -> BTreeMap<String, u64> {
        let folder = self.settings.cache.join("models--me--mine/blobs");
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|e| (e.file_name().into_string().unwrap(), e.metadata().unwrap().len())).collect()
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_model_is_fetched_once_into_pythons_cache() {
    let hub = hub(model());
    let work = Work::new(&hub.url);
    let mut steps = Vec::new();
    let id = Id::parse(NAME).unwrap();
    let folder = fetch(&id, &work.settings, &mut |step| {
        if let Progress::Download { file, done, size } = step {
            steps.push((file.to_owned(), done, size));
        }
    })
    .unwrap();
    let repository = work.settings.cache.join("models--me--mine");
    assert_eq!(folder, repository.join("snapshots").join(model().commit));
    assert_eq!(names(&folder), ["open_clip_config.json", WEIGHTS, "tokenizer.json"]);
    assert_eq!(std::fs::read(folder.join(WEIGHTS)).unwrap(), weights());
    assert_eq!(std::fs::read_to_string(repository.join("refs/main")).unwrap(), model().commit);
    let link = std::fs::read_link(folder.join(WEIGHTS)).unwrap();
    assert_eq!(link, Path::new("../../blobs").join(tag(WEIGHTS, &weights())));
    assert_eq!(work.blobs().len(), 3);
    let size = weights().len() as u64;
    assert_eq!(steps.last().unwrap(), &(WEIGHTS.to_owned(), size, size));
    assert!(steps.contains(&(WEIGHTS.to_owned(), 0, size)));

    assert_eq!(hub.requests().len(), 1 + 2 * 3, "the list, then for each file what it is, and its content");
    assert_eq!(work.fetch(NAME).unwrap(), folder);
    assert_eq!(hub.requests().len(), 1, "only the list, to see whether there is something new");
}

#[test]
fn the_token_is_not_shown_to_where_the_hub_redirects() {
    let storage = Server::start(|request| range(request, &weights()));
    let hub = hub(Model { storage: storage.url.clone(), ..model() });
    let mut work = Work::new(&hub.url);
    work.settings.token = Some("hf_secret".to_owned());
    let folder = work.fetch(NAME).unwrap();
    assert_eq!(std::fs::read(folder.join(WEIGHTS)).unwrap(), weights());
    for request in hub.requests() {
        assert_eq!(request.authorization.as_deref(), Some("Bearer hf_secret"), "{request:?}");
    }
    let elsewhere = storage.requests();
    assert_eq!(elsewhere.len(), 1);
    assert_eq!(elsewhere[0].authorization, None, "another port of the same host is another server");
    assert_eq!(elsewhere[0].path, format!("/{WEIGHTS}?signature=1"));
}

#[test]
fn a_moved_model_is_followed() {
    let model = model();
    let hub = Server::start(move |request| {
        if request.path.contains("/me/old") {
            Reply::new(307, "").header("Location", request.path.replace("/me/old", "/me/mine"))
        } else {
            model.answer(request)
        }
    });
    let mut work = Work::new(&hub.url);
    work.settings.token = Some("hf_secret".to_owned());
    let folder = work.fetch("me/old").unwrap();
    assert_eq!(std::fs::read(folder.join(WEIGHTS)).unwrap(), weights());
    assert!(hub.requests().iter().all(|request| request.authorization.is_some()), "it is still the hub");
}

/// A hub whose storage answers request number `n` for the weights with `answer(n, ...)`.
fn with_storage(answer: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> (Server, Server) {
    let count = AtomicUsize::new(0);
    let storage = Server::start(move |request| answer(count.fetch_add(1, Ordering::SeqCst), request));
    let hub = hub(Model { storage: storage.url.clone(), ..model() });
    (hub, storage)
}

fn cut(mut reply: Reply, bytes: usize) -> Reply {
    reply.cut = bytes;
    reply
}

fn starts(server: &Server) -> Vec<Option<usize>> {
    server.requests().iter().map(|request| request.start).collect()
}

#[test]
fn a_broken_connection_goes_on_where_it_ended() {
    let (hub, storage) = with_storage(|n, request| {
        let reply = range(request, &weights());
        match n {
            0 => cut(reply, 100_000),
            1 => Reply::new(503, "busy"),
            2 => cut(reply, 50_000),
            _ => reply,
        }
    });
    let work = Work::new(&hub.url);
    let mut retries = Vec::new();
    let id = Id::parse(NAME).unwrap();
    let folder = fetch(&id, &work.settings, &mut |step| {
        if let Progress::Retry { file, reason } = step {
            retries.push(format!("{file}: {reason}"));
        }
    })
    .unwrap();
    assert_eq!(std::fs::read(folder.join(WEIGHTS)).unwrap(), weights());
    assert_eq!(starts(&storage), [None, Some(100_000), Some(100_000), Some(150_000)]);
    assert_eq!(retries.len(), 3, "{retries:?}");
    assert!(retries[1].contains("503"), "{retries:?}");
}

#[test]
fn what_has_arrived_is_kept_for_the_next_time() {
    let (hub, storage) = with_storage(|n, request| match n {
        0 => cut(range(request, &weights()), 123_456),
        1..=5 => Reply::new(500, ""),
        _ => range(request, &weights()),
    });
    let work = Work::new(&hub.url);
    let message = work.refusal(NAME);
    assert!(message.contains("answers 500") && message.contains("what has arrived is kept"), "{message}");
    let part = format!("{}.incomplete", tag(WEIGHTS, &weights()));
    assert_eq!(work.blobs().get(&part), Some(&123_456));
    assert_eq!(starts(&storage).len(), 6);

    let folder = work.fetch(NAME).unwrap();
    assert_eq!(std::fs::read(folder.join(WEIGHTS)).unwrap(), weights());
    assert_eq!(starts(&storage), [Some(123_456)]);
    assert!(!work.blobs().contains_key(&part));
}

#[test]
fn a_server_that_never_goes_on_starts_again() {
    let (hub, storage) = with_storage(|n, _| {
        let whole = Reply::new(200, weights());
        if n == 0 { cut(whole, 1000) } else { whole }
    });
    let folder = Work::new(&hub.url);
    assert_eq!(std::fs::read(folder.fetch(NAME).unwrap().join(WEIGHTS)).unwrap(), weights());
    assert_eq!(starts(&storage), [None, Some(1000)]);
}

#[test]
fn a_part_that_no_server_knows_is_dropped() {
    let (hub, storage) = with_storage(|_, request| match request.start {
        Some(_) => Reply::new(416, ""),
        None => range(request, &weights()),
    });
    let work = Work::new(&hub.url);
    let blobs = work.settings.cache.join("models--me--mine/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(blobs.join(format!("{}.incomplete", tag(WEIGHTS, &weights()))), "old").unwrap();
    assert_eq!(std::fs::read(work.fetch(NAME).unwrap().join(WEIGHTS)).unwrap(), weights());
    assert_eq!(starts(&storage), [Some(3), None]);
}

#[test]
fn a_file_with_another_hash_is_not_kept() {
    let (hub, storage) = with_storage(|_, request| {
        let mut wrong = weights();
        wrong[200_000] ^= 1;
        range(request, &wrong)
    });
    let work = Work::new(&hub.url);
    let error = work.fetch(NAME).unwrap_err();
    assert!(
        matches!(&error, Error::HubHash { expected, .. } if *expected == tag(WEIGHTS, &weights())),
        "{error}"
    );
    assert_eq!(work.blobs().len(), 2, "the two small files");
    let snapshot = work.settings.cache.join("models--me--mine/snapshots").join(model().commit);
    assert_eq!(names(&snapshot), ["open_clip_config.json", "tokenizer.json"]);
    assert!(!work.settings.cache.join("models--me--mine/refs").exists());
    assert_eq!(storage.requests().len(), 1, "the same server would send the same again");

    // A small file, which git names.
    let hub = Server::start(|request| {
        let reply = model().answer(request);
        if request.path.ends_with("config.json") && request.method == "GET" {
            Reply::new(200, "[]")
        } else {
            reply
        }
    });
    let work = Work::new(&hub.url);
    assert!(matches!(work.fetch(NAME), Err(Error::HubHash { .. })));
    assert!(work.blobs().is_empty());
}

#[test]
fn refusals_say_what_to_do() {
    let refuse = |status: u16, code: &'static str, token: Option<&str>, id: &str| {
        let hub = Server::start(move |_| Reply::new(status, "").header("X-Error-Code", code));
        let mut work = Work::new(&hub.url);
        work.settings.token = token.map(str::to_owned);
        let message = work.refusal(id);
        assert!(message.contains(&format!("answers {status}")) && message.contains("me/mine"), "{message}");
        assert!(!message.contains("hf_secret"), "{message}");
        assert!(!work.settings.cache.exists(), "nothing is made for a model that cannot be had");
        message
    };
    for (status, code, token, id, parts) in [
        (
            401,
            "RepoNotFound",
            None,
            "me/mine",
            ["there is no model me/mine, or it is private", "set HF_TOKEN"],
        ),
        (401, "RepoNotFound", Some("hf_secret"), "me/mine", ["does not accept the token", "check HF_TOKEN"]),
        (401, "GatedRepo", None, "me/mine", ["ask for consent", "/settings/tokens"]),
        (403, "GatedRepo", Some("hf_secret"), "me/mine", ["ask for consent", "/me/mine"]),
        (403, "", Some("hf_secret"), "me/mine", ["may not read me/mine", "ask for access"]),
        (404, "RepoNotFound", Some("hf_secret"), "me/mine", ["there is no model me/mine", "check the name"]),
        (404, "RevisionNotFound", None, "me/mine@v9", ["no revision v9", "/me/mine/tree/main"]),
        (429, "", None, "me/mine", ["too many requests", "wait"]),
        (502, "", None, "me/mine", ["in trouble", "later"]),
        (418, "", None, "me/mine", ["does not give out", "me/mine"]),
    ] {
        let message = refuse(status, code, token, id);
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in {message}");
        }
    }
}

#[test]
fn a_server_that_is_not_there_is_named_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let message = Work::new(&url).refusal(NAME);
    assert!(message.contains(&format!("no connection to {url}/api/models/me/mine")), "{message}");
}

#[test]
fn answers_that_make_no_sense_are_refused() {
    let odd = |answer: fn(&Request) -> Option<Reply>| {
        let hub = Server::start(move |request| answer(request).unwrap_or_else(|| model().answer(request)));
        Work::new(&hub.url).refusal(NAME)
    };
    fn is_file(request: &Request) -> bool {
        request.path.contains("/resolve/")
    }
    let cases: [(&str, String); 6] = [
        ("expected", odd(|_| Some(Reply::new(200, "<html>log in first</html>")))),
        ("is no commit", odd(|_| Some(Reply::new(200, r#"{"sha": "../../x", "siblings": []}"#)))),
        ("entity tag", odd(|r| is_file(r).then(|| Reply::new(200, "{}").header("ETag", "\"../../x\"")))),
        ("entity tag is None", odd(|r| is_file(r).then(|| Reply::new(200, "{}")))),
        ("more than 10 redirects", odd(|r| Some(Reply::new(302, "").header("Location", r.path.clone())))),
        ("no URL", odd(|_| Some(Reply::new(302, "").header("Location", "http://a b")))),
    ];
    for (part, message) in cases {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
}

#[test]
fn a_model_of_another_kind_says_what_it_has() {
    let hub = hub(Model::new(NAME, &[("config.json", b"{}"), ("model.gguf", b"")]));
    let message = Work::new(&hub.url).refusal(NAME);
    assert!(
        message.contains("me/mine cannot be exported") && message.contains("config.json, model.gguf"),
        "{message}"
    );
}

#[test]
fn offline_finds_what_was_fetched_and_asks_nobody() {
    let hub = hub(model());
    let mut work = Work::new(&hub.url);
    work.settings.offline = true;
    let message = work.refusal(NAME);
    assert!(
        message.contains("the revision main is missing") && message.contains("with downloads on"),
        "{message}"
    );
    assert!(message.contains(work.cache.path().to_str().unwrap()), "{message}");
    assert!(hub.requests().is_empty());

    work.settings.offline = false;
    let folder = work.fetch(NAME).unwrap();
    hub.requests();
    work.settings.offline = true;
    assert_eq!(work.fetch(NAME).unwrap(), folder);
    assert_eq!(work.fetch(&format!("{NAME}@{}", model().commit)).unwrap(), folder);
    assert!(work.refusal(&format!("{NAME}@v1")).contains("the revision v1 is missing"));
    assert!(hub.requests().is_empty());

    std::fs::remove_file(folder.join(WEIGHTS)).unwrap();
    assert!(work.refusal(NAME).contains("open_clip_config.json with open_clip_model.safetensors"));
}

#[test]
fn revisions_are_branches_tags_and_commits() {
    let hub = hub(model());
    let work = Work::new(&hub.url);
    let refs = work.settings.cache.join("models--me--mine/refs");
    work.fetch(&format!("{NAME}@fix#1")).unwrap();
    assert_eq!(hub.requests()[0].path, "/api/models/me/mine/revision/fix%231");
    assert_eq!(std::fs::read_to_string(refs.join("fix#1")).unwrap(), model().commit);
    let folder = work.fetch(&format!("{NAME}@refs/pr/4")).unwrap();
    assert_eq!(hub.requests()[0].path, "/api/models/me/mine/revision/refs%2Fpr%2F4");
    assert_eq!(std::fs::read_to_string(refs.join("refs/pr/4")).unwrap(), model().commit);
    assert_eq!(work.fetch(&format!("{NAME}@{}", model().commit)).unwrap(), folder);
    assert_eq!(names(&refs), ["fix#1", "refs"], "a commit is no reference");
    assert!(work.refusal(&format!("{NAME}@v9")).contains("no revision v9"));
}

#[test]
fn weights_in_several_files_are_fetched_whole() {
    let index = br#"{"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}"#;
    let hub = hub(Model::new(
        NAME,
        &[
            ("config.json", b"{}"),
            ("model-1-of-2.safetensors", b"one"),
            ("model-2-of-2.safetensors", b"two"),
            ("model-3-of-2.safetensors", b"not named"),
            ("model.safetensors.index.json", index),
        ],
    ));
    let mut work = Work::new(&hub.url);
    let folder = work.fetch(NAME).unwrap();
    let expected = [
        "config.json",
        "model-1-of-2.safetensors",
        "model-2-of-2.safetensors",
        "model.safetensors.index.json",
    ];
    assert_eq!(names(&folder), expected);
    work.settings.offline = true;
    assert_eq!(work.fetch(NAME).unwrap(), folder);
    std::fs::remove_file(folder.join("model-2-of-2.safetensors")).unwrap();
    assert!(work.refusal(NAME).contains("model-2-of-2.safetensors is missing"));
}

#[test]
fn two_programs_download_a_file_once() {
    let (hub, storage) = with_storage(|_, request| {
        std::thread::sleep(Duration::from_millis(300));
        range(request, &weights())
    });
    let work = Arc::new(Work::new(&hub.url));
    let threads = [0, 1].map(|_| {
        let work = Arc::clone(&work);
        std::thread::spawn(move || work.fetch(NAME).unwrap())
    });
    let folders = threads.map(|thread| thread.join().unwrap());
    assert_eq!(folders[0], folders[1]);
    assert_eq!(std::fs::read(folders[0].join(WEIGHTS)).unwrap(), weights());
    assert_eq!(storage.requests().len(), 1);
}
