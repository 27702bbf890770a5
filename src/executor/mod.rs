//! Executors: what is to be known about each kind of target, a folder for each kind: [`http`],
//! `amqp` for the exchanges of brokers, and `worker` for queues of workers.
//! [`delivery::executor`](crate::delivery::executor) says what a kind brings, and [`registry()`]
//! lists the kinds. What kinds share is beside them: [`template`] (placeholders), [`signature`],
//! `checks` of fields, `broker` (connections to brokers, which the bus uses, too), and in
//! [`outbound`] what connections leave by.
//!
//! An executor knows nothing of shards, schedules or leases, keeps nothing beyond open connections,
//! and makes no second attempt. The rules that hold for all kinds are in
//! [`delivery`](crate::delivery).

mod amqp;
pub(crate) mod broker;
mod checks;
pub mod http;
#[cfg(test)]
pub(crate) mod memory;
pub mod outbound;
mod registry;
pub mod signature;
pub mod template;
mod trace_context;
mod worker;

pub use amqp::Broker;
pub(crate) use amqp::{BrokerUrl, Password as BrokerPassword};
pub use http::{Error, HttpExecutor, MAX_BATCH_BODY, MAX_BODY, Options, headers, payload};
pub use outbound::{guard, lookup, member_guard, raft_addresses, tls};
pub use registry::registry;
pub use worker::{Actions, RabbitmqSettings, WorkerSettings};
