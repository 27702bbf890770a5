//! The machine's own resolver, shared out among projects. The executor asks it through
//! [`Lookup`]; what is found is judged elsewhere, and nothing is remembered.
//!
//! `getaddrinfo` blocks a thread, and where no name server answers it does so for half a minute,
//! whoever still waits. Look-ups have threads of their own therefore, at most [`PLACES`], and a place
//! is free again only when `getaddrinfo` has returned. Of the places that others leave, a project has
//! half at most, so that one whose names are all looked up in vain leaves room for every other. What
//! has no place yet waits in the queue of its project, and leaves it with whoever asked. Of equal
//! names one look-up is under way.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use tokio::sync::oneshot;

use super::lookup::{Looking, Lookup};
use crate::model::ProjectId;

/// So many look-ups are under way at a time, each on a thread.
const PLACES: usize = 128;
/// A thread without a look-up ends after so long.
const IDLE: Duration = Duration::from_secs(10);

type Found = io::Result<Vec<SocketAddr>>;
type Answers = Vec<oneshot::Sender<Found>>;

/// See the head of this file.
#[derive(Debug)]
pub struct SystemLookup(Arc<Resolver>);

impl Default for SystemLookup {
    fn default() -> Self {
        Self::with(|name| Ok((name, 0).to_socket_addrs()?.collect()))
    }
}

impl SystemLookup {
    /// Looks names up with a function that may block.
    fn with(resolve: impl Fn(&str) -> Found + Send + Sync + 'static) -> Self {
        let queues = Mutex::default();
        Self(Arc::new(Resolver { resolve: Box::new(resolve), queues, news: Condvar::new() }))
    }
}

impl Lookup for SystemLookup {
    fn lookup(&self, name: String, project: ProjectId) -> Looking {
        if let Ok(ip) = name.parse::<IpAddr>() {
            return Box::pin(std::future::ready(Ok(vec![(ip, 0).into()])));
        }
        let asked = self.0.ask(name.into(), project);
        Box::pin(async move { asked?.answer().await })
    }
}

impl Drop for SystemLookup {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.news.notify_all();
    }
}

struct Resolver {
    resolve: Box<dyn Fn(&str) -> Found + Send + Sync>,
    queues: Mutex<Queues>,
    /// There may be a look-up to begin, or nobody asks any more.
    news: Condvar,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

/// What is looked up, and what waits.
#[derive(Default)]
struct Queues {
    /// The names that are being looked up, each with those who wait for its addresses.
    running: HashMap<Arc<str>, Answers>,
    /// How many of them are each project's.
    shares: HashMap<ProjectId, usize>,
    /// What has no place yet, oldest first.
    waiting: BTreeMap<ProjectId, BTreeMap<u64, Waiting>>,
    tickets: u64,
    threads: usize,
    idle: usize,
    closed: bool,
}

struct Waiting {
    name: Arc<str>,
    answers: Answers,
}

/// A look-up that was asked for; dropped, it is given up.
struct Asked {
    resolver: Arc<Resolver>,
    /// Where it waits, unless it was under way already.
    waits: Option<(ProjectId, u64)>,
    answer: oneshot::Receiver<Found>,
}

impl Resolver {
    /// Asks for the addresses of a name. An error when there is no thread and none can be started.
    fn ask(self: &Arc<Self>, name: Arc<str>, project: ProjectId) -> io::Result<Asked> {
        let (sender, answer) = oneshot::channel();
        let mut queues = self.lock();
        let waits = queues.add(name, project, sender).map(|ticket| (project, ticket));
        let asked = Asked { resolver: Arc::clone(self), waits, answer };
        let staffed = self.staff(&mut queues);
        // Dropping what was asked takes the lock.
        drop(queues);
        staffed.map(|()| asked)
    }

    /// Sees to a thread for the next look-up, where it has a place.
    fn staff(self: &Arc<Self>, queues: &mut Queues) -> io::Result<()> {
        if queues.first().is_none() {
            return Ok(());
        }
        if queues.idle > 0 {
            self.news.notify_one();
            return Ok(());
        }
        if queues.threads >= PLACES {
            return Ok(());
        }
        let this = Arc::clone(self);
        let spawned = std::thread::Builder::new().name("look-ups".to_owned()).spawn(move || {
            this.work();
        });
        match spawned {
            Ok(_) => queues.threads += 1,
            // The system gives no thread: no more than a want of memory.
            Err(_) if queues.threads == 0 => return Err(Errno::NOMEM.into()),
            // Those there are do it.
            Err(_) => {}
        }
        Ok(())
    }

    /// The life of a thread.
    fn work(self: &Arc<Self>) {
        let mut queues = self.lock();
        loop {
            if let Some((project, name)) = queues.next() {
                // This one is busy now; there may be a place for another. As there is a thread, this
                // cannot fail.
                let _ = self.staff(&mut queues);
                drop(queues);
                // A panic has been printed; whoever waits sees that no answer will come.
                let found = catch_unwind(AssertUnwindSafe(|| (self.resolve)(&name)));
                let answers = self.lock().over(project, &name);
                if let Ok(found) = found {
                    for answer in answers {
                        // Whoever asked may have given up.
                        let _ = answer.send(again(&found));
                    }
                }
                queues = self.lock();
                continue;
            }
            if queues.closed {
                break;
            }
            queues.idle += 1;
            let (back, waited) =
                self.news.wait_timeout(queues, IDLE).unwrap_or_else(PoisonError::into_inner);
            queues = back;
            queues.idle -= 1;
            if waited.timed_out() && queues.first().is_none() {
                break;
            }
        }
        queues.threads -= 1;
    }

    fn lock(&self) -> MutexGuard<'_, Queues> {
        // Nothing in here panics half-way.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queues {
    /// Adds somebody who wants an answer; gives the ticket of what has to wait for a place.
    fn add(
        &mut self,
        name: Arc<str>,
        project: ProjectId,
        answer: oneshot::Sender<Found>,
    ) -> Option<u64> {
        if let Some(answers) = self.running.get_mut(&name) {
            // Of those who gave up nothing stays.
            answers.retain(|answer| !answer.is_closed());
            answers.push(answer);
            return None;
        }
        let queue = self.waiting.entry(project).or_default();
        if let Some((ticket, same)) = queue.iter_mut().find(|(_, waiting)| waiting.name == name) {
            same.answers.push(answer);
            return Some(*ticket);
        }
        self.tickets += 1;
        queue.insert(self.tickets, Waiting { name, answers: vec![answer] });
        Some(self.tickets)
    }

    /// Takes those out of a queue who want no answer any more.
    fn leave(&mut self, project: ProjectId, ticket: u64) {
        let Some(queue) = self.waiting.get_mut(&project) else { return };
        if let Some(waiting) = queue.get_mut(&ticket) {
            waiting.answers.retain(|answer| !answer.is_closed());
            if waiting.answers.is_empty() {
                queue.remove(&ticket);
            }
        }
        if queue.is_empty() {
            self.waiting.remove(&project);
        }
    }

    fn share(&self, project: ProjectId) -> usize {
        self.shares.get(&project).copied().unwrap_or(0)
    }

    /// Whether a project may have one more place: its first, or one within half of what others leave.
    fn has_place(&self, project: ProjectId) -> bool {
        let own = self.share(project);
        let left = PLACES.saturating_sub(self.running.len() - own);
        left > own && (own == 0 || 2 * (own + 1) <= left)
    }

    /// The project whose look-up begins next: of those that may have a place the one with the fewest.
    fn first(&self) -> Option<ProjectId> {
        let waiting = self.waiting.iter().filter(|(project, _)| self.has_place(**project));
        let next = waiting.min_by_key(|(project, queue)| {
            (self.share(**project), queue.first_key_value().map(|(ticket, _)| *ticket))
        });
        next.map(|(project, _)| *project)
    }

    /// Begins the next look-up that has a place.
    fn next(&mut self) -> Option<(ProjectId, Arc<str>)> {
        loop {
            let project = self.first()?;
            let queue = self.waiting.get_mut(&project)?;
            let (_, Waiting { name, answers }) = queue.pop_first()?;
            if queue.is_empty() {
                self.waiting.remove(&project);
            }
            // Another project's look-up of the name has begun meanwhile.
            if let Some(running) = self.running.get_mut(&name) {
                running.extend(answers);
                continue;
            }
            self.running.insert(Arc::clone(&name), answers);
            *self.shares.entry(project).or_default() += 1;
            return Some((project, name));
        }
    }

    /// A look-up is over: gives its place back, and those who wait for what it found.
    fn over(&mut self, project: ProjectId, name: &str) -> Answers {
        if let Some(share) = self.shares.get_mut(&project) {
            *share -= 1;
            if *share == 0 {
                self.shares.remove(&project);
            }
        }
        self.running.remove(name).unwrap_or_default()
    }
}

impl Asked {
    async fn answer(mut self) -> Found {
        let none = || io::Error::other("the look-up of the name ended without an answer");
        (&mut self.answer).await.map_err(|_| none())?
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.answer.close();
        if let Some((project, ticket)) = self.waits {
            self.resolver.lock().leave(project, ticket);
        }
    }
}

/// An answer for one more who asked.
fn again(found: &Found) -> Found {
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
