//! The callbacks that a call brings: the check right before its first byte, and the end of a call
//! that hangs. The worker supplies both; an executor asks. [`SendCheck`] keeps the results.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

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
}

impl SendCheck {
    /// A check that was not made yet.
    pub fn new(before_send: BeforeSend, clock: Arc<dyn Clock>) -> Arc<Self> {
        let before_send = Mutex::new(before_send);
        Arc::new(Self { before_send, clock, started: OnceLock::new(), refused: false.into() })
    }

    /// Makes the check; true if the request may go out now.
    pub fn passes(&self) -> bool {
        let passes = (self.before_send.lock().unwrap_or_else(PoisonError::into_inner))();
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
}
