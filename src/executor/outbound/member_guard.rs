//! Keeps calls away from the Raft ports of the cluster's members, whatever else is allowed, and
//! from their APIs where the policy of the node says so. Otherwise a node would carry the request
//! of a job into a port of its own cluster, past any firewall.
//!
//! Each kind asks [`MemberGuard::admit`] for every call. A port that no member has costs a look at
//! a short list. With a port that a member has, the target's name and those of the members are
//! resolved. As a name may lead elsewhere a moment later, the resolver of the client leaves the
//! addresses of members out of what it finds for that name as long as the call is under way
//! ([`MemberGuard::allows`]).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use url::{Host, Url};

use super::address_kind::plain;
use super::local_error::is_late;
use super::lookup::{Lookup, MEMBERS, look_up};
use super::raft_addresses::{RaftAddresses, ip_of};
use crate::model::ProjectId;
use crate::model::target_pattern::NOT_ALLOWED;

/// The time for which the list of members is used once it was read, in milliseconds.
const FRESH_MS: u64 = 1_000;

/// The source of the list of members.
pub type Source = Arc<dyn Fn() -> OwnAddresses + Send + Sync>;

/// The addresses of the cluster's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnAddresses {
    /// Where members talk Raft.
    pub raft: RaftAddresses,
    /// Where members serve the API.
    pub apis: RaftAddresses,
}

impl OwnAddresses {
    /// The addresses that calls are kept away from; those of APIs only `with_apis`.
    fn kept(&self, with_apis: bool) -> impl Iterator<Item = &(Host, u16)> {
        self.raft.0.iter().chain(self.apis.0.iter().filter(move |_| with_apis))
    }

    /// Whether a URL names one of them.
    fn names(&self, url: &Url, with_apis: bool) -> bool {
        self.raft.names(url) || (with_apis && self.apis.names(url))
    }
}

/// A call to be admitted.
#[derive(Clone, Copy, Debug)]
pub(in crate::executor) struct Asked<'a> {
    /// Its URL.
    pub(in crate::executor) url: &'a Url,
    /// Its project.
    pub(in crate::executor) project: ProjectId,
    /// Whether it must not reach an API of a member either.
    pub(in crate::executor) with_apis: bool,
}

/// The resolved addresses of members, which one call must not reach.
#[derive(Debug, Default)]
struct Resolved {
    addresses: Vec<IpAddr>,
    /// Whether one of them is on this machine: it may listen on all of its addresses.
    local: bool,
}

impl Resolved {
    fn contains(&self, ip: IpAddr) -> bool {
        let ip = plain(ip);
        self.addresses.contains(&ip) || (self.local && is_local(ip))
    }
}

/// Whether an address belongs to this machine: only then a socket can have it.
fn is_local(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified() || UdpSocket::bind((ip, 0)).is_ok()
}

/// Keeps the calls of an executor away from the Raft ports of members.
pub struct MemberGuard {
    source: Source,
    /// The list that was read last, and when, in boot-clock milliseconds.
    known: Mutex<Option<(u64, Arc<OwnAddresses>)>>,
    /// The addresses that calls under way to a name must not reach, by that name.
    excluded: Mutex<BTreeMap<String, Vec<Arc<Resolved>>>>,
}

/// The reason why a call is not made.
#[derive(Debug, thiserror::Error)]
pub(in crate::executor) enum Error {
    /// The call would reach a member.
    #[error(
        "{NOT_ALLOWED}: the target is the Raft address of a member of this cluster, which takes no \
         jobs, or its API"
    )]
    Member,
    /// A look-up failed, so that nothing can be said.
    #[error(transparent)]
    Unknown(Box<dyn std::error::Error + Send + Sync>),
}

/// Keeps the addresses of members out of the look-ups of a name. Held while a call is under way.
pub(in crate::executor) struct Exclusion {
    guard: Arc<MemberGuard>,
    name: String,
    addresses: Arc<Resolved>,
}

impl MemberGuard {
    /// A guard of the addresses that `source` names.
    pub fn new(source: Source) -> Self {
        Self { source, known: Mutex::default(), excluded: Mutex::default() }
    }

    /// Whether a call goes to a port that a member has; that of an API only `with_apis`.
    pub(in crate::executor) fn concerns(&self, url: &Url, with_apis: bool, boot: u64) -> bool {
        let Some(port) = url.port_or_known_default() else { return false };
        self.members(boot).kept(with_apis).any(|(_, of)| *of == port)
    }

    /// Checks a call of a project. The caller holds the exclusion until the call is over.
    pub(in crate::executor) async fn admit(
        self: &Arc<Self>,
        Asked { url, project, with_apis }: Asked<'_>,
        lookup: &dyn Lookup,
        (patience, boot): (Duration, u64),
    ) -> Result<Option<Exclusion>, Error> {
        let Some(port) = url.port_or_known_default() else { return Ok(None) };
        let members = self.members(boot);
        if members.kept(with_apis).all(|(_, of)| *of != port) {
            return Ok(None);
        }
        if members.names(url, with_apis) {
            return Err(Error::Member);
        }
        let mut resolved = Resolved::default();
        for (host, _) in members.kept(with_apis).filter(|(_, of)| *of == port) {
            // A member whose name does not resolve cannot be reached by another name either.
            let found = match (ip_of(host), host) {
                (Some(ip), _) => vec![ip],
                (None, Host::Domain(name)) => {
                    let found = match look_up(lookup, (name, MEMBERS), patience).await {
                        // The name may resolve, but no name server has answered yet.
                        Err(error) if is_late(&*error) => return Err(Error::Unknown(error)),
                        found => found.unwrap_or_default(),
                    };
                    found.iter().map(SocketAddr::ip).collect()
                }
                (None, _) => Vec::new(),
            };
            resolved.local |= found.iter().any(|ip| is_local(*ip));
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
        let addresses = Arc::new(resolved);
        self.excluded().entry(name.clone()).or_default().push(Arc::clone(&addresses));
        Ok(Some(Exclusion { guard: Arc::clone(self), name, addresses }))
    }

    /// Whether calls that are under way to a name may reach an address.
    pub(in crate::executor) fn allows(&self, name: &str, ip: IpAddr) -> bool {
        let excluded = self.excluded();
        excluded.get(name).is_none_or(|all| all.iter().all(|of| !of.contains(ip)))
    }

    /// The members, as of the last second.
    fn members(&self, boot: u64) -> Arc<OwnAddresses> {
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

    fn excluded(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<Arc<Resolved>>>> {
        self.excluded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemberGuard {
    /// A guard of no address.
    fn default() -> Self {
        Self::new(Arc::new(OwnAddresses::default))
    }
}

impl std::fmt::Debug for MemberGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Apart").field("known", &self.known).finish_non_exhaustive()
    }
}

impl Drop for Exclusion {
    fn drop(&mut self) {
        let mut excluded = self.guard.excluded();
        let Some(all) = excluded.get_mut(&self.name) else { return };
        if let Some(place) = all.iter().position(|of| Arc::ptr_eq(of, &self.addresses)) {
            all.swap_remove(place);
        }
        if all.is_empty() {
            excluded.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lookup::LookupFuture;
    use super::*;

    /// A resolver of fixed names.
    struct Names(Mutex<BTreeMap<&'static str, Vec<&'static str>>>);

    impl Lookup for Names {
        fn lookup(&self, name: String, _: ProjectId) -> LookupFuture {
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

    fn members() -> OwnAddresses {
        let raft = RaftAddresses::new([
            "node1:7070",
            "10.0.0.2:7071",
            "[fd00::3]:80",
            "127.0.0.1:7073",
            "what",
        ]);
        OwnAddresses { raft, apis: RaftAddresses::of_urls(["http://node1:9091", "what"]) }
    }

    fn asked(url: &Url) -> Asked<'_> {
        Asked { url, project: 1, with_apis: false }
    }

    #[tokio::test]
    async fn no_call_reaches_a_member_by_another_name_or_address() {
        let lookup = Names(Mutex::new(BTreeMap::from([
            ("node1", vec!["10.0.0.1"]),
            ("alias", vec!["9.9.9.9", "10.0.0.1"]),
            ("mine", vec!["127.0.0.9"]),
            ("other", vec!["9.9.9.9"]),
        ])));
        let guard = Arc::new(MemberGuard::new(Arc::new(members)));
        let admit = async |text: &str| {
            let url = url(text);
            let admitted = guard.admit(asked(&url), &lookup, (Duration::from_secs(1), 0)).await;
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
        // A name that leads to a member a moment later reaches it only when no call excludes it.
        let held = admit("http://other:7070/").await.ok().flatten();
        assert!(held.is_some());
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(!guard.allows("other", ip("10.0.0.1")));
        assert!(!guard.allows("other", ip("::ffff:10.0.0.1")));
        assert!(guard.allows("other", ip("9.9.9.9")) && guard.allows("alias", ip("10.0.0.1")));
        drop(held);
        assert!(guard.allows("other", ip("10.0.0.1")));
    }

    #[tokio::test]
    async fn the_api_of_a_member_is_kept_where_the_policy_says_so() {
        let lookup = Names(Mutex::new(BTreeMap::from([
            ("node1", vec!["10.0.0.1"]),
            ("alias", vec!["10.0.0.1"]),
        ])));
        let guard = Arc::new(MemberGuard::new(Arc::new(members)));
        for text in ["http://node1:9091/", "http://alias:9091/", "http://[::ffff:a00:1]:9091/"] {
            let url = url(text);
            for with_apis in [false, true] {
                let asked = Asked { with_apis, ..asked(&url) };
                let admitted = guard.admit(asked, &lookup, (Duration::from_secs(1), 0)).await;
                assert_eq!(admitted.is_err(), with_apis, "{text}");
            }
            assert!(guard.concerns(&url, true, 0) && !guard.concerns(&url, false, 0), "{text}");
        }
    }

    /// A resolver that never answers for a member.
    struct Silent;

    impl Lookup for Silent {
        fn lookup(&self, name: String, _: ProjectId) -> LookupFuture {
            match &*name {
                "node1" => Box::pin(std::future::pending()),
                _ => Box::pin(async { Ok(vec![(IpAddr::from([9, 9, 9, 9]), 0).into()]) }),
            }
        }
    }

    #[tokio::test]
    async fn no_call_goes_to_the_port_of_a_member_whose_address_is_not_known_in_time() {
        let guard = Arc::new(MemberGuard::new(Arc::new(members)));
        let url = url("http://other:7070/");
        let admitted = guard.admit(asked(&url), &Silent, (Duration::from_millis(10), 0)).await;
        let why = admitted.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(why.contains("no name server answers"), "{why}");
    }

    #[test]
    fn the_list_of_members_is_read_once_a_second() {
        let read = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let count = Arc::clone(&read);
        let guard = MemberGuard::new(Arc::new(move || {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            members()
        }));
        for boot in [0, 500, 999, 1_000, 1_500] {
            assert_eq!(*guard.members(boot), members());
        }
        assert_eq!(read.load(std::sync::atomic::Ordering::SeqCst), 2);
    }
}
