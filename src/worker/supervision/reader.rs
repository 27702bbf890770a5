//! The reader: follows the change feed, reads what it names, and brings that to the supervisor in
//! the order of the feed. It also makes the reads that the supervisor asks for. All reads are made
//! one after the other: what is read later is newer, and is taken in later.
//!
//! Level-triggered (the level rule): after a lost notification, or when a snapshot replaced the
//! state, shards, offers and runs are read whole.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::{broadcast, mpsc};

use super::done::Done;
use super::news::{self, News, Queues, Wanted};
use super::shared::SharedSupervisor;
use super::writer::pause;
use crate::clock::SchedulerTime;
use crate::command::Change;
use crate::delivery::registry::Registry;
use crate::journal::Journal;
use crate::model::NodeId;
use crate::model::attempt::JournalEntry;
use crate::model::run::Occurrence;
use crate::model::shard::{ShardId, shard_of};
use crate::telemetry::LogLimit;
use crate::worker::engine::read_unforgotten;
use crate::worker::ports::StateStore;
use crate::worker::queue::Plans;
use crate::worker::supervisor::{Event, Loaded, QueueId};

/// Pause after a read that failed, in milliseconds.
const RETRY_MS: u64 = 250;

/// The least time between two readings of a whole shard because more of it changed than was named,
/// in milliseconds. Under load each change may be such a one.
const RELOAD_MS: u64 = 1_000;

/// What the supervisor asks to be read.
#[derive(Debug)]
pub(super) enum Wish {
    /// A shard, for an epoch.
    Load(ShardId, u64),
    /// Runs.
    Runs(Vec<Occurrence>),
}

/// The reader; see the head of this file.
pub(super) struct Reader<B> {
    pub(super) supervisor: Arc<SharedSupervisor>,
    pub(super) store: B,
    pub(super) journal: Journal,
    pub(super) node: NodeId,
    pub(super) plans: Arc<Plans>,
    pub(super) kinds: Registry,
    pub(super) time: Arc<SchedulerTime>,
    /// The task takes in what was read.
    pub(super) done: mpsc::UnboundedSender<Done>,
}

/// What is to be read, and what is known for that.
#[derive(Default)]
struct State {
    wanted: Wanted,
    /// The shards that are this node's.
    owned: BTreeSet<ShardId>,
    /// All of these are to be read whole once the shards are known.
    afresh: bool,
    /// The shards that are to be read whole, since more of them changed than was named.
    crowded: BTreeSet<ShardId>,
    /// When they were last, on the boot clock.
    reloaded: BTreeMap<ShardId, u64>,
    loads: VecDeque<(ShardId, u64)>,
    /// The own journal as it was before the loads that wait, and the sequence number up to which
    /// it was synced before that was read.
    unforgotten: Option<(u64, Vec<(u64, JournalEntry)>)>,
    /// The bounds of queues that the supervisor knows.
    limits: BTreeMap<QueueId, Option<u32>>,
    /// This process has seen no queue, no offer and no run of a worker: no change is looked at.
    passes_over: bool,
}

impl State {
    fn note_change(&mut self, change: &Change) {
        if change.replaced {
            self.rebuild();
        }
        let wanted = &mut self.wanted;
        wanted.shards |= change.shards;
        wanted.queues |= change.targets;
        if self.passes_over {
            return;
        }
        wanted.offers.extend(&change.offers);
        wanted.runs.extend(&change.runs);
        wanted.edited.extend(&change.edited);
        self.crowded.extend(&change.crowded);
        // Whatever a journal brings is an attempt, a run or an offer.
        let is_named = !(change.offers.is_empty() && change.runs.is_empty());
        wanted.recorded |= change.executions || is_named;
    }

    fn rebuild(&mut self) {
        self.wanted.shards = true;
        self.wanted.queues = true;
        self.wanted.recorded = true;
        self.afresh = true;
    }

    /// Looks at changes from now on, and at all that may have been passed over.
    fn look(&mut self) {
        if std::mem::take(&mut self.passes_over) {
            self.crowded.extend(&self.owned);
        }
    }

    /// The instant of the boot clock from which a crowded shard may be read again.
    fn next_reload(&self) -> Option<u64> {
        self.crowded.iter().map(|shard| self.may_reload_at(*shard)).min()
    }

    fn may_reload_at(&self, shard: ShardId) -> u64 {
        self.reloaded.get(&shard).map_or(0, |at| at.saturating_add(RELOAD_MS))
    }

    /// Takes out the crowded shards that may be read at an instant of the boot clock.
    fn take_crowded(&mut self, now: u64) -> Vec<ShardId> {
        self.crowded.retain(|shard| self.owned.contains(shard));
        self.reloaded.retain(|_, at| now < at.saturating_add(RELOAD_MS));
        let all = self.crowded.iter().copied();
        let due: Vec<_> = all.filter(|shard| self.may_reload_at(*shard) <= now).collect();
        for shard in &due {
            self.crowded.remove(shard);
            self.reloaded.insert(*shard, now);
        }
        due
    }

    fn note_wish(&mut self, wish: Wish) {
        match wish {
            Wish::Load(shard, epoch) => {
                self.loads.push_back((shard, epoch));
                // It was read before this was asked for.
                self.unforgotten = None;
            }
            Wish::Runs(runs) => self.wanted.runs.extend(runs),
        }
    }
}

impl<B: StateStore> Reader<B> {
    /// Reads until the task is gone.
    pub(super) async fn run(
        self,
        mut changes: broadcast::Receiver<Arc<Change>>,
        mut wishes: mpsc::UnboundedReceiver<Wish>,
    ) {
        static LINES: LogLimit<()> = LogLimit::new();
        let mut state = State { passes_over: true, ..State::default() };
        state.rebuild();
        loop {
            loop {
                match changes.try_recv() {
                    Ok(change) => state.note_change(&change),
                    Err(broadcast::error::TryRecvError::Lagged(_)) => state.rebuild(),
                    Err(_) => break,
                }
            }
            while let Ok(wish) = wishes.try_recv() {
                state.note_wish(wish);
            }
            let (now, reload) = (self.time.clock().boot(), state.next_reload());
            let read = if !state.wanted.is_empty() || reload.is_some_and(|at| at <= now) {
                self.read_news(&mut state).await
            } else if let Some(load) = state.loads.front().copied() {
                self.load(&mut state, load).await
            } else {
                tokio::select! {
                    change = changes.recv() => match change {
                        Ok(change) => state.note_change(&change),
                        Err(broadcast::error::RecvError::Lagged(_)) => state.rebuild(),
                        // The cluster is gone: nothing will change any more.
                        Err(broadcast::error::RecvError::Closed) => return,
                    },
                    wish = wishes.recv() => match wish {
                        Some(wish) => state.note_wish(wish),
                        None => return,
                    },
                    () = self.time.clock().sleep_until(reload.unwrap_or(u64::MAX)),
                        if reload.is_some() => {}
                }
                continue;
            };
            if let Err(error) = read {
                if let Some(unsaid) = LINES.admit(()) {
                    tracing::error!(%error, unsaid, "offers and runs cannot be read; trying again");
                }
                pause(&self.time, RETRY_MS).await;
            }
        }
    }

    /// Reads what changes and wishes named, and brings it to the supervisor.
    async fn read_news(&self, state: &mut State) -> Result<(), String> {
        let mut wanted = std::mem::take(&mut state.wanted);
        // Until the first read it is not known which shards are this node's.
        wanted.runs.retain(|of| wanted.shards || state.owned.contains(&shard_of(of.job)));
        if wanted.is_empty() {
            self.reload(state);
            return Ok(());
        }
        let own = (self.node, self.journal.state().incarnation);
        let ends = self.supervisor.ask_for_ends(&wanted.runs);
        let (asked, plans) = (wanted.clone(), Arc::clone(&self.plans));
        let kinds = self.kinds.clone();
        let read = move |conn: &Connection| news::read(conn, (&plans, &kinds), own, &asked, &ends);
        match self.store.load(read).await {
            Ok(news) => self.tell(state, news),
            Err(error) => {
                state.wanted.add(wanted);
                return Err(error);
            }
        }
        self.reload(state);
        Ok(())
    }

    /// Brings news to the supervisor, in the order that its rules expect.
    fn tell(&self, state: &mut State, news: News) {
        let News { shards, queues, offers, runs, gone, recorded } = news;
        for (id, offer) in offers {
            self.send(Event::OfferRead { id, offer });
        }
        for (of, found) in runs {
            self.send(Event::RunRead { of, found });
        }
        if !gone.is_empty() {
            self.send(Event::JobsGone(gone));
        }
        self.send(Event::Recorded { seq: recorded });
        if let Some(queues) = queues {
            self.tell_queues(state, queues);
        }
        if let Some(shards) = shards {
            let owned = shards.iter().filter(|shard| shard.owner == self.node && shard.epoch > 0);
            let owned = owned.map(|shard| shard.id).collect();
            let before = std::mem::replace(&mut state.owned, owned);
            self.send(Event::Shards(shards));
            if std::mem::take(&mut state.afresh) {
                // New ones are loaded anyway.
                state.crowded.extend(before.intersection(&state.owned));
            }
        }
    }

    /// Tells the supervisor of the bounds of queues, and the task of all else.
    fn tell_queues(&self, state: &mut State, queues: Queues) {
        let limits: BTreeMap<_, _> = queues.iter().map(|(id, its)| (*id, its.most)).collect();
        // An executor that is gone has no jobs any more.
        let before = std::mem::replace(&mut state.limits, limits);
        for (queue, most) in &state.limits {
            if before.get(queue).copied().flatten() != *most {
                self.send(Event::QueueLimit { queue: *queue, most: *most });
            }
        }
        if !queues.is_empty() {
            state.look();
        }
        // The task is gone only at its end.
        let _ = self.done.send(Done::Queues(queues));
    }

    /// Has shards read whole of which more changed than was named.
    fn reload(&self, state: &mut State) {
        let crowded = state.take_crowded(self.time.clock().boot());
        if !crowded.is_empty() {
            self.send(Event::Reload(crowded));
        }
    }

    /// Reads a shard whole: the own journal first, so that an entry that it forgets in between is
    /// in the store.
    async fn load(&self, state: &mut State, (shard, epoch): (ShardId, u64)) -> Result<(), String> {
        if state.unforgotten.is_none() {
            // What is synced meanwhile need not be in it.
            let upto = self.journal.state().synced;
            let mut own = read_unforgotten(self.journal.clone()).await?;
            own.retain(|(_, entry)| {
                matches!(entry, JournalEntry::Taken(_) | JournalEntry::Offered(_))
            });
            state.unforgotten = Some((upto, own));
        }
        let own = (self.node, self.journal.state().incarnation);
        let plans = Arc::clone(&self.plans);
        let stored = self.store.load(move |conn| news::of_shard(conn, &plans, own, shard)).await?;
        state.loads.pop_front();
        if !(stored.offers.is_empty() && stored.runs.is_empty()) {
            state.look();
        }
        let of_shard = |(_, entry): &&(u64, JournalEntry)| match entry {
            JournalEntry::Taken(taken) => taken.offer.shard == shard,
            JournalEntry::Offered(offer) => offer.shard == shard,
            _ => false,
        };
        let (read_upto, own) =
            state.unforgotten.as_ref().map_or((0, &[][..]), |(upto, own)| (*upto, own.as_slice()));
        let journal = own.iter().filter(of_shard).cloned().collect();
        if state.loads.is_empty() {
            state.unforgotten = None;
        }
        let loaded = Loaded {
            shard,
            epoch,
            offers: stored.offers,
            runs: stored.runs,
            journal,
            read_upto,
            recorded: stored.recorded,
            gone: stored.gone,
        };
        // The task is gone only at its end.
        let _ = self.done.send(Done::Loaded(Box::new(loaded)));
        Ok(())
    }

    fn send(&self, event: Event) {
        // The task is gone only at its end.
        let _ = self.done.send(Done::Event(event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowded_shard_is_read_whole_once_a_second() {
        let mut state = State { owned: BTreeSet::from([1, 2]), ..State::default() };
        state.crowded.extend([1, 3]);
        assert_eq!(state.take_crowded(5_000), [1], "the other is not this node's");
        assert_eq!(state.next_reload(), None);
        for n in 1..100 {
            state.crowded.insert(1);
            assert_eq!(state.take_crowded(5_000 + 10 * n), [0; 0]);
        }
        assert_eq!(state.next_reload(), Some(6_000));
        state.crowded.insert(2);
        assert_eq!(state.take_crowded(5_999), [2]);
        assert_eq!(state.take_crowded(6_000), [1], "it is not forgotten");
    }
}
