//! The attacher: has the bus listen to the workers of this node's shards. It follows the change
//! feed by itself, so that reading many jobs holds nothing else up. `task` starts it; it ends with
//! the task, and detaches what it attached.
//!
//! A shard is attached while this node owns it and has a lease: without one for a while, another
//! node may be its owner, and what workers say must come to that one. Which jobs there are is read
//! once for each shard; from then on only the jobs that a change names are read.
//!
//! Level-triggered (the level rule): after a lost notification, or when a snapshot replaced the
//! state, shards are read whole.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::{broadcast, mpsc};

use super::addresses::{self, BusName, Known};
use super::attachments::Attachments;
use super::bus_queues::{BusQueues, bus_queues};
use super::done::Done;
use super::writer::pause;
use crate::bus::{Bus, BusAddress, BusEvents};
use crate::clock::SchedulerTime;
use crate::command::Change;
use crate::delivery::registry::Registry;
use crate::model::shard::{ShardId, shard_of};
use crate::model::{JobId, NodeId, ProjectId};
use crate::store::shards;
use crate::telemetry::LogLimit;
use crate::worker::ports::{Lease, StateStore};
use crate::worker::queue::Plans;
use crate::worker::supervisor::Event;

/// Pause after a read that failed, in milliseconds.
const RETRY_MS: u64 = 250;
/// The time between two looks at the lease and at names that no job has any more, in milliseconds.
const LOOK_MS: u64 = 1_000;
/// The time without a lease after which shards are detached, in milliseconds.
const LAPSED_MS: u64 = 10_000;
/// The most jobs that one read looks at.
const MAX_JOBS: u64 = 10_000;

/// The attacher; see the head of this file.
pub(super) struct Attacher<B, L> {
    pub(super) store: B,
    pub(super) node: NodeId,
    pub(super) plans: Arc<Plans>,
    pub(super) kinds: Registry,
    pub(super) time: Arc<SchedulerTime>,
    pub(super) lease: Arc<L>,
    pub(super) bus: Arc<dyn Bus>,
    /// Where the bus says what it hears.
    pub(super) events: BusEvents,
    /// The task hears which queues are not listened to any more.
    pub(super) done: mpsc::UnboundedSender<Done>,
    /// Deleted jobs, of which the bus is to be cleaned.
    pub(super) removals: mpsc::UnboundedSender<BusAddress>,
}

/// What is known, and what is to be read.
#[derive(Default)]
struct State {
    /// Shards and queues are to be read.
    asks_who: bool,
    queues: BusQueues,
    /// The shards of this node, each with its epoch.
    owned: BTreeMap<ShardId, u64>,
    /// The shards that were read.
    shards: BTreeMap<ShardId, Attachments>,
    /// The shards that are to be read whole.
    unread: BTreeSet<ShardId>,
    /// Jobs that changed, as ranges (first id, count).
    jobs: VecDeque<(JobId, u64)>,
    /// The shards of which the bus is to be told.
    changed: BTreeSet<ShardId>,
    /// The instant of the boot clock up to which the lease was usable.
    usable: u64,
    has_lapsed: bool,
    next_look: u64,
}

/// Detaches what is attached when the attacher ends, however it does.
struct Attached {
    bus: Arc<dyn Bus>,
    /// The queues of which anybody was listened to, by shard.
    shards: BTreeMap<ShardId, BTreeSet<u64>>,
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.shards.keys().for_each(|shard| self.bus.detach(*shard));
    }
}

impl State {
    fn note(&mut self, change: &Change) {
        if change.replaced {
            return self.rebuild();
        }
        self.asks_who |= change.shards || change.targets;
        if !self.queues.is_empty() {
            self.jobs.extend(&change.created);
            self.jobs.extend(change.edited.iter().map(|job| (*job, 1)));
        }
    }

    fn rebuild(&mut self) {
        self.asks_who = true;
        self.jobs.clear();
        self.unread.extend(self.owned.keys());
    }

    /// Takes out the jobs of the next read.
    fn take_jobs(&mut self) -> Vec<(JobId, u64)> {
        let (mut taken, mut room) = (Vec::new(), MAX_JOBS);
        while let Some((first, n)) = self.jobs.pop_front() {
            let now = n.min(room);
            taken.push((first, now));
            room -= now;
            if now < n {
                self.jobs.push_front((first + now, n - now));
            }
            if room == 0 {
                break;
            }
        }
        taken
    }

    /// Takes in the shards of this node, with their epochs, and the queues; returns the shards that
    /// it lost. One that it has under another epoch it lost and got again.
    fn take_who(&mut self, owned: BTreeMap<ShardId, u64>, queues: BusQueues) -> Vec<ShardId> {
        self.asks_who = false;
        let is_new = |queue: &u64| !self.queues.contains_key(queue);
        // Jobs may have been made, or looked at, before their queue was known.
        let afresh = queues.keys().any(is_new);
        if self.queues != queues {
            self.changed.extend(self.shards.keys());
        }
        let lost = self.owned.iter().filter(|(shard, epoch)| owned.get(shard) != Some(epoch));
        let lost: Vec<_> = lost.map(|(shard, _)| *shard).collect();
        let unread =
            owned.iter().filter(|(shard, epoch)| afresh || self.owned.get(shard) != Some(epoch));
        self.unread.extend(unread.map(|(shard, _)| *shard));
        for shard in &lost {
            self.shards.remove(shard);
        }
        (self.owned, self.queues) = (owned, queues);
        if self.queues.is_empty() {
            self.jobs.clear();
        }
        let owned = &self.owned;
        self.unread.retain(|shard| owned.contains_key(shard));
        self.changed.retain(|shard| owned.contains_key(shard));
        lost
    }

    /// The shard that is read next.
    fn next_unread(&self) -> Option<ShardId> {
        if self.queues.is_empty() { None } else { self.unread.first().copied() }
    }

    /// Whether a name is listened to in some shard.
    fn has(&self, name: &BusName) -> bool {
        self.shards.values().any(|shard| shard.has(name))
    }
}

impl<B: StateStore, L: Lease> Attacher<B, L> {
    /// Attaches and detaches until the task ends.
    pub(super) async fn run(self, mut changes: broadcast::Receiver<Arc<Change>>) {
        static LINES: LogLimit<()> = LogLimit::new();
        let mut attached = Attached { bus: Arc::clone(&self.bus), shards: BTreeMap::new() };
        let mut state = State::default();
        state.rebuild();
        loop {
            loop {
                match changes.try_recv() {
                    Ok(change) => state.note(&change),
                    Err(broadcast::error::TryRecvError::Lagged(_)) => state.rebuild(),
                    Err(_) => break,
                }
            }
            if let Err(error) = self.read(&mut state, &mut attached).await {
                if let Some(unsaid) = LINES.admit(()) {
                    tracing::error!(%error, unsaid, "jobs of brokers cannot be read; trying again");
                }
                pause(&self.time, RETRY_MS).await;
                continue;
            }
            self.attach(&mut state, &mut attached);
            if state.asks_who || state.next_unread().is_some() || !state.jobs.is_empty() {
                continue;
            }
            let looks = !attached.shards.is_empty() || state.has_lapsed;
            tokio::select! {
                change = changes.recv() => match change {
                    Ok(change) => state.note(&change),
                    Err(broadcast::error::RecvError::Lagged(_)) => state.rebuild(),
                    // The cluster is gone: nothing will change any more.
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                () = self.time.clock().sleep_until(state.next_look), if looks => {}
            }
        }
    }

    /// Makes one of the reads that are to be made, the most urgent one.
    async fn read(&self, state: &mut State, attached: &mut Attached) -> Result<(), String> {
        if state.asks_who {
            let (kinds, node) = (self.kinds.clone(), self.node);
            let read = move |conn: &Connection| {
                let owned = shards::all(conn)?.into_iter();
                let owned = owned.filter(|shard| shard.owner == node && shard.epoch > 0);
                let owned = owned.map(|shard| (shard.id, shard.epoch)).collect();
                Ok((owned, bus_queues(conn, &kinds)?))
            };
            let (owned, queues) = self.store.load(read).await?;
            for shard in state.take_who(owned, queues) {
                self.detach(shard, attached);
            }
        } else if let Some(shard) = state.next_unread() {
            let found = self.ask(state, move |conn, known| addresses::of_shard(conn, known, shard));
            let found = found.await?;
            state.unread.remove(&shard);
            let now = self.time.clock().boot();
            state.shards.entry(shard).or_default().replace(found.jobs, found.out, now);
            state.changed.insert(shard);
        } else if !state.jobs.is_empty() {
            self.read_jobs(state).await?;
        } else if state.next_look <= self.time.clock().boot() {
            self.look(state, attached).await?;
        }
        Ok(())
    }

    async fn read_jobs(&self, state: &mut State) -> Result<(), String> {
        let jobs = state.take_jobs();
        let (asked, owned) = (jobs.clone(), state.owned.keys().copied().collect());
        let read =
            self.ask(state, move |conn, known| addresses::of_jobs(conn, known, &asked, &owned));
        let mut found = match read.await {
            Ok(found) => found,
            Err(error) => {
                state.jobs.extend(jobs);
                return Err(error);
            }
        };
        let now = self.time.clock().boot();
        for job in jobs.into_iter().flat_map(|(first, n)| first..first + n) {
            let shard = shard_of(job);
            let Some(attachments) = state.shards.get_mut(&shard) else { continue };
            let now_its = found.remove(&job);
            let is_deleted = now_its.is_none();
            if attachments.put(job, now_its.flatten(), (is_deleted, now)) {
                state.changed.insert(shard);
            }
        }
        Ok(())
    }

    /// Reads jobs by what is known of queues.
    async fn ask<T: Send + 'static>(
        &self,
        state: &State,
        read: impl FnOnce(&Connection, &Known<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, String> {
        let (plans, queues) = (Arc::clone(&self.plans), state.queues.clone());
        let now = self.time.now();
        let read =
            move |conn: &Connection| read(conn, &Known { plans: &plans, queues: &queues, now });
        self.store.load(read).await
    }

    /// Looks whether there still is a lease, and lets go names under which nothing is out.
    async fn look(&self, state: &mut State, attached: &mut Attached) -> Result<(), String> {
        let now = self.time.clock().boot();
        state.next_look = now.saturating_add(LOOK_MS);
        if self.lease.usable_since().is_some() {
            state.usable = now;
            if std::mem::take(&mut state.has_lapsed) {
                state.changed.extend(state.shards.keys());
            }
        } else if state.usable.saturating_add(LAPSED_MS) <= now && !state.has_lapsed {
            state.has_lapsed = true;
            for shard in attached.shards.keys().copied().collect::<Vec<_>>() {
                self.detach(shard, attached);
            }
        }
        let leaving = state.shards.iter().filter(|(_, its)| its.may_leave(now));
        let leaving: Vec<_> = leaving.map(|(shard, _)| *shard).collect();
        for shard in leaving {
            let out = self.store.load(move |conn| addresses::out(conn, shard)).await?;
            let Some(attachments) = state.shards.get_mut(&shard) else { continue };
            let (deleted, any) = attachments.let_go(&out, now);
            if any {
                state.changed.insert(shard);
                // The bus must know that they are not listened to any more.
                self.attach(state, attached);
            }
            for (name, project) in deleted {
                self.remove(state, name, project);
            }
        }
        Ok(())
    }

    /// Tells the bus of the shards that changed.
    fn attach(&self, state: &mut State, attached: &mut Attached) {
        if state.has_lapsed {
            return;
        }
        for shard in std::mem::take(&mut state.changed) {
            let Some(attachments) = state.shards.get(&shard) else { continue };
            let list = attachments.list(&state.queues);
            if list.is_empty() {
                self.detach(shard, attached);
                continue;
            }
            if attached.shards.is_empty() {
                let now = self.time.clock().boot();
                (state.usable, state.next_look) = (now, now.saturating_add(LOOK_MS));
            }
            let queues = list.iter().map(|one| one.address.queue);
            attached.shards.entry(shard).or_default().extend(queues);
            self.bus.attach(shard, list, self.events.clone());
        }
    }

    /// Has a shard listened to no more, if it is, and says so of all queues: what the bus has said
    /// of them holds no longer.
    fn detach(&self, shard: ShardId, attached: &mut Attached) {
        let Some(queues) = attached.shards.remove(&shard) else { return };
        self.bus.detach(shard);
        for queue in queues {
            let event = Event::Bus { shard, queue, up: false };
            // The task is gone only at its end.
            let _ = self.done.send(Done::Event(event));
        }
    }

    /// Has the bus cleaned of a deleted job, unless another one has its name.
    fn remove(&self, state: &State, name: BusName, project: ProjectId) {
        let Some(queue) = state.queues.get(&name.0).filter(|_| !state.has(&name)) else { return };
        let (queue, target, name) = (name.0, Arc::clone(&queue.target), name.1);
        // The remover ends with the task.
        let _ = self.removals.send(BusAddress { queue, project, target, name });
    }
}

/// Cleans the bus of deleted jobs, one after the other, as far as nobody uses what is there.
pub(super) async fn remove_deleted(
    bus: Arc<dyn Bus>,
    mut deleted: mpsc::UnboundedReceiver<BusAddress>,
) {
    while let Some(address) = deleted.recv().await {
        // What is left is logged by the bus.
        if let Err(why) = bus.remove(&address).await {
            let (queue, job) = (address.queue, &*address.name);
            tracing::warn!(queue, job, why, "what a deleted job had on a broker is left there");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_under_another_epoch_was_lost_and_is_read_again() {
        let mut state = State::default();
        let mut take = |owned: &[(ShardId, u64)]| {
            let lost = state.take_who(owned.iter().copied().collect(), BusQueues::new());
            for shard in std::mem::take(&mut state.unread) {
                state.shards.insert(shard, Attachments::default());
            }
            (lost, state.shards.keys().copied().collect::<Vec<_>>())
        };
        assert_eq!(take(&[(0, 3), (1, 7)]), (vec![], vec![0, 1]));
        assert_eq!(take(&[(0, 5), (1, 7)]), (vec![0], vec![0, 1]));
        assert_eq!(take(&[(0, 5)]), (vec![1], vec![0]));
    }
}
