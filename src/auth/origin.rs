//! The origin of a request: when it came, and from where. The callers of `check` and `sessions`
//! make one for each request.

use std::net::IpAddr;

use crate::listen::Connection;
use crate::model::Millis;

/// When a request came, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The instant, by the scheduler's time of this node.
    pub now: Millis,
    /// The address of the client, or of the last proxy before this node; `None` for a request that
    /// came by no connection.
    pub address: Option<IpAddr>,
    /// The network of that address, by which wrong credentials are counted.
    pub network: Option<IpAddr>,
}

impl Origin {
    /// The origin of a request that came at an instant by a connection.
    pub fn new(now: Millis, connection: Option<&Connection>) -> Self {
        let address = connection.map(Connection::client_address);
        Self { now, address, network: connection.map(Connection::network) }
    }
}
