//! Objects of S3, Google Cloud Storage and web servers, read as streams.

use std::io::{self, Read};
use std::sync::{Mutex, OnceLock, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::{GetResult, ObjectStoreExt, parse_url_opts};
use tokio::runtime::{Builder, Runtime};
use url::Url;

/// An object under way from its server.
///
/// How a store is reached is taken from the environment, as its own tools have it: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
/// `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_SKIP_SIGNATURE` for public buckets, `GOOGLE_APPLICATION_CREDENTIALS`, or the service of the machine's
/// cloud. A request that fails for a while is repeated (`object_store`: 10 times, within 3 minutes), and one that breaks off goes
/// on where it was, when the server says by an ETag that the object is the same.
pub(crate) struct Object {
    body: BoxStream<'static, object_store::Result<bytes::Bytes>>,
    chunk: bytes::Bytes,
}

impl Object {
    /// Asks for the object at `url`.
    ///
    /// # Errors
    /// A store that is not configured, an object that is not there, a server that cannot be reached.
    pub fn open(url: &str) -> io::Result<Object> {
        Self::open_with(url, environment())
    }

    /// [`Object::open`] with a configuration of its own.
    fn open_with(url: &str, options: Vec<(String, String)>) -> io::Result<Object> {
        let parsed = Url::parse(url).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        let runtime = runtime()?;
        let get = async {
            let (store, path) = parse_url_opts(&parsed, options)?;
            store.get(&path).await.map(GetResult::into_stream)
        };
        Ok(Object { body: runtime.block_on(get).map_err(io_error)?, chunk: bytes::Bytes::new() })
    }
}

impl Read for Object {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match runtime()?.block_on(self.body.next()) {
                Some(chunk) => self.chunk = chunk.map_err(io_error)?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.chunk.len());
        buffer[..count].copy_from_slice(&self.chunk.split_to(count));
        Ok(count)
    }
}

/// The thread that talks to servers, started when the first is needed.
fn runtime() -> io::Result<&'static Runtime> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    let _one = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    // Fails when the program has chosen a provider of its own, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime =
        Builder::new_multi_thread().worker_threads(1).thread_name("fetch-shards").enable_all().build()?;
    Ok(RUNTIME.get_or_init(|| runtime))
}

/// The variables that configure stores. `AWS_ENDPOINT_URL` may be unencrypted where it says so itself.
fn environment() -> Vec<(String, String)> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let variables = std::env::vars_os().filter_map(text);
    let mut options: Vec<_> =
        variables.filter(|(name, _)| name.starts_with("AWS_") || name.starts_with("GOOGLE_")).collect();
    // A plain http:// address, or endpoint, was written out by the user.
    options.push(("allow_http".to_owned(), "true".to_owned()));
    options
}

/// An error with its causes: those of a server are within.
fn io_error(error: object_store::Error) -> io::Error {
    let kind = match error {
        object_store::Error::NotFound { .. } => io::ErrorKind::NotFound,
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            io::ErrorKind::PermissionDenied
        }
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    /// A store that answers one request with `body`, and gives the request's head.
    fn store(body: &'static [u8]) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(&stream).lines().map(Result::unwrap);
            let head = lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
            let length = body.len();
            let date = "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT";
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nETag: \"1\"\r\n{date}\r\n\r\n")
                .unwrap();
            stream.write_all(body).unwrap();
            head
        });
        (address, thread)
    }

    fn read(url: &str, options: &[(&str, &str)]) -> Vec<u8> {
        let mut options: Vec<_> =
            options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        options.push(("allow_http".to_owned(), "true".to_owned()));
        let mut content = Vec::new();
        Object::open_with(url, options).unwrap().read_to_end(&mut content).unwrap();
        content
    }

    #[test]
    fn an_object_of_s3_is_asked_for_with_a_signature() {
        let (address, thread) = store(b"shard");
        let keys =
            [("AWS_ACCESS_KEY_ID", "KEY"), ("AWS_SECRET_ACCESS_KEY", "SECRET"), ("AWS_REGION", "eu-north-1")];
        let options = [&keys[..], &[("AWS_ENDPOINT_URL", &address)]].concat();
        assert_eq!(read("s3://bucket/pairs/000.tar", &options), b"shard");
        let head = thread.join().unwrap();
        assert!(head.starts_with("GET /bucket/pairs/000.tar HTTP/1.1"), "{head}");
        assert!(
            head.contains("AWS4-HMAC-SHA256 Credential=KEY/") && head.contains("/eu-north-1/s3/"),
            "{head}"
        );

        let (address, thread) = store(b"public");
        let options = [("AWS_ENDPOINT_URL", address.as_str()), ("AWS_SKIP_SIGNATURE", "true")];
        assert_eq!(read("s3://bucket/a.tar", &options), b"public");
        assert!(!thread.join().unwrap().to_lowercase().contains("authorization"));
    }

    #[test]
    fn an_object_of_google_cloud_storage() {
        let (address, thread) = store(b"shard");
        let account = format!(
            r#"{{"gcs_base_url": "{address}", "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}}"#
        );
        assert_eq!(read("gs://bucket/pairs/000.tar", &[("GOOGLE_SERVICE_ACCOUNT_KEY", &account)]), b"shard");
        let head = thread.join().unwrap();
        assert!(head.starts_with("GET /bucket/pairs%2F000%2Etar HTTP/1.1"), "{head}");
    }
}
