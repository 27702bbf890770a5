//! A request body that makes the lease check before its first byte, and with it the first byte of
//! the request, goes out.
//!
//! HTTP/1 puts the head into its buffer, asks the body for its first piece, and writes both at
//! once. When the body answers with an error instead, the connection is dropped with nothing
//! written. A request without a body has no first piece. But right before HTTP/1 puts the head
//! down, it asks the body whether it is at its end. The body makes the check then. If the check
//! fails, the body claims not to be at its end, and its first piece is the error. `request` makes
//! these bodies; the tests hold the socket of a receiver against this.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::delivery::call_checks::SendCheck;

/// The body. It makes the check when it is first polled or, if empty, asked whether it is.
pub(super) struct DeferredBody {
    body: Option<Bytes>,
    /// Whether the request states its length even if that is 0.
    states_length: bool,
    /// The result of the check; `None` before it was made.
    passed: Cell<Option<bool>>,
    check: Arc<SendCheck>,
}

/// The error of a request that the check kept back. It is not shown, as `SendCheck` keeps the
/// result.
#[derive(Debug, thiserror::Error)]
#[error("withheld before sending")]
pub(super) struct Withheld;

impl DeferredBody {
    pub(super) fn new(body: Bytes, states_length: bool, check: Arc<SendCheck>) -> Self {
        Self { body: Some(body), states_length, passed: Cell::new(None), check }
    }

    /// Whether the request may go out; makes the check the first time.
    fn passes(&self) -> bool {
        let passes = self.passed.get().unwrap_or_else(|| self.check.passes());
        self.passed.set(Some(passes));
        passes
    }
}

impl Body for DeferredBody {
    type Data = Bytes;
    type Error = Withheld;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Withheld>>> {
        let this = self.get_mut();
        if !this.passes() {
            this.body = None;
            return Poll::Ready(Some(Err(Withheld)));
        }
        Poll::Ready(this.body.take().map(|body| Ok(Frame::data(body))))
    }

    /// HTTP/1 alone asks this, once the connection stands and right before it writes the head.
    fn is_end_stream(&self) -> bool {
        let Some(body) = &self.body else { return true };
        body.is_empty() && self.passes() && !self.states_length
    }

    fn size_hint(&self) -> SizeHint {
        // HTTP/1 polls a body only if it has a length, and a withheld body must be polled.
        let least = usize::from(self.passed.get() == Some(false));
        SizeHint::with_exact(self.body.as_ref().map_or(0, |b| b.len().max(least)) as u64)
    }
}
