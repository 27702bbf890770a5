//! The SSRF guard: which addresses a callback may go to.
//!
//! The api asks [`TargetGuard::check_url`] when a job is created; the executor asks again for every
//! request, and its resolver lets only allowed addresses through, so that the address judged is the
//! address connected to, whatever a name resolves to by then. It never connects itself.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;
use url::{Host, Url};

use super::address_kind::{self, Kind};
use super::lookup::{Lookup, look_up};
use super::member_guard::{MemberGuard, RaftAddresses};
use crate::config::Config;
use crate::model::ProjectId;

/// Names under which clouds serve a machine's secrets.
const METADATA_NAMES: [&str; 5] = [
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
];

/// Which kinds of address are allowed beside the globally reachable ones. What else IANA registers as
/// special (link-local, documentation, benchmarks, reserved and so on) never is, nor are metadata
/// services and multicast. An address that carries an IPv4 address is judged by that one too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetGuard {
    /// 127.0.0.0/8 and `::1`.
    pub allow_loopback: bool,
    /// 10/8, 172.16/12, 192.168/16, 100.64/10, `fc00::/7`.
    pub allow_private: bool,
    /// Refused by name and by address, whatever is allowed; the executor's own guard has none, it
    /// asks [`super::member_guard`].
    pub members: Arc<RaftAddresses>,
}

impl Default for TargetGuard {
    fn default() -> Self {
        Self { allow_loopback: true, allow_private: true, members: Arc::default() }
    }
}

/// Why a URL or an address is refused. The messages name no more of the URL than its host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a URL at all.
    #[error("the URL is not valid: {0}")]
    Invalid(String),
    /// A scheme that nobody here speaks.
    #[error("the URL must begin with http:// or https://")]
    Scheme,
    /// A blank at one of its ends.
    #[error("the URL begins or ends with a blank")]
    Blank,
    /// What a parser would drop without a word.
    #[error("the URL has control characters in it: encode them, a line end as %0A")]
    Control,
    /// Nobody can be reached there.
    #[error("the URL must not name port 0")]
    Port,
    /// No host.
    #[error("the URL must name a host")]
    Host,
    /// Credentials would show up in every listing.
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
    /// What a node's configuration allows.
    pub fn of(config: &Config) -> Self {
        Self {
            allow_loopback: !config.refuse_loopback_targets,
            allow_private: !config.refuse_private_targets,
            members: Arc::default(),
        }
    }

    /// Judges a URL as somebody gives it, as far as that is possible without resolving its name.
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

    /// The same for a parsed URL that is about to be called.
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

    /// Judges an address.
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

/// A resolver that hands the client only addresses the guard allows.
#[derive(Clone)]
pub(super) struct GuardedResolver {
    /// See [`patience`].
    pub(super) patience: Duration,
    pub(super) guard: TargetGuard,
    pub(super) lookup: Arc<dyn Lookup>,
    /// Whose call it is.
    pub(super) project: ProjectId,
    pub(super) apart: Arc<MemberGuard>,
    /// The name of the configured proxy, which may be anywhere.
    pub(super) proxy: Option<Arc<str>>,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Service<Name> for GuardedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (guard, patience, project) = (self.guard.clone(), self.patience, self.project);
        let is_proxy = self.proxy.as_deref() == Some(name.as_str());
        let (lookup, apart) = (Arc::clone(&self.lookup), Arc::clone(&self.apart));
        Box::pin(async move {
            let found = look_up(&*lookup, (name.as_str(), project), patience).await?;
            let (mut allowed, mut refused) = (Vec::new(), None);
            for address in found {
                match guard.check_address(address.ip()) {
                    _ if is_proxy => allowed.push(address),
                    Ok(()) if !apart.allows(name.as_str(), address.ip()) => {
                        refused = Some(Error::Member);
                    }
                    Ok(()) => allowed.push(address),
                    Err(e) => refused = Some(e),
                }
            }
            match refused {
                Some(why) if allowed.is_empty() => Err(why.into()),
                _ => Ok(allowed.into_iter()),
            }
        })
    }
}

#[cfg(test)]
mod tests;
