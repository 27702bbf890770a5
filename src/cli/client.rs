//! The HTTP client of the command line. It speaks to one node's API as its operator, by Basic auth
//! and `x-peer: cmd`. Used by the commands that need a running node. If a node takes no connection,
//! the client goes on to the next node of the configuration; it never sends a request twice.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::Failure;
use super::output::{say, show};
use crate::secret::Keys;

/// The route prefix of the command line's requests: camelCase.
const ROUTE_PREFIX: &str = "/api/v1";
/// The longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest time to an answer; loading many jobs takes a while.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);

/// The longest time of a download: a backup is as large as the state.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_hours(6);
/// Time between two checks whether a node is ready.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A connection to one node.
pub(super) struct Client {
    http: reqwest::Client,
    /// The nodes' URLs, never none.
    nodes: Vec<String>,
    /// The place of the node that is asked; those before it take no connections.
    asked: AtomicUsize,
    /// Keeps silent about nodes that take no connection.
    quiet: bool,
    username: String,
    password: Zeroizing<String>,
}

impl Client {
    /// Makes a client for the node at a URL such as `http://127.0.0.1:9091`. The client asks
    /// `others`, in turn, if that node takes no connection.
    pub(super) fn new(server: &str, others: &[&str], keys: &Keys) -> anyhow::Result<Self> {
        let server = server.trim_end_matches('/');
        let sound = url::Url::parse(server)
            .is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.host_str().is_some());
        if !sound {
            let message = format!("--server: expected http://host:port, found {server:?}");
            return Err(Failure::Usage(message).into());
        }
        // The password must not follow a redirection, nor go through a proxy for the web.
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self {
            http,
            nodes: [server].iter().chain(others).map(|&url| url.to_owned()).collect(),
            asked: AtomicUsize::new(0),
            quiet: false,
            username: keys.username().to_owned(),
            password: Zeroizing::new(keys.password().to_owned()),
        })
    }

    /// Keeps silent about nodes that take no connection, for commands that wait for nodes to start.
    pub(super) fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Begins with the first node again at the next request.
    pub(super) fn begin_anew(&self) {
        self.asked.store(0, Ordering::Relaxed);
    }

    /// Sends a GET request.
    pub(super) async fn get(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Value> {
        self.call(Method::GET, path, query, None).await
    }

    /// Sends a POST request.
    pub(super) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::POST, path, &[], Some(body)).await
    }

    /// Sends a PUT request.
    pub(super) async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::PUT, path, &[], Some(body)).await
    }

    /// Sends a DELETE request.
    pub(super) async fn delete(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<()> {
        self.call(Method::DELETE, path, query, None).await.map(|_| ())
    }

    /// Begins a download, which may take up to [`DOWNLOAD_TIMEOUT`].
    pub(super) async fn download(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> anyhow::Result<reqwest::Response> {
        let ask = || Ok(self.request(Method::GET, path, query)?.timeout(DOWNLOAD_TIMEOUT));
        let response = self.send(ask).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refused(response).await)
    }

    /// Waits until the node says that it is ready to serve.
    pub(super) async fn wait_until_ready(&self, patience: Duration) -> anyhow::Result<()> {
        let url = format!("{}/readyz", self.node());
        let ready = async {
            loop {
                let answer = self.http.get(&url).send().await;
                if answer.is_ok_and(|a| a.status().is_success()) {
                    return;
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        let waited = tokio::time::timeout(patience, ready).await;
        waited.map_err(|_| {
            anyhow::anyhow!("{} was not ready in {} s", self.node(), patience.as_secs())
        })
    }

    /// Sends one request. Returns the envelope of the answer, or an error that says why there is
    /// none.
    async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let ask = || {
            let request = self.request(method.clone(), path, query)?;
            Ok(if let Some(body) = body { request.json(body) } else { request })
        };
        let response = self.send(ask).await?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        let bytes = response.bytes().await.map_err(|e| self.unreachable(e))?;
        if bytes.is_empty() {
            return Ok(json!({"success": true}));
        }
        let envelope: Value = serde_json::from_slice(&bytes).map_err(|_| {
            anyhow::anyhow!(
                "{} answered with something that is not JSON: is it a Scheduler0 node?",
                self.node()
            )
        })?;
        for warning in envelope["warnings"].as_array().into_iter().flatten() {
            say(&format!("warning: {}", show(warning)));
        }
        Ok(envelope)
    }

    /// The node that is asked.
    fn node(&self) -> &str {
        // `send` counts up only while there is another node.
        &self.nodes[self.asked.load(Ordering::Relaxed)]
    }

    /// Sends what `ask` makes to the first node that takes a connection.
    async fn send(
        &self,
        ask: impl Fn() -> anyhow::Result<reqwest::RequestBuilder>,
    ) -> anyhow::Result<reqwest::Response> {
        loop {
            let error = match ask()?.send().await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let next = self.asked.load(Ordering::Relaxed) + 1;
            if !error.is_connect() || next == self.nodes.len() {
                return Err(self.unreachable(error).into());
            }
            if !self.quiet {
                say(&format!("{} takes no connection: asking {}", self.node(), self.nodes[next]));
            }
            self.asked.store(next, Ordering::Relaxed);
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
    ) -> anyhow::Result<reqwest::RequestBuilder> {
        let request = self.http.request(method, self.url(path, query)?);
        Ok(request
            .basic_auth(&self.username, Some(self.password.as_str()))
            .header("x-peer", "cmd")
            .header("prefer", "return=representation"))
    }

    /// The error for an answer without success.
    async fn refused(&self, response: reqwest::Response) -> anyhow::Error {
        let status = response.status();
        let bytes = match response.bytes().await {
            Ok(bytes) => bytes,
            Err(error) => return self.unreachable(error).into(),
        };
        let envelope: Option<Value> = serde_json::from_slice(&bytes).ok();
        // `data` has the message of the original, `error` the reason and the advice.
        let told =
            envelope.as_ref().and_then(|e| e["error"]["message"].as_str().or(e["data"].as_str()));
        let said = told.map(str::to_owned);
        let mut message = said.unwrap_or_else(|| "no reason given".to_owned());
        if status.as_u16() == 401 {
            message.push_str(
                "; the node has another username or password than the .scheduler0 (or environment) used here",
            );
        }
        if status.is_client_error() {
            return Failure::Refused { status: status.as_u16(), message }.into();
        }
        anyhow::anyhow!("the node failed: {message} (HTTP {})", status.as_u16())
    }

    fn url(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<url::Url> {
        let mut url = url::Url::parse(&format!("{}{ROUTE_PREFIX}{path}", self.node()))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    /// The innermost cause says it best ("connection refused").
    fn unreachable(&self, error: reqwest::Error) -> Failure {
        let error = error.without_url();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        let reason =
            if error.is_timeout() { "no answer in time".to_owned() } else { cause.to_string() };
        Failure::Unreachable { url: self.node().to_owned(), reason }
    }
}
