//! The queues of calls: `MaxWorkers` workers, shared out fairly among projects, and within a
//! project among destinations. The executor takes a [`CallPermit`] before each call and reports the
//! outcome with it. Nothing here connects or sends.
//!
//! The calls of a project to a destination under the same limits are a flow. Within a flow calls
//! are served in the order in which they come. Among flows and projects the
//! [`FairQueue`](super::fair_queue::FairQueue) decides; its head states the two bounds.
//!
//! A call that has been under way for a tenth of a second is slow: another project may have its
//! worker. After a second it hangs: it gives its worker back, always, and only counts as in flight.
//! [`QueueOptions::max_hanging`] bounds the hanging calls, a figure derived from the file
//! descriptors. No project ever has more than half of that and the workers together. Its calls
//! beyond that wait, and are deferred in the store after [`PATIENCE_MS`].
//!
//! As many projects as there are places could take all of them, one each. So a call that hangs is
//! evicted (`eviction` chooses it) when more than `max_hanging` do, or when nothing is free and
//! a project that has nothing under way waits. A project that is alone never meets that.
//!
//! A flow never has more than three quarters of the workers in flight, or more than its own limits
//! allow. A destination never has more than the operator allows, whichever projects call it
//! (`destination_limits`). A destination that keeps failing takes no calls of a project for a while
//! (`breakers`), and calls that wait for it are turned away.
//!
//! ```text
//!   project 1  a:3000  [c c c c]  \
//!              b:443   [c]        -+- fewest in flight first --\
//!   project 2  a:3000  [c]        ----------------------------- +- fewest workers first --> worker
//!                                                                       |  1 s
//!                                        destination limits, breakers, rate      --> hangs
//! ```

mod load;
mod queues;
mod request;
mod state;
#[cfg(test)]
mod tests;

pub use load::{DestinationLoad, Occupancy};
pub use queues::{CallPermit, DestinationQueues};
pub use request::{PermitRequest, QueueOptions, Refusal};

/// The time that a call waits for its turn, in milliseconds; then it is turned away for as long. It
/// is not a number of whole seconds, as other calls are due at those.
const PATIENCE_MS: u64 = 10_250;
