//! The SSRF guard: the addresses that a callback may go to. Pure.
//!
//! The api asks [`TargetGuard::check_url`] when a job is created. The executor asks again for every
//! request, and `guarded_resolver` lets only allowed addresses through. So the address that was
//! checked is the address connected to, whatever a name resolves to by then.

use std::net::IpAddr;
use std::sync::Arc;

use url::{Host, Url};

use super::address_kind::{self, Kind};
use super::raft_addresses::RaftAddresses;
use crate::config::Config;

/// Names under which clouds serve the secrets of a machine.
const METADATA_NAMES: [&str; 5] = [
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
];

/// The kinds of address that are allowed beside the globally reachable ones. Other ranges that IANA
/// registers as special (link-local, documentation, benchmarks, reserved and so on) are never
/// allowed, nor are metadata services and multicast. An address that carries an IPv4 address is
/// checked by that one too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetGuard {
    /// 127.0.0.0/8 and `::1`.
    pub allow_loopback: bool,
    /// 10/8, 172.16/12, 192.168/16, 100.64/10, `fc00::/7`.
    pub allow_private: bool,
    /// Raft addresses that are refused as written, whatever is allowed. The guard of an executor
    /// has none: `member_guard` checks them with their names resolved.
    pub members: Arc<RaftAddresses>,
}

impl Default for TargetGuard {
    fn default() -> Self {
        Self { allow_loopback: true, allow_private: true, members: Arc::default() }
    }
}

/// The reason why a URL or an address is refused. The messages show no more of the URL than its
/// host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a URL at all.
    #[error("the URL is not valid: {0}")]
    Invalid(String),
    /// Another scheme than `http` and `https`.
    #[error("the URL must begin with http:// or https://")]
    Scheme,
    /// A blank at one of its ends.
    #[error("the URL begins or ends with a blank")]
    Blank,
    /// Control characters, which a parser would drop.
    #[error("the URL has control characters in it: encode them, a line end as %0A")]
    Control,
    /// Port 0, on which nothing can listen.
    #[error("the URL must not name port 0")]
    Port,
    /// No host.
    #[error("the URL must name a host")]
    Host,
    /// Credentials, which would show up in every listing.
    #[error("the URL must not carry a user name or password")]
    UserInfo,
    /// The name of a metadata service.
    #[error("the URL must not point to {0}: cloud metadata services are not allowed")]
    MetadataName(String),
    /// A port of the cluster's own.
    #[error("the URL must not point to the Raft address of a member of this cluster")]
    Member,
    /// An address of a refused kind.
    #[error("target address {0} is not allowed: it is {1}")]
    Address(IpAddr, &'static str),
}

impl TargetGuard {
    /// The guard that the configuration of a node asks for.
    pub fn of(config: &Config) -> Self {
        Self {
            allow_loopback: !config.refuse_loopback_targets,
            allow_private: !config.refuse_private_targets,
            members: Arc::default(),
        }
    }

    /// Checks a URL as a client gives it, as far as that is possible without a look-up.
    pub fn check_url(&self, text: &str) -> Result<(), Error> {
        if text.chars().any(char::is_control) {
            return Err(Error::Control);
        }
        if text.trim() != text {
            return Err(Error::Blank);
        }
        let url = Url::parse(text).map_err(|e| Error::Invalid(e.to_string()))?;
        if url.port() == Some(0) {
            return Err(Error::Port);
        }
        self.check(&url)
    }

    /// Checks a parsed URL that is about to be called.
    pub fn check(&self, url: &Url) -> Result<(), Error> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::UserInfo);
        }
        if self.members.names(url) {
            return Err(Error::Member);
        }
        match url.host() {
            None => Err(Error::Host),
            Some(Host::Ipv4(ip)) => self.check_address(ip.into()),
            Some(Host::Ipv6(ip)) => self.check_address(ip.into()),
            Some(Host::Domain(name)) => check_name(name),
        }
    }

    /// Checks an address.
    pub fn check_address(&self, ip: IpAddr) -> Result<(), Error> {
        let inner = match ip {
            IpAddr::V6(v6) => address_kind::embedded(v6).map(IpAddr::V4),
            IpAddr::V4(_) => None,
        };
        for judged in [Some(ip), inner].into_iter().flatten() {
            let refused = match address_kind::kind(judged) {
                Kind::Global => None,
                Kind::Loopback => (!self.allow_loopback).then_some("a loopback address"),
                Kind::Private => (!self.allow_private).then_some("a private address"),
                Kind::Never(why) => Some(why),
            };
            if let Some(why) = refused {
                return Err(Error::Address(ip, why));
            }
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), Error> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    if name.is_empty() {
        return Err(Error::Host);
    }
    if METADATA_NAMES.contains(&name.as_str()) {
        return Err(Error::MetadataName(name));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
