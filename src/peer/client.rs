//! Sending a message to another node and reading its answer.
//!
//! Everything runs on the runtime that [`Peers`] was made on (the node's core runtime), also when
//! the caller lives on another one: connections are shared with Raft, and their tasks must not wait
//! behind somebody's bulk work.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Body, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

use super::error::Error;
use super::forwards::{Origin, Place};
use super::headers::{
    ALONE, BOUND, CLUSTER, EXPECTS, EXPECTS_SINCE, FOUNDER, INSTANCE, LEVEL, NODE, PROCESS, STOP,
    coded, level, node,
};
use super::peers::Peers;
use crate::model::NodeId;

impl Peers {
    /// Sends a message and waits for its answer, at most `timeout`. Callable from any runtime.
    pub async fn call<Req, Resp>(
        &self,
        to: NodeId,
        path: &str,
        request: &Req,
        timeout: Duration,
    ) -> Result<Resp, Error>
    where
        Req: Serialize + ?Sized,
        Resp: DeserializeOwned,
    {
        self.ask(None, to, path, request, timeout).await
    }

    /// Calls as [`Peers::call`] does, at an address instead of the one that is known.
    pub async fn call_at<Req, Resp>(
        &self,
        to: NodeId,
        address: &str,
        path: &str,
        request: &Req,
        timeout: Duration,
    ) -> Result<Resp, Error>
    where
        Req: Serialize + ?Sized,
        Resp: DeserializeOwned,
    {
        let body = written(to, request)?;
        read(to, &self.exchange(to, Some(address), path, body, timeout).await?)
    }

    /// Waits for a place among the requests that this node forwards to another: with as many idle
    /// connections as are kept by default 32 for clients, and 64 for firings. Nothing is sent by
    /// then; who came first is served first.
    pub async fn place(&self, to: NodeId, origin: Origin) -> Place {
        self.0.forwards.place(to, origin).await
    }

    /// Calls as [`Peers::call`] does, in a place at that node. It is free again when the exchange
    /// has ended, also where the caller is gone by then.
    pub async fn call_in<Req, Resp>(
        &self,
        place: Place,
        path: &str,
        request: &Req,
        timeout: Duration,
    ) -> Result<Resp, Error>
    where
        Req: Serialize + ?Sized,
        Resp: DeserializeOwned,
    {
        let to = place.to;
        self.ask(Some(place), to, path, request, timeout).await
    }

    async fn ask<Req, Resp>(
        &self,
        place: Option<Place>,
        to: NodeId,
        path: &str,
        request: &Req,
        timeout: Duration,
    ) -> Result<Resp, Error>
    where
        Req: Serialize + ?Sized,
        Resp: DeserializeOwned,
    {
        let body = written(to, request)?;
        read(to, &self.send_in(place, to, path, body, timeout).await?)
    }

    /// Sends a body as it is (a stream, for a snapshot) and gives the answer's bytes.
    pub async fn send(
        &self,
        to: NodeId,
        path: &str,
        body: Body,
        timeout: Duration,
    ) -> Result<Bytes, Error> {
        self.send_in(None, to, path, body, timeout).await
    }

    async fn send_in(
        &self,
        place: Option<Place>,
        to: NodeId,
        path: &str,
        body: Body,
        timeout: Duration,
    ) -> Result<Bytes, Error> {
        if Handle::try_current().is_ok_and(|h| h.id() == self.0.runtime.id()) {
            let answer = self.exchange(to, None, path, body, timeout).await;
            drop(place);
            return answer;
        }
        let (peers, path) = (self.clone(), path.to_owned());
        let task = self.0.runtime.spawn(async move {
            let answer = peers.exchange(to, None, &path, body, timeout).await;
            drop(place);
            answer
        });
        task.await.map_err(|e| Error::Lost { to, message: e.to_string() })?
    }

    async fn exchange(
        &self,
        to: NodeId,
        at: Option<&str>,
        path: &str,
        body: Body,
        timeout: Duration,
    ) -> Result<Bytes, Error> {
        let mine = &self.0.identity;
        let since = self.bound_since();
        // A state that is being replayed may be of an earlier line of descent.
        let replays = since > 0 && self.own().is_none();
        let mut request = self.known(|known| {
            let address = at.or_else(|| known.addresses.get(&to).map(String::as_str));
            let address = address.ok_or(Error::Unknown(to))?;
            let mut request = self
                .0
                .client
                .post(format!("http://{address}{path}"))
                .bearer_auth(&mine.token)
                .header(CLUSTER, format!("{:032x}", if replays { 0 } else { known.generation }))
                .header(NODE, mine.node)
                .header(INSTANCE, format!("{:032x}", mine.instance))
                .header(BOUND, since);
            if mine.level > 1 {
                request = request.header(LEVEL, mine.level);
            }
            if mine.process.id != 0 {
                request = request.header(PROCESS, coded(mine.process));
            }
            if self.0.alone.load(Ordering::Relaxed) {
                request = request.header(ALONE, "1");
            }
            // A restored cluster has state and nobody in its registry: its first node founds it
            // anew.
            if mine.founder || (known.generation != 0 && known.bound.is_empty()) {
                request = request.header(FOUNDER, "1");
            }
            // A call at an address asks who is there: it expects nobody.
            match known.bound.get(&to).filter(|_| at.is_none()) {
                Some(bound) if !bound.removed => {
                    request = request
                        .header(EXPECTS, format!("{:032x}", bound.instance))
                        .header(EXPECTS_SINCE, bound.since);
                }
                _ => {}
            }
            Ok(request)
        })?;
        request = request.timeout(timeout).body(body);
        let response = request.send().await.map_err(|e| transport(to, &e))?;
        let status = response.status();
        let stop = response.headers().contains_key(STOP);
        if status == StatusCode::OK {
            // At an address that was given another node may answer. One of level 1 names none.
            let speaker = node(response.headers()).unwrap_or(to);
            self.note_level(speaker, level(response.headers()));
        }
        let body = response.bytes().await.map_err(|e| transport(to, &e))?;
        if status == StatusCode::OK {
            self.0.claims.acquit(to);
            return Ok(body);
        }
        let message = String::from_utf8_lossy(&body[..body.len().min(2_000)]).into_owned();
        if stop {
            self.accused(to, at, &message);
        }
        if status == StatusCode::TOO_EARLY && !self.0.said_over.swap(true, Ordering::Relaxed) {
            tracing::warn!(to, "this process is not served yet: {message}");
        }
        Err(Error::Refused { to, status: status.as_u16(), message, stop })
    }
}

fn written<Req: Serialize + ?Sized>(to: NodeId, request: &Req) -> Result<Body, Error> {
    let coded = postcard::to_allocvec(request);
    coded.map(Body::from).map_err(|e| Error::Codec { to, message: e.to_string() })
}

/// Decodes an answer. The receiver has carried the message out, even if its answer cannot be
/// decoded: only a message that cannot be encoded was never sent.
fn read<Resp: DeserializeOwned>(to: NodeId, answer: &[u8]) -> Result<Resp, Error> {
    let unread = |e: postcard::Error| Error::Unreadable { to, message: e.to_string() };
    postcard::from_bytes(answer).map_err(unread)
}

/// The transport's error without the URL (it says nothing more) but with its causes.
fn transport(to: NodeId, error: &reqwest::Error) -> Error {
    let mut message = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(e) = cause {
        if !message.is_empty() {
            message.push_str(": ");
        }
        message.push_str(&e.to_string());
        cause = e.source();
    }
    if error.is_connect() {
        Error::Unreachable { to, message }
    } else {
        Error::Lost { to, message }
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
