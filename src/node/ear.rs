//! The node's ear: what other nodes ask it beside Raft. Renewals go to the coordinator, the rest is
//! answered from this node's own parts. It changes nothing.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Extension, Router};
use serde::{Deserialize, Serialize};

use crate::cluster::Cluster;
use crate::coordinator::collect::{JOURNAL_ROUTE, ReadJournal};
use crate::coordinator::lead::Coordinator;
use crate::executor::OpenBreaker;
use crate::journal::Journal;
use crate::model::NodeId;
use crate::model::attempt::JournalBatch;
use crate::model::lease::{Renewal, Reply};
use crate::peer::{Caller, Postcard, Refusal};
use crate::worker::renew::RENEW_ROUTE;

/// The route that answers with this node's [`Own`] status.
pub(super) const STATUS_ROUTE: &str = "/peer/status";
/// The route that answers with this node's hash at an index, once it has it.
pub(super) const CHECKSUM_ROUTE: &str = "/peer/checksum";

/// How a node stands, as it tells the others for their status pages.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Own {
    /// Its version.
    pub(super) version: String,
    /// The last log index it has applied.
    pub(super) applied: u64,
    /// Raft's word for what it is: `Leader`, `Follower`, `Candidate`.
    pub(super) state: String,
    /// Milliseconds that its lease lasts.
    pub(super) lease_left: u64,
    /// Its clock less the median, in milliseconds.
    pub(super) clock_error: i64,
    /// Journal entries that the cluster has not recorded.
    pub(super) journal_depth: u64,
    /// Jobs due and in no request yet.
    pub(super) due: u64,
    /// Requests built and waiting.
    pub(super) built: u64,
    /// Requests under way.
    pub(super) in_flight: u64,
    /// Lag of first attempts, median and 99th percentile, in milliseconds.
    pub(super) lag: Option<(u64, u64)>,
    /// Anonymous memory, in bytes.
    pub(super) memory: Option<u64>,
    /// Destinations that keep failing when it calls them.
    pub(super) failing: Vec<OpenBreaker>,
    /// It is about to stop.
    pub(super) draining: bool,
    /// What it would warn an operator of.
    pub(super) warnings: Vec<String>,
}

/// What the ear answers from.
#[derive(Clone)]
pub(super) struct Ear {
    /// The door.
    pub(super) cluster: Cluster,
    /// The leader's half of the lease protocol.
    pub(super) coordinator: Coordinator,
    /// This node's journal.
    pub(super) journal: Journal,
    /// This node.
    pub(super) node: NodeId,
    /// This node's status.
    pub(super) own: Arc<dyn Fn() -> Own + Send + Sync>,
}

/// The routes, to be served behind the peers' gate.
pub(super) fn routes(ear: Ear) -> Router {
    Router::new()
        .route(RENEW_ROUTE, post(renew))
        .route(JOURNAL_ROUTE, post(journal))
        .route(STATUS_ROUTE, post(status))
        .route(CHECKSUM_ROUTE, post(checksum))
        .with_state(ear)
}

/// A page of a journal after a cursor, in the form in which it is proposed.
pub(super) fn read_journal(journal: &Journal, node: NodeId, ask: &ReadJournal) -> JournalBatch {
    let incarnation = journal.state().incarnation;
    // A cursor of another file says nothing of this one: from its beginning, or from where it was
    // forgotten (the books know how far that is).
    let after = if incarnation == ask.incarnation { ask.after } else { 0 };
    let page = journal.read(after, ask.max_bytes as usize);
    JournalBatch { node, incarnation: page.incarnation, first: page.first, entries: page.entries }
}

async fn renew(
    State(ear): State<Ear>,
    Extension(caller): Extension<Caller>,
    Postcard(renewal): Postcard<Renewal>,
) -> Postcard<Reply> {
    Postcard(ear.coordinator.renew(&Renewal { process: caller.process, ..renewal }))
}

async fn journal(
    State(ear): State<Ear>,
    Postcard(ask): Postcard<ReadJournal>,
) -> Result<Postcard<JournalBatch>, Refusal> {
    // The window is in memory; what is older comes from disk, off this runtime's only thread.
    let read = tokio::task::spawn_blocking(move || read_journal(&ear.journal, ear.node, &ask));
    read.await
        .map(Postcard)
        .map_err(|e| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))
}

async fn status(State(ear): State<Ear>, Postcard(()): Postcard<()>) -> Postcard<Own> {
    Postcard((ear.own)())
}

async fn checksum(
    State(ear): State<Ear>,
    Postcard(index): Postcard<u64>,
) -> Postcard<Option<[u8; 32]>> {
    Postcard(ear.cluster.checksum(index))
}
