//! The ring of a node as one task fills it, and subscriptions to it. The task follows the change
//! feed; a subscription waits for the ring to move and reads it from its own cursor.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;

use super::places::{Crowded, Place, Places};
use super::position::EventId;
use super::ring::{Cursor, Read, Ring};
use crate::cluster::Cluster;
use crate::command::Change;
use crate::listen::Principal;

/// The most facts that one read of the ring gives.
const MOST_READ: usize = 64;

/// The event stream of a node. Clones share it.
#[derive(Clone, Debug)]
pub struct EventFeed(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ring: Mutex<Ring>,
    /// Counts what was added, so that readers look again.
    moved: watch::Sender<u64>,
    /// The log index of the last transaction: only readers that are ahead look at it, so that one
    /// far ahead wakes nobody else.
    reached: watch::Sender<u64>,
    /// Set when the node is about to stop.
    ended: watch::Sender<bool>,
    places: Places,
}

/// What the task has to know of the state: the line of descent of the log, and how far it is
/// applied.
pub(super) trait Source: Send + Sync {
    /// The line of descent of the log, and the index of the last applied entry.
    fn standing(&self) -> (u128, u64);
}

impl Source for Cluster {
    fn standing(&self) -> (u128, u64) {
        (self.generation(), self.applied().borrow().index)
    }
}

impl EventFeed {
    /// A feed whose ring takes so many bytes, about. It has nothing until it is followed.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Inner {
            ring: Mutex::new(Ring::new(bytes, 0, 0)),
            moved: watch::Sender::new(0),
            reached: watch::Sender::new(0),
            ended: watch::Sender::new(false),
            places: Places::default(),
        }))
    }

    /// Follows the change feed of a cluster, until dropped.
    pub async fn follow(self, cluster: Cluster) {
        // Subscribed first: a change that is applied between the two is skipped as known.
        let changes = cluster.changes();
        self.fill(changes, &cluster).await;
    }

    pub(super) async fn fill(self, mut changes: Receiver<Arc<Change>>, source: &dyn Source) {
        self.restart(source);
        loop {
            match changes.recv().await {
                Ok(change) => self.take(&change, source),
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "the event stream fell behind: its readers are reset");
                    self.restart(source);
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn take(&self, change: &Change, source: &dyn Source) {
        let mut ring = self.ring();
        let mut wakes = ring.add(change);
        if change.nodes || change.replaced {
            let lineage = lineage(source.standing().0);
            if lineage != ring.lineage() {
                ring.restart(lineage, change.index);
                wakes = true;
            }
        }
        drop(ring);
        // Most entries of a busy cluster have no facts: a thousand readers sleep through them.
        if wakes {
            self.0.moved.send_modify(|moved| *moved += 1);
        }
        self.0.reached.send_replace(change.index);
    }

    fn restart(&self, source: &dyn Source) {
        let (generation, applied) = source.standing();
        self.ring().restart(lineage(generation), applied);
        self.0.moved.send_modify(|moved| *moved += 1);
        self.0.reached.send_replace(applied);
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all subscriptions, and those that come.
    pub fn end(&self) {
        self.0.ended.send_replace(true);
    }

    /// Begins to read for a client: behind an id that it has seen, or else from now on.
    ///
    /// # Errors
    ///
    /// [`Crowded`] where too many read.
    pub fn subscribe(
        &self,
        client: Principal,
        seen: Option<EventId>,
    ) -> Result<Subscription, Crowded> {
        let place = self.0.places.take(client)?;
        let (moved, reached) = (self.0.moved.subscribe(), self.0.reached.subscribe());
        let cursor = Cursor::new(seen.unwrap_or_else(|| self.ring().end()));
        Ok(Subscription {
            feed: self.clone(),
            cursor,
            moved,
            reached,
            is_ahead: false,
            ended: self.0.ended.subscribe(),
            _place: place,
        })
    }

    /// The place behind all that is in the ring.
    pub fn end_id(&self) -> EventId {
        self.ring().end()
    }

    /// The number of readers, and the bytes of the ring.
    pub fn occupancy(&self) -> (u32, usize) {
        (self.0.places.count(), self.ring().bytes())
    }
}

/// The lineage as ids show it: the first 32 bits.
fn lineage(generation: u128) -> u32 {
    (generation >> 96) as u32
}

/// A reader of the events of a node.
#[derive(Debug)]
pub struct Subscription {
    feed: EventFeed,
    cursor: Cursor,
    moved: watch::Receiver<u64>,
    reached: watch::Receiver<u64>,
    /// The last read was [`Read::Ahead`].
    is_ahead: bool,
    ended: watch::Receiver<bool>,
    _place: Place,
}

impl Subscription {
    /// The id up to which it has read.
    pub fn id(&self) -> EventId {
        self.cursor.id()
    }

    /// Reads on, without a wait.
    pub fn read(&mut self) -> Read {
        self.moved.mark_unchanged();
        self.reached.mark_unchanged();
        let read = self.feed.ring().read(&mut self.cursor, MOST_READ);
        self.is_ahead = read == Read::Ahead;
        read
    }

    /// Moves to the end of the ring without what lies between.
    pub fn go_to_end(&mut self) {
        self.cursor.go_to(self.feed.ring().end());
    }

    /// Waits until there are facts behind the last read, or the ring began anew; after
    /// [`Read::Ahead`], until anything was applied. Returns at once when the node is about
    /// to stop.
    pub async fn moved(&mut self) {
        let (mut ended, is_ahead) = (self.ended.clone(), self.is_ahead);
        tokio::select! {
            // Errors say that the feed is gone: the caller finds it ended.
            _ = self.moved.changed() => {}
            _ = self.reached.changed(), if is_ahead => {}
            _ = ended.wait_for(|ended| *ended) => {}
        }
    }

    /// Says whether the node is about to stop.
    pub fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::{Context, Waker};

    use tokio::sync::broadcast;

    use super::*;
    use crate::command::ChangeEvents;
    use crate::events::LostReason;
    use crate::model::event::Fact;

    struct Standing {
        generation: u128,
        applied: AtomicU64,
    }

    impl Source for Standing {
        fn standing(&self) -> (u128, u64) {
            (self.generation, self.applied.load(Ordering::SeqCst))
        }
    }

    fn change(index: u64) -> Change {
        let mut events = ChangeEvents::default();
        events.begin(index, 0);
        events.add(Fact::Members);
        Change { index, events, ..Change::default() }
    }

    /// Says whether a future is ready at once.
    fn now(future: impl Future<Output = ()>) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        pin!(future).as_mut().poll(&mut context).is_ready()
    }

    #[test]
    fn entries_without_facts_wake_only_readers_that_are_ahead() {
        let source = Standing { generation: 0, applied: AtomicU64::new(0) };
        let feed = EventFeed::new(1 << 20);
        let mut reader = feed.subscribe(Principal::MIN, None).unwrap();
        let empty = |index| Change { index, ..Change::default() };
        assert_eq!(reader.read(), Read::Nothing);
        feed.take(&empty(1), &source);
        assert!(!reader.moved.has_changed().unwrap());
        feed.take(&change(2), &source);
        assert!(reader.moved.has_changed().unwrap());
        assert!(matches!(reader.read(), Read::Events(_)));
        let seen = "00000000-4.0".parse().unwrap();
        let mut ahead = feed.subscribe(Principal::MIN, Some(seen)).unwrap();
        assert_eq!((ahead.read(), reader.read()), (Read::Ahead, Read::Nothing));
        feed.take(&empty(3), &source);
        assert!(now(ahead.moved()) && !now(reader.moved()), "nobody else is woken");
        assert_eq!(ahead.read(), Read::Nothing);
        feed.take(&empty(4), &source);
        assert!(!now(ahead.moved()) && !now(reader.moved()));
    }

    #[tokio::test]
    async fn readers_wake_and_are_reset_when_the_feed_was_behind() {
        let source = Arc::new(Standing { generation: 7 << 96, applied: AtomicU64::new(5) });
        let changes = broadcast::Sender::new(2);
        let feed = EventFeed::new(1 << 20);
        let (task, of, receiver) = (feed.clone(), source.clone(), changes.subscribe());
        let _ = changes.send(Arc::new(change(5))); // applied before the task began
        let task = tokio::spawn(async move { task.fill(receiver, &*of).await });
        let mut reader = feed.subscribe(Principal::MIN, None).unwrap();
        reader.moved().await;
        // What the reader had before the feed was followed was another log.
        assert!(matches!(reader.read(), Read::Lost { reason: LostReason::Lineage, .. }));
        assert_eq!(reader.id().to_string(), "00000007-6.0");
        let _ = changes.send(Arc::new(change(6)));
        let events = loop {
            reader.moved().await;
            match reader.read() {
                Read::Events(events) => break events,
                Read::Nothing => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!((events.len(), events[0].index), (1, 6));
        assert_eq!(reader.id().to_string(), "00000007-7.0");

        // The task has no turn while these come: it misses the first ones.
        for index in 7..12 {
            source.applied.store(index, Ordering::SeqCst);
            let _ = changes.send(Arc::new(change(index)));
        }
        loop {
            reader.moved().await;
            if let Read::Lost { reason, to, .. } = reader.read() {
                assert_eq!(
                    (reason, to.to_string().as_str()),
                    (LostReason::Expired, "00000007-12.0")
                );
                break;
            }
        }
        feed.end();
        reader.moved().await;
        assert!(reader.has_ended());
        task.abort();
    }
}
