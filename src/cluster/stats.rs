//! `/healthcheck`'s `raftStats`, with the names that the original had. `handle` calls it for the
//! API. It changes nothing.

use std::collections::BTreeSet;
use std::fmt::Write;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;

use super::inner::Inner;

/// Names and values, in the order of the names.
pub(super) fn raft_stats(inner: &Inner) -> Vec<(&'static str, String)> {
    let applied = inner.watches.applied.borrow().index;
    let last_log = inner.log.last();
    // Both look at the metrics themselves: asked while they are held here, they would wait for
    // Raft, which may wait to change them.
    let (leads, without_quorum) = (inner.leader_in_effect().is_some(), inner.without_quorum_for());
    let metrics = inner.raft.metrics();
    let m = metrics.borrow_watched();
    let committed = m.cluster_committed.max(m.local_committed).map_or(0, |id| id.index);
    let state = match m.state {
        ServerState::Leader if leads => "Leader",
        // One without a majority can only hope to be elected.
        ServerState::Leader | ServerState::Candidate => "Candidate",
        ServerState::Follower | ServerState::Learner | ServerState::Shutdown => "Follower",
    };
    let contact = match without_quorum {
        _ if state == "Leader" => "0".to_owned(),
        Some(since) => format!("{}ms", since.as_millis()),
        None => "never".to_owned(),
    };
    let members = m.membership_config.membership();
    let mut configuration = String::from("[");
    let voters: BTreeSet<_> = members.voter_ids().collect();
    for (i, (node, member)) in members.nodes().enumerate() {
        let space = if i == 0 { "" } else { " " };
        let suffrage = if voters.contains(node) { "Voter" } else { "Nonvoter" };
        // Writing to a String cannot fail.
        let _ = write!(
            configuration,
            "{space}{{Suffrage:{suffrage} ID:{node} Address:{}}}",
            member.raft_address
        );
    }
    configuration.push(']');
    let number = |n: u64| n.to_string();
    let term_of = |id: Option<crate::raft::types::LogId>| id.map_or(0, |id| id.leader_id.term);
    let index_of = |id: Option<crate::raft::types::LogId>| id.map_or(0, |id| id.index);
    vec![
        ("applied_index", number(applied)),
        ("commit_index", number(committed)),
        ("fsm_pending", number(committed.saturating_sub(applied))),
        ("last_contact", contact),
        ("last_log_index", number(index_of(last_log))),
        ("last_log_term", number(term_of(last_log))),
        ("last_snapshot_index", number(index_of(m.snapshot))),
        ("last_snapshot_term", number(term_of(m.snapshot))),
        ("latest_configuration", configuration),
        ("latest_configuration_index", number(index_of(*m.membership_config.log_id()))),
        ("num_peers", number((members.nodes().count() as u64).saturating_sub(1))),
        ("protocol_version", number(3)),
        ("protocol_version_max", number(3)),
        ("protocol_version_min", number(0)),
        ("snapshot_version_max", number(1)),
        ("snapshot_version_min", number(0)),
        ("state", state.to_owned()),
        ("term", number(m.current_term)),
    ]
}
