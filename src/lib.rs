//! Scheduler0: a cron cluster in one binary. Every node holds the whole state in SQLite, Raft keeps
//! the copies equal, and each job fires on time whatever dies meanwhile.
//!
//! # The rooms
//!
//! Floors, from the roof down; imports only go down (`tests/it/architecture.rs` sees to it).
//!
//! | floor | what it is |
//! |---|---|
//! | [`cli`] | the command line: start, dev, config, credentials, clients' commands, status |
//! | [`node`] | the whole house put together; start order, stop order |
//! | [`server`] | the API on its port: bad heads, what answers hold, CORS |
//! | [`api`], [`auth`] | JSON at three mounts and two casings, a noun a file; who asks, and may they |
//! | [`coordinator`] | what only a leader does: leases, shards, collecting journals, housekeeping |
//! | [`worker`] | what every node does with its shards: due queue, firing, retries, results |
//! | [`cluster`] | the one door: propose, read, changes (the bell), leadership |
//! | [`raft`], [`peer`] | openraft made ours: log, machine, snapshots; what nodes say to each other |
//! | [`journal`] | this node's results on its own disk until the cluster has them |
//! | [`executor`] | hands: a request goes out, a reply comes back |
//! | [`command`] | the only vocabulary of replicated change, and the one place that applies it |
//! | [`store`] | the replicated books in SQLite: a file of queries a noun, snapshots |
//! | [`model`] | nouns and their pure rules: jobs, shards, leases, records |
//! | [`schedule`] | cron, `@every`, instants: pure functions of time |
//! | [`listen`] | a port: connections and their bounds, a graceful end |
//! | [`config`], [`secret`], [`clock`], [`metrics`], [`telemetry`], `disk` | the cellar |
//!
//! # The walk of a job
//!
//! 1. `POST /jobs` on any node: [`api`] checks every field and makes one [`command::Command`].
//! 2. [`cluster::Cluster::propose`] carries it to the leader, which stamps it. A quorum writes it to
//!    its log and syncs; [`raft`]'s machine applies it, in one SQLite transaction with the log
//!    position, on every node. Only now is the client answered.
//! 3. The bell rings. The node that owns the job's shard puts it into its due queue
//!    ([`worker::queue`]), beside all jobs that fall due with it.
//! 4. When it is due, [`worker`] reads data and target as they are now, builds one request for
//!    everything of that shard, instant and target, asks the lease at the first byte, and sends.
//! 5. What came of it is written to the [`journal`] and synced; a *watermark* follows, behind which
//!    nothing of the shard is open.
//! 6. The leader's collector ([`coordinator::collect`]) reads the journals and proposes
//!    [`command::Command::Record`]. When that is applied the journal forgets: the replicated log is
//!    the acknowledgement. A failed attempt is a row now, with the instant of the next one.
//!
//! On the way:
//!
//! - A job with an `http` target goes alone ([`executor::template`]). Where it must not overlap, 4 waits
//!   for [`command::Command::BeginRun`]: the books say whether a *run* may begin, has to wait (a row
//!   that is parked behind it), or is skipped. A receiver that answers 202 and works on keeps its
//!   run; its reports, or its deadline, end it ([`model::run`]).
//! - A destination that its breaker or its limits keep closed takes nothing: what is due for it is
//!   postponed, a row with its number of attempts as it was.
//! - One-offs that are due at commit, and manual runs, are rows from the beginning.
//! - A batch whose last attempt fails goes out once more in pieces before it is given up, so that one
//!   bad job does not take the others along (`worker::sift`).
//!
//! # Who may fire
//!
//! Jobs belong to 64 shards ([`model::shard`]). A node fires what is due in the shards that it owns,
//! under an epoch, while its lease holds ([`worker::lease`]); the leader grants leases and moves
//! shards ([`coordinator::leases`]). A lease outlives its leader, so the leader's death delays
//! nothing. A dead owner is replaced when its lease must have ended, and the next one goes on from
//! the watermark. In an orderly move the old owner promises an instant, fires up to it, and the new
//! one fires after it: nothing waits, nothing overlaps. Both halves are pure step functions, and
//! `tests/it/model` plays them against loss, delay, pauses, restarts and drifting clocks. Which of two
//! processes speaks for a node, where its data folder was copied, is decided in [`model::process`].

pub mod api;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod command;
pub mod config;
pub mod coordinator;
mod disk;
pub mod executor;
pub mod journal;
pub mod listen;
pub mod metrics;
pub mod model;
pub mod node;
pub mod peer;
pub mod raft;
pub mod schedule;
pub mod secret;
pub mod server;
pub mod store;
pub mod telemetry;
pub mod worker;
