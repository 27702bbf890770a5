//! Who belongs to the cluster, for operators: the list, and one step of a change a request. What a
//! step does is decided at the leader (`cluster::members`), and what it waits for by `node`; the
//! command line puts the steps together.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{delete, get, post};
use serde::{Deserialize, Serialize};

use super::App;
use super::ask::{Ask, Id};
use super::cluster::{Gathering, starting};
use super::error::Error;
use super::fields::Fields;
use super::input::{self, SMALL};
use super::reply;
use super::state::AppState;
use crate::config;
use crate::model::NodeId;

/// The longest address, in bytes.
const LONGEST: usize = 512;

/// Gathers the members as this node sees them.
pub type MembersSource = Arc<dyn Fn() -> Gathering<Members> + Send + Sync>;
/// Carries out one step; gives the node that it is about.
pub type ChangeSource = Arc<dyn Fn(Step) -> Gathering<NodeId> + Send + Sync>;

/// One step of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Adds a running, waiting node as a learner.
    Add {
        /// Its id.
        node: NodeId,
        /// Its API's URL.
        address: String,
        /// `host:port` for the others.
        raft_address: String,
        /// The id may be a removed node's.
        replace: bool,
    },
    /// Makes a learner a voter.
    Promote(NodeId),
    /// Takes a node out.
    Remove {
        /// Which.
        node: NodeId,
        /// Also with shards, or with results that nobody has collected.
        force: bool,
    },
    /// Takes a node's shards away, or lets it have some again.
    Drain {
        /// Which.
        node: NodeId,
        /// Which of both.
        draining: bool,
    },
    /// Hands the leadership on; `None`: to whom it suits best.
    Transfer(Option<NodeId>),
}

/// The members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Members {
    /// Who leads, if somebody does.
    pub leader: Option<NodeId>,
    /// By id.
    pub members: Vec<MemberStatus>,
}

/// One member. What is not known of one that does not answer is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MemberStatus {
    /// Its id.
    pub id: NodeId,
    /// Its API's URL.
    pub address: String,
    /// `host:port` for the others.
    pub raft_address: String,
    /// `voter` or `learner`.
    pub role: String,
    /// Whether it answers the node that was asked.
    pub reachable: bool,
    /// Whether it is being drained.
    pub draining: bool,
    /// Shards that it fires or still closes.
    pub shards: u32,
    /// Its results that the cluster has yet to collect.
    pub uncollected: Option<u64>,
    /// Committed log entries that it has yet to apply.
    pub behind: Option<u64>,
}

pub(super) fn router() -> Router<Arc<AppState>> {
    Router::new()
        .route("/cluster/members", get(list).post(add))
        .route("/cluster/members/{id}", delete(remove))
        .route("/cluster/members/{id}/promote", post(promote))
        .route("/cluster/members/{id}/drain", post(drain).delete(undrain))
        .route("/cluster/leader", post(transfer))
}

async fn list(State(app): App, ask: Ask) -> Result<Response, Error> {
    ask.operators_only()?;
    let source = app.sources.members.as_ref().ok_or_else(starting)?;
    Ok(reply::ok(&source().await?, ask.casing()))
}

async fn carry_out(app: &AppState, ask: &Ask, step: Step) -> Result<NodeId, Error> {
    ask.operators_only()?;
    let source = app.sources.change.as_ref().ok_or_else(starting)?;
    Ok(source(step).await?)
}

/// The node that a step was about.
#[derive(Serialize)]
struct Node {
    id: NodeId,
}

/// A change of the members is taken also while the node is short of memory or disk: it may be the
/// way out.
async fn fields(app: &AppState, request: axum::extract::Request) -> Result<Fields, Error> {
    Fields::parse(&input::read(app, request, SMALL).await?.0)
}

async fn add(
    State(app): App,
    ask: Ask,
    request: axum::extract::Request,
) -> Result<Response, Error> {
    ask.operators_only()?;
    let mut fields = fields(&app, request).await?;
    let needed = |name| Error::invalid(name, format!("{name} field is required"));
    let node = fields.number("id")?.ok_or_else(|| needed("id"))?;
    if node == 0 || i64::try_from(node).is_err() {
        return Err(Error::invalid("id", "id must be a whole number, 1 or more"));
    }
    let address = fields.text("address", LONGEST)?.ok_or_else(|| needed("address"))?;
    let raft_address = fields.text("raftAddress", LONGEST)?;
    let raft_address = raft_address.ok_or_else(|| needed("raftAddress"))?;
    let (address, raft_address) = config::check_addresses(&address, &raft_address)
        .map_err(|(field, message)| Error::invalid(field, message))?;
    let replace = fields.flag("replace")?.unwrap_or(false);
    let step = Step::Add { node, address, raft_address, replace };
    let id = carry_out(&app, &ask, step).await?;
    Ok(reply::warn(reply::created(&Node { id }, ask.casing()), &fields.warnings()))
}

async fn promote(State(app): App, ask: Ask, Id(id): Id) -> Result<Response, Error> {
    let id = carry_out(&app, &ask, Step::Promote(id)).await?;
    Ok(reply::ok(&Node { id }, ask.casing()))
}

async fn remove(State(app): App, ask: Ask, Id(node): Id) -> Result<Response, Error> {
    let step = Step::Remove { node, force: ask.flag("force")? };
    carry_out(&app, &ask, step).await?;
    Ok(reply::no_content())
}

async fn drain(State(app): App, ask: Ask, Id(node): Id) -> Result<Response, Error> {
    let id = carry_out(&app, &ask, Step::Drain { node, draining: true }).await?;
    Ok(reply::ok(&Node { id }, ask.casing()))
}

async fn undrain(State(app): App, ask: Ask, Id(node): Id) -> Result<Response, Error> {
    carry_out(&app, &ask, Step::Drain { node, draining: false }).await?;
    Ok(reply::no_content())
}

async fn transfer(
    State(app): App,
    ask: Ask,
    request: axum::extract::Request,
) -> Result<Response, Error> {
    ask.operators_only()?;
    let mut fields = fields(&app, request).await?;
    let to = fields.number("id")?;
    let id = carry_out(&app, &ask, Step::Transfer(to)).await?;
    Ok(reply::warn(reply::ok(&Node { id }, ask.casing()), &fields.warnings()))
}
