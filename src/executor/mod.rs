//! Executors: they make the calls of jobs, each kind in a folder of its own. Today there is one,
//! [`http`]. The worker hands it ready requests; the api asks it whether a target is valid.
//!
//! An executor knows nothing of shards, schedules or leases, keeps nothing beyond open connections,
//! and makes no second attempt. The rules that hold for all kinds are in
//! [`delivery`](crate::delivery).

pub mod http;

pub use http::{
    Availability, Call, Error, Executor, MAX_BATCH_BODY, MAX_BODY, OpenBreaker, Options, guard,
    headers, lookup, member_guard, payload, raft_addresses, template, tls,
};

pub use crate::delivery::attempt::{Attempt, Class};
pub use crate::delivery::breaker;
pub use crate::delivery::call_checks::{BeforeSend, Unwanted};
pub use crate::delivery::destination::Limits;
pub use crate::delivery::reply::Reply;
