//! The callbacks that a call brings: the check right before its first byte, and the end of a call
//! that hangs. The worker supplies both; an executor asks. [`SendCheck`] keeps the results, and
//! what the executor and `running_call` tell each other: that the call is over, and its outcome.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

use super::call_outcome::CallOutcome;
use super::interruption::Interruption;
use crate::clock::Clock;

/// The lease check: asked right before the first byte of a request, each time that the request goes
/// out. That is once, or twice where a kept connection turned out to be closed. False keeps the
/// request back.
pub type BeforeSend = Box<dyn FnMut() -> bool + Send>;

/// A future that is ready when the answer to a call is not wanted any more. The executor makes it
/// once a call hangs.
pub type Unwanted = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// The lease check of a call with its results.
pub struct SendCheck {
    before_send: Mutex<BeforeSend>,
    clock: Arc<dyn Clock>,
    /// The first instant at which the check passed, in boot-clock milliseconds.
    started: OnceLock<u64>,
    /// Whether the last check failed.
    refused: AtomicBool,
    /// Whether nothing may be sent any more, as the call is over.
    closed: AtomicBool,
    interruption: OnceLock<Interruption>,
    /// The executor, while it waits for its exchange.
    waker: AtomicWaker,
    outcome: OnceLock<(u64, CallOutcome)>,
}

impl SendCheck {
    /// A check that was not made yet.
    pub fn new(before_send: BeforeSend, clock: Arc<dyn Clock>) -> Arc<Self> {
        let before_send = Mutex::new(before_send);
        Arc::new(Self {
            before_send,
            clock,
            started: OnceLock::new(),
            refused: false.into(),
            closed: false.into(),
            interruption: OnceLock::new(),
            waker: AtomicWaker::new(),
            outcome: OnceLock::new(),
        })
    }

    /// Makes the check; true if the request may go out now.
    pub fn passes(&self) -> bool {
        let open = !self.closed.load(Ordering::Acquire);
        let passes = open && (self.before_send.lock().unwrap_or_else(PoisonError::into_inner))();
        if passes {
            // The first instant stays.
            let _ = self.started.set(self.clock.boot());
        }
        self.refused.store(!passes, Ordering::Release);
        passes
    }

    /// Whether the last check failed.
    pub fn refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }

    /// Whether the check failed and nothing had been sent before.
    pub fn withheld(&self) -> bool {
        self.refused() && self.started().is_none()
    }

    /// The first instant at which the check passed, in boot-clock milliseconds; `None` when it
    /// never did, or was never made.
    pub fn started(&self) -> Option<u64> {
        self.started.get().copied()
    }

    /// Lets no check pass from now on.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Tells the executor that the call is over.
    pub(super) fn interrupt(&self, why: Interruption) {
        self.close();
        // A call is interrupted once.
        let _ = self.interruption.set(why);
        self.waker.wake();
    }

    /// The interruption of the call, once there is one.
    pub(super) fn poll_interrupted(&self, context: &Context<'_>) -> Poll<Interruption> {
        self.waker.register(context.waker());
        self.interruption.get().copied().map_or(Poll::Pending, Poll::Ready)
    }

    /// Notes the outcome of the call, which began at an instant of the boot clock. The first one
    /// counts.
    pub(super) fn finish(&self, began: u64, outcome: CallOutcome) {
        let _ = self.outcome.set((began, outcome));
    }

    /// The outcome of the call and its beginning, if there is one.
    pub(super) fn outcome(&self) -> Option<(u64, CallOutcome)> {
        self.outcome.get().copied()
    }
}
