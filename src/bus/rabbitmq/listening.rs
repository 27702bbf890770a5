//! The jobs of a shard whose workers are listened to on one channel. Jobs are subscribed to one
//! after the other, the earliest due first; one whose consumer the broker cancels, as it does when
//! a queue is deleted, gets its topology and its consumers anew. `consuming` keeps it for each
//! channel.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::SelectAll;
use futures_util::{FutureExt as _, future};
use lapin::Channel;
use lapin::options::BasicCancelOptions;
use lapin::types::ShortString;
use tokio::time::Instant;

use super::broker_link::LiveLink;
use super::heard_shard::HeardShard;
use super::subscribe::{Deliveries, Listened, Source, Subscription, Unheard, subscribe};
use crate::telemetry::LogLimit;

/// The result of a subscription.
pub(super) type Subscribed = (Arc<Listened>, Result<Subscription, Unheard>);

/// The name of a job within a shard: its queue, and its name there.
type Name = (u64, Arc<str>);

/// The jobs.
pub(super) struct Listening {
    live: LiveLink,
    channel: Channel,
    /// The jobs that are listened to, with the tags of their consumers.
    heard: HashMap<Name, (Arc<Listened>, Vec<ShortString>)>,
    /// What comes.
    pub(super) deliveries: SelectAll<Deliveries>,
    /// The subscription under way.
    pub(super) subscribing: Option<Pin<Box<dyn Future<Output = Subscribed> + Send>>>,
    /// The jobs that must have been tried before their queue is called heard.
    untried: BTreeMap<u64, BTreeSet<Arc<str>>>,
}

/// Waits for a subscription under way.
pub(super) async fn subscribed(
    subscribing: &mut Option<Pin<Box<dyn Future<Output = Subscribed> + Send>>>,
) -> Subscribed {
    match subscribing {
        Some(under_way) => {
            let result = under_way.await;
            *subscribing = None;
            result
        }
        None => future::pending().await,
    }
}

impl Listening {
    /// Nobody yet.
    pub(super) fn new(live: LiveLink, channel: Channel) -> Self {
        Self {
            live,
            channel,
            heard: HashMap::new(),
            deliveries: SelectAll::new(),
            subscribing: None,
            untried: BTreeMap::new(),
        }
    }

    /// The number of jobs that are listened to.
    pub(super) fn len(&self) -> usize {
        self.heard.len()
    }

    /// Takes in which jobs are wanted: stops listening to others, and notes what must be tried.
    pub(super) async fn want(&mut self, task: &mut HeardShard) {
        let wanted = task.wanted.borrow_and_update().clone();
        let names: HashMap<Name, &Arc<Listened>> =
            wanted.jobs.iter().map(|listened| (name(listened), listened)).collect();
        // Whatever else is in the settings of a queue: at one broker a name is one pair of queues.
        let gone = self.heard.keys().filter(|name| !names.contains_key(*name));
        let gone: Vec<Name> = gone.cloned().collect();
        for name in gone {
            self.stop(task, &name).await;
        }
        task.troubles.retain(|name, _| names.contains_key(name));
        task.tell_up_again(&names.keys().map(|(queue, _)| *queue).collect());
        self.untried.clear();
        for name in names.into_keys().filter(|(queue, _)| !task.is_up(*queue)) {
            let is_heard = self.heard.contains_key(&name);
            let untried = self.untried.entry(name.0).or_default();
            if !is_heard {
                untried.insert(name.1);
            }
        }
        self.tell_up(task);
    }

    /// Begins to listen to the next job, unless one is under way.
    pub(super) fn next_subscription(&mut self, task: &HeardShard) {
        if self.subscribing.is_some() {
            return;
        }
        let now = Instant::now();
        let wanted = task.wanted.borrow();
        let next = wanted.jobs.iter().find(|listened| {
            let name = name(listened);
            let waits = task.troubles.get(&name).is_some_and(|its| its.until(now).is_some());
            !waits && !self.heard.contains_key(&name)
        });
        let Some(next) = next.map(Arc::clone) else { return };
        let (link, live) = (Arc::clone(&task.link), Arc::clone(&self.live));
        let subscribing = subscribe(link, live, self.channel.clone(), Arc::clone(&next));
        self.subscribing = Some(Box::pin(subscribing.map(|result| (next, result))));
    }

    /// Takes in what came of a subscription. The error is the reason why the channel is closed.
    pub(super) async fn take_subscribed(
        &mut self,
        task: &mut HeardShard,
        (listened, result): Subscribed,
    ) -> Result<(), String> {
        let name = name(&listened);
        if let Some(untried) = self.untried.get_mut(&name.0) {
            untried.remove(&name.1);
        }
        let result = match result {
            Ok(Subscription { tags, deliveries }) => {
                self.deliveries.extend(deliveries);
                let is_it = |other: &Arc<Listened>| self::name(other) == name;
                let is_wanted = task.wanted.borrow().jobs.iter().any(is_it);
                self.heard.insert(name.clone(), (listened, tags));
                if !is_wanted {
                    self.stop(task, &name).await;
                }
                Ok(())
            }
            Err(Unheard::Refused(why)) => {
                complain(task, &listened, &why);
                task.troubles.entry(name).or_default().note(Instant::now());
                Ok(())
            }
            Err(Unheard::Closed(why)) => {
                // Others must not lose their channel over it again and again.
                if self.live.connection.is_open() {
                    complain(task, &listened, &why);
                    task.troubles.entry(name).or_default().note(Instant::now());
                }
                Err(why)
            }
        };
        self.tell_up(task);
        result
    }

    /// Takes in that a consumer has ended: its queue was deleted, unless this node cancelled it.
    pub(super) async fn take_ended(&mut self, task: &mut HeardShard, source: &Source) {
        let name = name(&source.listened);
        if self.heard.get(&name).is_some_and(|(_, tags)| tags.contains(&source.tag)) {
            self.stop(task, &name).await;
            task.troubles.entry(name).or_default().note(Instant::now());
        }
    }

    /// The next instant at which a job is tried again.
    pub(super) fn wake(task: &HeardShard) -> Option<Instant> {
        let now = Instant::now();
        task.troubles.values().filter_map(|its| its.until(now)).min()
    }

    /// Stops listening to a job.
    async fn stop(&mut self, task: &HeardShard, name: &Name) {
        let Some((listened, tags)) = self.heard.remove(name) else { return };
        task.link.forget(&listened.of);
        for tag in tags {
            let cancelled = self.channel.basic_cancel(tag, BasicCancelOptions::default());
            // A channel that has failed says so by its consumers.
            let _ = self.live.connection.answered(cancelled).await;
        }
    }

    /// Says which queues are heard: those all of whose jobs were tried.
    fn tell_up(&mut self, task: &mut HeardShard) {
        let up = self.untried.extract_if(.., |_, untried| untried.is_empty());
        up.for_each(|(queue, _)| task.set_up(queue));
    }
}

fn name(listened: &Listened) -> Name {
    (listened.address.queue, Arc::clone(&listened.of.name))
}

fn complain(task: &HeardShard, listened: &Listened, why: &str) {
    static LINES: LogLimit<String> = LogLimit::new();
    let broker = task.link.broker.address();
    if LINES.admit(broker.clone()).is_some() {
        let job = &*listened.of.name;
        tracing::warn!(broker, job, why, "the workers of a job cannot be heard");
    }
}
