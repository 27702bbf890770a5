//! The bounds of one port: the number of connections, times, and sizes of heads. `node` fills them
//! in for the API, `peer` for the port between nodes. `serve` and `registry` enforce them.

use std::time::Duration;

/// The bytes a second that a client has to send of a body, or take of an answer, after its time of
/// grace: [`BODY_GRACE`], [`Bounds::write`]. Only time in which this node waits for the client
/// counts.
pub const LEAST_SPEED: u64 = 64_000;
/// The total time that this node waits for a body before [`LEAST_SPEED`] counts.
pub const BODY_GRACE: Duration = Duration::from_secs(10);
/// The longest silence of a client that sends a body.
pub const BODY_SILENCE: Duration = Duration::from_secs(30);

/// The time that a member's connection to the Raft port may be idle. Each node closes its own side
/// sooner, or else its next message would meet the close.
pub const RAFT_IDLE: Duration = Duration::from_mins(2);

/// The bounds of one port.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// The name of the port in the log.
    pub name: &'static str,
    /// The most connections at once.
    pub connections: usize,
    /// The most anonymous connections, on which no valid credential was shown yet; `None`: no bound
    /// but that of all.
    pub anonymous: Option<usize>,
    /// The most authenticated connections; `None`: no bound but that of all.
    pub authenticated: Option<usize>,
    /// The time that a connection may stay anonymous; `None`: for ever.
    pub authenticate_within: Option<Duration>,
    /// The most anonymous connections of one network, beyond those that are younger than a second;
    /// `None`: no bound but that of all.
    pub per_network: Option<usize>,
    /// The most connections of one principal while more than three quarters of all are in use;
    /// `None`: no bound but that of all.
    pub per_principal: Option<usize>,
    /// The most anonymous requests that are answered on one connection.
    pub anonymous_requests: u32,
    /// The time that the head of a request may take from its first byte.
    pub head: Duration,
    /// The time that a connection may wait for the first byte of a request.
    pub idle: Duration,
    /// The time for which a client may take no byte of its answer.
    pub write: Duration,
    /// The longest head, in bytes; at least 8,192.
    pub head_bytes: usize,
    /// The most headers.
    pub headers: usize,
    /// The time after the stop in which an idle connection may still bring a request: it may be on
    /// its way, or the connection is so new that nothing was read from it.
    pub linger: Duration,
    /// The time that requests under way may take after that.
    pub drain: Duration,
}

impl Bounds {
    /// The bounds of the API: `connections` in all, `per_network` anonymous ones of one network
    /// (`None`: no bound), and at most half of all for one principal when connections are scarce.
    pub fn api(connections: usize, per_network: Option<usize>) -> Self {
        Self {
            name: "API",
            connections,
            anonymous: None,
            authenticated: None,
            authenticate_within: None,
            per_network,
            per_principal: Some(connections.div_ceil(2)),
            anonymous_requests: 100,
            // Not a round number: the next request of clients that poll every 5, 10 or 15 s would
            // meet the close.
            head: Duration::from_secs(13),
            idle: Duration::from_secs(13),
            write: Duration::from_secs(30),
            head_bytes: 64 * 1_024,
            headers: 100,
            linger: Duration::from_secs(1),
            drain: Duration::from_secs(10),
        }
    }

    /// The bounds of the port between nodes: `anonymous` connections that have not shown the token
    /// of the cluster yet, which they have to do at once, and those of members.
    pub fn raft(anonymous: usize, members: usize) -> Self {
        Self {
            name: "Raft",
            anonymous: Some(anonymous.max(1)),
            authenticated: Some(members),
            authenticate_within: Some(Duration::from_secs(5)),
            per_principal: None,
            head: RAFT_IDLE,
            idle: RAFT_IDLE,
            // This also bounds single reads and writes, and messages between nodes are large.
            head_bytes: 256 * 1_024,
            headers: 64,
            linger: Duration::ZERO,
            ..Self::api(anonymous.max(1) + members, None)
        }
    }

    /// The time between two sweeps over the connections.
    pub(super) fn tick(&self) -> Duration {
        let authenticate = self.authenticate_within.unwrap_or(Duration::MAX);
        let least = self.head.min(self.idle).min(self.write).min(authenticate) / 8;
        least.clamp(Duration::from_millis(10), Duration::from_secs(1))
    }
}
