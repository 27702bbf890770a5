//! A provider on the loopback that tells its keys, or whatever else a test has it say.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::signer::Signer;

/// The path of the discovery document.
pub(crate) const DISCOVERY: &str = "/realms/test/.well-known/openid-configuration";
/// The path of the keys.
pub(crate) const KEYS: &str = "/realms/test/keys";

/// A test's answer to a request for a path; `None` leaves it to the provider.
type Script = Box<dyn Fn(&str) -> Option<Response> + Send + Sync>;

struct Inner {
    issuer: String,
    keys: Mutex<Value>,
    script: Mutex<Script>,
    /// The requests for keys.
    asked: AtomicUsize,
    /// All requests.
    requests: AtomicUsize,
}

/// The provider; it stops when dropped.
pub(crate) struct Provider {
    inner: Arc<Inner>,
    task: tokio::task::JoinHandle<()>,
}

impl Provider {
    /// Starts it with these keys.
    pub(crate) async fn start(keys: &[&Signer]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}/realms/test", listener.local_addr().unwrap());
        let inner = Arc::new(Inner {
            issuer,
            keys: Mutex::default(),
            script: Mutex::new(Box::new(|_| None)),
            asked: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
        });
        let app = Router::new().fallback(answer).with_state(inner.clone());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let provider = Self { inner, task };
        provider.publish(keys);
        provider
    }

    /// Its identifier.
    pub(crate) fn issuer(&self) -> &str {
        &self.inner.issuer
    }

    /// The address of a path.
    pub(crate) fn at(&self, path: &str) -> String {
        self.inner.issuer.replace("/realms/test", path)
    }

    /// Publishes these keys, and no others.
    pub(crate) fn publish(&self, keys: &[&Signer]) {
        self.publish_raw(keys.iter().map(|key| key.public()).collect());
    }

    /// Publishes keys as they are given.
    pub(crate) fn publish_raw(&self, keys: Value) {
        *self.inner.keys.lock().unwrap() = keys;
    }

    /// Sets the script that is asked first for each answer.
    pub(crate) fn script(&self, script: impl Fn(&str) -> Option<Response> + Send + Sync + 'static) {
        *self.inner.script.lock().unwrap() = Box::new(script);
    }

    /// Answers everything with 503 from now on.
    pub(crate) fn go_down(&self) {
        self.script(|_| Some(StatusCode::SERVICE_UNAVAILABLE.into_response()));
    }

    /// Answers as a provider does again.
    pub(crate) fn come_back(&self) {
        self.script(|_| None);
    }

    /// The number of requests for keys so far.
    pub(crate) fn asked(&self) -> usize {
        self.inner.asked.load(Ordering::SeqCst)
    }

    /// The number of all requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.inner.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer in JSON.
pub(crate) fn json_answer(value: &Value) -> Response {
    ([("content-type", "application/json")], value.to_string()).into_response()
}

async fn answer(State(inner): State<Arc<Inner>>, uri: Uri) -> Response {
    inner.requests.fetch_add(1, Ordering::SeqCst);
    if uri.path() == KEYS {
        inner.asked.fetch_add(1, Ordering::SeqCst);
    }
    let scripted = (inner.script.lock().unwrap())(uri.path());
    if let Some(answer) = scripted {
        return answer;
    }
    match uri.path() {
        DISCOVERY => {
            let keys = inner.issuer.replace("/realms/test", KEYS);
            json_answer(&json!({"issuer": inner.issuer, "jwks_uri": keys}))
        }
        KEYS => json_answer(&json!({"keys": *inner.keys.lock().unwrap()})),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
