//! What is known of one connection, for the layers that answer its requests. The accept loop makes
//! one for each connection and puts it into the extensions of each request. It reads no headers: a
//! `Forwarded` or `X-Forwarded-For` of a client is the client's word.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// One accepted connection: an extension of every request that came by it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: SocketAddr,
}

impl Connection {
    /// A connection from this address, as the system says it. An IPv4 address that is written as an
    /// IPv6 one (a socket of both families) counts as IPv4.
    pub fn new(address: SocketAddr) -> Self {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        Self(Arc::new(Inner { address }))
    }

    /// Where the connection comes from: the client, or the last proxy or NAT before this node.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// What limits by address count by: an IPv4 address, or the /64 of an IPv6 one, which is the
    /// least that one client is given.
    pub fn network(&self) -> IpAddr {
        match self.0.address.ip() {
            IpAddr::V4(ip) => IpAddr::V4(ip),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_count_by_ipv4_address_and_by_the_64_of_ipv6() {
        for (address, network) in [
            ("192.0.2.7:1", "192.0.2.7"),
            ("[::ffff:192.0.2.7]:1", "192.0.2.7"),
            ("[2001:db8:1:2:3:4:5:6]:1", "2001:db8:1:2::"),
            ("[::1]:1", "::"),
        ] {
            let connection = Connection::new(address.parse().unwrap());
            assert_eq!(connection.network(), network.parse::<IpAddr>().unwrap(), "{address}");
            assert_eq!(connection.address().port(), 1);
        }
    }
}
