//! The addresses at which the cluster's members talk Raft: never a target, whatever else is allowed.
//! A node would carry a job's request into the port of its own cluster, past any firewall.
//!
//! `api` asks [`RaftAddresses::names`] when a target is given, which resolves nothing. The executor
//! asks [`MemberGuard::admit`] for every call: a port that no member has costs a look at a short list; with
//! one that a member has, the target's name and those of the members are resolved. As a name may lead
//! elsewhere a moment later, the client's resolver leaves the members' addresses out of what it finds
//! for that name as long as the call is under way ([`MemberGuard::allows`]).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use url::{Host, Url};

use super::address_kind::plain;
use super::local_error::is_late;
use super::lookup::{Lookup, MEMBERS, look_up};
use crate::model::ProjectId;

/// For how long the list of members is taken as it was read, in milliseconds.
const FRESH_MS: u64 = 1_000;

/// Raft addresses as members state them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RaftAddresses(Vec<(Host, u16)>);

/// Where the list of members comes from.
pub type Source = Arc<dyn Fn() -> RaftAddresses + Send + Sync>;

impl RaftAddresses {
    /// Reads `host:port` texts; what is none is left out.
    pub fn new<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Self {
        let read = |address: &str| {
            let url = Url::parse(&format!("http://{address}")).ok()?;
            // A port that is the scheme's own is not kept.
            Some((url.host()?.to_owned(), url.port_or_known_default()?))
        };
        Self(addresses.into_iter().filter_map(read).collect())
    }

    /// Whether a URL names one of them, as far as that can be told without resolving names.
    pub fn names(&self, url: &Url) -> bool {
        let Some(port) = url.port_or_known_default() else { return false };
        let Some(host) = url.host() else { return false };
        let same = |known: &Host| match (known, &host) {
            (Host::Domain(known), Host::Domain(host)) => {
                bare(known).eq_ignore_ascii_case(bare(host))
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
fn bare(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// An address, or the name that always means one.
fn ip_of(host: &Host) -> Option<IpAddr> {
    match host {
        Host::Ipv4(ip) => Some((*ip).into()),
        Host::Ipv6(ip) => Some((*ip).into()),
        Host::Domain(name) if bare(name).eq_ignore_ascii_case("localhost") => {
            Some(IpAddr::from([127, 0, 0, 1]))
        }
        Host::Domain(_) => None,
    }
}

/// Where members are, resolved: what one call must not reach.
#[derive(Debug, Default)]
struct Resolved {
    addresses: Vec<IpAddr>,
    /// One of them is on this machine: it may listen on all addresses of it.
    here: bool,
}

impl Resolved {
    fn contains(&self, ip: IpAddr) -> bool {
        let ip = plain(ip);
        self.addresses.contains(&ip) || (self.here && is_local(ip))
    }
}

/// Whether an address belongs to this machine: only then can a socket have it.
fn is_local(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified() || UdpSocket::bind((ip, 0)).is_ok()
}

/// Keeps the executor's calls apart from the members' Raft ports.
pub struct MemberGuard {
    source: Source,
    /// When it was read, in boot-clock milliseconds, and what it was.
    known: Mutex<Option<(u64, Arc<RaftAddresses>)>>,
    /// What calls that are under way to a name must not reach, by that name.
    held: Mutex<BTreeMap<String, Vec<Arc<Resolved>>>>,
}

/// Why a call is not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// It would reach a member.
    #[error("the target is the Raft address of a member of this cluster, which takes no jobs")]
    Member,
    /// Nobody can tell.
    #[error(transparent)]
    Unknown(Box<dyn std::error::Error + Send + Sync>),
}

/// Held while a call is under way.
pub(super) struct Exclusion {
    apart: Arc<MemberGuard>,
    name: String,
    kept_from: Arc<Resolved>,
}

impl MemberGuard {
    /// Keeps calls from the addresses that `source` names.
    pub fn new(source: Source) -> Self {
        Self { source, known: Mutex::default(), held: Mutex::default() }
    }

    /// Whether a call goes to a port that a member has.
    pub(super) fn concerns(&self, url: &Url, boot: u64) -> bool {
        let Some(port) = url.port_or_known_default() else { return false };
        self.members(boot).0.iter().any(|(_, of)| *of == port)
    }

    /// Lets a call of a project through, or says why not. What it gives is to be held until the call is over.
    pub(super) async fn admit(
        self: &Arc<Self>,
        (url, project): (&Url, ProjectId),
        lookup: &dyn Lookup,
        (patience, boot): (Duration, u64),
    ) -> Result<Option<Exclusion>, Error> {
        let Some(port) = url.port_or_known_default() else { return Ok(None) };
        let members = self.members(boot);
        if members.0.iter().all(|(_, of)| *of != port) {
            return Ok(None);
        }
        if members.names(url) {
            return Err(Error::Member);
        }
        let mut resolved = Resolved::default();
        for (host, _) in members.0.iter().filter(|(_, of)| *of == port) {
            // A member whose name leads nowhere cannot be reached by another name either.
            let found = match (ip_of(host), host) {
                (Some(ip), _) => vec![ip],
                (None, Host::Domain(name)) => {
                    let found = match look_up(lookup, (name, MEMBERS), patience).await {
                        // It may lead somewhere, but nobody knows where yet.
                        Err(error) if is_late(&*error) => return Err(Error::Unknown(error)),
                        found => found.unwrap_or_default(),
                    };
                    found.iter().map(SocketAddr::ip).collect()
                }
                (None, _) => Vec::new(),
            };
            resolved.here |= found.iter().any(|ip| is_local(*ip));
            resolved.addresses.extend(found.into_iter().map(plain));
        }
        let name = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(host) => {
                let ip = ip_of(&host.to_owned());
                let reached = ip.is_some_and(|ip| resolved.contains(ip));
                return if reached { Err(Error::Member) } else { Ok(None) };
            }
            None => return Ok(None),
        };
        let found = look_up(lookup, (&name, project), patience).await.map_err(Error::Unknown)?;
        if found.iter().any(|address| resolved.contains(address.ip())) {
            return Err(Error::Member);
        }
        let kept_from = Arc::new(resolved);
        self.held().entry(name.clone()).or_default().push(Arc::clone(&kept_from));
        Ok(Some(Exclusion { apart: Arc::clone(self), name, kept_from }))
    }

    /// Whether calls that are under way to a name may reach an address.
    pub(super) fn allows(&self, name: &str, ip: IpAddr) -> bool {
        let held = self.held();
        held.get(name).is_none_or(|kept_from| kept_from.iter().all(|of| !of.contains(ip)))
    }

    /// The members, as of the last second.
    fn members(&self, boot: u64) -> Arc<RaftAddresses> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((at, members)) if boot.saturating_sub(*at) < FRESH_MS => Arc::clone(members),
            _ => {
                let members = Arc::new((self.source)());
                *known = Some((boot, Arc::clone(&members)));
                members
            }
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<Arc<Resolved>>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemberGuard {
    /// Keeps calls from nothing.
    fn default() -> Self {
        Self::new(Arc::new(RaftAddresses::default))
    }
}

impl std::fmt::Debug for MemberGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Apart").field("known", &self.known).finish_non_exhaustive()
    }
}

impl Drop for Exclusion {
    fn drop(&mut self) {
        let mut held = self.apart.held();
        let Some(all) = held.get_mut(&self.name) else { return };
        if let Some(place) = all.iter().position(|of| Arc::ptr_eq(of, &self.kept_from)) {
            all.swap_remove(place);
        }
        if all.is_empty() {
            held.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::lookup::Looking;

    /// Names and their addresses; the last of a name's lists stays.
    struct Names(Mutex<BTreeMap<&'static str, Vec<&'static str>>>);

    impl Lookup for Names {
        fn lookup(&self, name: String, _: ProjectId) -> Looking {
            let names = self.0.lock().unwrap();
            let found = names.get(name.as_str()).cloned();
            Box::pin(async move {
                let found = found.ok_or_else(|| std::io::Error::other("no such name"))?;
                Ok(found.iter().map(|ip| (ip.parse::<IpAddr>().unwrap(), 0).into()).collect())
            })
        }
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn members() -> RaftAddresses {
        RaftAddresses::new([
            "node1:7070",
            "10.0.0.2:7071",
            "[fd00::3]:80",
            "127.0.0.1:7073",
            "what",
        ])
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

    #[tokio::test]
    async fn no_call_reaches_a_member_by_another_name_or_address() {
        let lookup = Names(Mutex::new(BTreeMap::from([
            ("node1", vec!["10.0.0.1"]),
            ("alias", vec!["9.9.9.9", "10.0.0.1"]),
            ("mine", vec!["127.0.0.9"]),
            ("other", vec!["9.9.9.9"]),
        ])));
        let apart = Arc::new(MemberGuard::new(Arc::new(members)));
        let admit = async |text: &str| {
            let admitted = apart.admit((&url(text), 1), &lookup, (Duration::from_secs(1), 0)).await;
            match admitted {
                Ok(admitted) => Ok(admitted),
                Err(error) => Err(error.to_string()),
            }
        };
        for refused in [
            "http://alias:7070/",
            "http://10.0.0.1:7070/",
            "http://[::ffff:a00:1]:7070/",
            // The member at 127.0.0.1 may listen on all addresses of this machine.
            "http://mine:7073/",
            "http://127.99.0.1:7073/",
            "http://[::1]:7073/",
            "http://[::ffff:7f00:1]:7073/",
        ] {
            let why = admit(refused).await.err().unwrap_or_default();
            assert!(why.contains("Raft address of a member"), "{refused}: {why}");
        }
        let unknown = admit("http://nobody:7070/").await.err().unwrap_or_default();
        assert!(unknown.contains("no such name"), "{unknown}");
        for fine in ["http://alias:9000/", "http://mine:7070/", "http://other:7073/"] {
            assert!(admit(fine).await.is_ok(), "{fine}");
        }
        // A name that leads to a member a moment later reaches it only when no call holds it.
        let held = admit("http://other:7070/").await.ok().flatten();
        assert!(held.is_some());
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(!apart.allows("other", ip("10.0.0.1")));
        assert!(!apart.allows("other", ip("::ffff:10.0.0.1")));
        assert!(apart.allows("other", ip("9.9.9.9")) && apart.allows("alias", ip("10.0.0.1")));
        drop(held);
        assert!(apart.allows("other", ip("10.0.0.1")));
    }

    /// A name server that says nothing of a member.
    struct Silent;

    impl Lookup for Silent {
        fn lookup(&self, name: String, _: ProjectId) -> Looking {
            match &*name {
                "node1" => Box::pin(std::future::pending()),
                _ => Box::pin(async { Ok(vec![(IpAddr::from([9, 9, 9, 9]), 0).into()]) }),
            }
        }
    }

    #[tokio::test]
    async fn no_call_goes_to_the_port_of_a_member_whose_address_is_not_known_in_time() {
        let apart = Arc::new(MemberGuard::new(Arc::new(members)));
        let url = url("http://other:7070/");
        let admitted = apart.admit((&url, 1), &Silent, (Duration::from_millis(10), 0)).await;
        let why = admitted.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(why.contains("no name server answers"), "{why}");
    }

    #[test]
    fn the_list_of_members_is_read_once_a_second() {
        let read = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let count = Arc::clone(&read);
        let apart = MemberGuard::new(Arc::new(move || {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            members()
        }));
        for boot in [0, 500, 999, 1_000, 1_500] {
            assert_eq!(*apart.members(boot), members());
        }
        assert_eq!(read.load(std::sync::atomic::Ordering::SeqCst), 2);
    }
}
