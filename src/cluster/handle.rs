//! The handle of a running cluster: everything that changes replicated state goes through
//! [`Cluster::propose`], everything that reacts to a change subscribes to [`Cluster::changes`].
//!
//! The API, the worker, the coordinator and the node hold clones of it. It contains no rule of its
//! own: it calls `inner`, `membership` and `leadership`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::{broadcast, watch};

use super::error::Error;
use super::inner::Inner;
use super::leadership::state::Leadership;
use super::wire::MemberChange;
use super::{rpc, stats};
use crate::command::{Change, Command, Outcome, Proposal};
use crate::listen::Listeners;
use crate::model::NodeId;
use crate::peer::{self, Origin, Peers};
use crate::raft::backup;
use crate::raft::machine::Applied;
use crate::raft::types::Member;

/// The time for which a judgement of this node's clock holds, in milliseconds. It must end: without
/// a leader nobody repeats it, and some node must lead.
const CLOCK_OFF_MS: u64 = 10_000;

/// The handle; cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    pub(super) inner: Arc<Inner>,
}

impl Cluster {
    /// Answers peers on a listener bound to `RaftAddress`: Raft's own routes and `extra` ones of
    /// other parts (under `/peer/...`), all behind the same authentication, on the core runtime.
    pub fn serve(&self, listeners: impl Into<Listeners>, extra: axum::Router) {
        self.serve_within(listeners, extra, peer::Bounds::default());
    }

    /// Answers peers as [`Cluster::serve`] does, with bounds on the connections.
    pub fn serve_within(
        &self,
        listeners: impl Into<Listeners>,
        extra: axum::Router,
        bounds: peer::Bounds,
    ) {
        let routes = rpc::routes(self.inner.clone()).merge(extra);
        let mut stop = self.inner.stop.subscribe();
        let stopped = async move {
            // An error means that the cluster is dropped: then the server ends, too.
            let _ = stop.wait_for(|stop| *stop).await;
        };
        let peers = self.inner.peers.clone();
        let server = peer::serve(listeners.into(), peers, routes, bounds, stopped);
        let task = self.inner.runtime.spawn(server);
        self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    /// Changes the replicated state: on the leader directly, on a follower by forwarding it (one
    /// hop). Returns when it is applied on this node. A command that changes nothing comes back as
    /// `Ok(Outcome::Rejected)`. What a client or an operator asks for names its actor
    /// ([`Command::asked_by`]).
    pub async fn propose(&self, proposal: impl Into<Proposal>) -> Result<Outcome, Error> {
        Ok(self.propose_indexed(proposal).await?.1)
    }

    /// Proposes as [`Cluster::propose`] does, and gives the entry's index too.
    pub async fn propose_indexed(
        &self,
        proposal: impl Into<Proposal>,
    ) -> Result<(u64, Outcome), Error> {
        let proposal = proposal.into();
        let origin = match proposal.command {
            // A firing, and a node that is about to stop, must not wait behind clients.
            Command::BeginRun(_) | Command::Drain { .. } => Origin::Firing,
            _ => Origin::Client,
        };
        self.inner.admit(&proposal).await?;
        self.inner.propose(self.inner.encode(&proposal)?, origin).await
    }

    /// Proposes as [`Cluster::propose_indexed`] does, but only if this node leads in that term; for
    /// commands that only a leader sends.
    pub async fn propose_as_leader(
        &self,
        term: u64,
        proposal: impl Into<Proposal>,
    ) -> Result<(u64, Outcome), Error> {
        let proposal = proposal.into();
        self.inner.admit(&proposal).await?;
        self.inner.write(self.inner.encode(&proposal)?, Some(term)).await
    }

    /// Waits until this node has applied all that was committed anywhere when this was called.
    pub async fn linearize(&self) -> Result<(), Error> {
        self.inner.linearize().await
    }

    /// The change feed: one [`Change`] for each applied transaction. A receiver that lags reads the
    /// state anew, as after `Change::replaced`.
    pub fn changes(&self) -> broadcast::Receiver<Arc<Change>> {
        self.inner.watches.changes.subscribe()
    }

    /// The position up to which this node has applied the log.
    pub fn applied(&self) -> watch::Receiver<Applied> {
        self.inner.watches.applied.subscribe()
    }

    /// The leadership, as this node knows it.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.inner.leadership.subscribe()
    }

    /// The leader, if it has a majority as far as this node can tell: none is shown once the
    /// longest election timeout has passed without one. [`Cluster::leadership`] is Raft's own view.
    pub fn leader(&self) -> Option<NodeId> {
        self.inner.leader_in_effect()
    }

    /// The reason why there is no [`Cluster::leader`], for people.
    pub fn no_leader(&self) -> String {
        self.inner.no_leader()
    }

    /// The reason why the founder has not founded the cluster yet; `None` when it has, or is
    /// another node.
    pub fn unfounded(&self) -> Option<String> {
        self.inner.founding.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The nodes that were put back to older copies of their data, as a leader knows them, and the
    /// last entry that each had acknowledged.
    pub fn reverted(&self) -> Vec<(NodeId, u64)> {
        let leads = self.inner.leadership.borrow().me;
        if leads { self.inner.acknowledged.reverted() } else { Vec::new() }
    }

    /// Says that this node has just started among others. Should it come to lead, it stamps nothing
    /// before [`Cluster::clock_agrees`].
    pub fn set_clock_unconfirmed(&self) {
        self.inner.clock_unconfirmed.store(true, Ordering::SeqCst);
    }

    /// Says that a leader found this node's clock to agree with the median of most nodes. From now
    /// on it is carried by a clock that does not jump.
    pub fn clock_agrees(&self) {
        self.inner.clock_unconfirmed.store(false, Ordering::SeqCst);
    }

    /// The boot-clock instant (ms) at which, on a leader, the newest round of messages that a
    /// quorum acknowledged was *sent*. `None` when not leading or never acknowledged.
    pub fn quorum_acked_boot(&self) -> Option<u64> {
        self.inner.quorum_acked_boot()
    }

    /// The highest index this node knows to be committed; 0 before the first.
    pub fn commit_index(&self) -> u64 {
        let metrics = self.inner.raft.metrics();
        let m = metrics.borrow_watched();
        let known = m.cluster_committed.max(m.local_committed).map_or(0, |id| id.index);
        known.max(self.inner.watches.applied.borrow().index)
    }

    /// The index up to which the log was dropped in favour of the snapshot; 0 when nothing was.
    pub fn purged_index(&self) -> u64 {
        self.inner.raft.metrics().borrow_watched().purged.map_or(0, |id| id.index)
    }

    /// The members, ascending; before the cluster's birth the configured ones.
    pub fn members(&self) -> Vec<(NodeId, Member)> {
        let metrics = self.inner.raft.metrics();
        let m = metrics.borrow_watched();
        let members: Vec<_> =
            m.membership_config.membership().nodes().map(|(id, m)| (*id, m.clone())).collect();
        if members.is_empty() { self.inner.options.members.clone() } else { members }
    }

    /// The level of the cluster, as this node has applied it: the log holds nothing newer.
    pub fn level(&self) -> u32 {
        self.inner.level()
    }

    /// The line of descent of the log: the cluster's id, or the number that a restore or a recovery
    /// put in its place; 0 before its birth.
    pub fn generation(&self) -> u128 {
        self.inner.watches.registry.borrow().generation
    }

    /// The members that vote; none before the cluster's birth.
    pub fn voters(&self) -> BTreeSet<NodeId> {
        self.inner.voters()
    }

    /// True if this node has no data of any cluster yet: it waits for the founder, or to be added.
    pub fn is_waiting(&self) -> bool {
        self.inner.is_waiting()
    }

    /// Takes the leader's judgement of this node's clock against the median. A node whose clock is
    /// off neither stands for election nor stamps entries, until it agrees, or has not been told
    /// for a while.
    pub fn clock_judged(&self, agrees: bool) {
        let until = if agrees { 0 } else { self.inner.boot_offset.now() + CLOCK_OFF_MS };
        self.inner.clock_off_until.store(until, Ordering::SeqCst);
    }

    /// Changes the members, at the leader, wherever that is; gives the node that it is about (of a
    /// transfer: the new leader). Refusals come as [`Error::Refused`].
    pub async fn change_members(&self, change: MemberChange) -> Result<NodeId, Error> {
        self.inner.change_members_anywhere(change).await
    }

    /// `/healthcheck`'s `raftStats`: names and values as the original had them.
    pub fn raft_stats(&self) -> Vec<(&'static str, String)> {
        stats::raft_stats(&self.inner)
    }

    /// The hash of this node's state at a `Checksum` entry, once computed; the last few are kept.
    pub fn checksum(&self, index: u64) -> Option<[u8; 32]> {
        self.inner.watches.checksum(index)
    }

    /// Takes a snapshot of what is applied, soon, whatever the thresholds say.
    pub async fn snapshot(&self) -> Result<(), Error> {
        self.inner.raft.trigger().snapshot().await.map_err(|e| Error::Fatal(e.to_string()))
    }

    /// The number of commands that this node has applied since its start, by their names.
    pub fn applied_commands(&self) -> BTreeMap<&'static str, u64> {
        self.inner.watches.applied_commands()
    }

    /// Snapshots that could not be written, or put in place, since the start.
    pub fn snapshot_failures(&self) -> u64 {
        self.inner.snapshots.failures().count()
    }

    /// The reason why the last snapshot could not be written; `None` once one was.
    pub fn snapshot_trouble(&self) -> Option<String> {
        self.inner.snapshots.failures().trouble()
    }

    /// The reason why this node is not to be used while a snapshot is being installed; `None` while
    /// none is, or for no longer than it commonly takes.
    pub fn install_trouble(&self) -> Option<&'static str> {
        self.inner.snapshots.installing().trouble()
    }

    /// Writes a backup of what is applied here to a path that does not exist, with a text sealed
    /// under the node's key in its label. It takes longer the larger the state is, and goes on when
    /// the caller does not wait for it.
    pub async fn backup(
        &self,
        path: PathBuf,
        sealed: String,
    ) -> Result<backup::Facts, backup::Error> {
        let store = self.inner.store.clone();
        let made = tokio::task::spawn_blocking(move || backup::make(&store, &path, &sealed)).await;
        // The panic hook has logged a panic in it.
        made.unwrap_or(Err(backup::Error::Interrupted))
    }

    /// The most bytes, about, that a backup of this node's state takes.
    pub fn state_size(&self) -> u64 {
        self.inner.store.size()
    }

    /// Hands leadership to a member and returns when it leads, or fails.
    pub async fn transfer_leader(&self, to: NodeId) -> Result<(), Error> {
        self.inner.transfer_leader(to).await
    }

    /// The peer client, for the messages of other parts.
    pub fn peers(&self) -> &Peers {
        &self.inner.peers
    }

    /// Becomes `Some(reason)` when this node cannot go on: a storage error, Raft stopped, a second
    /// instance. The process must report it and exit non-zero.
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.inner.peers.failed()
    }

    /// Stops Raft and the peer server, and waits until log and state are closed.
    pub async fn shutdown(&self) {
        self.inner.shutdown().await;
    }
}
