//! One HTTP/1 connection to a receiver, or to the configured proxy. It carries one request at a
//! time. `connector` makes it, `client` sends requests over it, and `pool` keeps it between two
//! requests.

use std::sync::OnceLock;

use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::deferred_body::DeferredBody;
use super::meter::{MAX_HEAD, Meter};

/// A connection.
pub(super) struct Connection {
    sender: SendRequest<DeferredBody>,
    meter: Meter,
    /// The instant at which it was made, in boot-clock milliseconds.
    pub(super) made: u64,
    /// Whether nobody is to read the answers that it brings.
    pub(super) is_hidden: bool,
}

/// The reason why a connection gave no answer.
pub(super) struct Unanswered {
    pub(super) error: hyper::Error,
    /// Whether the connection ended before a byte of an answer came. If it was kept from an earlier
    /// request, the request may go out again over a new one.
    pub(super) lost: bool,
    /// Whether the receiver sent more than the head of an answer may have.
    pub(super) endless: bool,
}

impl Connection {
    /// A connection over a stream. A task on the current runtime moves its bytes until it ends.
    pub(super) async fn over<S>(stream: S, meter: Meter, made: u64) -> hyper::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = builder().handshake(TokioIo::new(stream)).await?;
        tokio::spawn(async move {
            // The call that is under way gets the error.
            let _ = connection.await;
        });
        Ok(Self { sender, meter, made, is_hidden: false })
    }

    /// Sends a request and waits for the head of its answer. The caller reads `room` bytes of the
    /// body at most.
    pub(super) async fn send(
        &mut self,
        request: Request<DeferredBody>,
        room: u64,
    ) -> Result<Response<Incoming>, Unanswered> {
        self.meter.restart();
        match self.sender.try_send_request(request).await {
            Ok(response) => {
                self.meter.head_is_complete(room);
                Ok(response)
            }
            Err(error) => Err(self.unanswered(error)),
        }
    }

    fn unanswered(&self, error: TrySendError<Request<DeferredBody>>) -> Unanswered {
        // A request that is handed back was never begun.
        let unsent = error.message().is_some();
        let error = error.into_error();
        // hyper bounds the head of an answer, too.
        let endless = self.meter.is_spent() || error.is_parse_too_large();
        // A user error is that of the body: the lease check failed.
        let lost = unsent || !(self.meter.has_begun() || error.is_user());
        Unanswered { error, lost, endless }
    }

    /// Whether a request can be sent over it now.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Waits until the next request can be sent over it; false when it has ended.
    pub(super) async fn becomes_ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// Notes that no request is under way.
    pub(super) fn rest(&self) {
        self.meter.restart();
    }
}

fn builder() -> &'static Builder {
    static BUILDER: OnceLock<Builder> = OnceLock::new();
    BUILDER.get_or_init(|| {
        let mut builder = Builder::new();
        builder
            // RFC 9112 5.2: a folded line is read as if its fold were a space.
            .allow_obsolete_multiline_headers_in_responses(true)
            .max_buf_size(MAX_HEAD as usize);
        builder
    })
}
