//! Networks of client addresses: what a key may be used from. `api` reads them from requests,
//! `auth` asks them, and the store keeps their text.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A block of addresses (RFC 4632, RFC 4291). One address is a block of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(IpNet);

/// A text is no block of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is neither an address nor a block.
    #[error("{0:?} is neither an address nor a network such as 10.0.0.0/8 or 2001:db8::/32")]
    Unknown(String),
    /// The address has bits beyond the length of the block.
    #[error("{given} is within the network {network}: name that, or the address alone")]
    Within {
        /// The text.
        given: String,
        /// The block that the address lies in.
        network: Network,
    },
}

impl Network {
    /// True where the address lies in it. An IPv4 address that was mapped to IPv6 (RFC 4291,
    /// section 2.5.5.2), as a socket for both shows it, counts as the IPv4 address.
    pub fn has(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// True where all of another one lies in it.
    pub fn includes(&self, other: &Self) -> bool {
        self.0.contains(&other.0)
    }
}

impl FromStr for Network {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.to_canonical().into()));
        }
        let block: IpNet = text.parse().map_err(|_| Error::Unknown(text.to_owned()))?;
        let network = Self(block.trunc());
        if network.0 != block {
            return Err(Error::Within { given: text.to_owned(), network });
        }
        Ok(network)
    }
}

/// One address without its length.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            self.0.addr().fmt(f)
        } else {
            self.0.fmt(f)
        }
    }
}

impl TryFrom<String> for Network {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_lies_in_a_network() {
        for (block, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("::ffff:192.0.2.7", "192.0.2.7", "::1"),
            ("2001:db8::/32", "2001:db8:1::1", "2001:db9::1"),
            ("0.0.0.0/0", "1.2.3.4", "2001:db8::1"),
        ] {
            let network = network(block);
            assert!(network.has(inside.parse().unwrap()), "{block} {inside}");
            assert!(!network.has(outside.parse().unwrap()), "{block} {outside}");
        }
    }

    #[test]
    fn a_network_includes_smaller_ones() {
        assert!(network("10.0.0.0/8").includes(&network("10.1.0.0/16")));
        assert!(network("10.0.0.0/8").includes(&network("10.0.0.0/8")));
        assert!(network("10.0.0.0/8").includes(&network("10.0.0.1")));
        assert!(!network("10.1.0.0/16").includes(&network("10.0.0.0/8")));
        assert!(!network("0.0.0.0/0").includes(&network("::/0")));
    }

    #[test]
    fn a_text_that_is_no_network_is_refused_with_the_fix() {
        let said = |text: &str| text.parse::<Network>().unwrap_err().to_string();
        assert!(said("10.1.2.3/8").contains("within the network 10.0.0.0/8"));
        for text in ["", "ten", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0/8", "host.example", "::/129"]
        {
            assert!(said(text).contains("neither an address nor a network"), "{text}");
        }
        for text in ["10.0.0.0/8", "10.0.0.1", "2001:db8::/32"] {
            assert_eq!(network(text).to_string(), text);
        }
        let json = serde_json::to_string(&network("10.0.0.0/8")).unwrap();
        assert_eq!(json, "\"10.0.0.0/8\"");
        assert!(serde_json::from_str::<Network>("\"10.0.0.1/8\"").is_err());
    }
}
