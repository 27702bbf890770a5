//! The HTTP client of callbacks: HTTP/1.1, no redirects, no proxy but the configured one, and no
//! retry but one, which a kept connection needs. `run` calls [`Client::send`] once a call and reads
//! the [`Response`]. What an answer means is judged elsewhere.
//!
//! A receiver may close a kept connection at any moment, also while a request is on its way to it
//! (RFC 9112 9.5). Where such a connection ends without a byte of an answer, the request goes out
//! once more over a new connection, with the same lines and another lease check. An HTTP client may
//! do that by itself where a request is safe to repeat (RFC 9110 9.2.2). Ours are, by their ids: if
//! the receiver has worked on the first one, it sees the ids a second time.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::{Body as _, Incoming};
use hyper::header::HeaderMap;

use super::connection::{Connection, Unanswered};
use super::connector::{self, Connector};
use super::meter::MAX_HEAD;
use super::options::Options;
use super::pool::Pool;
use super::request::{OutgoingRequest, RequestLine};
use super::send_error::SendError;
use crate::clock::Clock;
use crate::executor::outbound::error_text::chain;
use crate::executor::outbound::guarded_resolver::Refused;
use crate::executor::outbound::local_error::LocalError;
use crate::executor::outbound::tls::{Identity, IdentityCache, RootCertificates};

/// The client.
pub(super) struct Client {
    connector: Connector,
    pool: Arc<Pool>,
    roots: Arc<RootCertificates>,
    identities: IdentityCache,
    clock: Arc<dyn Clock>,
}

/// An answer whose body is to be read.
pub(super) struct Response<'a> {
    inner: hyper::Response<Incoming>,
    connection: Connection,
    pool: &'a Arc<Pool>,
    key: Cow<'a, str>,
    /// Whether nobody is to read it.
    pub(super) is_hidden: bool,
}

impl Client {
    /// A client without connections. Reads the root certificates.
    pub(super) fn new(options: &Options, clock: Arc<dyn Clock>) -> Result<Self, String> {
        Ok(Self {
            connector: Connector::new(options)?,
            pool: Pool::new(options.max_idle, Arc::clone(&clock)),
            roots: RootCertificates::read(clock.boot())?,
            identities: IdentityCache::default(),
            clock,
        })
    }

    /// Sends a request and waits for the head of its answer. The caller reads `room` bytes of the
    /// body at most. Dropping the future, or the response before its end, closes the connection.
    pub(super) async fn send<'a>(
        &'a self,
        outgoing: &'a OutgoingRequest,
        identity: Option<&Arc<Identity>>,
        room: u64,
    ) -> Result<Response<'a>, SendError> {
        let key = key(outgoing, identity);
        let (forwarded, credentials) = self.connector.forwards(&outgoing.url);
        let line = outgoing.line(forwarded);
        let line =
            line.map_err(|error| SendError::NotSent(format!("the URL cannot be sent: {error}")))?;
        let request = |line: &RequestLine| outgoing.request(line, credentials);
        let mut lost = None;
        if let Some(mut kept) = self.pool.take(&key) {
            match kept.send(request(&line), room).await {
                Ok(response) => return Ok(self.response(response, kept, key)),
                // Where the request was never begun, the second try is the first.
                Err(why) if why.lost => lost = outgoing.check.started().map(|_| why),
                Err(why) => return Err(SendError::Receiver(describe(&why))),
            }
        }
        let second = async {
            let mut fresh = self.open(outgoing, identity).await?;
            match fresh.send(request(&line), room).await {
                Ok(response) => Ok(self.response(response, fresh, key)),
                Err(why) => Err(SendError::Receiver(describe(&why))),
            }
        };
        match (second.await, lost) {
            // The fate of the first try is not known, so the error of the second must not stand for
            // both.
            (Err(again), Some(lost)) => {
                Err(SendError::Receiver(twice(&lost, again, outgoing.check.refused())))
            }
            (outcome, _) => outcome,
        }
    }

    async fn open(
        &self,
        outgoing: &OutgoingRequest,
        identity: Option<&Arc<Identity>>,
    ) -> Result<Connection, SendError> {
        let now = self.clock.boot();
        let tls = match identity {
            _ if outgoing.url.scheme() != "https" => None,
            None => Some(self.roots.get(now)),
            Some(own) => Some(self.identities.get(own, now).await.map_err(SendError::NotSent)?),
        };
        self.connector.open(outgoing, tls, now).await.map_err(|error| {
            if let Some(refused) = Refused::find(&error) {
                return SendError::NotAllowed(refused.to_string());
            }
            match (LocalError::find(&error), &error) {
                (Some(own), _) => SendError::Local(own),
                (None, connector::Error::Timeout) => SendError::Receiver(error.to_string()),
                (None, connector::Error::Failed(_)) => SendError::Unreachable(unconnected(&error)),
            }
        })
    }

    fn response<'a>(
        &'a self,
        inner: hyper::Response<Incoming>,
        connection: Connection,
        key: Cow<'a, str>,
    ) -> Response<'a> {
        let is_hidden = connection.is_hidden;
        Response { inner, connection, pool: &self.pool, key, is_hidden }
    }
}

impl Response<'_> {
    pub(super) fn status(&self) -> u16 {
        self.inner.status().as_u16()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// The next piece of the body; `None` at its end.
    pub(super) async fn piece(&mut self) -> Option<Result<Bytes, String>> {
        loop {
            let body = self.inner.body_mut();
            let frame = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
            match frame.map(hyper::body::Frame::into_data) {
                Ok(Ok(piece)) => return Some(Ok(piece)),
                // Trailers.
                Ok(Err(_)) => {}
                Err(error) => return Some(Err(chain(&error))),
            }
        }
    }

    /// Keeps the connection for others: the body has been read to its end.
    pub(super) fn give_back(self) {
        self.pool.give_back(&self.key, self.connection);
    }
}

/// The key that requests have in common which may share a connection. The address of a connection
/// was judged by the list of the project that it was made for.
fn key<'a>(outgoing: &'a OutgoingRequest, identity: Option<&Arc<Identity>>) -> Cow<'a, str> {
    let origin = &outgoing.url[..url::Position::AfterPort];
    let mut key = match identity.filter(|_| outgoing.url.scheme() == "https") {
        None => Cow::Borrowed(origin),
        Some(own) => Cow::Owned(format!("{origin} {}", hex::encode(own.digest()))),
    };
    for pattern in outgoing.guard.project.iter().flat_map(|list| list.iter()) {
        let key = key.to_mut();
        key.push(' ');
        key.push_str(&pattern.to_string());
    }
    key
}

/// The text of an error, for people.
fn describe(why: &Unanswered) -> String {
    if why.endless {
        return format!(
            "the receiver sends no end of informational answers, or an answer whose head is longer \
             than {MAX_HEAD} bytes or 100 lines"
        );
    }
    if why.error.is_incomplete_message() {
        let begun = if why.lost { "without an answer" } else { "in the head of its answer" };
        return format!("the receiver closed the connection {begun}");
    }
    if why.error.is_canceled() {
        return "the receiver closed the connection before the request".to_owned();
    }
    chain(&why.error)
}

/// The error of a second try whose first one may have arrived.
fn twice(lost: &Unanswered, again: SendError, refused: bool) -> String {
    let first = describe(lost);
    match again {
        _ if refused => first,
        SendError::Receiver(why)
        | SendError::Unreachable(why)
        | SendError::NotAllowed(why)
        | SendError::NotSent(why) => format!("{first}; then again: {why}"),
        SendError::Local(own) => format!("{first}; then again: {}", own.text()),
    }
}

fn unconnected(error: &connector::Error) -> String {
    let told = chain(error);
    if told.contains("CaUsedAsEndEntity") { CA_AS_RECEIVER.to_owned() } else { told }
}

/// `openssl req -x509` makes the certificate of an authority, which no receiver may show.
const CA_AS_RECEIVER: &str = "the receiver's certificate is that of an authority (CA:TRUE), as `openssl req -x509` makes \
     it: give the receiver one with basicConstraints CA:FALSE, its own or one that the authority issued";
