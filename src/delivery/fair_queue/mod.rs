//! A fair queue at two levels. Projects share a capacity, and the flows of a project (its calls to
//! one destination under one set of limits) share the project's part of it.
//!
//! `delivery::destination_queues` shares out the workers for calls with one of these,
//! `worker::admission` the places for built requests, and the resolver of `executor::outbound` its
//! threads. The queue is pure: no clock, no lock, no I/O. Every operation is O(log n) in projects
//! and flows. Two operations look at all of them: [`FairQueue::flows`] (for metrics), and the
//! pruning of idle flows, which happens when their number has doubled.
//!
//! Two bounds hold at any time:
//!
//! - **In flight**: a project may begin one more call while it has fewer in flight than are free (a
//!   dynamic threshold, Choudhury and Hahne 1998, with factor 1). So no project ever has more than
//!   half of the capacity. As many projects as there are places can take all of them: the owner of
//!   the queue must see to it that some end. Within a project the same rule holds for its flows,
//!   with factor `FLOW_FACTOR`, of what the project may still begin.
//! - **Workers**: each call in flight takes a worker, until it hangs ([`Stage`]). Free workers go
//!   to the project that has the fewest, in turn among equals (max-min fairness). Where none is
//!   free, another project may lend one: the project with the most workers lends to one that has at
//!   least two fewer, and a project with a slow call lends that call's worker to any project that
//!   has fewer workers. The call that had the worker goes on without one (`lent`). So no project
//!   has more than half of the workers while another one waits, a project with fewer than its share
//!   waits for nobody, and where there are more projects than workers, each waits for quick calls
//!   only.
//!
//! ```text
//!   mod -- queue (who begins next) -- workers (who has a worker, who lends one)
//!      \     `-- flow (what is kept of a project and of a flow)
//!       `- load (read-only views)
//! ```

mod flow;
mod load;
mod queue;
#[cfg(test)]
mod tests;
mod workers;

pub use flow::FlowId;
pub use load::FlowLoad;
pub use queue::{Capacity, FairQueue};
pub use workers::Stage;
