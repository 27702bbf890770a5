//! The bus over `RabbitMQ`: which broker an address is at, and which shards are attached where.
//! `node` makes one, and the supervision of runs calls it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::action::{Act, Action};
use super::broker_link::{BrokerLink, Shared};
use super::consumer_link::keep;
use super::declared::TopologyOf;
use super::heard_shard::{HeardShard, Wanted};
use super::names;
use super::offers::Offers;
use super::publisher::hand_out;
use super::removal::remove;
use super::shard_consumer::run;
use super::subscribe::Listened;
use crate::bus::address::{Attachment, BusAddress};
use crate::bus::event::{BusEvent, BusEvents};
use crate::bus::hand_out::{Bus, HandOut, HandingOut, Removing, Ticket};
use crate::clock::Clock;
use crate::delivery::call_checks::BeforeSend;
use crate::delivery::secret_cache::SecretCache;
use crate::executor::broker::options::ConnectOptions;
use crate::executor::broker::role::Role;
use crate::executor::{Broker, Options, RabbitmqSettings, WorkerSettings};
use crate::metrics::{BusMetrics, PublishMetrics};
use crate::model::ProjectId;
use crate::model::shard::ShardId;
use crate::secret::Keys;
use crate::telemetry::LogLimit;

/// The most brokers that are known; above it those go that nobody uses.
const KEPT: usize = 256;

/// The parts that a bus is made of.
pub struct RabbitMqOptions {
    /// The options of connections, which are those of callbacks.
    pub connections: Options,
    /// The counters of messages that are published.
    pub messages: PublishMetrics,
    /// The counters of the bus.
    pub metrics: BusMetrics,
    /// The keys, which open the passwords of brokers.
    pub keys: Arc<Keys>,
    /// The clock of the node.
    pub clock: Arc<dyn Clock>,
}

/// The bus. Cloning gives another handle to the same connections.
#[derive(Clone)]
pub struct RabbitMq(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    brokers: Mutex<HashMap<Broker, Arc<BrokerLink>>>,
    shards: Mutex<BTreeMap<ShardId, HashMap<Broker, watch::Sender<Wanted>>>>,
    /// The offers that are not decided about.
    offers: Arc<Offers>,
}

impl RabbitMq {
    /// A bus without connections.
    pub fn new(options: RabbitMqOptions) -> Self {
        let RabbitMqOptions { connections, messages, metrics, keys, clock } = options;
        let shared = Shared {
            options: Arc::new(ConnectOptions::of(&connections, messages, clock)),
            secrets: SecretCache::new(keys),
            metrics,
        };
        Self(Arc::new(Inner {
            shared: Arc::new(shared),
            brokers: Mutex::default(),
            shards: Mutex::default(),
            offers: Arc::default(),
        }))
    }

    /// The broker of an address, with the settings of its queue.
    fn find(to: &BusAddress) -> Result<(RabbitmqSettings, TopologyOf), String> {
        let settings = WorkerSettings::of(&to.target)?;
        let Some(settings) = settings.rabbitmq else {
            return Err("the runs of this queue do not go over a broker".to_owned());
        };
        names::check(&to.name)?;
        let of = TopologyOf { name: Arc::clone(&to.name), actions: settings.actions };
        Ok((settings, of))
    }

    /// What there is for a broker.
    fn link(&self, broker: &Broker, project: ProjectId) -> Arc<BrokerLink> {
        let mut brokers = lock(&self.0.brokers);
        if let Some(link) = brokers.get(broker) {
            return Arc::clone(link);
        }
        if brokers.len() >= KEPT {
            brokers.retain(|_, link| Arc::strong_count(link) > 1);
        }
        let link = BrokerLink::new(Arc::clone(&self.0.shared), broker.clone(), project);
        let link = Arc::new(link);
        tokio::spawn(keep(Arc::downgrade(&link)));
        brokers.insert(broker.clone(), Arc::clone(&link));
        link
    }

    fn hand_out(
        &self,
        act: Act,
        to: &BusAddress,
        ticket: Ticket,
        before_send: Option<BeforeSend>,
    ) -> HandingOut {
        let (this, to) = (self.clone(), to.clone());
        // A run can be withdrawn from now on, also before its future is polled.
        let check = before_send.map(|before_send| self.0.offers.add(&ticket.run, before_send));
        Box::pin(async move {
            let found = Self::find(&to);
            let written = found.and_then(|(settings, of)| {
                let action = Action::new(act, &settings, &to.name, ticket)?;
                Ok((settings.broker, of, action))
            });
            let (broker, of, action) = match written {
                Ok(written) => written,
                Err(error) => return HandOut::Failed { error, for_good: true },
            };
            hand_out(this.link(&broker, to.project), of, (act, action), check).await
        })
    }
}

impl Bus for RabbitMq {
    fn offer(&self, to: &BusAddress, ticket: Ticket, before_send: BeforeSend) -> HandingOut {
        self.hand_out(Act::Run, to, ticket, Some(before_send))
    }

    fn cancel(&self, to: &BusAddress, ticket: Ticket) -> HandingOut {
        self.hand_out(Act::Cancel, to, ticket, None)
    }

    fn withdraw(&self, run: &str) {
        self.0.offers.withdraw(run);
    }

    /// Called on a runtime, on which the shard is listened to.
    fn attach(&self, shard: ShardId, addresses: Vec<Attachment>, events: BusEvents) {
        static LINES: LogLimit<u64> = LogLimit::new();
        let mut by_broker: HashMap<Broker, (ProjectId, Vec<Arc<Listened>>)> = HashMap::new();
        for Attachment { address, next_due: due } in addresses {
            match Self::find(&address) {
                Ok((settings, of)) => {
                    let jobs = by_broker.entry(settings.broker);
                    let (_, jobs) = jobs.or_insert_with(|| (address.project, Vec::new()));
                    jobs.push(Arc::new(Listened { address, of, due }));
                }
                Err(why) => {
                    if LINES.admit(address.queue).is_some() {
                        let (queue, job) = (address.queue, &*address.name);
                        tracing::warn!(queue, job, why, "the workers of a job cannot be heard");
                    }
                }
            }
        }
        let mut shards = lock(&self.0.shards);
        let consumers = shards.entry(shard).or_default();
        // The end of its sender detaches a broker of which nothing is left. Its queues are not
        // heard until another one has them.
        for (_, consumer) in consumers.extract_if(|broker, _| !by_broker.contains_key(broker)) {
            let left = consumer.borrow();
            let queues: BTreeSet<u64> = left.jobs.iter().map(|job| job.address.queue).collect();
            for queue in queues {
                let why = "its queue is at another broker now, or at none".to_owned();
                // Nobody may listen any more.
                let _ = left.events.send(BusEvent::Down { shard, queue, why });
            }
        }
        for (broker, (project, mut jobs)) in by_broker {
            jobs.sort_by_key(|job| job.due);
            let wanted = Wanted { jobs: jobs.into(), events: events.clone() };
            if let Some(consumer) = consumers.get(&broker)
                && !consumer.is_closed()
            {
                consumer.send_replace(wanted);
                continue;
            }
            let (consumer, wanted) = watch::channel(wanted);
            let link = self.link(&broker, project);
            tokio::spawn(run(HeardShard::new(link, shard, wanted)));
            consumers.insert(broker, consumer);
        }
    }

    fn remove(&self, at: &BusAddress) -> Removing {
        let (this, at) = (self.clone(), at.clone());
        Box::pin(async move {
            let (settings, of) = Self::find(&at)?;
            let link = this.link(&settings.broker, at.project);
            let live = link.connection(Role::Consumer).await.map_err(|not_now| not_now.why)?;
            link.forget(&of);
            let left = remove(&live, &of).await?;
            if !left.is_empty() {
                let job = &*of.name;
                tracing::warn!(job, ?left, "queues and exchanges of a deleted job are in use");
            }
            Ok(left)
        })
    }

    fn detach(&self, shard: ShardId) {
        lock(&self.0.shards).remove(&shard);
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::executor::Actions;
    use crate::model::target::Sealed;

    /// The settings of a queue at a broker that nobody connects to.
    pub(in crate::bus::rabbitmq) fn settings() -> RabbitmqSettings {
        let broker = Broker {
            tls: false,
            host: "broker.example".to_owned(),
            port: 5_672,
            vhost: "/".to_owned(),
            user: "u".to_owned(),
            password: Sealed("sealed".to_owned()),
            ca: String::new(),
        };
        RabbitmqSettings { broker, actions: Actions::Queue, include_data: false }
    }

    /// A ticket of a shard.
    pub(in crate::bus::rabbitmq) fn ticket(shard: ShardId) -> Ticket {
        Ticket {
            run: "480788a06cd1843bcc4ff647".to_owned(),
            execution: "execution".to_owned(),
            job: 7,
            scheduled: 1_763_700_000_000,
            attempt: 2,
            shard,
            epoch: 3,
            now: 1_763_700_005_000,
            start_timeout: None,
            data: r#"{"a":1}"#.into(),
        }
    }
}
