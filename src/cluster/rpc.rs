//! The server side of the cluster's peer RPC: Raft's own messages, forwarded proposals, read
//! indexes, changes of the members. `handle` serves the routes behind peer authentication. Handlers
//! call `inner` and Raft; they decide nothing.

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
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::inner::Inner;
use super::leadership::eligibility::Eligibility;
use super::receive::{Unreceived, receive};
use super::reversion;
use super::wire::{
    ACKNOWLEDGED, ANNOUNCE, APPEND, Acknowledged, Announcement, Denied, HELLO, Heard, Hello,
    MEMBERS, MemberChange, NotRaised, PRE_VOTE, PROPOSE, RAISE_LEVEL, READ_INDEX, REVERTED,
    SNAPSHOT, TRANSFER, VOTE, WHO, Who,
};
use crate::command::Outcome;
use crate::model::NodeId;
use crate::peer::{Caller, Postcard, Refusal};
use crate::raft::snapshot::Snapshot;
use crate::raft::types::TypeConfig;

/// The longest pause in the bytes of a snapshot.
const PIECE_WITHIN: Duration = Duration::from_secs(30);

type Node = State<Arc<Inner>>;
type Answer<T> = Result<Postcard<T>, Refusal>;

/// The routes that other nodes call. Whoever serves them authenticates the sender first.
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
        .route(RAISE_LEVEL, post(raise_level))
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

/// Refuses a vote of a node that may have forgotten what it acknowledged.
fn may_vote(node: &Inner, caller: Caller) -> Result<(), Refusal> {
    match node.eligibility() {
        Eligibility::Full => Ok(()),
        Eligibility::FoundersOnly if caller.founder => Ok(()),
        Eligibility::FoundersOnly | Eligibility::None => Err(Refusal::new(
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

async fn raise_level(
    State(node): Node,
    Postcard(level): Postcard<u32>,
) -> Postcard<Result<u64, NotRaised>> {
    Postcard(node.raise_level(level).await.map_err(NotRaised::because))
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
    // Another node's word about this node's own address does not count.
    if caller.node == node.options.node {
        return Ok(Postcard(Heard::default()));
    }
    // A member that nobody has bound yet is believed, as it is by peer authentication.
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

/// Takes a leader's claim that entries were acknowledged here that are missing. The claim is
/// checked with the leader of the current term, at its own address.
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

/// Receives a snapshot, checks it and puts a copy beside the state, all before Raft hears of it:
/// what lacks disk or descriptors here is refused, and the leader sends it again.
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
        // The receiving thread has ended: the result below says why.
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
