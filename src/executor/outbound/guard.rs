//! The SSRF guard: the addresses that a callback may go to. Pure.
//!
//! The api asks [`TargetGuard::check_url`] when a job is created. The executor asks again for every
//! request, and `guarded_resolver` lets only allowed addresses through. So the address that was
//! checked is the address connected to, whatever a name resolves to by then.
//!
//! | `TargetPolicy` | where calls may go |
//! |---|---|
//! | `open` | anywhere but the kinds that are never allowed, and those of the `Refuse...` keys |
//! | `public` | to global addresses, ports 80, 443 and from 1024 on, and no API of a member |
//! | `list` | nowhere |
//!
//! With `public` and `list` beside that where `AllowedTargets` says. A name that it lists stands
//! for all addresses that the name leads to, private ones too. What is never allowed, and the Raft
//! ports of members, no list allows. A project's own list only takes away.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use url::{Host, Url};

use super::address_kind::{self, Kind};
use super::raft_addresses::RaftAddresses;
use crate::config::{Config, TargetPolicy};
use crate::model::target_pattern::{NOT_ALLOWED, Target, TargetPattern};

/// The ports below 1024 that `public` and `list` allow.
const WEB_PORTS: [u16; 2] = [80, 443];
/// The first port that programs without privileges listen on.
const FIRST_USER_PORT: u16 = 1_024;

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
    /// The addresses of the members' APIs, which `public` refuses as written. The guard of an
    /// executor has none here either.
    pub apis: Arc<RaftAddresses>,
    /// The rule of the node.
    pub policy: TargetPolicy,
    /// What the node allows beside that rule: `AllowedTargets`.
    pub allowed: Arc<[TargetPattern]>,
    /// Where the project of a call may call; `None` where it has no list of its own.
    pub project: Option<Arc<[TargetPattern]>>,
}

impl Default for TargetGuard {
    fn default() -> Self {
        Self {
            allow_loopback: true,
            allow_private: true,
            members: Arc::default(),
            apis: Arc::default(),
            policy: TargetPolicy::Open,
            allowed: Arc::default(),
            project: None,
        }
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
    /// An API of the cluster's own.
    #[error(
        "the URL must not point to the API of a member of this cluster, unless AllowedTargets of \
         this node names it"
    )]
    Api,
    /// An address of a refused kind.
    #[error("target address {0} is not allowed: it is {1}")]
    Address(IpAddr, &'static str),
    /// A port that the policy of the node refuses.
    #[error(
        "port {0} is not allowed: targets have port 80, 443 or one from 1024 on, unless \
         AllowedTargets of this node names another"
    )]
    RefusedPort(u16),
    /// The policy of the node is a list, which does not name the target.
    #[error("it is not among the targets that this node may call (AllowedTargets)")]
    NotListed,
    /// The list of the project does not name the target.
    #[error("it is not among the targets that jobs of its project may call (allowedTargets)")]
    NotOfProject,
}

impl Error {
    /// Whether the URL is sound, and calls must not go there.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Invalid(_)
            | Self::Scheme
            | Self::Blank
            | Self::Control
            | Self::Port
            | Self::Host
            | Self::UserInfo => false,
            Self::MetadataName(_)
            | Self::Member
            | Self::Api
            | Self::Address(..)
            | Self::RefusedPort(_)
            | Self::NotListed
            | Self::NotOfProject => true,
        }
    }

    /// The error of an attempt, which begins with [`NOT_ALLOWED`] where it is a refusal.
    pub fn of_attempt(&self) -> String {
        if self.is_refusal() { format!("{NOT_ALLOWED}: {self}") } else { self.to_string() }
    }
}

impl TargetGuard {
    /// The guard that the configuration of a node asks for.
    pub fn of(config: &Config) -> Self {
        let is_open = config.target_policy == TargetPolicy::Open;
        Self {
            allow_loopback: is_open && !config.refuse_loopback_targets,
            allow_private: is_open && !config.refuse_private_targets,
            policy: config.target_policy,
            allowed: config.allowed_targets.as_slice().into(),
            ..Self::default()
        }
    }

    /// The guard of calls of a project with this list.
    #[must_use]
    pub fn for_project(&self, list: Option<&Arc<[TargetPattern]>>) -> Self {
        Self { project: list.cloned(), ..self.clone() }
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
        self.check_call(url, url.scheme(), true)
    }

    /// Checks the address of a broker, written as an HTTP URL. A list of a project must name its
    /// host as it is written: connections to brokers are shared by projects, so the addresses that
    /// a name leads to are judged by the rules of the node alone.
    pub fn check_broker(&self, url: &Url) -> Result<(), Error> {
        let scheme = if url.scheme() == "https" { "amqps" } else { "amqp" };
        self.check_call(url, scheme, false)
    }

    fn check_call(&self, url: &Url, scheme: &str, by_address: bool) -> Result<(), Error> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::UserInfo);
        }
        if self.members.names(url) {
            return Err(Error::Member);
        }
        let given = url.host().ok_or(Error::Host)?;
        if let Host::Domain(name) = given {
            check_name(name)?;
        }
        let host = plain_host(&given);
        let target = Target { scheme, host: &host, port: port_of(url) };
        let is_tunnelled = is_tunnelled_host(&given);
        if let Some(list) = &self.project
            && (is_tunnelled || !target.is_named_by(list))
            && !(by_address && target.may_be_named_by(list))
        {
            return Err(Error::NotOfProject);
        }
        let is_listed = !is_tunnelled && self.lists(target);
        if !is_listed && self.policy != TargetPolicy::Open {
            if self.apis.names(url) {
                return Err(Error::Api);
            }
            self.check_unlisted(target)?;
        }
        match given {
            Host::Ipv4(ip) => self.check_kind(ip.into(), is_listed),
            Host::Ipv6(ip) => self.check_kind(ip.into(), is_listed),
            // The client need not wait for an attempt to learn this.
            Host::Domain(name) if self.policy != TargetPolicy::Open && is_localhost(name) => {
                self.check_found(target, Ipv4Addr::LOCALHOST.into())
            }
            Host::Domain(_) => Ok(()),
        }
    }

    /// Checks a target that no pattern of the node names. A name may lead to an address that one
    /// names: it is judged then.
    fn check_unlisted(&self, target: Target<'_>) -> Result<(), Error> {
        if target.may_be_named_by(&self.allowed) { Ok(()) } else { self.check_policy(target.port) }
    }

    /// Checks what the policy says of a target that no pattern of the node names.
    fn check_policy(&self, port: u16) -> Result<(), Error> {
        match self.policy {
            TargetPolicy::List => Err(Error::NotListed),
            TargetPolicy::Public if port < FIRST_USER_PORT && !WEB_PORTS.contains(&port) => {
                Err(Error::RefusedPort(port))
            }
            TargetPolicy::Public | TargetPolicy::Open => Ok(()),
        }
    }

    /// Whether the list of the node names a target as it is written.
    fn lists(&self, target: Target<'_>) -> bool {
        self.policy != TargetPolicy::Open && target.is_named_by(&self.allowed)
    }

    /// Whether a call to this URL is to be kept away from the members' APIs.
    pub fn keeps_from_apis(&self, url: &Url, scheme: &str) -> bool {
        let Some(host) = url.host() else { return false };
        let target = Target { scheme, host: &plain_host(&host), port: port_of(url) };
        self.policy != TargetPolicy::Open && (is_tunnelled_host(&host) || !self.lists(target))
    }

    /// Checks an address that the name of a target leads to.
    pub fn check_found(&self, target: Target<'_>, ip: IpAddr) -> Result<(), Error> {
        // A network must have the address that the packets reach, not the form that carries it.
        let reached = address_kind::plain(ip);
        let is_named = |list: &[TargetPattern]| {
            let at = !address_kind::is_tunnelled(ip) && target.is_named_at(list, reached);
            at || target.is_named_by(list)
        };
        if self.project.as_deref().is_some_and(|list| !is_named(list)) {
            return Err(Error::NotOfProject);
        }
        let is_listed = self.policy != TargetPolicy::Open && is_named(&self.allowed);
        if !is_listed {
            self.check_policy(target.port)?;
        }
        self.check_kind(ip, is_listed)
    }

    /// Whether the answers of an address are for nobody to read: it is no global one, and the
    /// policy of the node tells such addresses apart.
    pub fn hides_answers(&self, ip: IpAddr) -> bool {
        let is_global = |ip| address_kind::kind(ip) == Kind::Global;
        self.policy != TargetPolicy::Open && !(is_global(ip) && is_global(address_kind::plain(ip)))
    }

    /// Checks the kind of an address.
    pub fn check_address(&self, ip: IpAddr) -> Result<(), Error> {
        self.check_kind(ip, false)
    }

    /// Checks the kind of an address. One that is listed may be this machine, or private.
    fn check_kind(&self, ip: IpAddr, is_listed: bool) -> Result<(), Error> {
        let inner = match ip {
            IpAddr::V6(v6) => address_kind::embedded(v6).map(IpAddr::V4),
            IpAddr::V4(_) => None,
        };
        for judged in [Some(ip), inner].into_iter().flatten() {
            let refused = match address_kind::kind(judged) {
                Kind::Global => None,
                Kind::Loopback => {
                    (!self.allow_loopback && !is_listed).then_some("a loopback address")
                }
                Kind::Private => (!self.allow_private && !is_listed).then_some("a private address"),
                Kind::Never(why) => Some(why),
            };
            if let Some(why) = refused {
                return Err(Error::Address(ip, why));
            }
        }
        Ok(())
    }
}

/// A host without the form in which an IPv6 address carries an IPv4 address: patterns must name the
/// address that the packets reach.
fn plain_host<'h>(host: &Host<&'h str>) -> Host<&'h str> {
    match host {
        Host::Ipv6(ip) => match address_kind::plain((*ip).into()) {
            IpAddr::V4(ip) => Host::Ipv4(ip),
            IpAddr::V6(ip) => Host::Ipv6(ip),
        },
        other => other.clone(),
    }
}

/// Whether a host is an address of which no pattern can say where its packets go.
fn is_tunnelled_host(host: &Host<&str>) -> bool {
    matches!(host, Host::Ipv6(ip) if address_kind::is_tunnelled((*ip).into()))
}

fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
}

/// The port of a URL; one of a known scheme has one.
fn port_of(url: &Url) -> u16 {
    url.port_or_known_default().unwrap_or_default()
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
mod policy_tests;
#[cfg(test)]
mod tests;
