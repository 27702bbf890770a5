//! What other nodes may ask of this one: Raft's own messages, a forwarded proposal, a read index.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Extension, Router};
use futures_util::StreamExt;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedMutexGuard, mpsc};
use tokio::time::timeout;

use super::addresses::{Announcement, Heard};
use super::fitness::Fitness;
use super::network::{
    ACKNOWLEDGED, APPEND, PRE_VOTE, REVERTED, SNAPSHOT, SnapshotHead, TRANSFER, VOTE,
};
use super::reversion::{self, Acknowledged};
use super::{Error, Inner, MemberChange};
use crate::command::{Outcome, Rejection};
use crate::disk;
use crate::model::NodeId;
use crate::model::process::Process;
use crate::peer::{Caller, Postcard, Refusal};
use crate::raft::machine;
use crate::raft::snapshot::SnapshotFile;
use crate::raft::types::{Snapshot, TypeConfig};
use crate::store::Store;

pub(super) const PROPOSE: &str = "/cluster/propose";
pub(super) const READ_INDEX: &str = "/cluster/read-index";
pub(super) const MEMBERS: &str = "/cluster/members";
pub(super) const HELLO: &str = "/cluster/hello";
pub(super) const ANNOUNCE: &str = "/cluster/announce";
pub(super) const WHO: &str = "/cluster/who";

/// A snapshot's head is small: two ids and the members.
const MAX_HEAD: usize = 1 << 20;

/// A snapshot that does not go on for so long is given up.
const PIECE_WITHIN: Duration = Duration::from_secs(30);

/// Why a forwarded request came to nothing, as it travels.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Denied {
    /// Nothing was written; try there.
    NotLeader(Option<NodeId>),
    /// The outcome is unknown.
    Unavailable(String),
    /// This node has stopped.
    Fatal(String),
    /// Nothing was changed.
    Refused(Rejection),
}

/// Who a node is, as it says when it is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) node: NodeId,
    pub(super) instance: u128,
    /// The line of descent of the cluster that it has data of; 0 for none.
    pub(super) generation: u128,
}

/// Which process a node is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Who {
    pub(super) node: NodeId,
    pub(super) instance: u128,
    pub(super) process: Process,
}

impl Who {
    /// Whether it is the same node on the same folder's id, and not the process that calls.
    pub(super) fn is_twin_of(&self, caller: Caller) -> bool {
        (self.node, self.instance) == (caller.node, caller.instance)
            && self.process != caller.process
            && caller.process.id != 0
    }
}

impl From<Error> for Denied {
    fn from(error: Error) -> Self {
        match error {
            Error::NotLeader { leader } => Denied::NotLeader(leader),
            Error::NoLeader | Error::Busy => Denied::NotLeader(None),
            Error::Fatal(message) => Denied::Fatal(message),
            Error::Refused(rejection) => Denied::Refused(rejection),
            other => Denied::Unavailable(other.to_string()),
        }
    }
}

impl From<Denied> for Error {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotLeader(leader) => Error::NotLeader { leader },
            Denied::Unavailable(message) | Denied::Fatal(message) => Error::Unavailable(message),
            Denied::Refused(rejection) => Error::Refused(rejection),
        }
    }
}

type Node = State<Arc<Inner>>;
type Answer<T> = Result<Postcard<T>, Refusal>;

/// The routes.
pub(super) fn routes(inner: Arc<Inner>) -> Router {
    Router::new()
        .route(APPEND, post(append))
        .route(VOTE, post(vote))
        .route(PRE_VOTE, post(pre_vote))
        .route(TRANSFER, post(transfer))
        .route(SNAPSHOT, post(snapshot))
        .route(PROPOSE, post(propose))
        .route(READ_INDEX, post(read_index))
        .route(MEMBERS, post(members))
        .route(HELLO, post(hello))
        .route(ANNOUNCE, post(announce))
        .route(WHO, post(who))
        .route(REVERTED, post(reverted))
        .route(ACKNOWLEDGED, post(acknowledged))
        .with_state(inner)
}

fn failed(error: &dyn std::fmt::Display) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

async fn append(
    State(node): Node,
    Extension(caller): Extension<Caller>,
    Postcard(rpc): Postcard<AppendEntriesRequest<TypeConfig>>,
) -> Answer<AppendEntriesResponse<TypeConfig>> {
    if !caller.alone {
        node.heard_leader();
    }
    Ok(Postcard(node.raft.append_entries(rpc).await.map_err(|e| failed(&e))?))
}

/// A node that may have forgotten what it acknowledged must not help anybody to be elected.
fn may_vote(node: &Inner, caller: Caller) -> Result<(), Refusal> {
    match node.fitness() {
        Fitness::Full => Ok(()),
        Fitness::FoundersOnly if caller.founder => Ok(()),
        Fitness::FoundersOnly | Fitness::None => Err(Refusal::new(
            StatusCode::CONFLICT,
            "this node has yet to be added to the cluster, or its data is gone: it does not vote",
        )),
    }
}

async fn vote(
    State(node): Node,
    Extension(caller): Extension<Caller>,
    Postcard(rpc): Postcard<VoteRequest<TypeConfig>>,
) -> Answer<VoteResponse<TypeConfig>> {
    may_vote(&node, caller)?;
    Ok(Postcard(node.raft.vote(rpc).await.map_err(|e| failed(&e))?))
}

async fn pre_vote(
    State(node): Node,
    Extension(caller): Extension<Caller>,
    Postcard(rpc): Postcard<VoteRequest<TypeConfig>>,
) -> Answer<VoteResponse<TypeConfig>> {
    may_vote(&node, caller)?;
    Ok(Postcard(node.raft.pre_vote(rpc).await.map_err(|e| failed(&e))?))
}

async fn transfer(
    State(node): Node,
    Postcard(rpc): Postcard<TransferLeaderRequest<TypeConfig>>,
) -> Answer<TransferLeaderResponse<TypeConfig>> {
    Ok(Postcard(node.raft.handle_transfer_leader(rpc).await.map_err(|e| failed(&e))?))
}

async fn propose(
    State(node): Node,
    Postcard(command): Postcard<Bytes>,
) -> Postcard<Result<(u64, Outcome), Denied>> {
    Postcard(node.write(command, None).await.map_err(Denied::from))
}

async fn read_index(
    State(node): Node,
    Postcard(()): Postcard<()>,
) -> Postcard<Result<u64, Denied>> {
    Postcard(node.read_index().await.map_err(Denied::from))
}

async fn members(
    State(node): Node,
    Postcard(change): Postcard<MemberChange>,
) -> Postcard<Result<NodeId, Denied>> {
    Postcard(node.change_members(&change).await.map_err(Denied::from))
}

async fn hello(State(node): Node, Postcard(()): Postcard<()>) -> Postcard<Hello> {
    let generation = node.peers.generation();
    let (node, instance) = (node.options.node, node.options.instance);
    Postcard(Hello { node, instance, generation })
}

async fn announce(
    State(node): Node,
    Extension(caller): Extension<Caller>,
    Postcard(said): Postcard<Announcement>,
) -> Answer<Heard> {
    // Nobody tells this node where it is itself.
    if caller.node == node.options.node {
        return Ok(Postcard(Heard::default()));
    }
    // A member that nobody has bound yet is believed, as it is at the gate.
    let known = node.peers.bound(caller.node);
    if known.is_none_or(|bound| bound.instance == caller.instance) {
        return Ok(Postcard(node.take_announcement(caller, &said.member).await?));
    }
    Ok(Postcard(Heard::default()))
}

async fn who(State(node): Node, Postcard(()): Postcard<()>) -> Postcard<Who> {
    let mine = node.peers.identity();
    Postcard(Who { node: mine.node, instance: mine.instance, process: mine.process })
}

/// Hears that entries were acknowledged here that may be missing: whether it is so is asked of the
/// leader of the current term, at its own address.
async fn reverted(
    State(node): Node,
    Extension(caller): Extension<Caller>,
    Postcard(acknowledged): Postcard<Acknowledged>,
) -> Postcard<()> {
    let last = node.log.last().map_or(0, |id| id.index);
    if last < acknowledged.index {
        let message = reversion::message(node.options.node, last, acknowledged.index);
        node.peers.doubt(caller.node, &message);
    }
    Postcard(())
}

/// Says, as a leader, what the caller has acknowledged and does not have any more.
async fn acknowledged(
    State(node): Node,
    Extension(caller): Extension<Caller>,
    Postcard(()): Postcard<()>,
) -> Postcard<Option<Acknowledged>> {
    let lead = *node.leadership.borrow();
    let index = node.acknowledged.reverted().into_iter().find(|(id, _)| *id == caller.node);
    let said = index.filter(|_| lead.me).map(|(_, index)| Acknowledged { term: lead.term, index });
    Postcard(said)
}

/// Receives a snapshot, checks it and puts a copy beside the state, all before Raft hears of it: what
/// lacks disk or descriptors here is refused, and the leader sends it again.
async fn snapshot(State(node): Node, body: Body) -> Answer<SnapshotResponse<TypeConfig>> {
    let Ok(turn) = node.receiving.clone().try_lock_owned() else {
        return Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "another snapshot is being received or installed: send it again",
        ));
    };
    let path = node.snapshots.fresh_path();
    let (pieces, queue) = mpsc::channel(4);
    let store = node.store.clone();
    let received = tokio::task::spawn_blocking(move || receive(path, turn, queue, &store));
    let mut body = body.into_data_stream();
    let silent = |_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "the snapshot does not go on");
    while let Some(piece) = timeout(PIECE_WITHIN, body.next()).await.map_err(silent)? {
        let piece = piece.map_err(|e| failed(&e))?;
        // The writer has given up: it says below why.
        if pieces.send(piece).await.is_err() {
            break;
        }
    }
    drop(pieces);
    let (head, file) = received.await.map_err(|e| failed(&e))?.map_err(|e| match e {
        Unreceived::Lacking(why) => {
            node.snapshots.failures().note(&why);
            Refusal::new(
                StatusCode::INSUFFICIENT_STORAGE,
                format!("the snapshot finds no place here: {why}"),
            )
        }
        Unreceived::Unusable(why) => {
            Refusal::new(StatusCode::BAD_REQUEST, format!("the snapshot is unusable: {why}"))
        }
    })?;
    let snapshot = Snapshot { meta: head.meta, snapshot: file };
    let answer = node.raft.install_full_snapshot(head.vote, snapshot).await;
    Ok(Postcard(answer.map_err(|e| failed(&e))?))
}

/// Why a snapshot was not received.
enum Unreceived {
    /// This node lacks disk or descriptors.
    Lacking(String),
    /// It is not whole, or not what it says.
    Unusable(String),
}

impl From<io::Error> for Unreceived {
    fn from(error: io::Error) -> Self {
        let lacking = disk::may_pass(&error);
        if lacking { Self::Lacking(error.to_string()) } else { Self::Unusable(error.to_string()) }
    }
}

/// Writes the pieces to a file, checks it, and stages it; an incomplete file is removed.
fn receive(
    path: PathBuf,
    turn: OwnedMutexGuard<()>,
    mut queue: mpsc::Receiver<Bytes>,
    store: &Store,
) -> Result<(SnapshotHead, SnapshotFile), Unreceived> {
    let mut file = disk::create_new(&path)?;
    // From here on the file goes when it is dropped, whatever happens.
    let mut snapshot = SnapshotFile::received(path, turn)?;
    let unusable = |why: &str| Unreceived::Unusable(why.to_owned());
    let mut waiting = Vec::new();
    let mut head: Option<SnapshotHead> = None;
    let mut crc = crc32fast::Hasher::new();
    let mut left = 0;
    while let Some(piece) = queue.blocking_recv() {
        waiting.extend_from_slice(&piece);
        if head.is_none() {
            head = take_head(&mut waiting)?;
            left = head.as_ref().map_or(0, |h| h.length);
            room_for(&file, left)?;
        }
        if head.is_some() {
            let now = (waiting.len() as u64).min(left) as usize;
            file.write_all(&waiting[..now])?;
            crc.update(&waiting[..now]);
            waiting.drain(..now);
            left -= now as u64;
        }
        if waiting.len() > MAX_HEAD {
            return Err(unusable("more bytes than announced"));
        }
    }
    let head = head.ok_or_else(|| unusable("it ended before its head"))?;
    if left > 0 || waiting != crc.finalize().to_le_bytes() {
        return Err(unusable("it is cut off or damaged"));
    }
    file.sync_all()?;
    let staged = store.stage(snapshot.path()).map_err(|e| {
        let text = e.to_string();
        if e.may_pass() { Unreceived::Lacking(text) } else { Unreceived::Unusable(text) }
    })?;
    if machine::covered_by(&staged)? != head.meta.last_log_id {
        return Err(unusable("it covers another part of the log than announced"));
    }
    snapshot.stage(staged);
    Ok((head, snapshot))
}

/// Looks whether the disk has room for a snapshot and its copy before it is received.
fn room_for(file: &File, length: u64) -> io::Result<()> {
    let disk = rustix::fs::fstatvfs(file)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < length.saturating_mul(2) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
}

fn take_head(waiting: &mut Vec<u8>) -> io::Result<Option<SnapshotHead>> {
    let Some(length) = waiting.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length > MAX_HEAD {
        return Err(io::Error::other("its head is too long"));
    }
    let Some(bytes) = waiting.get(4..4 + length) else { return Ok(None) };
    let head = postcard::from_bytes(bytes).map_err(io::Error::other)?;
    waiting.drain(..4 + length);
    Ok(Some(head))
}
