//! The receiver's side: who may come in, and the server behind `RaftAddress`.
//!
//! Each message is checked before its handler sees it: the shared token, the cluster, the sender's
//! node id, and that the sender's instance is the one registered under that id.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;

use super::MAX_BODY;
use super::client::{CLUSTER, EXPECTS, INSTANCE, NODE, Peers, STOP};
use crate::model::NodeId;

/// Who sent a message: an `Extension` of every request that came through the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its node id.
    pub node: NodeId,
    /// Its instance id.
    pub instance: u128,
}

/// An answer that is an error: a status and a message for the other node's log.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    message: String,
    stop: bool,
}

impl Refusal {
    /// An error answer.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), stop: false }
    }

    fn stop(message: String) -> Self {
        Self { status: StatusCode::CONFLICT, message, stop: true }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.message).into_response();
        if self.stop {
            response.headers_mut().insert(STOP, axum::http::HeaderValue::from_static("1"));
        }
        response
    }
}

/// Serves peer routes on a listener until `stop` resolves. Run it on the core runtime.
pub async fn serve(
    listener: TcpListener,
    peers: Peers,
    routes: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let app = routes
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(peers, gate));
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set on a peer connection");
        }
    });
    axum::serve(listener, app).with_graceful_shutdown(stop).await
}

async fn gate(State(peers): State<Peers>, mut request: Request, next: Next) -> Response {
    match check(&peers, request.headers()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => {
            tracing::warn!(status = %refusal.status, message = %refusal.message, "a peer message was refused");
            refusal.into_response()
        }
    }
}

fn check(peers: &Peers, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let token = text("authorization").and_then(|v| v.strip_prefix("Bearer ")).unwrap_or_default();
    let mine = peers.identity();
    if !bool::from(token.as_bytes().ct_eq(mine.token.as_bytes())) {
        return Err(Refusal::new(
            StatusCode::UNAUTHORIZED,
            "the peer token is wrong: all nodes need the same SecretKey, AuthUsername and \
             AuthPassword",
        ));
    }
    let hex = |name: &str| text(name).and_then(|v| u128::from_str_radix(v, 16).ok());
    let node = text(NODE).and_then(|v| v.parse::<NodeId>().ok());
    let (Some(cluster), Some(node), Some(instance)) = (hex(CLUSTER), node, hex(INSTANCE)) else {
        return Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("the headers {CLUSTER}, {NODE} and {INSTANCE} are required"),
        ));
    };
    if !peers.is_member(node) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            format!("node {node} is not a member here: check NodeId and Replicas on both nodes"),
        ));
    }
    let ours = peers.cluster();
    if cluster != 0 && ours != 0 && cluster != ours {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            format!(
                "node {node} belongs to cluster {cluster:032x}, this node to {ours:032x}: check \
                 RaftAddress and DataDir"
            ),
        ));
    }
    if node == mine.node && instance != mine.instance {
        return Err(Refusal::stop(format!(
            "another process with node id {node} runs already: give each node its own NodeId"
        )));
    }
    if peers.instance_of(node).is_some_and(|known| known != instance) {
        return Err(Refusal::stop(format!(
            "node id {node} is registered with another data folder: start it with its old DataDir, \
             or give the new one a new NodeId"
        )));
    }
    if hex(EXPECTS).is_some_and(|expected| expected != mine.instance) {
        let message = format!(
            "this is not the data folder that node id {} is registered with: start it with its \
             old DataDir, or give it a new NodeId",
            mine.node
        );
        peers.fail(message.clone());
        return Err(Refusal::new(StatusCode::CONFLICT, message));
    }
    Ok(Caller { node, instance })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::peer::Identity;

    fn peers(node: NodeId, instance: u128) -> Peers {
        let identity = Identity { node, instance, token: "right".into() };
        let addresses = [1, 2, 3].map(|n| (n, format!("127.0.0.1:{n}")));
        Peers::new(identity, addresses, 1, Duration::from_secs(1)).unwrap()
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

    fn refused(peers: &Peers, headers: &HeaderMap) -> (u16, bool) {
        let refusal = check(peers, headers).unwrap_err();
        assert!(!refusal.message.contains("right"), "no secret in a message");
        (refusal.status.as_u16(), refusal.stop)
    }

    #[tokio::test]
    async fn only_members_of_this_cluster_with_its_token_come_in() {
        let here = peers(1, 10);
        // Nobody is registered yet: a member is believed.
        let caller = check(&here, &message("right", 0, 2, 20)).unwrap();
        assert_eq!(caller, Caller { node: 2, instance: 20 });
        assert_eq!(refused(&here, &message("wrong", 0, 2, 20)), (401, false));
        assert_eq!(refused(&here, &message("", 0, 2, 20)), (401, false));
        assert_eq!(refused(&here, &message("right", 0, 9, 20)), (403, false));
        let mut nameless = message("right", 0, 2, 20);
        nameless.remove(INSTANCE);
        assert_eq!(refused(&here, &nameless), (400, false));
        here.learn(77, [(1, 10), (2, 20)]);
        assert!(check(&here, &message("right", 77, 2, 20)).is_ok());
        assert!(check(&here, &message("right", 0, 3, 30)).is_ok(), "it has yet to learn the id");
        assert_eq!(refused(&here, &message("right", 78, 2, 20)), (403, false));
    }

    #[tokio::test]
    async fn a_second_instance_under_a_known_node_id_is_told_to_stop() {
        let here = peers(1, 10);
        assert_eq!(refused(&here, &message("right", 0, 1, 11)), (409, true));
        here.learn(77, [(1, 10), (2, 20)]);
        assert_eq!(refused(&here, &message("right", 77, 2, 21)), (409, true));
        assert_eq!(here.failure(), None, "it is the other that must stop");
        // The other way round: a member expects another instance here.
        let mut expecting = message("right", 77, 2, 20);
        expecting.insert(EXPECTS, format!("{:032x}", 12).parse().unwrap());
        assert_eq!(refused(&here, &expecting), (409, false));
        assert!(here.failure().is_some());
    }
}
