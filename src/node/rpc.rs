//! The server side of the node's peer RPC, beside that of the cluster. Renewals go to the
//! coordinator, everything else is answered from this node's own parts. It changes nothing.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Extension, Router};

use super::report::NodeReport;
use crate::cluster::Cluster;
use crate::coordinator::collect::ReadJournal;
use crate::coordinator::lead::Coordinator;
use crate::journal::Journal;
use crate::metrics::MinuteLag;
use crate::model::NodeId;
use crate::model::attempt::JournalBatch;
use crate::model::lease::{Renewal, Reply};
use crate::peer::routes::{CHECKSUM, JOURNAL, LAG, RENEW, STATUS};
use crate::peer::{Caller, Postcard, Refusal};

/// The parts from which the handlers answer.
#[derive(Clone)]
pub(super) struct PeerRpc {
    /// This node as a member of the cluster.
    pub(super) cluster: Cluster,
    /// The leader's half of the lease protocol.
    pub(super) coordinator: Coordinator,
    /// This node's journal.
    pub(super) journal: Journal,
    /// This node.
    pub(super) node: NodeId,
    /// This node's status.
    pub(super) report: Arc<dyn Fn() -> NodeReport + Send + Sync>,
    /// The delay of this node's firings by the minute.
    pub(super) lag: Arc<dyn Fn() -> Vec<(i64, MinuteLag)> + Send + Sync>,
}

/// The routes, to be served behind peer authentication.
pub(super) fn routes(rpc: PeerRpc) -> Router {
    Router::new()
        .route(RENEW, post(renew))
        .route(JOURNAL, post(journal))
        .route(STATUS, post(status))
        .route(LAG, post(lag))
        .route(CHECKSUM, post(checksum))
        .with_state(rpc)
}

/// A page of a journal after a cursor, in the form in which it is proposed.
pub(super) fn read_journal(journal: &Journal, node: NodeId, ask: &ReadJournal) -> JournalBatch {
    let incarnation = journal.state().incarnation;
    // A cursor of another file says nothing of this one: from its beginning, or from where it was
    // forgotten (the replicated state knows how far that is).
    let after = if incarnation == ask.incarnation { ask.after } else { 0 };
    let page = journal.read(after, ask.max_bytes as usize);
    JournalBatch { node, incarnation: page.incarnation, first: page.first, entries: page.entries }
}

async fn renew(
    State(rpc): State<PeerRpc>,
    Extension(caller): Extension<Caller>,
    Postcard(renewal): Postcard<Renewal>,
) -> Postcard<Reply> {
    Postcard(rpc.coordinator.renew(&Renewal { process: caller.process, ..renewal }))
}

async fn journal(
    State(rpc): State<PeerRpc>,
    Postcard(ask): Postcard<ReadJournal>,
) -> Result<Postcard<JournalBatch>, Refusal> {
    // The window is in memory; what is older comes from disk, off this runtime's only thread.
    let read = tokio::task::spawn_blocking(move || read_journal(&rpc.journal, rpc.node, &ask));
    read.await
        .map(Postcard)
        .map_err(|e| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))
}

async fn status(State(rpc): State<PeerRpc>, Postcard(()): Postcard<()>) -> Postcard<NodeReport> {
    Postcard((rpc.report)())
}

async fn lag(
    State(rpc): State<PeerRpc>,
    Postcard(()): Postcard<()>,
) -> Postcard<Vec<(i64, MinuteLag)>> {
    Postcard((rpc.lag)())
}

async fn checksum(
    State(rpc): State<PeerRpc>,
    Postcard(index): Postcard<u64>,
) -> Postcard<Option<[u8; 32]>> {
    Postcard(rpc.cluster.checksum(index))
}
