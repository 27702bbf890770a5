//! A request's body that asks for leave before its first byte, and with it the request's, goes out.
//!
//! HTTP/1 puts the head into its buffer, asks the body for its first piece, and writes both at once;
//! when the body answers with an error instead, the connection is dropped with nothing written. A
//! request without a body has no first piece, but is asked, right before its head is put down, whether
//! it really has none: it asks for leave then, and without leave claims to have a body, whose first
//! piece is the error. Used by `OutgoingRequest` alone; the tests hold a receiver's socket against it.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::BeforeSend;
use crate::clock::Clock;

/// The body; asks for leave when it is first polled or, empty, asked whether it is.
pub(super) struct DeferredBody {
    body: Option<Bytes>,
    /// Whether the length is said even if it is 0.
    lengthy: bool,
    /// What the answer was; `None` before it was asked.
    leave: Cell<Option<bool>>,
    passage: Arc<SendCheck>,
}

/// The leave of a call, asked once for each time that its request goes out, and what came of it.
pub(super) struct SendCheck {
    before_send: Mutex<BeforeSend>,
    clock: Arc<dyn Clock>,
    /// When leave was given first, in boot-clock milliseconds.
    started: OnceLock<u64>,
    /// Whether leave was refused when it was asked for last.
    refused: AtomicBool,
}

impl SendCheck {
    pub(super) fn new(before_send: BeforeSend, clock: Arc<dyn Clock>) -> Arc<Self> {
        let before_send = Mutex::new(before_send);
        Arc::new(Self { before_send, clock, started: OnceLock::new(), refused: false.into() })
    }

    /// Whether leave was refused when it was asked for last.
    pub(super) fn refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }

    /// Whether leave was refused and nothing had been sent before.
    pub(super) fn withheld(&self) -> bool {
        self.refused() && self.started().is_none()
    }

    /// When leave was given first; `None` when it was refused or never asked for.
    pub(super) fn started(&self) -> Option<u64> {
        self.started.get().copied()
    }

    fn ask(&self) -> bool {
        let leave = (self.before_send.lock().unwrap_or_else(PoisonError::into_inner))();
        if leave {
            // The first instant stays.
            let _ = self.started.set(self.clock.boot());
        }
        self.refused.store(!leave, Ordering::Release);
        leave
    }
}

/// Why nothing was sent; never seen outside, as the passage says so already.
#[derive(Debug, thiserror::Error)]
#[error("withheld before sending")]
pub(super) struct Withheld;

impl DeferredBody {
    pub(super) fn new(body: Bytes, lengthy: bool, passage: Arc<SendCheck>) -> Self {
        Self { body: Some(body), lengthy, leave: Cell::new(None), passage }
    }

    /// Whether the request may go out; asks the first time.
    fn ask(&self) -> bool {
        let leave = self.leave.get().unwrap_or_else(|| self.passage.ask());
        self.leave.set(Some(leave));
        leave
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
        let least = usize::from(self.leave.get() == Some(false));
        SizeHint::with_exact(self.body.as_ref().map_or(0, |b| b.len().max(least)) as u64)
    }
}
