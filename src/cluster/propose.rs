//! The paths of a proposal and of a linearizable read: from any node to the leader in at most one
//! hop, and back when the entry is applied on the node that was asked. `handle` and `rpc` call it.
//! It knows nothing of what a command means.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use openraft::ReadPolicy;
use openraft::errors::{ClientWriteError, LinearizableReadError, RaftError};
use openraft::impls::ProgressResponder;
use openraft::impls::leader_id_std::LeaderId;
use openraft::vote::RaftLeaderIdExt;
use tokio::time::{timeout, timeout_at};

use super::error::Error;
use super::inner::Inner;
use super::options::MAX_COMMAND;
use super::wire::{Denied, MEMBERS, MemberChange, NotRaised, PROPOSE, RAISE_LEVEL, READ_INDEX};
use crate::command::{Outcome, Proposal};
use crate::model::NodeId;
use crate::peer::{self, Origin, Place};
use crate::raft::types::EntryData;

/// The pause while nothing can be written; a change of the leadership ends it.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// The time that a forwarded request gets beyond the leader's own limit.
const FORWARD_EXTRA: Duration = Duration::from_millis(500);

/// A request to the leader.
enum LeaderRequest {
    /// Write this command, on behalf of this party.
    Write(Bytes, Origin),
    /// Name the entry up to which a reader must have applied.
    ReadIndex,
    /// Change the members.
    Members(MemberChange),
    /// Raise the level of the cluster to this one.
    RaiseLevel(u32),
}

/// Encodes a proposal for the log of a cluster of this level.
pub(super) fn encode(proposal: &Proposal, level: u32) -> Result<Bytes, Error> {
    let bytes = proposal.encode(level).map_err(|e| Error::Store(e.to_string()))?;
    if bytes.len() > MAX_COMMAND {
        return Err(Error::TooLarge { bytes: bytes.len(), max: MAX_COMMAND });
    }
    Ok(bytes)
}

impl Inner {
    /// Encodes a proposal for the log, by the level that is known here.
    pub(super) fn encode(&self, proposal: &Proposal) -> Result<Bytes, Error> {
        encode(proposal, self.level())
    }

    /// Proposes from any node: here if this node leads, else by one hop. Returns when the entry is
    /// applied here.
    pub(super) async fn propose(
        &self,
        command: Bytes,
        origin: Origin,
    ) -> Result<(u64, Outcome), Error> {
        let (index, outcome) = self.at_leader(&LeaderRequest::Write(command, origin)).await?;
        // The caller reads this node's state next. Without the entry it would show a job as it was
        // before, or none, after an answer of 2xx.
        self.applied_to(index).await?;
        Ok((index, outcome))
    }

    /// Asks the leader, which may be this node. While there is none, or it turns out not to be one
    /// and nothing was written for certain, waits for another, within the limit.
    async fn at_leader(&self, request: &LeaderRequest) -> Result<(u64, Outcome), Error> {
        let deadline = tokio::time::Instant::now() + self.options.apply_timeout;
        let mut leadership = self.leadership.subscribe();
        loop {
            self.check()?;
            let lead = *leadership.borrow_and_update();
            let result = match lead.leader {
                _ if lead.me => self.ask_here(request).await,
                Some(leader) if leader != self.options.node => {
                    self.ask_there(request, leader, deadline).await
                }
                _ => Err(Error::NoLeader),
            };
            let now = tokio::time::Instant::now();
            match result {
                Err(Error::NoLeader | Error::NotLeader { .. }) if now < deadline => {
                    // The pause is over or the leadership has changed: either way the loop looks
                    // again.
                    let _ =
                        timeout_at(deadline.min(now + RETRY_INTERVAL), leadership.changed()).await;
                }
                Err(Error::NotLeader { .. }) => return Err(Error::NoLeader),
                result => return result,
            }
        }
    }

    async fn ask_here(&self, request: &LeaderRequest) -> Result<(u64, Outcome), Error> {
        match request {
            LeaderRequest::Write(command, _) => self.write(command.clone(), None).await,
            LeaderRequest::ReadIndex => Ok((self.read_index().await?, Outcome::Done)),
            LeaderRequest::Members(change) => {
                Ok((self.change_members(change).await?, Outcome::Done))
            }
            LeaderRequest::RaiseLevel(level) => {
                Ok((self.raise_level(*level).await?, Outcome::Done))
            }
        }
    }

    /// Asks the leader, which is another node, once. A request that waits for a place there has
    /// been sent nowhere: it ends at the deadline, or when another node leads.
    async fn ask_there(
        &self,
        request: &LeaderRequest,
        leader: NodeId,
        deadline: tokio::time::Instant,
    ) -> Result<(u64, Outcome), Error> {
        let limit = self.options.apply_timeout + FORWARD_EXTRA;
        match request {
            LeaderRequest::Write(command, origin) => {
                let place = self.place(leader, *origin, deadline).await?;
                let answer: Result<(u64, Outcome), Denied> =
                    self.peers.call_in(place, PROPOSE, command, limit).await?;
                Ok(answer?)
            }
            LeaderRequest::ReadIndex => {
                let place = self.place(leader, Origin::Client, deadline).await?;
                let answer = self.peers.call_in(place, READ_INDEX, &(), limit).await;
                // A read changes nothing: one that was lost may simply be repeated.
                let answer: Result<u64, Denied> = answer.map_err(|_| Error::NoLeader)?;
                Ok((answer?, Outcome::Done))
            }
            LeaderRequest::Members(change) => {
                // A leader that handed on its leadership may be slow to say so.
                let limit = limit.max(self.options.election * 8) * 2;
                let answer: Result<NodeId, Denied> =
                    self.peers.call(leader, MEMBERS, change, limit).await?;
                Ok((answer?, Outcome::Done))
            }
            LeaderRequest::RaiseLevel(level) => {
                let place = self.place(leader, Origin::Client, deadline).await?;
                let answer = self.peers.call_in(place, RAISE_LEVEL, level, limit).await;
                if let Err(peer::Error::Refused { status: 404, .. }) = answer {
                    // A leader of the first level does not know the route.
                    return Err(Error::UpgradePending { node: leader, level: 1, needs: *level });
                }
                // A level that is raised twice is raised once: a lost request may be repeated.
                let answer: Result<u64, NotRaised> = answer.map_err(|_| Error::NoLeader)?;
                Ok((answer.map_err(|why| why.error(*level))?, Outcome::Done))
            }
        }
    }

    async fn place(
        &self,
        leader: NodeId,
        origin: Origin,
        deadline: tokio::time::Instant,
    ) -> Result<Place, Error> {
        let mut leadership = self.leadership.subscribe();
        tokio::select! {
            biased;
            place = self.peers.place(leader, origin) => Ok(place),
            _ = leadership.wait_for(|lead| lead.leader != Some(leader)) => Err(Error::NoLeader),
            () = tokio::time::sleep_until(deadline) => Err(Error::Busy),
        }
    }

    /// Raises the level of the cluster, at the leader, wherever that is; returns when the new level
    /// is known here.
    pub(super) async fn raise_level_anywhere(&self, level: u32) -> Result<(), Error> {
        let (index, _) = self.at_leader(&LeaderRequest::RaiseLevel(level)).await?;
        self.applied_to(index).await
    }

    pub(super) async fn change_members_anywhere(
        &self,
        change: MemberChange,
    ) -> Result<NodeId, Error> {
        Ok(self.at_leader(&LeaderRequest::Members(change)).await?.0)
    }

    /// Writes on this node, which must be the leader (in that term, if one is given).
    pub(super) async fn write(
        &self,
        command: Bytes,
        term: Option<u64>,
    ) -> Result<(u64, Outcome), Error> {
        self.check()?;
        if command.len() > MAX_COMMAND {
            return Err(Error::TooLarge { bytes: command.len(), max: MAX_COMMAND });
        }
        // Stamps never go back: one from a clock that is an hour ahead would hold for that hour.
        // The first entry of all has no other clock to agree with.
        let born = self.watches.applied.borrow().stamp > 0;
        if self.clock_is_off() || (born && self.clock_unconfirmed.load(Ordering::SeqCst)) {
            return Err(Error::NotLeader { leader: None });
        }
        let (responder, answer) = ProgressResponder::complete_only();
        let data = EntryData { stamp: self.stamp(), command };
        let mut write = self.raft.write(data).responder(responder);
        if let Some(term) = term {
            write =
                write.with_leader(LeaderId::<u64, NodeId>::new_committed(term, self.options.node));
        }
        let limit = self.options.apply_timeout;
        let written = async {
            // Nothing has been written when Raft does not even take it.
            write.await.map_err(|fatal| Error::Fatal(fatal.to_string()))?;
            let lost = |_| Error::Unavailable("raft has stopped meanwhile".to_owned());
            answer.await.map_err(lost)?.map_err(|refused| match refused {
                ClientWriteError::ForwardToLeader(to) => Error::NotLeader { leader: to.leader_id },
                ClientWriteError::PreconditionFailed(_) => {
                    Error::NotLeader { leader: self.leadership.borrow().leader }
                }
                other => Error::Unavailable(other.to_string()),
            })
        };
        let answer = timeout(limit, written).await.map_err(|_| {
            let limit = limit.as_secs_f32();
            Error::Unavailable(format!("not committed within {limit} s: is there a quorum?"))
        })??;
        Ok((answer.log_id.index, answer.data))
    }

    /// The next stamp: scheduler time, but never less than a stamp of this node before, or of the
    /// applied state.
    fn stamp(&self) -> i64 {
        let now = self.options.time.now().max(self.watches.applied.borrow().stamp);
        self.last_stamp.fetch_max(now, Ordering::SeqCst).max(now)
    }

    /// The index up to which a reader has to have applied; asked on the leader.
    pub(super) async fn read_index(&self) -> Result<u64, Error> {
        self.check()?;
        let read = self.raft.get_read_linearizer(ReadPolicy::ReadIndex);
        let Ok(read) = timeout(self.options.apply_timeout, read).await else {
            return Err(Error::NoLeader);
        };
        match read {
            Ok(linearizer) => Ok(linearizer.read_log_id().index()),
            Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(to))) => {
                Err(Error::NotLeader { leader: to.leader_id })
            }
            Err(RaftError::APIError(_)) => Err(Error::NotLeader { leader: None }),
            Err(RaftError::Fatal(fatal)) => Err(Error::Fatal(fatal.to_string())),
        }
    }

    pub(super) async fn linearize(&self) -> Result<(), Error> {
        let (index, _) = self.at_leader(&LeaderRequest::ReadIndex).await?;
        self.applied_to(index).await
    }

    async fn applied_to(&self, index: u64) -> Result<(), Error> {
        let mut applied = self.watches.applied.subscribe();
        let reached = applied.wait_for(|applied| applied.index >= index);
        match timeout(self.options.apply_timeout, reached).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Error::Unavailable(format!(
                "this node has not come as far as entry {index} yet: ask another node"
            ))),
        }
    }

    pub(super) async fn transfer_leader(&self, to: NodeId) -> Result<(), Error> {
        let mut leadership = self.leadership.subscribe();
        let lead = *leadership.borrow_and_update();
        if lead.leader == Some(to) {
            return Ok(());
        }
        if !lead.me {
            return Err(Error::NotLeader { leader: lead.leader });
        }
        let fatal = |e: &dyn std::fmt::Display| Error::Fatal(e.to_string());
        self.raft.trigger().transfer_leader(to).await.map_err(|e| fatal(&e))?;
        let changed = leadership.wait_for(|lead| lead.leader == Some(to));
        match timeout(self.options.election * 4, changed).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Error::Unavailable(format!("node {to} has not taken over in time"))),
        }
    }
}
