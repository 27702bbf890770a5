//! One accepted connection: where it comes from, who has proved to be at its other end, and whether
//! a request of it is under way. `super::serve` makes one for each connection and puts it into the
//! extensions of its requests; `super::room` closes those that no request is under way on. It reads no
//! headers: a `Forwarded` or `X-Forwarded-For` of a client is the client's word.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use axum::http::StatusCode;
use tokio::task::AbortHandle;

use super::room::Room;

/// Who has proved to be at the other end, as a number that the layer which checked it has chosen: a
/// client's credential, an operator, a node.
pub type Principal = NonZeroU64;

/// The principal has too many connections open already; nothing was noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowded;

/// A number of requests under way that no connection has: it is closed, and begins none.
const CLOSED: u32 = u32::MAX;

/// One accepted connection: an extension of every request that came by it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Connection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: u64,
    address: SocketAddr,
    /// The port's; `None`: it counts nowhere.
    room: Option<Arc<Room>>,
    /// Requests under way: 0 or 1, as HTTP/1 has it, or [`CLOSED`].
    under_way: AtomicU32,
    /// The principal of the last request that proved one; 0: none did.
    principal: AtomicU64,
    /// Its next answer is the last.
    last: AtomicBool,
    /// Requests answered while nobody had proved anything.
    unproved: AtomicU32,
    /// When it was accepted, in milliseconds of the room's clock.
    accepted: u64,
    /// Since when it waits for its client, in milliseconds of the room's clock.
    waits_since: AtomicU64,
    /// A head has begun to come in, at `waits_since`.
    in_head: AtomicBool,
    /// A request has begun since then.
    begun: AtomicBool,
    /// Its task has looked for bytes, and there were none.
    found_empty: AtomicBool,
    writes: Writes,
    /// Ends its task.
    abort: OnceLock<AbortHandle>,
}

/// How the client takes the answer that is being written.
#[derive(Debug, Default)]
struct Writes {
    /// Since when the system refuses more, in milliseconds of the room's clock, plus one; 0: it takes
    /// more.
    refused_since: AtomicU64,
    /// How long it refused before that, in milliseconds.
    refused_for: AtomicU64,
    /// Bytes taken.
    taken: AtomicU64,
}

impl Connection {
    /// A connection from this address that counts nowhere: for requests that came by no port.
    pub fn new(address: SocketAddr) -> Self {
        Self::make(0, address, None)
    }

    /// A connection of a port, under a number of its own.
    pub(super) fn of(id: u64, address: SocketAddr, room: &Arc<Room>) -> Self {
        Self::make(id, address, Some(room.clone()))
    }

    /// An IPv4 address that is written as an IPv6 one (a socket of both families) counts as IPv4.
    fn make(id: u64, address: SocketAddr, room: Option<Arc<Room>>) -> Self {
        let now = room.as_ref().map_or(0, |room| room.now());
        Self(Arc::new(Inner {
            id,
            address: SocketAddr::new(address.ip().to_canonical(), address.port()),
            room,
            under_way: AtomicU32::new(0),
            principal: AtomicU64::new(0),
            last: AtomicBool::new(false),
            unproved: AtomicU32::new(0),
            accepted: now,
            waits_since: AtomicU64::new(now),
            in_head: AtomicBool::new(false),
            begun: AtomicBool::new(false),
            found_empty: AtomicBool::new(false),
            writes: Writes::default(),
            abort: OnceLock::new(),
        }))
    }

    /// Where the connection comes from: the client, or the last proxy or NAT before this node.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// What limits by address count by: an IPv4 address, or the /64 of an IPv6 one, which is the
    /// least that one client is given.
    pub fn network(&self) -> IpAddr {
        match self.0.address.ip() {
            IpAddr::V4(ip) => IpAddr::V4(ip),
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        }
    }

    /// Who has proved to be there; of several one after the other the last.
    pub fn principal(&self) -> Option<Principal> {
        Principal::new(self.0.principal.load(Ordering::Relaxed))
    }

    /// Notes that a request by this connection carried a valid credential. From then on the
    /// connection does not count by its address, and others are closed before it. Who checks the
    /// credential calls this with each request, before it is carried out.
    ///
    /// # Errors
    ///
    /// When the port's connections are scarce and this principal has its share of them
    /// (`Bounds::per_principal`), or when there are too many of all principals (`Bounds::proved`).
    /// Answer 503 then: it is the last answer on this connection.
    pub fn prove(&self, principal: Principal) -> Result<(), Crowded> {
        if self.principal() == Some(principal) {
            return Ok(());
        }
        let Some(room) = &self.0.room else {
            self.set_principal(principal);
            return Ok(());
        };
        let taken = room.prove(self, principal);
        self.0.last.fetch_or(taken.is_err(), Ordering::Relaxed);
        taken
    }

    /// Only [`Room`] calls this: it counts by principal.
    pub(super) fn set_principal(&self, principal: Principal) {
        self.0.principal.store(principal.get(), Ordering::Relaxed);
    }

    pub(super) fn id(&self) -> u64 {
        self.0.id
    }

    /// Says how its task is ended.
    pub(super) fn set_abort(&self, abort: AbortHandle) {
        // Set once, by the accept loop.
        let _ = self.0.abort.set(abort);
    }

    /// A request begins; `None` when the connection has been closed: it must not be carried out.
    pub(super) fn begin(&self) -> Option<UnderWay> {
        let more = |n: u32| (n < CLOSED - 1).then(|| n + 1);
        let begun = self.0.under_way.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        self.0.begun.fetch_or(begun.is_ok(), Ordering::Relaxed);
        begun.ok().map(|_| UnderWay(self.clone()))
    }

    /// Whether this is the last answer on the connection: always after 401, and, while nobody has
    /// proved anything, after 429 and after so many requests.
    pub(super) fn ends_with(&self, status: StatusCode, unproved_requests: u32) -> bool {
        let inner = &*self.0;
        if inner.last.load(Ordering::Relaxed) || status == StatusCode::UNAUTHORIZED {
            return true;
        }
        if self.principal().is_some() {
            return false;
        }
        status == StatusCode::TOO_MANY_REQUESTS
            || inner.unproved.fetch_add(1, Ordering::Relaxed) + 1 >= unproved_requests
    }

    /// Closes it if no request is under way on it; whether that was so. A request that has not begun
    /// by then is never carried out.
    pub(super) fn close_idle(&self) -> bool {
        let closed =
            self.0.under_way.compare_exchange(0, CLOSED, Ordering::AcqRel, Ordering::Relaxed);
        if closed.is_ok() {
            self.abort();
        }
        closed.is_ok()
    }

    /// Closes it, a request under way or not, if nobody has proved to be there and its answer is not
    /// taken for so long, in milliseconds; whether that was so.
    pub(super) fn close_untaken(&self, now: u64, least_ms: u64) -> bool {
        let untaken = self.look(now).untaken_ms();
        let closes = self.principal().is_none() && untaken.is_some_and(|ms| ms >= least_ms);
        if closes {
            self.close();
        }
        closes
    }

    /// Closes it, whatever is under way.
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
        self.0.room.as_ref().map_or(0, |room| room.now())
    }

    /// It waits for its client, from now on.
    fn waits(&self) {
        self.0.waits_since.store(self.now(), Ordering::Relaxed);
        self.0.in_head.store(false, Ordering::Relaxed);
    }

    /// The first byte since the last answer came in: of a head, or, while a request is under way, of
    /// its body.
    pub(super) fn head_begins(&self) {
        if self.0.under_way.load(Ordering::Acquire) > 0 {
            return;
        }
        self.0.waits_since.store(self.now(), Ordering::Relaxed);
        self.0.in_head.store(true, Ordering::Relaxed);
        self.0.begun.store(false, Ordering::Relaxed);
    }

    /// A read found nothing that this process has heard of yet.
    pub(super) fn finds_empty(&self) {
        self.0.found_empty.store(true, Ordering::Relaxed);
    }

    /// Whether the head that came in last was a request. If not, an answer to it is hyper's own.
    pub(super) fn has_begun(&self) -> bool {
        self.0.begun.load(Ordering::Relaxed)
    }

    /// An answer begins: how the client takes it is measured anew.
    pub(super) fn answer_begins(&self) {
        let writes = &self.0.writes;
        writes.refused_for.store(0, Ordering::Relaxed);
        writes.taken.store(0, Ordering::Relaxed);
    }

    /// The system takes no more of an answer.
    pub(super) fn refused(&self) {
        self.0.writes.refused_since.store(self.now() + 1, Ordering::Relaxed);
    }

    /// The system took so many bytes.
    pub(super) fn taken(&self, bytes: usize) {
        self.0.writes.taken.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The system, which had refused more of an answer, takes it again.
    pub(super) fn taken_again(&self) {
        let (writes, now) = (&self.0.writes, self.now());
        let since = writes.refused_since.swap(0, Ordering::Relaxed);
        writes.refused_for.fetch_add((now + 1).saturating_sub(since), Ordering::Relaxed);
        self.0.waits_since.store(now, Ordering::Relaxed);
    }

    /// What the room judges it by, at this instant of its clock.
    pub(super) fn look(&self, now: u64) -> Look {
        let inner = &*self.0;
        let refused_since = inner.writes.refused_since.load(Ordering::Relaxed);
        Look {
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

/// How a connection stands at an instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// No request is under way.
    pub(super) idle: bool,
    /// A head has begun to come in, and is not whole.
    pub(super) in_head: bool,
    /// Its task has found nothing to read, once at least.
    pub(super) found_empty: bool,
    /// How long ago it was accepted.
    pub(super) age_ms: u64,
    /// For how long it waits for its client; of meaning while it is idle.
    pub(super) waits_ms: u64,
    /// For how long a write has been refused; `None`: none is.
    pub(super) refused_ms: Option<u64>,
    /// For how long others of the same answer were, together.
    pub(super) refused_before_ms: u64,
    /// Bytes taken of that answer.
    pub(super) taken: u64,
}

impl Look {
    /// For how long the system has refused more of an answer, all times together, while it does.
    pub(super) fn untaken_ms(&self) -> Option<u64> {
        self.refused_ms.map(|ms| ms + self.refused_before_ms)
    }
}

/// A request is under way until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Connection);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.waits();
        let less = |n: u32| (n != CLOSED).then(|| n.saturating_sub(1));
        // An error: it is closed, and stays so.
        let _ = self.0.0.under_way.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        if let Some(room) = &self.0.0.room {
            room.idles();
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
    fn what_is_under_way_is_not_closed_and_what_is_closed_begins_nothing() {
        let connection = connection("192.0.2.7:1");
        let under_way = connection.begin().unwrap();
        assert!(!connection.close_idle());
        drop(under_way);
        assert!(connection.close_idle());
        assert!(connection.begin().is_none());
        assert!(!connection.close_idle(), "once");
    }

    #[test]
    fn who_proves_nothing_is_asked_to_come_again_after_a_while_and_who_fails_at_once() {
        let stranger = connection("192.0.2.7:1");
        assert!((0..9).all(|_| !stranger.ends_with(StatusCode::OK, 10)));
        assert!(stranger.ends_with(StatusCode::OK, 10));
        let client = connection("192.0.2.7:1");
        client.prove(Principal::MIN).unwrap();
        assert!((0..99).all(|_| !client.ends_with(StatusCode::NOT_FOUND, 10)));
        assert!(client.ends_with(StatusCode::UNAUTHORIZED, 10));
    }
}
