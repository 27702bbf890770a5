//! A node of the cluster as the configuration names it, and the forms of its addresses. Called by
//! `replicas`, and by the API for a node that is added while the cluster runs.

use url::Url;

use crate::model::NodeId;

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// The node's number.
    pub node_id: NodeId,
    /// The URL of its API, without a slash at its end.
    pub address: String,
    /// `host:port` at which the other nodes reach it.
    pub raft_address: String,
}

/// Checks the addresses of a node by the rules of `Replicas`. Returns the API's URL without a slash
/// at its end, and `host:port`. The error names the field and the fix.
pub fn check_addresses(
    address: &str,
    raft_address: &str,
) -> Result<(String, String), (&'static str, String)> {
    let wrong = || ("address", format!("address: expected http://host:port, found {address:?}"));
    let address = url(address).ok_or_else(wrong)?;
    if !is_address(raft_address) {
        let message = format!("raftAddress: expected host:port, found {raft_address:?}");
        return Err(("raftAddress", message));
    }
    for (name, value) in [("address", address.as_str()), ("raftAddress", raft_address)] {
        if is_nowhere(value) {
            return Err((
                name,
                format!("{name}: {value} is nowhere that others could reach it at"),
            ));
        }
    }
    Ok((address, raft_address.to_owned()))
}

/// Returns whether a URL or `host:port` can only be listened on: every address of a machine, or any
/// port.
pub(super) fn is_nowhere(address: &str) -> bool {
    let url =
        if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    Url::parse(&url).is_ok_and(|url| {
        let everywhere = match url.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_unspecified(),
            Some(url::Host::Ipv6(ip)) => ip.is_unspecified(),
            _ => false,
        };
        everywhere || url.port() == Some(0)
    })
}

/// Returns whether others can reach a node at a text: `host:port`, without blanks and not port 0.
pub(super) fn is_address(text: &str) -> bool {
    let plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    plain && split_address(text).is_some_and(|(_, port)| port > 0)
}

/// Makes a node's URL of `host:port` or a URL, without a slash at its end; `None` for a text with
/// blanks or control characters.
pub(super) fn url(text: &str) -> Option<String> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return None;
    }
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let parsed = Url::parse(&full).ok()?;
    let bare = parsed.path() == "/" && parsed.query().is_none() && parsed.username().is_empty();
    (bare && parsed.host_str().is_some() && matches!(parsed.scheme(), "http" | "https"))
        .then(|| full.trim_end_matches('/').to_owned())
}

/// Splits `host:port`; an IPv6 host is in brackets.
pub(super) fn split_address(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let sound = match bare {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.contains([':', '/', ' ', '[', ']', '@']),
    };
    sound.then_some(())?;
    Some((host, port.parse().ok()?))
}
