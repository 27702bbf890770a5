//! The harness that every test of this binary is written with: fixtures with the names of what they
//! start, an endpoint that records, and the oracle that judges what it recorded.
//!
//! ```text
//!   ApiFixture          the router of one node, asked in process            api.rs
//!     RunsFixture       with queues, whose runs the test journals           runs.rs
//!   RaftCluster         nodes with nothing but Raft, in process             raft_cluster.rs
//!   VirtualClockNode    a whole node in process, on a clock of the test     virtual_clock.rs
//!   TestCluster         real processes: start, kill, freeze, restart        cluster.rs
//!     requests.rs       what a test asks of them over HTTP
//!     limited.rs        processes under limits of the system
//!     FiringCluster     three of them, settled, with jobs that fire         firing.rs
//!     DeliveryFixture   three of them, settled, with a project              delivery.rs
//!   Running             a command of the binary, beside the test          running.rs
//!   Receiver            an endpoint: records requests, answers as told      receiver.rs
//!   RabbitMq            a real broker                                       rabbitmq.rs
//!     rabbitmq_kill.rs  its death
//!   TcpProxy            cuts and swallows what a broker sends               tcp_proxy.rs
//!   oracle.rs, workload.rs   planned against received; the jobs of a test
//! ```
//!
//! The harness asserts nothing about the product but what its functions name. It waits for facts,
//! never for a length of time.

mod api;
mod cluster;
mod delivery;
mod firing;
mod http;
mod limited;
mod oracle;
mod ports;
pub(crate) mod rabbitmq;
pub(crate) mod rabbitmq_kill;
mod raft_cluster;
mod receiver;
mod requests;
mod running;
pub(crate) mod runs;
pub(crate) mod tcp_proxy;
mod virtual_clock;
mod workers;
mod workload;

pub(crate) use api::{Answer, ApiFixture, OPERATOR, attempt_record};
pub(crate) use cluster::{PATIENCE, TestCluster};
pub(crate) use delivery::{DeliveryFixture, LedgerEntry, merged};
pub(crate) use firing::FiringCluster;
pub(crate) use http::{client, client_of};
pub(crate) use limited::{spawn_under, start_under};
pub(crate) use oracle::{Arrival, Doubled, Findings, Planned, judge};
pub(crate) use ports::free_port;
pub(crate) use raft_cluster::{LIMIT, RaftCluster, poll_interval, raft_options, written};
pub(crate) use receiver::{Behavior, Receiver, Request, now, respond};
pub(crate) use running::{Ended, Running};
pub(crate) use runs::RunsFixture;
pub(crate) use virtual_clock::VirtualClockNode;
pub(crate) use workload::{TOLERANCE, every, every_job_again, instants, planned};
