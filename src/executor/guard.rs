//! The SSRF guard: which addresses a callback may go to.
//!
//! The api asks [`TargetGuard::check_url`] when a job is created; the executor asks again for every
//! request, and its resolver lets only allowed addresses through, so that the address judged is the
//! address connected to, whatever a name resolves to by then. It never connects itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::own::{NoResolver, is_resolver_down};
use crate::config::Config;

/// Names under which clouds serve a machine's secrets.
const METADATA_NAMES: [&str; 5] = [
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "instance-data",
    "instance-data.ec2.internal",
];

/// Addresses outside the link-local range under which clouds serve a machine's secrets: Alibaba,
/// Oracle, Azure's wire server.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];

/// Which kinds of address are allowed beside the public ones. Link-local, metadata, unspecified,
/// broadcast, multicast and reserved addresses never are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetGuard {
    /// 127.0.0.0/8 and `::1`.
    pub allow_loopback: bool,
    /// 10/8, 172.16/12, 192.168/16, 100.64/10, `fc00::/7`.
    pub allow_private: bool,
}

impl Default for TargetGuard {
    fn default() -> Self {
        Self { allow_loopback: true, allow_private: true }
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
        match url.host() {
            None => Err(Error::Host),
            Some(Host::Ipv4(ip)) => self.check_address(ip.into()),
            Some(Host::Ipv6(ip)) => self.check_address(ip.into()),
            Some(Host::Domain(name)) => check_name(name),
        }
    }

    /// Judges an address.
    pub fn check_address(&self, ip: IpAddr) -> Result<(), Error> {
        let kind = match ip {
            IpAddr::V4(v4) => kind_v4(v4),
            IpAddr::V6(v6) => kind_v6(v6),
        };
        let refused = match kind {
            Kind::Public => None,
            Kind::Loopback => (!self.allow_loopback).then_some("a loopback address"),
            Kind::Private => (!self.allow_private).then_some("a private address"),
            Kind::Never(why) => Some(why),
        };
        refused.map_or(Ok(()), |why| Err(Error::Address(ip, why)))
    }
}

enum Kind {
    Public,
    Loopback,
    Private,
    Never(&'static str),
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

fn kind_v4(ip: Ipv4Addr) -> Kind {
    let [a, b, ..] = ip.octets();
    if ip.is_link_local() {
        Kind::Never("link-local (cloud metadata lives there)")
    } else if METADATA_V4.contains(&ip) {
        Kind::Never("a cloud metadata service")
    } else if a == 0 {
        Kind::Never("unspecified")
    } else if ip.is_multicast() {
        Kind::Never("a multicast address")
    } else if a >= 240 {
        Kind::Never("reserved or broadcast")
    } else if ip.is_loopback() {
        Kind::Loopback
    } else if ip.is_private() || (a == 100 && (64..128).contains(&b)) {
        Kind::Private
    } else {
        Kind::Public
    }
}

fn kind_v6(ip: Ipv6Addr) -> Kind {
    let s = ip.segments();
    let embedded =
        |high: u16, low: u16| kind_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    if ip.is_loopback() {
        Kind::Loopback
    } else if ip.is_unspecified() {
        Kind::Never("unspecified")
    } else if s[..5] == [0; 5] && (s[5] == 0xffff || s[5] == 0) {
        // IPv4-mapped and the old IPv4-compatible form.
        embedded(s[6], s[7])
    } else if s[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        // NAT64 hands it on to the IPv4 address within, as 6to4 does.
        embedded(s[6], s[7])
    } else if s[0] == 0x2002 {
        embedded(s[1], s[2])
    } else if ip.is_unicast_link_local() {
        Kind::Never("link-local")
    } else if ip.is_multicast() {
        Kind::Never("a multicast address")
    } else if s[..2] == [0xfd00, 0x0ec2] || s[..2] == [0xfd20, 0x00ce] {
        Kind::Never("a cloud metadata service")
    } else if ip.is_unique_local() || s[0] & 0xffc0 == 0xfec0 {
        Kind::Private
    } else {
        Kind::Public
    }
}

/// How names become addresses; tests put their own in.
pub trait Lookup: Send + Sync + 'static {
    /// The addresses of a name, in order of preference (ports are ignored).
    fn lookup(&self, name: String) -> Looking;
}

/// The answer to come of a [`Lookup`].
pub type Looking = Pin<Box<dyn Future<Output = std::io::Result<Vec<SocketAddr>>> + Send>>;

/// The machine's own resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, name: String) -> Looking {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
    }
}

/// How long a name server may take; less than a call waits for a connection.
pub(super) fn patience(connect_timeout: Duration) -> Duration {
    connect_timeout.mul_f32(0.8)
}

/// The addresses of a name; the error is [`NoResolver`] where no name server says whether it exists.
pub(super) async fn look_up(
    lookup: &dyn Lookup,
    name: &str,
    patience: Duration,
) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
    match tokio::time::timeout(patience, lookup.lookup(name.to_owned())).await {
        Ok(Err(error)) if is_resolver_down(&error) => Err(NoResolver(error.to_string()).into()),
        Ok(found) => Ok(found?),
        Err(_) => Err(NoResolver(format!("none within {patience:?}")).into()),
    }
}

/// A resolver that hands the client only addresses the guard allows.
pub(super) struct GuardedResolver {
    /// See [`patience`].
    pub(super) patience: Duration,
    pub(super) guard: TargetGuard,
    pub(super) lookup: Arc<dyn Lookup>,
    /// The name of the configured proxy, which may be anywhere.
    pub(super) proxy: Option<String>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, patience) = (self.guard, self.patience);
        let is_proxy = self.proxy.as_deref() == Some(name.as_str());
        let lookup = Arc::clone(&self.lookup);
        Box::pin(async move {
            let found = look_up(&*lookup, name.as_str(), patience).await?;
            let (mut allowed, mut refused) = (Vec::new(), None);
            for address in found {
                match guard.check_address(address.ip()) {
                    _ if is_proxy => allowed.push(address),
                    Ok(()) => allowed.push(address),
                    Err(e) => refused = Some(e),
                }
            }
            match refused {
                Some(why) if allowed.is_empty() => Err(why.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_judged_by_scheme_host_and_address() {
        let guard = TargetGuard::default();
        for ok in [
            "http://127.0.0.1:3000/callback",
            "https://example.com/a?b=c",
            "http://[::1]:80/",
            "http://10.1.2.3/",
            "http://8.8.8.8",
            "http://localhost:3000/callback",
            "http://[::ffff:10.0.0.1]/",
        ] {
            assert_eq!(guard.check_url(ok), Ok(()), "{ok}");
        }
        for bad in [
            "http://169.254.169.254/latest/meta-data",
            "http://0xa9fea9fe/",
            "http://2852039166/",
            "http://[::ffff:169.254.169.254]/",
            "http://[::169.254.169.254]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[2002:a9fe:a9fe::]/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://[fd20:ce::254]/",
            "http://100.100.100.200/",
            "http://METADATA.google.internal./computeMetadata",
            "http://0.0.0.0/",
            "http://[::]/",
            "http://224.0.0.1/",
            "http://[ff02::1]/",
            "http://255.255.255.255/",
            "http://user:secret@example.com/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "mailto:a@b.c",
            "http://localhost:0/",
            " http://localhost/",
            "http://localhost/\u{a0}",
            "http://local\thost/",
            "http://localhost/\r\nX: y",
            "http://localhost/\u{0}",
            "/callback",
            "http://",
            "",
        ] {
            assert!(guard.check_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn loopback_and_private_ranges_can_be_refused() {
        let guard = TargetGuard { allow_loopback: false, allow_private: false };
        for bad in [
            "http://127.8.8.8/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://192.168.0.1/",
            "http://172.16.0.1/",
            "http://100.64.0.1/",
            "http://[fc00::1]/",
        ] {
            assert!(matches!(guard.check_url(bad), Err(Error::Address(..))), "{bad}");
        }
        assert_eq!(guard.check_url("http://172.32.0.1/"), Ok(()));
    }

    #[test]
    fn an_error_shows_no_secret_of_the_url() {
        let guard = TargetGuard::default();
        for url in ["http://u:hunter2@example.com/", "http://169.254.1.1/?key=hunter2", "x:hunter2"]
        {
            let message = guard.check_url(url).unwrap_err().to_string();
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
