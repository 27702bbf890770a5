//! One accepted connection: its address, the principal that authenticated on it, and whether a
//! request is under way. `registry` makes one for each connection and closes idle ones. `serve`
//! puts it into the extensions of its requests. It reads no headers: a client may write anything
//! into `Forwarded` or `X-Forwarded-For`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use axum::http::StatusCode;
use tokio::task::AbortHandle;

/// The registry of a port, as its connections need it.
pub(super) trait Registry: std::fmt::Debug + Send + Sync {
    /// The clock of the registry, in milliseconds.
    fn now(&self) -> u64;

    /// Counts a connection as a principal's.
    fn authenticate(&self, connection: &Connection, principal: Principal) -> Result<(), Crowded>;

    /// Notes that a connection ended, or a request on it.
    fn on_idle(&self);
}

/// The principal at the other end of a connection: a credential of a client, an operator, or a
/// node. The layer that checked the credential chooses the number.
pub type Principal = NonZeroU64;

/// The error of a principal that has too many connections open already. Nothing was noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowded;

/// The number of requests under way that marks a connection as closed: it begins none.
const CLOSED: u32 = u32::MAX;

/// One accepted connection, an extension of every request that came by it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: u64,
    address: SocketAddr,
    /// The registry of the port; `None` for a connection that counts nowhere.
    registry: Option<Arc<dyn Registry>>,
    /// Requests under way: 0 or 1 with HTTP/1, or [`CLOSED`].
    under_way: AtomicU32,
    /// The principal of the last request that had one; 0 for none.
    principal: AtomicU64,
    /// Whether the next answer is the last.
    last: AtomicBool,
    /// Requests answered before a principal authenticated.
    anonymous_requests: AtomicU32,
    /// The instant at which it was accepted. All instants are milliseconds of the registry's clock.
    accepted: u64,
    /// The instant since which it waits for its client.
    waits_since: AtomicU64,
    /// Whether a head has begun to come in, at `waits_since`.
    in_head: AtomicBool,
    /// Whether a request has begun since then.
    begun: AtomicBool,
    /// Whether its task has once found no bytes to read.
    found_empty: AtomicBool,
    writes: Writes,
    /// Ends its task.
    abort: OnceLock<AbortHandle>,
}

/// The progress of the answer that is being written.
#[derive(Debug, Default)]
struct Writes {
    /// The instant since which the system takes no more, plus one; 0 while it takes more.
    refused_since: AtomicU64,
    /// The time for which it took no more before that, in milliseconds.
    refused_for: AtomicU64,
    /// The bytes that it took.
    taken: AtomicU64,
}

impl Connection {
    /// A connection from an address that counts nowhere, for requests that came by no port.
    pub fn new(address: SocketAddr) -> Self {
        Self::make(0, address, None)
    }

    /// A connection of a port, with a number of its own.
    pub(super) fn of(id: u64, address: SocketAddr, registry: Arc<dyn Registry>) -> Self {
        Self::make(id, address, Some(registry))
    }

    /// A connection. An IPv4 address that a socket of both families gives as IPv6 counts as IPv4.
    fn make(id: u64, address: SocketAddr, registry: Option<Arc<dyn Registry>>) -> Self {
        let now = registry.as_ref().map_or(0, |registry| registry.now());
        Self(Arc::new(Inner {
            id,
            address: SocketAddr::new(address.ip().to_canonical(), address.port()),
            registry,
            under_way: AtomicU32::new(0),
            principal: AtomicU64::new(0),
            last: AtomicBool::new(false),
            anonymous_requests: AtomicU32::new(0),
            accepted: now,
            waits_since: AtomicU64::new(now),
            in_head: AtomicBool::new(false),
            begun: AtomicBool::new(false),
            found_empty: AtomicBool::new(false),
            writes: Writes::default(),
            abort: OnceLock::new(),
        }))
    }

    /// The address of the client, or of the last proxy or NAT before this node.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// That address without its port, in the form of IPv4 where it is one.
    pub fn client_address(&self) -> IpAddr {
        self.address().ip().to_canonical()
    }

    /// The network that limits by address count: an IPv4 address, or the /64 of an IPv6 address,
    /// which is the least that one client is given.
    pub fn network(&self) -> IpAddr {
        match self.0.address.ip() {
            IpAddr::V4(ip) => IpAddr::V4(ip),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        }
    }

    /// The principal that authenticated last; `None` for an anonymous connection.
    pub fn principal(&self) -> Option<Principal> {
        Principal::new(self.0.principal.load(Ordering::Relaxed))
    }

    /// Notes that a request by this connection carried a valid credential. From then on the
    /// connection does not count by its address, and others are closed before it. The layer that
    /// checks credentials calls this with each request, before the request is carried out.
    ///
    /// # Errors
    ///
    /// When connections are scarce and this principal has its share of them
    /// (`Bounds::per_principal`), or when there are too many of all principals
    /// (`Bounds::authenticated`). The caller answers 503, the last answer on this connection.
    pub fn authenticate(&self, principal: Principal) -> Result<(), Crowded> {
        if self.principal() == Some(principal) {
            return Ok(());
        }
        let Some(registry) = &self.0.registry else {
            self.set_principal(principal);
            return Ok(());
        };
        let counted = registry.authenticate(self, principal);
        self.0.last.fetch_or(counted.is_err(), Ordering::Relaxed);
        counted
    }

    /// Sets the principal. Only the registry calls this, as it counts by principal.
    pub(super) fn set_principal(&self, principal: Principal) {
        self.0.principal.store(principal.get(), Ordering::Relaxed);
    }

    pub(super) fn id(&self) -> u64 {
        self.0.id
    }

    /// Sets the handle that ends its task.
    pub(super) fn set_abort(&self, abort: AbortHandle) {
        // Set once, by the accept loop.
        let _ = self.0.abort.set(abort);
    }

    /// Begins a request; `None` when the connection has been closed: the request must not be
    /// carried out.
    pub(super) fn begin_request(&self) -> Option<ActiveRequest> {
        let more = |n: u32| (n < CLOSED - 1).then(|| n + 1);
        let begun = self.0.under_way.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        self.0.begun.fetch_or(begun.is_ok(), Ordering::Relaxed);
        begun.ok().map(|_| ActiveRequest(self.clone()))
    }

    /// Whether an answer with this status is the last one on the connection. That is so after a
    /// 401, and on an anonymous connection after a 429 and after `most` requests.
    pub(super) fn ends_with(&self, status: StatusCode, most: u32) -> bool {
        let inner = &*self.0;
        if inner.last.load(Ordering::Relaxed) || status == StatusCode::UNAUTHORIZED {
            return true;
        }
        if self.principal().is_some() {
            return false;
        }
        status == StatusCode::TOO_MANY_REQUESTS
            || inner.anonymous_requests.fetch_add(1, Ordering::Relaxed) + 1 >= most
    }

    /// Closes the connection if no request is under way; true if it was closed. A request that has
    /// not begun by then is never carried out.
    pub(super) fn close_idle(&self) -> bool {
        let closed =
            self.0.under_way.compare_exchange(0, CLOSED, Ordering::AcqRel, Ordering::Relaxed);
        if closed.is_ok() {
            self.abort();
        }
        closed.is_ok()
    }

    /// Closes an anonymous connection whose client has not taken its answer for `least_ms`
    /// milliseconds, with a request under way or not; true if it was closed.
    pub(super) fn close_untaken(&self, now: u64, least_ms: u64) -> bool {
        let untaken = self.state(now).untaken_ms();
        let closes = self.principal().is_none() && untaken.is_some_and(|ms| ms >= least_ms);
        if closes {
            self.close();
        }
        closes
    }

    /// Closes the connection, with a request under way or not.
    pub(super) fn close(&self) {
        self.0.under_way.store(CLOSED, Ordering::Release);
        self.abort();
    }

    fn abort(&self) {
        if let Some(abort) = self.0.abort.get() {
            abort.abort();
        }
    }

    fn now(&self) -> u64 {
        self.0.registry.as_ref().map_or(0, |registry| registry.now())
    }

    /// Notes that it waits for its client from now on.
    fn waits(&self) {
        self.0.waits_since.store(self.now(), Ordering::Relaxed);
        self.0.in_head.store(false, Ordering::Relaxed);
    }

    /// Notes the first byte since the last answer: of a head, or, while a request is under way, of
    /// its body.
    pub(super) fn head_begins(&self) {
        if self.0.under_way.load(Ordering::Acquire) > 0 {
            return;
        }
        self.0.waits_since.store(self.now(), Ordering::Relaxed);
        self.0.in_head.store(true, Ordering::Relaxed);
        self.0.begun.store(false, Ordering::Relaxed);
    }

    /// Notes that a read found no bytes.
    pub(super) fn finds_empty(&self) {
        self.0.found_empty.store(true, Ordering::Relaxed);
    }

    /// Whether the head that came in last was a request. If not, hyper answers it by itself.
    pub(super) fn has_begun(&self) -> bool {
        self.0.begun.load(Ordering::Relaxed)
    }

    /// Notes that an answer begins: its progress is measured anew.
    pub(super) fn answer_begins(&self) {
        let writes = &self.0.writes;
        writes.refused_for.store(0, Ordering::Relaxed);
        writes.taken.store(0, Ordering::Relaxed);
    }

    /// Notes that the system takes no more of an answer.
    pub(super) fn refused(&self) {
        self.0.writes.refused_since.store(self.now() + 1, Ordering::Relaxed);
    }

    /// Notes the bytes that the system took.
    pub(super) fn taken(&self, bytes: usize) {
        self.0.writes.taken.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Notes that the system takes more of an answer again.
    pub(super) fn taken_again(&self) {
        let (writes, now) = (&self.0.writes, self.now());
        let since = writes.refused_since.swap(0, Ordering::Relaxed);
        writes.refused_for.fetch_add((now + 1).saturating_sub(since), Ordering::Relaxed);
        self.0.waits_since.store(now, Ordering::Relaxed);
    }

    /// The state at an instant.
    pub(super) fn state(&self, now: u64) -> ConnectionState {
        let inner = &*self.0;
        let refused_since = inner.writes.refused_since.load(Ordering::Relaxed);
        ConnectionState {
            idle: inner.under_way.load(Ordering::Relaxed) == 0,
            in_head: inner.in_head.load(Ordering::Relaxed),
            found_empty: inner.found_empty.load(Ordering::Relaxed),
            age_ms: now.saturating_sub(inner.accepted),
            waits_ms: now.saturating_sub(inner.waits_since.load(Ordering::Relaxed)),
            refused_ms: (refused_since > 0).then(|| (now + 1).saturating_sub(refused_since)),
            refused_before_ms: inner.writes.refused_for.load(Ordering::Relaxed),
            taken: inner.writes.taken.load(Ordering::Relaxed),
        }
    }
}

/// The state of a connection at an instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionState {
    /// Whether no request is under way.
    pub(super) idle: bool,
    /// Whether a head has begun to come in and is not complete.
    pub(super) in_head: bool,
    /// Whether its task has once found no bytes to read.
    pub(super) found_empty: bool,
    /// The time since it was accepted.
    pub(super) age_ms: u64,
    /// The time for which it waits for its client; it counts only while the connection is idle.
    pub(super) waits_ms: u64,
    /// The time for which the system has taken no more of the answer; `None` while it takes more.
    pub(super) refused_ms: Option<u64>,
    /// The sum of such times before, for the same answer.
    pub(super) refused_before_ms: u64,
    /// The bytes that the system took of that answer.
    pub(super) taken: u64,
}

impl ConnectionState {
    /// The sum of the times for which the system took no more of the answer, while it takes no
    /// more.
    pub(super) fn untaken_ms(&self) -> Option<u64> {
        self.refused_ms.map(|ms| ms + self.refused_before_ms)
    }
}

/// A request that is under way until this is dropped.
#[derive(Debug)]
pub(super) struct ActiveRequest(Connection);

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.waits();
        let less = |n: u32| (n != CLOSED).then(|| n.saturating_sub(1));
        // An error says that the connection is closed, and it stays closed.
        let _ = self.0.0.under_way.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        if let Some(registry) = &self.0.0.registry {
            registry.on_idle();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(address: &str) -> Connection {
        Connection::new(address.parse().unwrap())
    }

    #[test]
    fn limits_count_by_ipv4_address_and_by_the_64_of_ipv6() {
        for (address, network) in [
            ("192.0.2.7:1", "192.0.2.7"),
            ("[::ffff:192.0.2.7]:1", "192.0.2.7"),
            ("[2001:db8:1:2:3:4:5:6]:1", "2001:db8:1:2::"),
            ("[::1]:1", "::"),
        ] {
            let connection = connection(address);
            assert_eq!(connection.network(), network.parse::<IpAddr>().unwrap(), "{address}");
            assert_eq!(connection.address().port(), 1);
        }
    }

    #[test]
    fn a_connection_with_a_request_is_not_closed_and_a_closed_one_begins_none() {
        let connection = connection("192.0.2.7:1");
        let under_way = connection.begin_request().unwrap();
        assert!(!connection.close_idle());
        drop(under_way);
        assert!(connection.close_idle());
        assert!(connection.begin_request().is_none());
        assert!(!connection.close_idle(), "once");
    }

    #[test]
    fn an_anonymous_connection_ends_after_some_requests_and_after_401_at_once() {
        let anonymous = connection("192.0.2.7:1");
        assert!((0..9).all(|_| !anonymous.ends_with(StatusCode::OK, 10)));
        assert!(anonymous.ends_with(StatusCode::OK, 10));
        let client = connection("192.0.2.7:1");
        client.authenticate(Principal::MIN).unwrap();
        assert!((0..99).all(|_| !client.ends_with(StatusCode::NOT_FOUND, 10)));
        assert!(client.ends_with(StatusCode::UNAUTHORIZED, 10));
    }
}
