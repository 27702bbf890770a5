//! Recovery after a quorum was lost: it rewrites a stopped node's log so that the cluster consists
//! of this node only. Called by `cli` on a locked data folder, never while a node runs on it.
//!
//! Nothing is taken away: two entries are written behind the last one. The first is a membership of
//! this node alone, so that it commits whatever its log holds; the second removes all other nodes
//! from the node registry and begins a new line of descent, by which the old members and this one
//! refuse each other. The cluster's id stays, and with it the ids of executions: what is delivered
//! twice is recognized by its receivers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, PoisonError};

use openraft::RaftLogReader;
use openraft::entry::RaftEntry;
use openraft::impls::leader_id_std::LeaderId;
use openraft::storage::{IOFlushed, RaftLogStorage, RaftStateMachine};
use openraft::vote::RaftLeaderIdExt;
use openraft::{EntryPayload, Membership};

use crate::cluster::error::Error;
use crate::cluster::propose::encode;
use crate::command::Command;
use crate::model::NodeId;
use crate::raft::log::{self, Joiner, LogStore};
use crate::raft::machine::Machine;
use crate::raft::snapshot::Snapshots;
use crate::raft::types::{Entry, EntryData, LogId, Member, StoredMembership, Vote};
use crate::store::Store;

/// The content of a stopped node's folder, in short.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Term and index of the last entry of its log; `None` for an empty one. Among several
    /// survivors the one with the highest (the term first) knows most.
    pub last: Option<(u64, u64)>,
    /// The index up to which it has applied the log.
    pub applied: u64,
    /// The members that it knows of, and whether they vote.
    pub members: Vec<(NodeId, Member, bool)>,
}

fn open_error(error: impl std::fmt::Display) -> Error {
    Error::Open(error.to_string())
}

/// An opened folder; everything is closed when [`Folder::close`] returns.
struct Folder {
    log: LogStore,
    machine: Machine,
    threads: Vec<Joiner>,
}

impl Folder {
    fn open(dir: &Path) -> Result<Self, Error> {
        if !dir.join("state.db").exists() {
            return Err(Error::Open(format!(
                "{} holds no data of a node: is DataDir the right one?",
                dir.display()
            )));
        }
        let log = LogStore::open(&log::dir_under(dir)).map_err(open_error)?;
        let snapshots = Arc::new(Snapshots::open(dir).map_err(open_error)?);
        let (store, writer) = Store::open(dir).map_err(open_error)?;
        let machine = Machine::start(store, writer, snapshots).map_err(open_error)?;
        let threads = vec![log.joiner(), machine.joiner()];
        Ok(Self { log, machine, threads })
    }

    fn close(self) {
        drop((self.log, self.machine));
        for thread in self.threads {
            let handle = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            if handle.is_some_and(|handle| handle.join().is_err()) {
                tracing::error!("a storage thread had panicked");
            }
        }
    }

    /// The membership in effect, where log and state end.
    async fn look(&mut self) -> Result<(Option<LogId>, Option<LogId>, StoredMembership), Error> {
        let (applied, mut members) = self.machine.applied_state().await.map_err(open_error)?;
        let state = self.log.get_log_state().await.map_err(open_error)?;
        let last = state.last_log_id.max(applied);
        let mut from = applied.max(state.last_purged_log_id).map_or(0, |id| id.index + 1);
        let end = last.map_or(0, |id| id.index + 1);
        while from < end {
            let some = self.log.limited_get_log_entries(from, end).await.map_err(open_error)?;
            let Some(newest) = some.last() else { break };
            from = newest.index() + 1;
            for entry in some {
                if let EntryPayload::Membership(found) = entry.payload {
                    members = StoredMembership::new(Some(entry.log_id), found);
                }
            }
        }
        Ok((last, applied, members))
    }

    async fn survey(&mut self) -> Result<Survey, Error> {
        let (last, applied, stored) = self.look().await?;
        let voters: BTreeSet<NodeId> = stored.membership().voter_ids().collect();
        let members = stored.membership().nodes();
        Ok(Survey {
            last: last.map(|id| (id.leader_id.term, id.index)),
            applied: applied.map_or(0, |id| id.index),
            members: members.map(|(id, m)| (*id, m.clone(), voters.contains(id))).collect(),
        })
    }

    async fn go_on_alone(&mut self, node: NodeId) -> Result<(), Error> {
        let (last, _, stored) = self.look().await?;
        let Some(member) = stored.membership().get_node(&node).cloned() else {
            return Err(Error::Open(format!(
                "node {node} is not a member by the data in this folder: is NodeId the right one?"
            )));
        };
        if stored.membership().voter_ids().eq([node]) {
            return Err(Error::Open(format!(
                "node {node} is the only voter already: there is nothing to recover, start it"
            )));
        }
        let vote = self.log.read_vote().await.map_err(open_error)?;
        let voted = vote.map_or(0, |vote| vote.leader_id.term);
        let term = 1 + voted.max(last.map_or(0, |id| id.leader_id.term));
        let next = last.map_or(0, |id| id.index + 1);
        let id = |index| LogId::new(LeaderId::<u64, NodeId>::new_committed(term, node), index);
        let voters = vec![BTreeSet::from([node])];
        let alone =
            Membership::new(voters, BTreeMap::from([(node, member)])).map_err(open_error)?;
        let generation = rand::random::<u128>().max(1);
        // The log may end before the level was raised: the entry is written in the oldest form.
        let command = encode(&Command::Recover { node, generation }.into(), 1)?;
        // Apply stamps it with log time, which never goes back.
        let data = EntryData { stamp: i64::MIN, command };
        let entries = [
            Entry::new(id(next), EntryPayload::Membership(alone)),
            Entry::new(id(next + 1), EntryPayload::Normal(data)),
        ];
        self.log.append(entries, IOFlushed::noop()).await.map_err(open_error)?;
        // The log's thread keeps their order: when the vote is durable, the entries are.
        self.log.save_vote(&Vote::new(term, node)).await.map_err(open_error)
    }
}

/// Looks into a stopped node's folder.
pub async fn survey(dir: &Path) -> Result<Survey, Error> {
    let mut folder = Folder::open(dir)?;
    let survey = folder.survey().await;
    folder.close();
    survey
}

/// Makes a stopped node the only member of its cluster.
pub async fn go_on_alone(dir: &Path, node: NodeId) -> Result<(), Error> {
    let mut folder = Folder::open(dir)?;
    let done = folder.go_on_alone(node).await;
    folder.close();
    done
}
