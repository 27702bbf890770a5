//! Patterns of targets: a host, or a network, with ports. `config` reads those of the node, `api`
//! those of projects; `executor::outbound` asks them about each call. Nothing is resolved here.
//!
//! `https://*.example.com:443`, `build.example.com:8000-8999`, `10.0.0.0/8:443`, `[fd00::/8]:*`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::Host;

use super::network::Network;

/// The code of a refusal, in answers and at the beginning of the errors of attempts.
pub const NOT_ALLOWED: &str = "target_not_allowed";
/// The longest pattern, in bytes: longer than any name of a host.
pub const LONGEST_PATTERN: usize = 300;
/// The most patterns of a list.
pub const MOST_PATTERNS: usize = 256;

/// A pattern of targets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TargetPattern {
    /// The scheme that it is for; `None` for every one.
    scheme: Option<Scheme>,
    host: HostPattern,
    /// The first and the last port.
    ports: (u16, u16),
}

/// The schemes of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Scheme {
    Http,
    Https,
    Amqp,
    Amqps,
}

/// The hosts of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum HostPattern {
    /// The host of this name.
    Name(String),
    /// The hosts whose names end with a dot and this name.
    Below(String),
    /// The addresses of a network.
    Network(Network),
}

/// The target of a call, as its URL names it.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The scheme, in lower case.
    pub scheme: &'a str,
    /// The host.
    pub host: &'a Host<&'a str>,
    /// The port.
    pub port: u16,
}

/// The target of a call as an executor names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetAddress {
    /// The scheme, in lower case.
    pub scheme: &'static str,
    /// The host as it is written.
    pub host: Host<String>,
    /// The port.
    pub port: u16,
}

impl TargetAddress {
    /// Whether one of these patterns names it. With `by_address` a pattern of a network counts
    /// where the host is a name: its addresses are judged when it is connected to.
    pub fn is_named_by(&self, patterns: &[TargetPattern], by_address: bool) -> bool {
        let host = match &self.host {
            Host::Domain(name) => Host::Domain(name.as_str()),
            Host::Ipv4(ip) => Host::Ipv4(*ip),
            Host::Ipv6(ip) => Host::Ipv6(*ip),
        };
        let target = Target { scheme: self.scheme, host: &host, port: self.port };
        target.is_named_by(patterns) || (by_address && target.may_be_named_by(patterns))
    }
}

impl Target<'_> {
    /// Whether one of these patterns names it.
    pub fn is_named_by(self, patterns: &[TargetPattern]) -> bool {
        patterns.iter().any(|pattern| pattern.names(self))
    }

    /// Whether its host is a name of which a pattern may name an address.
    pub fn may_be_named_by(self, patterns: &[TargetPattern]) -> bool {
        let may = |pattern: &TargetPattern| {
            pattern.is_network() && pattern.is_for(self.scheme, self.port)
        };
        matches!(self.host, Host::Domain(_)) && patterns.iter().any(may)
    }

    /// Whether a pattern names an address that its host was found to have.
    pub fn is_named_at(self, patterns: &[TargetPattern], ip: IpAddr) -> bool {
        let has =
            |pattern: &TargetPattern| pattern.has(ip) && pattern.is_for(self.scheme, self.port);
        patterns.iter().any(has)
    }
}

/// The reason why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no pattern of targets: {why}")]
pub struct Error {
    given: String,
    why: String,
}

impl Scheme {
    const ALL: [Self; 4] = [Self::Http, Self::Https, Self::Amqp, Self::Amqps];

    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Amqp => "amqp",
            Self::Amqps => "amqps",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
            Self::Amqp => 5_672,
            Self::Amqps => 5_671,
        }
    }
}

impl TargetPattern {
    /// Whether it is for calls of this scheme to this port.
    pub fn is_for(&self, scheme: &str, port: u16) -> bool {
        let (first, last) = self.ports;
        self.scheme.is_none_or(|own| own.name() == scheme) && (first..=last).contains(&port)
    }

    /// Whether it names the host of a target as the URL has it. A name is not looked up: a pattern
    /// of a network names addresses alone.
    pub fn names(&self, target: Target<'_>) -> bool {
        let names = match (target.host, &self.host) {
            (Host::Domain(name), HostPattern::Name(own)) => without_dot(name) == own,
            (Host::Domain(name), HostPattern::Below(own)) => {
                // The dot keeps `evilexample.com` out of `*.example.com`.
                let name = without_dot(name).strip_suffix(own.as_str());
                name.and_then(|name| name.strip_suffix('.')).is_some_and(|name| !name.is_empty())
            }
            (Host::Ipv4(ip), HostPattern::Network(own)) => own.has((*ip).into()),
            (Host::Ipv6(ip), HostPattern::Network(own)) => own.has((*ip).into()),
            _ => false,
        };
        names && self.is_for(target.scheme, target.port)
    }

    /// Whether an address lies in its network.
    pub fn has(&self, ip: IpAddr) -> bool {
        matches!(&self.host, HostPattern::Network(own) if own.has(ip))
    }

    /// Whether it is a pattern of addresses.
    pub fn is_network(&self) -> bool {
        matches!(self.host, HostPattern::Network(_))
    }
}

/// A name without the dot of the root.
fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

impl FromStr for TargetPattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        read(text).map_err(|why| Error {
            given: text.chars().take(LONGEST_PATTERN).collect(),
            why: why.to_owned(),
        })
    }
}

fn read(text: &str) -> Result<TargetPattern, &'static str> {
    if text.len() > LONGEST_PATTERN {
        return Err("it is too long");
    }
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => {
            let known = |of: &Scheme| of.name().eq_ignore_ascii_case(scheme);
            let known = Scheme::ALL.into_iter().find(known);
            (Some(known.ok_or("its scheme must be http, https, amqp or amqps")?), rest)
        }
        None => (None, text),
    };
    if rest.contains(['@', '?', '#', '\\']) || rest.contains(char::is_whitespace) {
        return Err("it has a host and ports, and nothing else");
    }
    let (host, ports) = split(rest)?;
    let host = read_host(host)?;
    let ports = match (ports, scheme) {
        (Some(ports), _) => read_ports(ports)?,
        (None, Some(scheme)) => (scheme.port(), scheme.port()),
        (None, None) => return Err("name the port behind the host, such as :443, or :* for all"),
    };
    Ok(TargetPattern { scheme, host, ports })
}

/// The host and the ports of a pattern.
fn split(rest: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some(inner) = rest.strip_prefix('[') {
        let (host, behind) = inner.split_once(']').ok_or("it has a [ without its ]")?;
        if !host.contains(':') {
            return Err("brackets are for IPv6 addresses and networks");
        }
        return match behind.strip_prefix(':') {
            Some(ports) => Ok((host, Some(ports))),
            None if behind.is_empty() => Ok((host, None)),
            None => Err("behind the ] there may be a : and ports"),
        };
    }
    match rest.split_once(':') {
        Some((_, ports)) if ports.contains(':') => {
            Err("write an IPv6 address or network in brackets, such as [fd00::/8]:443")
        }
        Some((host, ports)) => Ok((host, Some(ports))),
        None => Ok((rest, None)),
    }
}

fn read_host(text: &str) -> Result<HostPattern, &'static str> {
    const WILDCARD: &str = "a * stands for the beginning of a name, as in *.example.com";
    let is_address = text.parse::<IpAddr>().is_ok();
    if is_address || text.contains('/') {
        let network = text.parse::<Network>().map_err(|_| {
            "before the ports there is no network: it is written as 10.0.0.0/8, with no bits \
             beyond its length, and a pattern has no path"
        });
        return network.map(HostPattern::Network);
    }
    let (below, name) = match text.strip_prefix("*.") {
        Some(name) => (true, name),
        None => (false, text),
    };
    if name.contains('*') {
        return Err(WILDCARD);
    }
    match Host::parse(without_dot(name)) {
        Ok(Host::Domain(name)) if name.is_empty() => Err("it has no host"),
        Ok(Host::Domain(name)) if below => Ok(HostPattern::Below(name)),
        Ok(Host::Domain(name)) => Ok(HostPattern::Name(name)),
        Ok(_) if below => Err(WILDCARD),
        // Another spelling of an address, such as 0x7f.1.
        Ok(Host::Ipv4(ip)) => {
            let one = ip.to_string().parse::<Network>();
            one.map(HostPattern::Network).map_err(|_| "it has no host")
        }
        Ok(Host::Ipv6(_)) | Err(_) => Err("its host is neither a name nor an address"),
    }
}

fn read_ports(text: &str) -> Result<(u16, u16), &'static str> {
    const WRONG: &str = "its ports must be a number from 1 to 65535, two of them such as \
                         8000-8999, or *";
    if text == "*" {
        return Ok((1, u16::MAX));
    }
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ => Err(WRONG),
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let ports = (port(first)?, port(last)?);
    if ports.0 > ports.1 { Err(WRONG) } else { Ok(ports) }
}

impl fmt::Display for TargetPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.scheme {
            write!(f, "{}://", scheme.name())?;
        }
        match &self.host {
            HostPattern::Name(name) => f.write_str(name)?,
            HostPattern::Below(name) => write!(f, "*.{name}")?,
            HostPattern::Network(network) => match network.to_string() {
                v6 if v6.contains(':') => write!(f, "[{v6}]")?,
                v4 => f.write_str(&v4)?,
            },
        }
        match self.ports {
            (1, u16::MAX) => f.write_str(":*"),
            (first, last) if first == last => write!(f, ":{first}"),
            (first, last) => write!(f, ":{first}-{last}"),
        }
    }
}

impl TryFrom<String> for TargetPattern {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<TargetPattern> for String {
    fn from(pattern: TargetPattern) -> Self {
        pattern.to_string()
    }
}

#[cfg(test)]
#[path = "target_pattern_tests.rs"]
mod tests;
