//! The resolver of the machine, shared out among projects. The executor asks it through [`Lookup`].
//! The addresses found are checked elsewhere, and nothing is remembered.
//!
//! `getaddrinfo` blocks a thread, and where no name server answers it does so for half a minute,
//! though its caller may be gone. So look-ups have threads of their own, at most [`PLACES`], and a
//! place is free again only when `getaddrinfo` has returned. A [`FairQueue`] shares the places out:
//! a project has half at most of the places that others leave, so that one whose look-ups all hang
//! leaves room for every other. A look-up without a place waits in the queue of its project, in the
//! order of arrival, and leaves it when all its callers are gone. Equal names share one look-up.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use tokio::sync::oneshot;

use super::lookup::{Lookup, LookupFuture};
use crate::delivery::fair_queue::{Capacity, FairQueue, FlowId, Stage};
use crate::model::ProjectId;

/// The most look-ups under way at a time, each on a thread.
const PLACES: usize = 128;
/// The time after which a thread without a look-up ends.
const IDLE: Duration = Duration::from_secs(10);

type Found = io::Result<Vec<SocketAddr>>;
type Callers = Vec<oneshot::Sender<Found>>;

/// The resolver of the machine.
#[derive(Debug)]
pub(in crate::executor) struct SystemLookup(Arc<Resolver>);

impl Default for SystemLookup {
    fn default() -> Self {
        Self::with(|name| Ok((name, 0).to_socket_addrs()?.collect()))
    }
}

impl SystemLookup {
    /// Looks names up with a function that may block.
    fn with(resolve: impl Fn(&str) -> Found + Send + Sync + 'static) -> Self {
        let state = Mutex::default();
        Self(Arc::new(Resolver { resolve: Box::new(resolve), state, changed: Condvar::new() }))
    }
}

impl Lookup for SystemLookup {
    fn lookup(&self, name: String, project: ProjectId) -> LookupFuture {
        if let Ok(ip) = name.parse::<IpAddr>() {
            return Box::pin(std::future::ready(Ok(vec![(ip, 0).into()])));
        }
        let request = self.0.ask(name.into(), project);
        Box::pin(async move { request?.answer().await })
    }
}

impl Drop for SystemLookup {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

struct Resolver {
    resolve: Box<dyn Fn(&str) -> Found + Send + Sync>,
    state: Mutex<State>,
    /// Notified when there may be a look-up to begin, and when the resolver is closed.
    changed: Condvar,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

/// The look-ups under way, and those that wait.
struct State {
    /// The names under way, each with the callers that wait for its addresses.
    running: HashMap<Arc<str>, Callers>,
    /// One flow for each project, with the look-ups that have no place yet in order of their
    /// tickets.
    queue: FairQueue<(), Waiting>,
    tickets: u64,
    threads: usize,
    idle: usize,
    closed: bool,
}

struct Waiting {
    ticket: u64,
    name: Arc<str>,
    callers: Callers,
}

/// A request for a look-up. Dropping it cancels the request.
struct Request {
    resolver: Arc<Resolver>,
    /// The place in the queue; `None` if the look-up was under way already.
    waits: Option<(ProjectId, u64)>,
    answer: oneshot::Receiver<Found>,
}

impl Resolver {
    /// Requests the addresses of a name. An error when there is no thread and none can be started.
    fn ask(self: &Arc<Self>, name: Arc<str>, project: ProjectId) -> io::Result<Request> {
        let (sender, answer) = oneshot::channel();
        let mut state = self.lock();
        let waits = state.add(name, project, sender).map(|ticket| (project, ticket));
        let request = Request { resolver: Arc::clone(self), waits, answer };
        let started = self.start_thread(&mut state);
        // Dropping the request takes the lock.
        drop(state);
        started.map(|()| request)
    }

    /// Wakes or starts a thread for the next look-up, if it has a place.
    fn start_thread(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        if state.queue.next_flow().is_none() {
            return Ok(());
        }
        if state.idle > 0 {
            self.changed.notify_one();
            return Ok(());
        }
        if state.threads >= PLACES {
            return Ok(());
        }
        let this = Arc::clone(self);
        let spawned = std::thread::Builder::new().name("look-ups".to_owned()).spawn(move || {
            this.work();
        });
        match spawned {
            Ok(_) => state.threads += 1,
            // The system gives no thread, which means a lack of memory.
            Err(_) if state.threads == 0 => return Err(Errno::NOMEM.into()),
            // The threads that there are do it.
            Err(_) => {}
        }
        Ok(())
    }

    /// The loop of a thread.
    fn work(self: &Arc<Self>) {
        let mut state = self.lock();
        loop {
            if let Some((flow, name)) = state.begin_next() {
                // This thread is busy now, and there may be a place for another look-up. As there
                // is a thread, this cannot fail.
                let _ = self.start_thread(&mut state);
                drop(state);
                // A panic has been printed; the callers see that no answer will come.
                let found = catch_unwind(AssertUnwindSafe(|| (self.resolve)(&name)));
                let callers = self.lock().end(flow, &name);
                if let Ok(found) = found {
                    for caller in callers {
                        // The caller may be gone.
                        let _ = caller.send(copy(&found));
                    }
                }
                state = self.lock();
                continue;
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let (back, waited) =
                self.changed.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = back;
            state.idle -= 1;
            if waited.timed_out() && state.queue.next_flow().is_none() {
                break;
            }
        }
        state.threads -= 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics half-way while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of look-ups of a project that are under way.
    #[cfg(test)]
    fn share(&self, project: ProjectId) -> usize {
        let state = self.lock();
        state.queue.find(project, &()).map_or(0, |flow| state.queue.in_flight_of(flow))
    }
}

impl Default for State {
    fn default() -> Self {
        let capacity = Capacity { workers: PLACES, in_flight: PLACES, flow: PLACES };
        Self {
            running: HashMap::new(),
            queue: FairQueue::new(capacity).without_flow_shares(),
            tickets: 0,
            threads: 0,
            idle: 0,
            closed: false,
        }
    }
}

impl State {
    /// Adds a caller. Returns a ticket if the look-up waits for a place.
    fn add(
        &mut self,
        name: Arc<str>,
        project: ProjectId,
        caller: oneshot::Sender<Found>,
    ) -> Option<u64> {
        if let Some(callers) = self.running.get_mut(&name) {
            callers.retain(|caller| !caller.is_closed());
            callers.push(caller);
            return None;
        }
        self.queue.prune(|()| true);
        let flow = self.queue.flow(project, &());
        let next = self.tickets + 1;
        let ticket = self.queue.edit_waiting(flow, |waiting| {
            if let Some(same) = waiting.iter_mut().find(|waiting| waiting.name == name) {
                same.callers.push(caller);
                return same.ticket;
            }
            waiting.push_back(Waiting { ticket: next, name, callers: vec![caller] });
            next
        });
        self.tickets = self.tickets.max(ticket);
        Some(ticket)
    }

    /// Drops the callers of a ticket that are gone, and the look-up with the last of them.
    fn leave(&mut self, project: ProjectId, ticket: u64) {
        let Some(flow) = self.queue.find(project, &()) else { return };
        self.queue.edit_waiting(flow, |waiting| {
            // The look-up may have begun.
            let Ok(at) = waiting.binary_search_by_key(&ticket, |of| of.ticket) else { return };
            waiting[at].callers.retain(|caller| !caller.is_closed());
            if waiting[at].callers.is_empty() {
                waiting.remove(at);
            }
        });
    }

    /// Begins the next look-up that has a place.
    fn begin_next(&mut self) -> Option<(FlowId, Arc<str>)> {
        loop {
            let flow = self.queue.next_flow()?;
            let Waiting { name, callers, .. } = self.queue.pop(flow)?;
            // The look-up of the name for another project has begun meanwhile.
            if let Some(running) = self.running.get_mut(&name) {
                running.extend(callers);
                continue;
            }
            self.running.insert(Arc::clone(&name), callers);
            self.queue.begin(flow);
            return Some((flow, name));
        }
    }

    /// Ends a look-up: frees its place, and returns the callers that wait for its addresses.
    fn end(&mut self, flow: FlowId, name: &str) -> Callers {
        self.queue.end(flow, Stage::Quick);
        self.running.remove(name).unwrap_or_default()
    }
}

impl Request {
    async fn answer(mut self) -> Found {
        let none = || io::Error::other("the look-up of the name ended without an answer");
        (&mut self.answer).await.map_err(|_| none())?
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.answer.close();
        if let Some((project, ticket)) = self.waits {
            self.resolver.lock().leave(project, ticket);
        }
    }
}

/// A copy of an answer for one more caller.
fn copy(found: &Found) -> Found {
    match found {
        Ok(found) => Ok(found.clone()),
        Err(error) => Err(match error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(error.kind(), error.to_string()),
        }),
    }
}

#[cfg(test)]
mod tests;
