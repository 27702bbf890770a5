//! The HTTP client of the command line. It speaks to one node's API as its operator, by Basic auth
//! and `x-peer: cmd`, with a client's key pair, or with the access token of a session. `identity`
//! chooses which. Used by the commands that need a running node.
//! If a node takes no connection, the client goes on to the next node of the configuration; it
//! never sends a request twice. A worker, which repeats its requests, asks nodes one by one by
//! `post_to`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::Failure;
use super::client_login::ClientLogin;
use super::http_cause::cause_of;
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
    login: ClientLogin,
}

/// The answer of a node to [`Client::post_to`], whatever its status.
pub(super) struct NodeReply {
    /// The HTTP status.
    pub(super) status: u16,
    /// The envelope; null where there is none.
    pub(super) envelope: Value,
    /// The wait that the node asks for.
    pub(super) retry_after: Option<Duration>,
}

impl NodeReply {
    /// The node's words about a request that it did not carry out.
    pub(super) fn message(&self) -> String {
        // `data` has the message of the original, `error` the reason and the advice.
        let told = self.envelope["error"]["message"].as_str().or(self.envelope["data"].as_str());
        let mut told = told.unwrap_or("no reason given").to_owned();
        // Where several fields are wrong, each says what is wrong with it.
        for (field, why) in self.envelope["error"]["fields"].as_object().into_iter().flatten() {
            told = format!("{told}\n  {} {}", show(&field.as_str().into()), show(why));
        }
        told
    }
}

impl Client {
    /// Makes a client for the node at a URL such as `http://127.0.0.1:9091`. The client asks
    /// `others`, in turn, if that node takes no connection.
    pub(super) fn new(server: &str, others: &[&str], keys: &Keys) -> anyhow::Result<Self> {
        Self::with_login(&[&[server], others].concat(), ClientLogin::of(keys))
    }

    /// Makes a client for some nodes, at least one, with these credentials.
    pub(super) fn with_login(servers: &[&str], login: ClientLogin) -> anyhow::Result<Self> {
        let nodes: Vec<_> = servers.iter().map(|url| url.trim_end_matches('/')).collect();
        let is_sound = |node: &str| {
            url::Url::parse(node)
                .is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.host_str().is_some())
        };
        if let Some(node) = nodes.iter().find(|node| !is_sound(node)) {
            let message = format!("--server: expected http://host:port, found {node:?}");
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
            nodes: nodes.into_iter().map(str::to_owned).collect(),
            asked: AtomicUsize::new(0),
            quiet: false,
            login,
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
        self.call(Method::POST, path, &[], Some(body.to_string())).await
    }

    /// Sends a POST request whose body is JSON that goes as it is: with its order, and all digits
    /// of its numbers.
    pub(super) async fn post_text(
        &self,
        path: &str,
        query: &[(&str, String)],
        body: String,
    ) -> anyhow::Result<Value> {
        self.call(Method::POST, path, query, Some(body)).await
    }

    /// The number of nodes, at least one.
    pub(super) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Sends a POST request to one node, by its place among the nodes, and to no other.
    ///
    /// A session that is over counts as an answer of 401: repeating the request changes nothing.
    ///
    /// # Errors
    ///
    /// [`Failure::Unreachable`] where no whole answer comes in time. Others where the session
    /// cannot be refreshed at present.
    pub(super) async fn post_to(
        &self,
        place: usize,
        path: &str,
        body: &Value,
        timeout: Duration,
    ) -> anyhow::Result<NodeReply> {
        let node = self.nodes.get(place).unwrap_or(&self.nodes[0]);
        let unreachable = |error| unreachable(node, error);
        let request = self.http.post(format!("{node}{ROUTE_PREFIX}{path}"));
        let request = match self.login.sign(request).await {
            Ok(request) => request.json(body).timeout(timeout),
            Err(error) => return over(error),
        };
        let response = request.send().await.map_err(unreachable)?;
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after.and_then(|text| text.to_str().ok()?.parse().ok());
        let status = response.status().as_u16();
        let bytes = response.bytes().await.map_err(unreachable)?;
        let envelope = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok(NodeReply { status, envelope, retry_after: retry_after.map(Duration::from_secs) })
    }

    /// Sends a PUT request.
    pub(super) async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::PUT, path, &[], Some(body.to_string())).await
    }

    /// Sends a DELETE request.
    pub(super) async fn delete(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<()> {
        self.call(Method::DELETE, path, query, None).await.map(|_| ())
    }

    /// Sends a DELETE request with a body.
    pub(super) async fn delete_with(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::DELETE, path, &[], Some(body.to_string())).await
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
        body: Option<String>,
    ) -> anyhow::Result<Value> {
        let ask = || {
            let request = self.request(method.clone(), path, query)?;
            let Some(body) = &body else { return Ok(request) };
            Ok(request.header("content-type", "application/json").body(body.clone()))
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
            let error = match self.login.sign(ask()?).await?.send().await {
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
        Ok(request.header("prefer", "return=representation"))
    }

    /// The credentials that it shows, for people.
    pub(super) fn login_words(&self) -> &'static str {
        self.login.words()
    }

    /// The error for an answer without success.
    async fn refused(&self, response: reqwest::Response) -> anyhow::Error {
        let status = response.status();
        let bytes = match response.bytes().await {
            Ok(bytes) => bytes,
            Err(error) => return self.unreachable(error).into(),
        };
        let envelope = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let reply = NodeReply { status: status.as_u16(), envelope, retry_after: None };
        let mut message = reply.message();
        message.push_str(&self.login.advice(status.as_u16()));
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

    fn unreachable(&self, error: reqwest::Error) -> Failure {
        unreachable(self.node(), error)
    }
}

/// The error for a node without an answer.
fn unreachable(node: &str, error: reqwest::Error) -> Failure {
    Failure::Unreachable { url: node.to_owned(), reason: cause_of(error) }
}

/// The answer in place of a request whose session is over; other errors stay errors.
fn over(error: anyhow::Error) -> anyhow::Result<NodeReply> {
    match error.downcast_ref() {
        Some(Failure::SessionOver { .. }) => {
            let envelope = json!({"data": error.to_string()});
            Ok(NodeReply { status: 401, envelope, retry_after: None })
        }
        _ => Err(error),
    }
}
