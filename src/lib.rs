//! Scheduler0: a cron cluster in one binary. Every node holds the whole state in SQLite, Raft keeps
//! the copies equal, and each job fires on time even if nodes fail meanwhile.
//!
//! # Layers
//!
//! From the top down. A module uses modules of its own row and of the rows below, never of a row
//! above, and no files use each other in a circle (`tests/it/architecture.rs` checks both).
//! `docs/architecture.md` describes the whole, `docs/glossary.md` explains the words.
//!
//! | modules | contents |
//! |---|---|
//! | [`cli`] | the command line: start, dev, configuration, credentials, clients' commands, bench |
//! | [`node`] | the process put together; start order and stop order |
//! | [`server`], [`api`], [`ui`] | the API's port and its bounds; JSON; pages for people |
//! | [`app`], [`auth`] | use cases, actors and their rights; the check of keys and tokens |
//! | [`coordinator`], [`worker`] | the duties of a leader; the duties of an owner of shards |
//! | [`gateway`] | what worker processes speak to: their claims and heartbeats |
//! | [`events`] | the newest facts of the log in a ring, results by the minute, and their readers |
//! | [`cluster`] | propose, read, change feed, membership, leadership |
//! | [`raft`], [`peer`] | openraft's log, state machine and snapshots; messages between nodes |
//! | [`executor`] | kinds of target, each in a folder: how requests are written and sent |
//! | [`bus`] | runs handed out to workers over brokers, and what the workers say |
//! | [`delivery`] | what an executor is; turns, limits and breakers of calls of all kinds |
//! | [`command`] | the only vocabulary of replicated change, and the one place that applies it |
//! | [`store`], [`journal`] | the replicated state in SQLite; this node's results on its own disk |
//! | [`config`], [`secret`], [`clock`] | settings, keys, time |
//! | [`metrics`], [`telemetry`], [`listen`], `disk` | figures, logs, ports, files |
//! | [`model`], [`schedule`] | nouns and their pure rules; cron and instants as pure functions |
//!
//! # The walk of a job
//!
//! 1. **Create.** A client sends `POST /jobs` to any node. [`auth`] finds out who the client is: a
//!    key pair is compared with the state, an access token is verified by the keys of its issuer,
//!    and both have scopes. [`api`] reads the JSON. [`app`] authorizes the action by the scopes of
//!    the caller, checks every field, and makes one [`command::Command`].
//! 2. **Commit.** [`cluster::Cluster::propose`] carries the command to the leader, which stamps it.
//!    A quorum writes it to its log and syncs. The state machine of [`raft`] applies it on every
//!    node, in one SQLite transaction with the log position. There it judges what the caller may
//!    reach and the limits of the account, and adds the row of the audit. Only now is the client
//!    answered.
//! 3. **Queue.** The change feed publishes the change. The node that owns the job's shard puts the
//!    job into its due queue, in a group with all jobs that fall due with it ([`worker`]).
//! 4. **Send.** When the group is due, the worker reads data and target as they are now and has the
//!    [`executor`] of the target's kind write one request for everything of that shard, instant,
//!    target and project. Projects share the node's places for requests fairly ([`delivery`]). The
//!    executor connects, asks the lease guard right before the first byte, and sends.
//! 5. **Record locally.** The result is written to the [`journal`] and synced. A *watermark*
//!    follows: everything of the shard that is due up to it has ended or is a row in the store.
//! 6. **Collect.** The leader's collector ([`coordinator`]) reads the journals and proposes
//!    [`command::Command::Record`]. When the record is applied, the journal forgets its entries:
//!    the replicated log is their acknowledgement. A failed attempt is a pending row in the
//!    [`store`] now, with the instant of the next attempt.
//!
//! Variations:
//!
//! - A job with an `http` target has a request for each occurrence. If its runs must not overlap,
//!   step 4 begins with [`command::Command::BeginRun`]: the replicated state decides whether the
//!   *run* begins, waits as a parked row, or is skipped. A receiver that answers 202 and works on
//!   keeps its run until it reports, or until the deadline of the run ([`model::run`]).
//! - A job with an `amqp` target has a message for each occurrence. Messages of one shard, instant
//!   and exchange travel as one chunk, and the broker's confirms say what became of each.
//! - A job whose target is a queue is performed by a worker. In place of step 4 its occurrences are
//!   *offered*: a worker *claims* them, and the claim is in the journal before it is answered. What
//!   nobody claims within a second becomes a pending row. Of a queue at a broker the owner
//!   publishes the occurrences by the [`bus`], and a confirm stands for the claim. The run ends by
//!   the worker's report, or counts as lost when its heartbeats stop ([`worker`], "supervision").
//! - A destination with an open breaker or without a free place takes nothing. Its occurrences are
//!   deferred: pending rows whose number of attempts does not change.
//! - One-offs that are due at commit, and manual runs, are pending rows from the beginning.
//! - An instance of a template ([`model::template`]) is a one-off whose payload was checked before
//!   it was proposed. Where the template renews it, the entry that ends it inserts the next one.
//! - A batch whose last attempt failed is sent once more in pieces before it is dead-lettered, so
//!   that one bad job does not take the others along.
//!
//! # Who may fire
//!
//! Jobs belong to 64 shards ([`model::shard`]). A node fires what is due in the shards that it
//! owns, under an epoch and while its lease holds. The leader grants leases and moves shards. A
//! lease outlives the leader that granted it, so the death of a leader delays no firing. A dead
//! owner is replaced when its lease must have ended; the next owner goes on from the watermark.
//! In an orderly hand-over the old owner promises an instant and fires up to it, and the new
//! owner fires after it: nothing waits, and nothing fires twice. Both halves of this protocol are
//! pure step functions, and `tests/it/model` runs them against loss, delay, pauses, restarts and
//! drifting clocks. [`model::process`] decides which process speaks for a node whose data folder
//! was copied.
//!
//! # What users share
//!
//! - Projects share a node's places for requests, and within its part each destination has its own
//!   limits and its own breaker ([`delivery`]). A project that floods a node delays itself.
//! - Reads of the state have classes with threads and connections of their own ([`store`]): firing,
//!   the due queue, the node's duties, credentials, clients, worker processes. A slow list of a
//!   client delays no firing.
//! - Connections are bounded in number, time and bytes ([`listen`]), those without credentials for
//!   each network.

pub mod api;
pub mod app;
pub mod auth;
pub mod bus;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod command;
pub mod config;
pub mod coordinator;
pub mod delivery;
mod disk;
pub mod events;
pub mod executor;
pub mod gateway;
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
pub mod ui;
pub mod worker;
