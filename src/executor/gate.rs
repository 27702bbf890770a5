//! A request's body that asks for leave before its first byte, and with it the request's, goes out.
//!
//! HTTP/1 puts the head into its buffer, asks the body for its first piece, and writes both at once;
//! when the body answers with an error instead, the connection is dropped with nothing written. A
//! request without a body has no first piece, but is asked, right before its head is put down, whether
//! it really has none: it asks for leave then, and without leave claims to have a body, whose first
//! piece is the error. Used by `Executor` alone; the tests there hold a receiver's socket against it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::BeforeSend;
use crate::clock::Clock;

/// The body; asks for leave when it is first polled or, empty, asked whether it is.
pub(super) struct Asking {
    body: Option<Bytes>,
    /// Whether the length is said even if it is 0.
    lengthy: bool,
    /// In a mutex so that the body may be shared between threads, as the client demands.
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

impl Asking {
    pub(super) fn new(
        body: Bytes,
        lengthy: bool,
        before_send: BeforeSend,
        clock: Arc<dyn Clock>,
    ) -> (Self, Passage) {
        let passage = Passage::default();
        let before_send = Mutex::new(Some(before_send));
        (Self { body: Some(body), lengthy, before_send, passage: passage.clone(), clock }, passage)
    }

    /// Whether the request may go out; asks the first time.
    fn ask(&self) -> bool {
        let leave = self.before_send.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(leave) = leave {
            let _ = self.passage.0.set(leave().then(|| self.clock.boot()));
        }
        self.passage.started().is_some()
    }
}

impl Body for Asking {
    type Data = Bytes;
    type Error = Withheld;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Withheld>>> {
        let this = self.get_mut();
        if !this.ask() {
            this.body = None;
            return Poll::Ready(Some(Err(Withheld)));
        }
        Poll::Ready(this.body.take().map(|body| Ok(Frame::data(body))))
    }

    /// Asked by HTTP/1 alone, once the connection stands and right before it writes the head.
    fn is_end_stream(&self) -> bool {
        let Some(body) = &self.body else { return true };
        body.is_empty() && self.ask() && !self.lengthy
    }

    fn size_hint(&self) -> SizeHint {
        // What is withheld needs a body that is asked for.
        let least = usize::from(self.passage.withheld());
        SizeHint::with_exact(self.body.as_ref().map_or(0, |b| b.len().max(least)) as u64)
    }
}
