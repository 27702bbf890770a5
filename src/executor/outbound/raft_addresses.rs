//! The addresses of the members of the cluster, as members state them: where they talk Raft, or
//! where they serve the API. `guard` and `member_guard` ask whether a URL names one. Nothing is
//! resolved here.

use std::net::IpAddr;

use url::{Host, Url};

use super::address_kind::plain;

/// Addresses of members: hosts and ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RaftAddresses(pub(super) Vec<(Host, u16)>);

impl RaftAddresses {
    /// Reads texts of the form `host:port`; others are left out.
    pub fn new<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Self {
        let read = |address: &str| {
            let url = Url::parse(&format!("http://{address}")).ok()?;
            // The URL does not keep the default port of its scheme.
            Some((url.host()?.to_owned(), url.port_or_known_default()?))
        };
        Self(addresses.into_iter().filter_map(read).collect())
    }

    /// Reads the URLs of APIs; others are left out, and so is port 0, which stands for any.
    pub fn of_urls<'a>(urls: impl IntoIterator<Item = &'a str>) -> Self {
        let read = |url: &str| {
            let url = Url::parse(url).ok()?;
            let port = url.port_or_known_default().filter(|port| *port > 0)?;
            Some((url.host()?.to_owned(), port))
        };
        Self(urls.into_iter().filter_map(read).collect())
    }

    /// Whether a URL names one of them, as far as that shows without a look-up.
    pub fn names(&self, url: &Url) -> bool {
        let Some(port) = url.port_or_known_default() else { return false };
        let Some(host) = url.host() else { return false };
        let same = |known: &Host| match (known, &host) {
            (Host::Domain(known), Host::Domain(host)) => {
                without_dot(known).eq_ignore_ascii_case(without_dot(host))
            }
            (known, host) => match (ip_of(known), ip_of(&host.to_owned())) {
                (Some(known), Some(host)) => plain(known) == plain(host),
                _ => false,
            },
        };
        self.0.iter().any(|(known, of)| *of == port && same(known))
    }
}

/// A name without the dot of the root.
fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// The address of a host: one that is written as such, or that of `localhost`.
pub(super) fn ip_of(host: &Host) -> Option<IpAddr> {
    match host {
        Host::Ipv4(ip) => Some((*ip).into()),
        Host::Ipv6(ip) => Some((*ip).into()),
        Host::Domain(name) if without_dot(name).eq_ignore_ascii_case("localhost") => {
            Some(IpAddr::from([127, 0, 0, 1]))
        }
        Host::Domain(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members() -> RaftAddresses {
        RaftAddresses::new([
            "node1:7070",
            "10.0.0.2:7071",
            "[fd00::3]:80",
            "127.0.0.1:7073",
            "what",
        ])
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_url_names_a_member_in_any_spelling() {
        for (text, expected) in [
            ("http://node1:7070/raft/append", true),
            ("http://NODE1.:7070/", true),
            ("https://node1:7070/", true),
            ("http://node1:7071/", false),
            ("http://10.0.0.2:7071/", true),
            ("http://0xa000002:7071/", true),
            ("http://[::ffff:10.0.0.2]:7071/", true),
            ("http://[64:ff9b::10.0.0.2]:7071/", true),
            ("http://10.0.0.2/", false),
            ("http://[fd00::3]/", true),
            ("http://[fd00:0::0:3]:80/", true),
            ("https://[fd00::3]/", false),
            ("http://localhost:7073/", true),
            ("http://127.1:7073/", true),
            ("http://localhost:9091/", false),
        ] {
            assert_eq!(members().names(&url(text)), expected, "{text}");
        }
    }
}
