//! The gateway: what a worker process speaks to, at any node. It owns the claims that wait for
//! work, the heartbeats that wait for an order to stop, and what this node knows of the offers of
//! the others. `app` calls it for requests of workers and for views, `node` starts it and answers
//! the messages of other gateways.
//!
//! ```text
//!   worker ── claim ──────> Gateway ── ask ────> the supervisor with the oldest offer
//!                             │  ^                 (this node's, or another's)
//!                             │  └── hint ────── a supervisor that got more
//!                             └───── want ─────> all supervisors, while a claim waits
//!   worker ── heartbeat ──> Gateway ── pass on ─> the owners of the shards
//!                             └──── look up ───> this node's own store: cancel, gone
//! ```
//!
//! It never decides what becomes of a run, hands out nothing itself, and keeps nothing that must
//! survive: a gateway that dies costs its workers a repetition. It never waits for one node on
//! behalf of another: claims and heartbeats to a node travel in bundles, a few calls at a time.
//!
//! | file | what is in it |
//! |---|---|
//! | `messages` | the words between gateways |
//! | `supervisors`, `replica` | the ports: other nodes, this node's own state |
//! | `known_offers`, `claim_queue` | which claims wait, and what is known of offers: plain data |
//! | `bundles`, `notices` | how messages to a node share calls |
//! | `repeats` | claims with keys that are under way |
//! | `state`, `run` | the state, the task beside it |
//! | `claims`, `heartbeats`, `watch`, `views` | what callers ask for |
//! | `advice`, `queue_bus` | what the store says of runs and queues |
//! | `peers`, `peer_routes` | the ports over the peer protocol; the other end of it |

mod advice;
mod bundles;
mod cached;
mod claim_queue;
mod claims;

mod heartbeats;
mod known_offers;
mod messages;
mod notices;
mod own_replica;
mod peer_routes;
mod peers;

mod queue_bus;
mod repeats;
mod replica;
mod run;
mod seen;
mod state;
mod supervisors;
#[cfg(test)]
mod tests;
mod views;
mod watch;

pub use heartbeats::{Heard, LiveRuns};
pub use messages::{NodeWorkers, Notices, SeenWorker, WORKERS_LEVEL};
pub use own_replica::OwnReplica;
pub use peer_routes::routes as peer_routes;
pub use peers::ClusterSupervisors;
pub use queue_bus::bus_of;
pub use replica::{Advice, KnownQueue, Reading, Replica};
pub use state::{Gateway, NoPlace};
pub use supervisors::{Answer, Supervisors, Unanswered};
pub use views::{ClusterWorkers, QueueTotals, WorkerAtNode};
