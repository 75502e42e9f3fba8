//! A server on loopback that plays the hub, and the servers it redirects to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// What was asked.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub authorization: Option<String>,
    /// The first byte that was asked for.
    pub start: Option<usize>,
    /// All headers, their names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// What is answered.
pub struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// The connection is closed after this many bytes of the body.
    pub cut: usize,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply { status, headers: vec![], body: body.into(), cut: usize::MAX }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.headers.push((name, value.into()));
        self
    }
}

/// A running server; it ends with the test.
pub struct Server {
    pub url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || serve(&stream, &log, &*answer));
            }
        });
        Server { url, seen }
    }

    /// The requests so far, oldest first, which are forgotten by this.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

/// One request per connection.
fn serve(mut stream: &TcpStream, log: &Mutex<Vec<Request>>, answer: &dyn Fn(&Request) -> Reply) {
    let mut reader = BufReader::new(stream);
    let mut lines = reader.by_ref().lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let (authorization, start, headers, body) = (None, None, vec![], vec![]);
    let mut request = Request { method, path, authorization, start, headers, body };
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap();
        let name = name.to_lowercase();
        request.headers.push((name.clone(), value.to_owned()));
        match name.as_str() {
            "authorization" => request.authorization = Some(value.to_owned()),
            "range" => {
                let start = value.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-'));
                request.start = Some(start.unwrap().parse().unwrap());
            }
            _ => {}
        }
    }
    drop(lines);
    request.body = vec![0; request.header("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut request.body).unwrap();
    log.lock().unwrap().push(request.clone());
    let reply = answer(&request);
    let mut head = format!("HTTP/1.1 {} so\r\nConnection: close\r\n", reply.status);
    head += &format!("Content-Length: {}\r\n", reply.body.len());
    for (name, value) in reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    let body =
        if request.method == "HEAD" { &[][..] } else { &reply.body[..reply.cut.min(reply.body.len())] };
    // The program may have gone away.
    let _ = stream.write_all(&[head.as_bytes(), b"\r\n", body].concat());
}

/// The content of a file from where the request wants it.
pub fn range(request: &Request, content: &[u8]) -> Reply {
    match request.start {
        None => Reply::new(200, content),
        Some(start) => {
            let range = format!("bytes {start}-{}/{}", content.len() - 1, content.len());
            Reply::new(206, &content[start..]).header("Content-Range", range)
        }
    }
}

/// A model on the hub.
#[derive(Clone, Default)]
pub struct Model {
    pub name: String,
    pub commit: String,
    pub files: Vec<(String, Vec<u8>)>,
    /// Where files of weights are; in the hub itself when empty.
    pub storage: String,
}

impl Model {
    pub fn new(name: &str, files: &[(&str, &[u8])]) -> Model {
        let files = files.iter().map(|&(name, content)| (name.to_owned(), content.to_owned()));
        Model {
            name: name.to_owned(),
            commit: "0123456789".repeat(4),
            files: files.collect(),
            storage: String::new(),
        }
    }

    pub fn content(&self, file: &str) -> Option<&[u8]> {
        self.files.iter().find(|(name, _)| name == file).map(|(_, content)| &content[..])
    }

    /// What huggingface.co would answer, as far as a download goes.
    pub fn answer(&self, request: &Request) -> Reply {
        let missing = || Reply::new(404, "").header("X-Error-Code", "RepoNotFound");
        if let Some(revision) = request.path.strip_prefix(&format!("/api/models/{}/revision/", self.name)) {
            if !["main", "v1", "refs%2Fpr%2F4", "fix%231", &self.commit].contains(&revision) {
                return Reply::new(404, "").header("X-Error-Code", "RevisionNotFound");
            }
            let siblings: Vec<_> =
                self.files.iter().map(|(f, _)| serde_json::json!({ "rfilename": f })).collect();
            let listing = serde_json::json!({ "id": self.name, "sha": self.commit, "siblings": siblings });
            return Reply::new(200, listing.to_string());
        }
        let Some(file) = request.path.strip_prefix(&format!("/{}/resolve/{}/", self.name, self.commit))
        else {
            return missing();
        };
        let Some(content) = self.content(file) else { return missing() };
        let reply = if is_large(file) && !self.storage.is_empty() {
            Reply::new(302, "elsewhere")
                .header("Location", format!("{}/{file}?signature=1", self.storage))
                .header("ETag", "\"of the redirect\"")
                .header("X-Linked-Etag", format!("\"{}\"", tag(file, content)))
                .header("X-Linked-Size", content.len().to_string())
        } else {
            range(request, content).header("ETag", format!("\"{}\"", tag(file, content)))
        };
        reply.header("X-Repo-Commit", self.commit.clone())
    }
}

fn is_large(file: &str) -> bool {
    file.ends_with(".safetensors") || file.ends_with(".bin")
}

/// The hash by which the hub calls a file.
pub fn tag(file: &str, content: &[u8]) -> String {
    if is_large(file) {
        format!("{:x}", Sha256::digest(content))
    } else {
        format!("{:x}", Sha1::digest([format!("blob {}\0", content.len()).as_bytes(), content].concat()))
    }
}
