//! Peer authentication: the shared token, the cluster, the sender's node id, and whether the
//! sender's instance is the one that is registered under that id. `server` calls it for each
//! message before the body is read. A message may be refused here; it never ends this node.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use subtle::ConstantTimeEq;

use super::headers::{
    ALONE, BOUND, CLUSTER, EXPECTS, EXPECTS_SINCE, FOUNDER, INSTANCE, NODE, PROCESS, decoded,
};
use super::peers::Peers;
use super::refusal::Refusal;
use crate::listen::{Connection, Principal};
use crate::model::NodeId;
use crate::model::process::{Process, Verdict};

/// The authenticated sender of a message: an `Extension` of every request that a handler sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its node id.
    pub node: NodeId,
    /// Its instance id.
    pub instance: u128,
    /// Its process; the default for a version that does not say it.
    pub process: Process,
    /// It founds the cluster, by its configuration.
    pub founder: bool,
    /// It leads, and has lost its majority.
    pub alone: bool,
}

/// Lets a message in by its connection, then by what it says.
pub(super) fn admit(
    peers: &Peers,
    connection: Option<&Connection>,
    headers: &HeaderMap,
) -> Result<Caller, Refusal> {
    check_token(peers, headers)?;
    // A sender with the token is a member; its other headers say which one.
    if connection.is_some_and(|connection| connection.authenticate(Principal::MIN).is_err()) {
        return Err(Refusal::closing(
            StatusCode::SERVICE_UNAVAILABLE,
            "this node has too many peer connections: raise its limit of open files",
        ));
    }
    check(peers, headers)
}

fn check_token(peers: &Peers, headers: &HeaderMap) -> Result<(), Refusal> {
    let text = headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok());
    let token = text.and_then(|v| v.strip_prefix("Bearer ")).unwrap_or_default();
    if bool::from(token.as_bytes().ct_eq(peers.identity().token.as_bytes())) {
        return Ok(());
    }
    Err(Refusal::closing(
        StatusCode::UNAUTHORIZED,
        "the peer token is wrong: all nodes need the same SecretKey, AuthUsername and AuthPassword",
    ))
}

fn check(peers: &Peers, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let mine = peers.identity();
    let hex = |name: &str| text(name).and_then(|v| u128::from_str_radix(v, 16).ok());
    let node = text(NODE).and_then(|v| v.parse::<NodeId>().ok());
    let (Some(cluster), Some(node), Some(instance)) = (hex(CLUSTER), node, hex(INSTANCE)) else {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("the headers {CLUSTER}, {NODE} and {INSTANCE} are required"),
        ));
    };
    let index = |name: &str| text(name).and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
    let since = index(BOUND);
    let ours = peers.generation();
    // A node that was added and replays the log passes through lines of descent of the past.
    let counted_in =
        peers.own().is_none() && hex(EXPECTS) == Some(mine.instance) && index(EXPECTS_SINCE) > 0;
    if cluster != 0 && ours != 0 && cluster != ours && !counted_in {
        let message = format!(
            "node {node} belongs to cluster {cluster:032x}, this node's data folder to {ours:032x}: \
             check RaftAddress and DataDir; after `cluster recover` the other old members start on \
             an empty DataDir and are added anew"
        );
        // The one of the two that nobody has registered yet is the stranger.
        if peers.bound_since() == 0 {
            peers.doubt(node, &message);
        } else if since == 0 {
            return Err(Refusal { status: StatusCode::FORBIDDEN, ..Refusal::stop(message) });
        }
        return Err(Refusal::new(StatusCode::FORBIDDEN, message));
    }
    if node == mine.node && instance != mine.instance {
        let message =
            "another process with this node id runs already: give each node its own NodeId";
        if since > peers.bound_since() {
            peers.doubt(node, message);
            return Err(Refusal::new(StatusCode::CONFLICT, message));
        }
        return Err(Refusal::stop(format!("node id {node}: {message}")));
    }
    check_sender(peers, node, instance, since)?;
    let process = text(PROCESS).and_then(decoded).unwrap_or_default();
    check_process(peers, node, instance, process)?;
    if let Some(expected) = hex(EXPECTS) {
        check_expected(peers, node, expected, index(EXPECTS_SINCE))?;
    }
    let (founder, alone) = (text(FOUNDER).is_some(), text(ALONE).is_some());
    Ok(Caller { node, instance, process, founder, alone })
}

/// Checks that this process speaks for its node: of two copies of a data folder one is refused.
fn check_process(
    peers: &Peers,
    node: NodeId,
    instance: u128,
    process: Process,
) -> Result<(), Refusal> {
    let mine = peers.identity();
    if node == mine.node {
        let own = process == mine.process || process.id == 0;
        return if own { Ok(()) } else { Err(Refusal::stop(copied_folder(node))) };
    }
    match peers.speakers().judge(node, instance, process) {
        Verdict::Served => Ok(()),
        Verdict::Old => Err(Refusal::new(
            StatusCode::TOO_EARLY,
            format!(
                "start {} of node {node} is over, for a later one spoke on the same data folder; if \
                 the folder was put back to an older state, this process is served when the later \
                 one has been silent for long enough",
                process.boot
            ),
        )),
        Verdict::Wait => Err(Refusal::new(
            StatusCode::CONFLICT,
            format!(
                "node {node} ran on another copy of this data folder a moment ago: this process is \
                 served when that one has been silent for long enough"
            ),
        )),
        Verdict::Twin => Err(Refusal::stop(copied_folder(node))),
    }
}

/// The reason why one of two processes on copies of a folder must end.
pub fn copied_folder(node: NodeId) -> String {
    format!(
        "node {node} is running already, on another copy of this data folder: a copy cannot run \
         beside its original; delete the copy, and give an additional node its own NodeId and an \
         empty DataDir"
    )
}

/// Checks the sender against this node's registry, unless the sender knows of a later binding: then
/// the registry is behind.
fn check_sender(peers: &Peers, node: NodeId, instance: u128, since: u64) -> Result<(), Refusal> {
    match peers.bound(node) {
        Some(known) if since > known.since => Ok(()),
        Some(known) if known.removed && known.instance == instance => Err(Refusal::stop(format!(
            "node {node} was removed from this cluster, and its data folder with it: to come back \
             it needs an empty DataDir, a new NodeId and `scheduler0 cluster add`"
        ))),
        Some(known) if known.removed || known.instance != instance => {
            Err(Refusal::stop(other_folder(node)))
        }
        Some(_) => Ok(()),
        None if since > 0 || peers.is_member(node) => Ok(()),
        None => Err(Refusal::new(
            StatusCode::FORBIDDEN,
            format!("node {node} is not a member here: check NodeId and Replicas on both nodes"),
        )),
    }
}

/// Checks that this node is the one that the sender means.
fn check_expected(peers: &Peers, node: NodeId, expected: u128, since: u64) -> Result<(), Refusal> {
    let mine = peers.identity();
    if expected == mine.instance {
        peers.tell(since);
        return Ok(());
    }
    if peers.bound_since() > since {
        let message = format!("node id {} has another data folder by now", mine.node);
        return Err(Refusal::new(StatusCode::CONFLICT, message));
    }
    let message = other_folder(mine.node);
    peers.doubt(node, &message);
    Err(Refusal::new(StatusCode::CONFLICT, message))
}

fn other_folder(node: NodeId) -> String {
    format!(
        "node id {node} is registered with another data folder: start it with its old DataDir; if \
         that is lost, `scheduler0 cluster remove {node} --force` on a member, then `cluster add` \
         under a new NodeId, or `cluster add {node} --replace`"
    )
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
