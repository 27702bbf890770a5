//! The bounds of one port: how many connections, for how long, how large a head. `node` fills them in
//! for the API, `peer` for the port between nodes; `super::serve` keeps them.

use std::time::Duration;

/// Bytes a second that a client has to send of a body, or take of an answer, when its time of grace
/// is over: [`BODY_GRACE`], [`Bounds::write`]. Only time in which this node waits for the client counts.
pub const LEAST_SPEED: u64 = 64_000;
/// How long this node waits for a body, in all, before [`LEAST_SPEED`] counts.
pub const BODY_GRACE: Duration = Duration::from_secs(10);
/// The longest silence of a client that is sending a body.
pub const BODY_SILENCE: Duration = Duration::from_secs(30);

/// How long a member's connection to the Raft port may be idle. Each node closes its own side of one
/// sooner, else it would meet the close with its next message.
pub const RAFT_IDLE: Duration = Duration::from_mins(2);

/// The bounds of one port.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// What the port is called in the log.
    pub name: &'static str,
    /// The most connections at once.
    pub connections: usize,
    /// The most connections that have shown no valid credential; `None`: no bound but that of all.
    pub unproved: Option<usize>,
    /// The most that have; `None`: no bound but that of all.
    pub proved: Option<usize>,
    /// How long a connection may be open before it has shown one; `None`: for ever.
    pub prove_within: Option<Duration>,
    /// The most connections of one network that have shown no valid credential, beyond those that
    /// are younger than a second; `None`: no bound but that of all.
    pub per_network: Option<usize>,
    /// The most connections of one principal while more than three quarters of all are in use;
    /// `None`: no bound but that of all.
    pub per_principal: Option<usize>,
    /// So many requests by which nobody proved anything are answered on one connection.
    pub unproved_requests: u32,
    /// How long a request's head may take from its first byte.
    pub head: Duration,
    /// How long a connection may wait for the first byte of a request.
    pub idle: Duration,
    /// How long a client may take no byte of its answer.
    pub write: Duration,
    /// The longest head, in bytes; at least 8,192.
    pub head_bytes: usize,
    /// The most headers.
    pub headers: usize,
    /// How long after the stop a connection on which nothing is under way may still bring a request:
    /// it may be on its way, or the connection is so new that nothing was read from it.
    pub linger: Duration,
    /// How long requests that are under way may take after that.
    pub drain: Duration,
}

impl Bounds {
    /// Those of the API: so many connections, so many of them from one network without a credential
    /// (`None`: no bound), and at most half of them one principal's when they are few.
    pub fn api(connections: usize, per_network: Option<usize>) -> Self {
        Self {
            name: "API",
            connections,
            unproved: None,
            proved: None,
            prove_within: None,
            per_network,
            per_principal: Some(connections.div_ceil(2)),
            unproved_requests: 100,
            // Not a round number: clients that poll every 5, 10 or 15 s would meet the close with
            // their next request.
            head: Duration::from_secs(13),
            idle: Duration::from_secs(13),
            write: Duration::from_secs(30),
            head_bytes: 64 * 1_024,
            headers: 100,
            linger: Duration::from_secs(1),
            drain: Duration::from_secs(10),
        }
    }

    /// Those of the port between nodes: so many connections that have not shown the cluster's token,
    /// which they have to do at once, and so many of members.
    pub fn raft(strangers: usize, members: usize) -> Self {
        Self {
            name: "Raft",
            unproved: Some(strangers.max(1)),
            proved: Some(members),
            prove_within: Some(Duration::from_secs(5)),
            per_principal: None,
            head: RAFT_IDLE,
            idle: RAFT_IDLE,
            // Also the most that is read, or written, at once: messages between nodes are large.
            head_bytes: 256 * 1_024,
            headers: 64,
            linger: Duration::ZERO,
            ..Self::api(strangers.max(1) + members, None)
        }
    }

    /// How often the connections are looked at.
    pub(super) fn tick(&self) -> Duration {
        let prove = self.prove_within.unwrap_or(Duration::MAX);
        let least = self.head.min(self.idle).min(self.write).min(prove) / 8;
        least.clamp(Duration::from_millis(10), Duration::from_secs(1))
    }
}
