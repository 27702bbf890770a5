//! The headers of peer messages: the sender, its cluster, and the node that it expects. `client`
//! writes them, `auth` checks them. They judge nothing.
//!
//! Nodes of two versions talk to each other: headers are only added, and an absent one means what
//! the version before it meant.

use axum::http::HeaderMap;

use crate::model::NodeId;
use crate::model::process::Process;

/// Header: the cluster's id, 32 hex digits; zeros before it is known.
pub(super) const CLUSTER: &str = "x-scheduler0-cluster";
/// Header of a message, and since level 2 of its answer: the sender's node id.
pub(super) const NODE: &str = "x-scheduler0-node";
/// Header: the sender's instance id, 32 hex digits.
pub(super) const INSTANCE: &str = "x-scheduler0-instance";
/// Header: the sender's process, as `id-place-boot`, hex.
pub(super) const PROCESS: &str = "x-scheduler0-process";
/// Header: the log index at which the sender's node id was bound to its instance, where it knows.
pub(super) const BOUND: &str = "x-scheduler0-bound";
/// Header: the sender founds the cluster, by its configuration.
pub(super) const FOUNDER: &str = "x-scheduler0-founder";
/// Header: the sender leads, and has lost its majority.
pub(super) const ALONE: &str = "x-scheduler0-alone";
/// Header: the instance that the sender expects the receiver to be, where it knows.
pub(super) const EXPECTS: &str = "x-scheduler0-expects";
/// Header: the log index at which that was bound.
pub(super) const EXPECTS_SINCE: &str = "x-scheduler0-expects-since";
/// Header of a message and of its answer: the level of the sender's program; absent for 1.
pub(super) const LEVEL: &str = "x-scheduler0-level";
/// Header of an answer that tells the caller that it must stop.
pub(super) const STOP: &str = "x-scheduler0-stop";

/// A process as it travels in a header.
pub(super) fn coded(process: Process) -> String {
    format!("{:x}-{:x}-{:x}", process.id, process.place, process.boot)
}

/// Reads what [`coded`] wrote.
pub(super) fn decoded(text: &str) -> Option<Process> {
    let mut numbers = text.splitn(3, '-').map(|part| u64::from_str_radix(part, 16).ok());
    let mut next = || numbers.next().flatten();
    Some(Process { id: next()?, place: next()?, boot: next()? })
}

/// The level that a message or an answer announces.
pub(super) fn level(headers: &HeaderMap) -> u32 {
    let text = headers.get(LEVEL).and_then(|value| value.to_str().ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// The node that a message or an answer names as its sender.
pub(super) fn node(headers: &HeaderMap) -> Option<NodeId> {
    headers.get(NODE).and_then(|value| value.to_str().ok()?.parse().ok())
}
