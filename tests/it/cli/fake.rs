//! Runs the binary, and is the node that it talks to: a server that answers as told and records the
//! requests.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Runs the binary in a folder, with an empty environment.
pub(super) fn scheduler0(folder: &Path, arguments: &[&str]) -> Output {
    with_input(folder, arguments, "")
}

/// Runs the binary with this input.
pub(super) fn with_input(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_scheduler0"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads no input may have ended before the write.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// The standard output as text.
pub(super) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The standard error as text.
pub(super) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The exit code; panics for a process that was killed.
pub(super) fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("killed: {}", stderr(output)))
}

/// A recorded request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

/// The answer to each request: status and body.
type Answer = dyn Fn(&Asked) -> (u16, Value) + Send + Sync;

#[derive(Clone)]
struct Fake {
    asked: Arc<Mutex<Vec<Asked>>>,
    answer: Arc<Answer>,
}

/// A node that answers as told; it ends with its runtime.
pub(super) struct Node {
    pub(super) url: String,
    fake: Fake,
    _runtime: tokio::runtime::Runtime,
}

impl Node {
    /// Starts it on a free port.
    pub(super) fn start(answer: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let fake = Fake { asked: Arc::default(), answer: Arc::new(answer) };
        let router = Router::new().fallback(take).with_state(fake.clone());
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { url, fake, _runtime: runtime }
    }

    /// Runs a command against it, with credentials.
    pub(super) fn run(&self, arguments: &[&str]) -> Output {
        let folder = tempfile::tempdir().unwrap();
        let made = scheduler0(
            folder.path(),
            &["credential", "init", "--generate", "--weak", "--username", "op", "--password", "pw"],
        );
        assert_eq!(code(&made), 0, "{}", stderr(&made));
        let mut all = vec!["--server", &self.url];
        all.extend(arguments);
        scheduler0(folder.path(), &all)
    }

    /// Runs a command against it on a terminal with this typed input; returns what the terminal
    /// showed.
    pub(super) fn on_a_terminal(&self, command: &str, typed: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let made =
            ["credential", "init", "--generate", "--weak", "--username", "op", "--password", "pw"];
        assert_eq!(code(&scheduler0(folder.path(), &made)), 0);
        let line = format!("{} --server {} {command}", env!("CARGO_BIN_EXE_scheduler0"), self.url);
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .current_dir(folder.path())
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        stdout(&child.wait_with_output().unwrap())
    }

    /// The number of requests with this method.
    pub(super) fn count_of(&self, method: &Method) -> usize {
        self.fake.asked.lock().unwrap().iter().filter(|a| a.method == method).count()
    }

    /// The number of requests with this method and path.
    pub(super) fn count(&self, method: &Method, path: &str) -> usize {
        let asked = self.fake.asked.lock().unwrap();
        asked.iter().filter(|a| a.method == method && a.uri.path() == path).count()
    }

    /// The last request at this path.
    pub(super) fn last_at(&self, path: &str) -> Asked {
        let asked = self.fake.asked.lock().unwrap();
        asked.iter().rfind(|a| a.uri.path() == path).unwrap().clone()
    }

    /// The last request.
    pub(super) fn last(&self) -> Asked {
        self.fake.asked.lock().unwrap().last().unwrap().clone()
    }
}

async fn take(
    State(fake): State<Fake>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let asked = Asked { method, uri, headers, body };
    let (status, answer) = (fake.answer)(&asked);
    fake.asked.lock().unwrap().push(asked);
    let status = StatusCode::from_u16(status).unwrap();
    if status == StatusCode::NO_CONTENT {
        return status.into_response();
    }
    (status, axum::Json(answer)).into_response()
}

/// A success with this data.
pub(super) fn ok(data: &Value) -> (u16, Value) {
    (200, json!({ "data": data, "success": true }))
}
