//! A request's body that asks for leave before its first byte, and with it the request's, goes out.
//!
//! HTTP/1 puts the head into its buffer, asks the body for its first piece, and writes both at once;
//! when the body answers with an error instead, the connection is dropped with nothing written. Used
//! by `Executor` alone; the tests there hold a receiver's socket against it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::BeforeSend;
use crate::clock::Clock;

/// The body; asked for leave when it is first polled.
pub(super) struct Gate {
    body: Option<Bytes>,
    /// In a mutex only so that the body may be shared between threads, as the client demands.
    before_send: Mutex<Option<BeforeSend>>,
    passage: Passage,
    clock: Arc<dyn Clock>,
}

/// What became of it: `None` within is "withheld", a number the boot-clock millisecond of leave.
#[derive(Clone, Debug, Default)]
pub(super) struct Passage(Arc<OnceLock<Option<u64>>>);

impl Passage {
    /// Whether leave was refused.
    pub(super) fn withheld(&self) -> bool {
        self.0.get() == Some(&None)
    }

    /// When leave was given; `None` when it was refused or never asked for.
    pub(super) fn started(&self) -> Option<u64> {
        self.0.get().copied().flatten()
    }
}

/// Why nothing was sent; never seen outside, as the passage says so already.
#[derive(Debug, thiserror::Error)]
#[error("withheld before sending")]
pub(super) struct Withheld;

impl Gate {
    pub(super) fn new(
        body: Bytes,
        before_send: BeforeSend,
        clock: Arc<dyn Clock>,
    ) -> (Self, Passage) {
        let passage = Passage::default();
        let before_send = Mutex::new(Some(before_send));
        (Self { body: Some(body), before_send, passage: passage.clone(), clock }, passage)
    }
}

impl Body for Gate {
    type Data = Bytes;
    type Error = Withheld;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Withheld>>> {
        let this = self.get_mut();
        let leave = this.before_send.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(leave) = leave {
            let given = leave().then(|| this.clock.boot());
            let _ = this.passage.0.set(given);
            if given.is_none() {
                this.body = None;
                return Poll::Ready(Some(Err(Withheld)));
            }
        }
        Poll::Ready(this.body.take().map(|body| Ok(Frame::data(body))))
    }

    /// Never before it was polled, not even for an empty body: else it would not be polled at all.
    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.body.as_ref().map_or(0, |b| b.len() as u64))
    }
}
