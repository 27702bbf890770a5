//! openraft's network over `peer`: each call of Raft is a message to a route that `rpc` answers on
//! the other node.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::alias::{SnapshotOf, VoteOf};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, v2::RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::reachability::Reachability;
use super::reversion::{Finding, Record, Sent};
use super::wire::{
    APPEND, Acknowledged, HELLO, Hello, PRE_VOTE, REVERTED, SNAPSHOT, SnapshotHead, TRANSFER, VOTE,
};
use crate::command::SCHEMA_LEVEL;
use crate::model::NodeId;
use crate::peer::{self, Peers};
use crate::raft::snapshot::SnapshotFile;
use crate::raft::types::{Member, TypeConfig};
use crate::telemetry::LogLimit;

/// The pause after a snapshot that was not taken.
const SNAPSHOT_AGAIN: Duration = Duration::from_secs(2);
/// The bytes that are read of a snapshot at once.
const PIECE: usize = 256 << 10;

/// Makes a connection to each node, for openraft.
#[derive(Clone)]
pub(super) struct Network {
    pub(super) peers: Peers,
    /// The least time that a message with entries gets: it has to be synced over there.
    pub(super) append_timeout: Duration,
    pub(super) reachability: Arc<Reachability>,
    pub(super) acknowledged: Arc<Record>,
    /// The log lines about snapshots that were not sent to nodes of an older version.
    pub(super) held_back: Arc<LogLimit<NodeId>>,
}

/// The connection to one node.
pub(super) struct NodeClient {
    network: Network,
    target: NodeId,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = NodeClient;

    async fn new_client(&mut self, target: NodeId, node: &Member) -> NodeClient {
        // The address that a member announced counts for more than the stored one.
        if !self.peers.is_member(target) {
            self.peers.learn_address(target, &node.raft_address);
        }
        NodeClient { network: self.clone(), target }
    }
}

impl NodeClient {
    async fn call<Req, Resp>(
        &self,
        path: &str,
        request: &Req,
        timeout: Duration,
    ) -> Result<Resp, RPCError<TypeConfig>>
    where
        Req: Serialize,
        Resp: DeserializeOwned,
    {
        let answer = self.network.peers.call(self.target, path, request, timeout).await;
        self.network.reachability.note(self.target, answer.as_ref().err());
        answer.map_err(|e| rpc_error(&e))
    }
}

impl NodeClient {
    /// Tells the node that it lacks what it acknowledged. openraft is told that the node is
    /// unreachable: it has no answer to a log that became shorter.
    async fn end_reverted(
        &self,
        acknowledged: Acknowledged,
        first: bool,
        timeout: Duration,
    ) -> RPCError<TypeConfig> {
        let (node, index) = (self.target, acknowledged.index);
        if first {
            tracing::error!(
                node,
                acknowledged = index,
                "its data folder was put back to an older copy: it is refused"
            );
        }
        let told = self.network.peers.call::<_, ()>(node, REVERTED, &acknowledged, timeout).await;
        if let Err(error) = told {
            tracing::debug!(node, %error, "a node did not hear that its log is too old");
        }
        let error = io::Error::other("its log is older than what it has acknowledged");
        RPCError::Unreachable(Unreachable::new(&error))
    }
}

impl NodeClient {
    /// The node's level. A node that this one has not heard yet is asked: its answer says it.
    async fn level(&self, limit: Duration) -> Option<u32> {
        let (node, peers) = (self.target, &self.network.peers);
        if peers.level(node).is_none() {
            let asked = peers.call::<_, Hello>(node, HELLO, &(), limit).await;
            if let Err(error) = asked {
                tracing::debug!(node, %error, "a snapshot waits until the node answers");
            }
        }
        peers.level(node)
    }

    /// Does not send a snapshot to a node whose program cannot open it: such a node would end. It
    /// gets one when it is upgraded. A node of an unknown level gets one when it answers.
    async fn hold_snapshot_back(
        &self,
        level: Option<u32>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
    ) -> StreamingError<TypeConfig> {
        let node = self.target;
        let Some(level) = level else {
            return self.pause(cancel, "it has not answered yet").await;
        };
        if let Some(unsaid) = self.network.held_back.admit(node) {
            tracing::warn!(
                node,
                level,
                unsaid,
                "a node of an older version needs a snapshot that it cannot open: upgrade it"
            );
        }
        self.pause(cancel, "its version cannot open this node's snapshot").await
    }

    /// Waits before a snapshot is tried again, and says why it was not sent.
    async fn pause(
        &self,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        why: &'static str,
    ) -> StreamingError<TypeConfig> {
        tokio::select! {
            closed = cancel => StreamingError::Closed(closed),
            () = tokio::time::sleep(SNAPSHOT_AGAIN) => {
                let error = io::Error::other(why);
                StreamingError::Unreachable(Unreachable::new(&error))
            }
        }
    }
}

fn rpc_error(error: &peer::Error) -> RPCError<TypeConfig> {
    match error {
        peer::Error::Lost { .. } | peer::Error::Unreadable { .. } => {
            RPCError::Network(NetworkError::new(error))
        }
        _ => RPCError::Unreachable(Unreachable::new(error)),
    }
}

impl RaftNetworkV2<TypeConfig> for NodeClient {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        // A heartbeat has the heartbeat interval. Entries have to cross and to be synced; giving up
        // on them early would only send them twice.
        let timeout = if rpc.entries.is_empty() {
            option.hard_ttl()
        } else {
            option.hard_ttl().max(self.network.append_timeout)
        };
        let sent = Sent::of(&rpc);
        let answer = self.call(APPEND, &rpc, timeout).await?;
        let instance = self.network.peers.bound(self.target).map_or(0, |bound| bound.instance);
        match self.network.acknowledged.take(self.target, instance, &sent, &answer) {
            Finding::Sound => Ok(answer),
            Finding::Reverted { acknowledged, first } => {
                Err(self.end_reverted(acknowledged, first, timeout).await)
            }
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.call(VOTE, &rpc, option.hard_ttl()).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.call(PRE_VOTE, &rpc, option.hard_ttl()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<TypeConfig>,
        snapshot: SnapshotOf<TypeConfig, SnapshotFile>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let broken = |e: &dyn std::fmt::Display| {
            StreamingError::Network(NetworkError::from_string(e.to_string()))
        };
        let level = self.level(option.hard_ttl().min(SNAPSHOT_AGAIN)).await;
        if level.is_none_or(|level| level < SCHEMA_LEVEL) {
            return Err(self.hold_snapshot_back(level, cancel).await);
        }
        let file = snapshot.snapshot.file().map_err(|e| broken(&e))?.clone();
        let length = file.metadata().map_err(|e| broken(&e))?.len();
        let head = SnapshotHead { vote, meta: snapshot.meta, length };
        let head = postcard::to_allocvec(&head).map_err(|e| broken(&e))?;
        let body = reqwest::Body::wrap_stream(pieces(head, file, length));
        let peers = &self.network.peers;
        let sent = async {
            let answer = peers.send(self.target, SNAPSHOT, body, option.hard_ttl()).await;
            if let Err(error) = &answer {
                // A node that lacks disk lacks it for a while: the snapshot is not sent again at
                // once.
                tracing::debug!(node = self.target, %error, "a snapshot was not taken");
                tokio::time::sleep(SNAPSHOT_AGAIN).await;
            }
            answer
        };
        let answer = tokio::select! {
            closed = cancel => return Err(StreamingError::Closed(closed)),
            answer = sent => answer.map_err(|e| StreamingError::from(rpc_error(&e)))?,
        };
        postcard::from_bytes(&answer).map_err(|e| broken(&e))
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.call(TRANSFER, &req, option.hard_ttl()).await
    }
}

/// Head, bytes and checksum of a snapshot, a piece at a time.
fn pieces(
    head: Vec<u8>,
    file: Arc<File>,
    length: u64,
) -> impl futures_util::Stream<Item = io::Result<Bytes>> {
    enum At {
        Head(Vec<u8>),
        Offset(u64, crc32fast::Hasher),
        End,
    }
    futures_util::stream::try_unfold(At::Head(head), move |at| {
        let file = file.clone();
        async move {
            match at {
                At::Head(head) => {
                    let mut bytes = (head.len() as u32).to_le_bytes().to_vec();
                    bytes.extend(head);
                    Ok(Some((Bytes::from(bytes), At::Offset(0, crc32fast::Hasher::new()))))
                }
                At::Offset(offset, crc) if offset == length => {
                    let crc = crc.finalize().to_le_bytes().to_vec();
                    Ok(Some((Bytes::from(crc), At::End)))
                }
                At::Offset(offset, mut crc) => {
                    let size = (length - offset).min(PIECE as u64) as usize;
                    let read = move || {
                        let mut piece = vec![0; size];
                        file.read_exact_at(&mut piece, offset).map(|()| piece)
                    };
                    let piece =
                        tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??;
                    crc.update(&piece);
                    Ok(Some((Bytes::from(piece), At::Offset(offset + size as u64, crc))))
                }
                At::End => Ok(None),
            }
        }
    })
}
