//! The receiver's side: who may come in, and the server behind `RaftAddress`.
//!
//! Each message is checked before its handler sees it, and before its body is read: the shared token, the
//! cluster, the sender's node id, and that the sender's instance is the one registered under that id.
//! What is refused is logged once a minute for each sender and status.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use tower_http::timeout::TimeoutBody;

use super::client::{
    ALONE, BOUND, CLUSTER, EXPECTS, EXPECTS_SINCE, FOUNDER, INSTANCE, NODE, PROCESS, Peers, STOP,
    decoded,
};
use super::{BODIES, MAX_BODY};
use crate::listen::{self, Connection, Listeners, Principal};
use crate::model::NodeId;
use crate::model::process::{Process, Verdict};
use crate::telemetry::LogLimit;

/// Room for bodies is counted in so many bytes.
const ROOM: usize = 1_024;
/// A body that does not go on for so long is given up.
const BODY_SILENCE: Duration = Duration::from_secs(30);

/// Who sent a message: an `Extension` of every request that came through the gate.
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

/// An answer that is an error: a status and a message for the other node's log.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    message: String,
    stop: bool,
    close: bool,
}

impl Refusal {
    /// An error answer.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), stop: false, close: false }
    }

    /// An error answer that says that the process which asked must end: its message is the reason. It
    /// ends when the leader or most of the others say so.
    pub fn stop(message: String) -> Self {
        Self { status: StatusCode::CONFLICT, message, stop: true, close: false }
    }

    /// An error answer after which the connection is closed.
    fn closing(status: StatusCode, message: &str) -> Self {
        Self { status, message: message.to_owned(), stop: false, close: true }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.message).into_response();
        if self.stop {
            response.headers_mut().insert(STOP, HeaderValue::from_static("1"));
        }
        if self.close {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// How many connections there may be at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Those that have not shown the cluster's token.
    pub strangers: usize,
    /// Those that have.
    pub members: usize,
}

impl Default for Bounds {
    /// As for a cluster of three on a system with enough descriptors.
    fn default() -> Self {
        Self { strangers: 40, members: 1_024 }
    }
}

/// What the gate has beside each message.
#[derive(Clone)]
struct Gate {
    peers: Peers,
    /// By status and sender.
    lines: Arc<LogLimit<(u16, Option<IpAddr>)>>,
    /// Room for message bodies, in units of [`ROOM`].
    room: Arc<Semaphore>,
}

/// Serves peer routes on a listener until `stop` resolves. Run it on the core runtime.
pub async fn serve(
    listeners: Listeners,
    peers: Peers,
    routes: Router,
    bounds: Bounds,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let room = Arc::new(Semaphore::new(BODIES / ROOM));
    let gate = Gate { peers, lines: Arc::default(), room };
    let app = routes
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(gate, enter));
    let bounds = listen::Bounds::raft(bounds.strangers, bounds.members);
    listen::serve(listeners, app, bounds, stop).await;
}

async fn enter(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let connection = request.extensions().get::<Connection>().cloned();
    let admitted = admit(&gate.peers, connection.as_ref(), request.headers());
    let caller = match admitted {
        Ok(caller) => caller,
        Err(refusal) => {
            let from = connection.map(|connection| connection.address().ip());
            if let Some(unsaid) = gate.lines.admit((refusal.status.as_u16(), from)) {
                tracing::warn!(
                    status = %refusal.status,
                    from = from.map(tracing::field::display),
                    unsaid,
                    message = %refusal.message,
                    "a peer message was refused"
                );
            }
            return refusal.into_response();
        }
    };
    // Held until the message is answered. One whose length is not said is a stream, which its handler
    // does not gather.
    let length = request.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    let units = length.unwrap_or(0_usize).min(MAX_BODY).div_ceil(ROOM) as u32;
    let Ok(_room) = gate.room.acquire_many(units).await else {
        return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "this node stops").into_response();
    };
    request.extensions_mut().insert(caller);
    let request = request.map(|body| Body::new(TimeoutBody::new(BODY_SILENCE, body)));
    next.run(request).await
}

/// Lets a message in by its connection, then by what it says.
fn admit(
    peers: &Peers,
    connection: Option<&Connection>,
    headers: &HeaderMap,
) -> Result<Caller, Refusal> {
    check_token(peers, headers)?;
    // Who has the token is a member; which one its other headers say.
    if connection.is_some_and(|connection| connection.prove(Principal::MIN).is_err()) {
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
        // Of two, the one that nobody has counted in yet is the stranger.
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

/// Whether this process speaks for its node: of two copies of a data folder one is refused.
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

/// Why one of two processes on copies of a folder must end.
pub fn copied_folder(node: NodeId) -> String {
    format!(
        "node {node} is running already, on another copy of this data folder: a copy cannot run \
         beside its original; delete the copy, and give an additional node its own NodeId and an \
         empty DataDir"
    )
}

/// What this node's books say of the sender counts, unless the sender knows of a later binding: then
/// they are behind.
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

/// Whether this node is the one that the sender means.
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
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::peer::Identity;
    use crate::store::nodes::Bound;

    fn peers(node: NodeId, instance: u128) -> Peers {
        let process = Process { id: 1, place: 1, boot: 1 };
        let identity = Identity { node, instance, process, founder: false, token: "right".into() };
        let addresses = [1, 2, 3].map(|n| (n, format!("127.0.0.1:{n}")));
        let second = Duration::from_secs(1);
        Peers::new(identity, addresses, 1, second, second).unwrap()
    }

    fn message(token: &str, cluster: u128, node: NodeId, instance: u128) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut put = |name: &'static str, value: String| {
            headers.insert(name, value.parse().unwrap());
        };
        put("authorization", format!("Bearer {token}"));
        put(CLUSTER, format!("{cluster:032x}"));
        put(NODE, node.to_string());
        put(INSTANCE, format!("{instance:032x}"));
        headers
    }

    fn bound(node: NodeId, instance: u128, since: u64) -> Bound {
        Bound { node, instance, since, removed: false, draining: false }
    }

    fn refused(peers: &Peers, headers: &HeaderMap) -> (u16, bool) {
        let refusal = admit(peers, None, headers).unwrap_err();
        assert!(!refusal.message.contains("right"), "no secret in a message");
        (refusal.status.as_u16(), refusal.stop)
    }

    #[tokio::test]
    async fn only_members_of_this_cluster_with_its_token_come_in() {
        let here = peers(1, 10);
        // Nobody is registered yet: a member is believed.
        let caller = admit(&here, None, &message("right", 0, 2, 20)).unwrap();
        let process = Process::default();
        assert_eq!(caller, Caller { node: 2, instance: 20, process, founder: false, alone: false });
        assert_eq!(refused(&here, &message("wrong", 0, 2, 20)), (401, false));
        assert_eq!(refused(&here, &message("", 0, 2, 20)), (401, false));
        assert_eq!(refused(&here, &message("right", 0, 9, 20)), (403, false));
        let mut nameless = message("right", 0, 2, 20);
        nameless.remove(INSTANCE);
        assert_eq!(refused(&here, &nameless), (400, false));
        here.learn(77, [bound(1, 10, 5), bound(2, 20, 6)]);
        assert!(check(&here, &message("right", 77, 2, 20)).is_ok());
        assert!(check(&here, &message("right", 0, 3, 30)).is_ok(), "it has yet to learn the id");
        assert_eq!(refused(&here, &message("right", 78, 2, 20)), (403, true));
    }

    #[tokio::test]
    async fn a_second_instance_under_a_known_node_id_is_told_to_stop() {
        let here = peers(1, 10);
        assert_eq!(refused(&here, &message("right", 0, 1, 11)), (409, true));
        here.learn(77, [bound(1, 10, 5), bound(2, 20, 6)]);
        assert_eq!(refused(&here, &message("right", 77, 2, 21)), (409, true));
        assert_eq!(here.failure(), None, "it is the other that must stop");
        // The other way round: a member expects another instance here.
        let mut expecting = message("right", 77, 2, 20);
        expecting.insert(EXPECTS, format!("{:032x}", 12).parse().unwrap());
        expecting.insert(EXPECTS_SINCE, "9".parse().unwrap());
        assert_eq!(refused(&here, &expecting), (409, false));
        // Nobody is ended by a message, whatever it claims: the others are asked.
        here.doubted().await;
        expecting.insert(EXPECTS_SINCE, u64::MAX.to_string().parse().unwrap());
        assert_eq!(refused(&here, &expecting), (409, false));
        let mut later = message("right", 77, 1, 11);
        later.insert(BOUND, u64::MAX.to_string().parse().unwrap());
        assert_eq!(refused(&here, &later), (409, false));
        assert_eq!(here.failure(), None);
    }

    #[tokio::test]
    async fn of_two_processes_on_copies_of_a_folder_the_one_that_is_heard_goes_on() {
        let here = peers(1, 10);
        here.learn(77, [bound(1, 10, 5), bound(2, 20, 6)]);
        let from = |node, instance, process: &str| {
            let mut headers = message("right", 77, node, instance);
            headers.insert(PROCESS, process.parse().unwrap());
            headers
        };
        let (original, copy) = (from(2, 20, "a1-b1-5"), from(2, 20, "a2-b2-5"));
        let caller = check(&here, &original).unwrap();
        assert_eq!(caller.process, Process { id: 0xa1, place: 0xb1, boot: 5 });
        assert_eq!(refused(&here, &copy), (409, false), "the original may be gone");
        while refused(&here, &copy) == (409, false) {
            assert!(check(&here, &original).is_ok());
            here.speakers().answered(2, caller.process);
        }
        assert_eq!(refused(&here, &copy), (409, true));
        assert!(check(&here, &original).is_ok());
        assert!(check(&here, &from(2, 20, "a3-b1-6")).is_ok(), "the original, started anew");
        assert_eq!(refused(&here, &original), (425, false), "late");
        // A copy of this node's own folder asks who is there.
        assert_eq!(refused(&here, &from(1, 10, "a9-b9-9")), (409, true));
        assert_eq!(here.failure(), None);
    }

    #[tokio::test]
    async fn of_two_bindings_the_later_one_holds() {
        let here = peers(1, 10);
        here.learn(77, [bound(1, 10, 5), bound(2, 20, 6)]);
        let with = |mut headers: HeaderMap, name: &'static str, value: String| {
            headers.insert(name, value.parse().unwrap());
            headers
        };
        // Bound anew, or for the first time, after what this node has applied.
        for (node, instance) in [(2, 21), (9, 90)] {
            let news = with(message("right", 77, node, instance), BOUND, "8".to_owned());
            assert!(check(&here, &news).is_ok(), "node {node}");
        }
        let stale = with(message("right", 77, 2, 21), BOUND, "4".to_owned());
        assert_eq!(refused(&here, &stale), (409, true));
        // A member that is behind takes this node for its predecessor: that is no reason to go.
        let behind = message("right", 77, 2, 20);
        let behind = with(behind, EXPECTS, format!("{:032x}", 12));
        assert_eq!(refused(&here, &with(behind, EXPECTS_SINCE, "3".to_owned())), (409, false));
        assert_eq!(here.failure(), None);
        // A removed node is told, whoever it asks.
        here.learn(77, [bound(1, 10, 5), Bound { removed: true, ..bound(2, 20, 9) }]);
        let removed = with(message("right", 77, 2, 20), BOUND, "6".to_owned());
        let refusal = check(&here, &removed).unwrap_err();
        assert!(refusal.stop && refusal.message.contains("was removed"), "{}", refusal.message);
    }

    #[tokio::test]
    async fn a_node_hears_from_others_that_it_was_bound() {
        let here = peers(4, 40);
        let mut leader = message("right", 77, 2, 20);
        leader.insert(BOUND, "6".parse().unwrap());
        leader.insert(EXPECTS, format!("{:032x}", 40).parse().unwrap());
        leader.insert(EXPECTS_SINCE, "12".parse().unwrap());
        assert!(check(&here, &leader).is_ok());
        assert_eq!((*here.told().borrow(), here.bound_since()), (12, 12));
        // It replays what was before a recovery: another line of descent, which it will leave.
        here.learn(66, [bound(2, 19, 3)]);
        assert!(check(&here, &leader).is_ok());
        leader.insert(EXPECTS_SINCE, "0".parse().unwrap());
        assert_eq!(refused(&here, &leader), (403, false));
    }

    #[tokio::test]
    async fn of_two_lines_of_descent_the_one_that_nobody_counts_in_goes() {
        let here = peers(1, 10);
        here.learn(77, [bound(1, 10, 5)]);
        let counted_in = |mut headers: HeaderMap| {
            headers.insert(BOUND, "6".parse().unwrap());
            headers
        };
        let other = counted_in(message("right", 78, 2, 20));
        assert_eq!(refused(&here, &other), (403, false), "both belong to a cluster");
        assert_eq!(refused(&here, &message("right", 78, 2, 20)), (403, true), "it is the stranger");
        here.learn(77, []);
        assert_eq!(refused(&here, &other), (403, false), "here is the stranger");
        here.doubted().await;
        assert_eq!(here.failure(), None, "the others are asked first");
    }
}
