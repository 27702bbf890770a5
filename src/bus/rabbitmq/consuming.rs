//! The consuming on one channel, up to its end: what workers say is told, in the order of each run,
//! and acknowledged when its receipt says so. `shard_consumer` runs it.
//!
//! A message whose receipt was dropped comes again: the channel is closed and opened anew a few
//! seconds later, and with it all that is not acknowledged.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::StreamExt as _;
use futures_util::{FutureExt as _, future};
use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicRejectOptions};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::ack_window::{Ack, AckWindow};
use super::broker_link::LiveLink;
use super::heard_shard::HeardShard;
use super::listening::{Listening, subscribed};
use super::names::Subject;
use super::report::{Poison, read};
use super::run_order::RunOrder;
use super::subscribe::{Incoming, Listened, PLACES_OF_JOB, Source};
use crate::bus::event::{BusEvent, Heard};
use crate::bus::receipt::{Receipt, Settlement};
use crate::executor::broker::failure::Failure;
use crate::telemetry::LogLimit;

/// The messages that are handled before acknowledgements are sent.
const AT_ONCE: usize = 256;
/// The time after which what was dropped comes again.
const COMES_AGAIN: Duration = Duration::from_secs(5);

const TOO_MANY: &str = "the broker delivered more messages than it may";

/// The reason of an end.
pub(super) enum End {
    /// The shard was detached, or nobody listens.
    Detached,
    /// Another channel takes over at once.
    Renewed,
    /// The channel or the connection has failed.
    Lost(String),
}

struct Consuming<'t> {
    task: &'t mut HeardShard,
    live: LiveLink,
    channel: Channel,
    listening: Listening,
    acks: AckWindow,
    order: RunOrder<Heard>,
    receipts: UnboundedSender<(u64, Settlement)>,
    /// The instant at which the channel is renewed.
    renewal: Option<Instant>,
}

/// Consumes until the end of the channel.
pub(super) async fn consume(task: &mut HeardShard, live: LiveLink) -> End {
    let lost = || End::Lost("the connection to the broker was lost".to_owned());
    let place = tokio::select! {
        place = live.connection.place() => place,
        () = live.connection.ended() => None,
    };
    let Some(_place) = place else { return lost() };
    let opened = live.connection.on_new_channel(|channel| std::future::ready(Ok(channel)));
    let Ok(channel) = opened.await else { return lost() };
    let (receipts, mut settled) = unbounded_channel();
    let mut this = Consuming {
        listening: Listening::new(Arc::clone(&live), channel.clone()),
        task,
        live: Arc::clone(&live),
        channel,
        acks: AckWindow::default(),
        order: RunOrder::default(),
        receipts,
        renewal: None,
    };
    let mut open = this.task.link.open.subscribe();
    let mut ended = std::pin::pin!(live.connection.ended());
    let mut batch = Vec::with_capacity(AT_ONCE);
    this.listening.want(this.task).await;
    let end = loop {
        this.listening.next_subscription(this.task);
        let wake = Listening::wake(this.task).into_iter().chain(this.renewal).min();
        let step = tokio::select! {
            biased;
            changed = this.task.wanted.changed() => match changed {
                Ok(()) => {
                    this.listening.want(this.task).await;
                    Ok(())
                }
                Err(_) => Err(End::Detached),
            },
            () = &mut ended => Err(lost()),
            _ = settled.recv_many(&mut batch, AT_ONCE) => this.settle(&mut batch),
            Some(came) = this.listening.deliveries.next() => this.take_in(came).await,
            result = subscribed(&mut this.listening.subscribing) => {
                this.listening.take_subscribed(this.task, result).await.map_err(End::Lost)
            }
            changed = open.changed() => match changed {
                Ok(()) if this.is_replaced() => Err(End::Renewed),
                _ => Ok(()),
            },
            () = sleep_until(wake) => this.wake(),
        };
        let step = match step {
            Ok(()) => this.acknowledge().await,
            Err(end) => Err(end),
        };
        if let Err(end) = step {
            break end;
        }
    };
    if !matches!(end, End::Lost(_)) {
        // What is dealt with is acknowledged, what is not goes to the next consumer.
        while let Ok(one) = settled.try_recv() {
            batch.push(one);
        }
        let _ = this.settle(&mut batch);
        let _ = this.acknowledge().await;
        let _ = this.live.connection.answered(this.channel.close(200, "OK".into())).await;
    }
    end
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(wake) => tokio::time::sleep_until(wake).await,
        None => future::pending().await,
    }
}

impl Consuming<'_> {
    fn wake(&self) -> Result<(), End> {
        match self.renewal {
            Some(at) if at <= Instant::now() => Err(End::Renewed),
            // A job is tried again.
            _ => Ok(()),
        }
    }

    /// Whether another connection has taken over.
    fn is_replaced(&self) -> bool {
        let open = self.task.link.open.borrow();
        open.as_ref().is_some_and(|open| !Arc::ptr_eq(open, &self.live))
    }

    /// Takes in what came of receipts.
    fn settle(&mut self, batch: &mut Vec<(u64, Settlement)>) -> Result<(), End> {
        for (tag, settlement) in batch.drain(..) {
            self.acks.settled(tag, settlement);
            if settlement == Settlement::Dropped {
                self.renewal.get_or_insert_with(|| Instant::now() + COMES_AGAIN);
                continue;
            }
            if let Some(next) = self.order.settled(tag) {
                self.tell(next)?;
            }
        }
        Ok(())
    }

    /// Takes in what came, and what came with it.
    async fn take_in(&mut self, first: (Source, Incoming)) -> Result<(), End> {
        let mut next = Some(first);
        for left in (0..AT_ONCE).rev() {
            let Some((source, incoming)) = next else { break };
            match incoming {
                Incoming::Delivery(delivery) => self.delivered(source, &delivery)?,
                Incoming::Failed(error) => return Err(End::Lost(Failure::of(&error).text)),
                Incoming::Ended if self.channel.status().connected() => {
                    self.listening.take_ended(self.task, &source).await;
                }
                Incoming::Ended => return Err(self.closed()),
            }
            next = match left {
                0 => None,
                _ => self.listening.deliveries.next().now_or_never().flatten(),
            };
        }
        Ok(())
    }

    fn delivered(&mut self, source: Source, delivery: &Delivery) -> Result<(), End> {
        let tag = delivery.delivery_tag;
        self.acks.delivered(tag);
        // Some consumers are of jobs that went.
        if self.acks.len() > (self.listening.len() + 8) * 2 * PLACES_OF_JOB {
            self.live.connection.end(TOO_MANY);
            return Err(End::Lost(TOO_MANY.to_owned()));
        }
        let Source { listened, subject, .. } = source;
        let metrics = &self.task.link.shared.metrics;
        let kind = subject.word();
        let report = match read(subject, &listened.of.name, &delivery.data) {
            Ok(report) => report,
            Err(poison) => {
                metrics.message(kind, "poison");
                self.warn_of_poison(&listened, poison);
                self.acks.settled(tag, Settlement::Poison);
                return Ok(());
            }
        };
        let Some(said) = report.said else {
            metrics.message(kind, "ignored");
            self.acks.settled(tag, Settlement::Done);
            return Ok(());
        };
        let receipt = Receipt::new(tag, self.receipts.clone());
        let address = listened.address.clone();
        let (run, is_redelivered) = (report.run.clone(), delivery.redelivered);
        let heard = Heard { address, run, said, is_redelivered, receipt };
        if subject == Subject::Heartbeat {
            return self.tell(heard);
        }
        match self.order.arrived((Arc::clone(&listened.of.name), report.run), tag, heard) {
            Some(heard) => self.tell(heard),
            None => Ok(()),
        }
    }

    fn warn_of_poison(&self, listened: &Listened, poison: Poison) {
        static LINES: LogLimit<String> = LogLimit::new();
        let job = &*listened.of.name;
        if let Some(unsaid) = LINES.admit(job.to_owned()) {
            let broker = self.task.link.broker.address();
            let why = poison.to_string();
            tracing::warn!(broker, job, why, unsaid, "a message of a worker is not understood");
        }
    }

    fn tell(&self, heard: Heard) -> Result<(), End> {
        if self.task.tell(BusEvent::Heard(heard)) { Ok(()) } else { Err(End::Detached) }
    }

    /// Sends the acknowledgements that are due.
    async fn acknowledge(&mut self) -> Result<(), End> {
        for ack in self.acks.take() {
            let connection = &self.live.connection;
            let sent = match ack {
                Ack::Reject(tag) => {
                    let options = BasicRejectOptions { requeue: false };
                    connection.answered(self.channel.basic_reject(tag, options)).await
                }
                Ack::One(tag) => {
                    let options = BasicAckOptions { multiple: false };
                    connection.answered(self.channel.basic_ack(tag, options)).await
                }
                Ack::UpTo(tag) => {
                    let options = BasicAckOptions { multiple: true };
                    connection.answered(self.channel.basic_ack(tag, options)).await
                }
            };
            sent.map_err(|_| self.closed())?;
        }
        Ok(())
    }

    fn closed(&self) -> End {
        let reason = self.live.connection.reason();
        End::Lost(reason.unwrap_or("the broker closed the channel").to_owned())
    }
}
