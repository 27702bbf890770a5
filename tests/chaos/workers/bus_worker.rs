//! One worker process over the broker: it declares the topology as published workers do, takes
//! actions off the queue of its name, and sends heartbeats. It gives some messages back, leaves
//! some without an acknowledgement, and connects anew after each loss. `workers` starts it, and
//! `bus_performing` performs the runs that it gets.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Acker, BasicProperties, Channel, Confirmation, Connection, ExchangeKind};
use scheduler0::model::attempt::parse_execution_id;
use serde_json::Value;
use tokio::task::JoinSet;

use super::held::HeldRuns;
use super::record::{Ending, HandOut, Transport};
use super::{GROUPS, SILENCE, Shared, bus_name};
use crate::broker::Broker;
use crate::hosts::now;

/// The time between two rounds of heartbeats.
const BEAT: Duration = Duration::from_millis(700);
/// The messages that a worker has taken and not acknowledged, at most.
const PREFETCH: u16 = 32;
/// The time between two tries to connect.
const RECONNECT: Duration = Duration::from_millis(200);
/// The time that a connection may take to end, where the broker does not read.
const CLOSED: Duration = Duration::from_secs(1);
/// The share of messages that a worker gives back.
const RETURNS: f64 = 0.04;
/// The share of messages that a worker takes and does nothing with: it hangs.
const HANGS: f64 = 0.02;
/// The share of messages that a worker acknowledges at the end of its work, and not on receipt.
const LATE_ACKS: f64 = 0.1;

/// One worker process.
pub(super) struct BusWorker {
    /// The name of the process.
    name: String,
    /// The name of the jobs that it is for.
    pub(super) job: String,
    group: usize,
    pub(super) shared: Arc<Shared>,
    broker: Arc<Broker>,
    /// What it says is kept by a broker that dies.
    pub(super) is_kept: bool,
    pub(super) held: HeldRuns,
    /// The runs and attempts that it has got: it takes one that comes again for the same.
    seen: Mutex<BTreeSet<(String, u64)>>,
    connection: Mutex<Option<Arc<Connection>>>,
    /// The channel, while there is one. One task at a time publishes, so that confirms have the
    /// order of their messages.
    channel: tokio::sync::Mutex<Option<Channel>>,
}

/// What a worker is told.
struct Told {
    /// True for a cancel.
    is_cancel: bool,
    /// The run id.
    run: String,
    /// The execution id.
    execution: String,
    attempt: u64,
    /// The second in which it was published, in milliseconds.
    published: i64,
}

/// A message did not reach the broker, or nobody knows.
pub(super) struct Lost;

impl Told {
    /// Reads an action; `None` for one that lacks what each has.
    fn read(delivery: &Delivery, job: &str) -> Option<Self> {
        let body: Value = serde_json::from_slice(&delivery.data).ok()?;
        let is_cancel = match body["action"].as_str()? {
            "run" => false,
            "cancel" => true,
            _ => return None,
        };
        let run = body["runId"].as_str()?.to_owned();
        let id = delivery.properties.message_id().as_ref()?;
        (body["jobName"] == job && id.as_str() == run).then_some(())?;
        let headers = delivery.properties.headers().as_ref()?.inner();
        let attempt = match headers.get("scheduler-attempt")? {
            AMQPValue::LongInt(number) => u64::try_from(*number).ok()?,
            AMQPValue::LongLongInt(number) => u64::try_from(*number).ok()?,
            _ => return None,
        };
        let execution = match headers.get("scheduler-execution-id")? {
            AMQPValue::LongString(text) => text.to_string(),
            _ => return None,
        };
        let published = delivery.properties.timestamp().as_ref()?;
        let published = i64::try_from(*published).ok()? * 1_000;
        Some(Self { is_cancel, run, execution, attempt, published })
    }
}

impl BusWorker {
    pub(super) fn new(name: String, place: u64, shared: &Arc<Shared>, broker: Arc<Broker>) -> Self {
        Self {
            name,
            job: bus_name(place / GROUPS),
            group: (place % GROUPS) as usize,
            shared: Arc::clone(shared),
            broker,
            is_kept: rand::random_bool(0.5),
            held: HeldRuns::new(shared),
            seen: Mutex::default(),
            connection: Mutex::default(),
            channel: tokio::sync::Mutex::default(),
        }
    }

    /// Works until it is stopped, and until what it has is over.
    pub(super) async fn live(self: Arc<Self>) {
        let mut performing = JoinSet::new();
        let work = async {
            while !(self.shared.stops() && performing.is_empty()) {
                // An error is a connection that ended with the broker.
                let _ = self.connected(&mut performing).await;
                self.close();
                tokio::time::sleep(RECONNECT).await;
                while performing.try_join_next().is_some() {}
            }
        };
        tokio::join!(work, self.beat_all());
        self.channel.lock().await.take();
    }

    /// Returns when the worker is not frozen.
    pub(super) async fn thawed(&self) {
        self.shared.thawed(self.group).await;
    }

    /// Notes that the process has died: what it has is silent from now on, and its connection ends.
    pub(super) async fn is_dead(&self, at: i64) {
        self.held.die(at);
        self.close();
        self.channel.lock().await.take();
    }

    /// Ends the connection, if there is one.
    fn close(&self) {
        if let Some(connection) = self.connection.lock().unwrap().take() {
            tokio::spawn(async move {
                let close = connection.close(200, "ends".into());
                // It may have ended before.
                let _ = tokio::time::timeout(CLOSED, close).await;
            });
        }
    }

    /// Takes actions until the connection ends, or the worker has stopped.
    async fn connected(self: &Arc<Self>, performing: &mut JoinSet<()>) -> lapin::Result<()> {
        self.thawed().await;
        let connection = Arc::new(self.broker.connect().await?);
        *self.connection.lock().unwrap() = Some(Arc::clone(&connection));
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        self.declare(&channel).await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let (queue, options) =
            (format!("scheduler.job.{}.action", self.job), BasicConsumeOptions::default());
        let actions =
            channel.basic_consume(queue.into(), "".into(), options, FieldTable::default());
        let mut actions = actions.await?;
        *self.channel.lock().await = Some(channel);
        let mut ticker = tokio::time::interval(RECONNECT);
        loop {
            tokio::select! {
                delivery = actions.next(), if !self.shared.stops() => {
                    let Some(delivery) = delivery else { return Ok(()) };
                    self.thawed().await;
                    self.take(delivery?, performing).await?;
                }
                Some(_) = performing.join_next() => {}
                _ = ticker.tick() => {
                    if self.shared.stops() && performing.is_empty() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Declares the exchange and the queues of its name.
    async fn declare(&self, channel: &Channel) -> lapin::Result<()> {
        let (exchange, none) = (format!("scheduler.job.{}", self.job), FieldTable::default());
        let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let (to, topic) = (exchange.as_str(), ExchangeKind::Topic);
        channel.exchange_declare(to.into(), topic, durable, none.clone()).await?;
        for word in ["action", "status", "heartbeat"] {
            let queue = format!("{exchange}.{word}");
            let durable = QueueDeclareOptions { durable: true, ..Default::default() };
            channel.queue_declare(queue.as_str().into(), durable, none.clone()).await?;
            let options = QueueBindOptions::default();
            let queue = queue.as_str().into();
            channel.queue_bind(queue, to.into(), word.into(), options, none.clone()).await?;
        }
        Ok(())
    }

    /// Takes an action.
    async fn take(
        self: &Arc<Self>,
        delivery: Delivery,
        performing: &mut JoinSet<()>,
    ) -> lapin::Result<()> {
        let told = Told::read(&delivery, &self.job);
        let acker = delivery.acker;
        let Some(told) = told else {
            let text = String::from_utf8_lossy(&delivery.data);
            self.shared.wrong_message("an action", &format!("{text} {:?}", delivery.properties));
            return ack(&acker).await;
        };
        if told.is_cancel {
            self.held.fence();
            // What another process has, that one is told at the next time.
            self.held.told(&told.run, None, Ending::Cancelled);
            return ack(&acker).await;
        }
        let Some(one) = self.hand_out(&told, delivery.redelivered) else {
            self.shared.wrong_message("an execution id", &told.execution);
            return ack(&acker).await;
        };
        if rand::random_bool(RETURNS) {
            self.shared.add(one.over(Ending::Returned));
            let options = BasicNackOptions { requeue: true, ..Default::default() };
            return acker.nack(options).await.map(drop);
        }
        let is_new = self.seen.lock().unwrap().insert((told.run.clone(), told.attempt));
        if !is_new {
            self.shared.add(one.copy());
            return ack(&acker).await;
        }
        if rand::random_bool(HANGS) {
            self.shared.add(one.over(Ending::Silent));
            return Ok(());
        }
        let deadline = one.from + SILENCE.0;
        let Some(run) = self.held.take(&told.run, one, deadline) else {
            return ack(&acker).await;
        };
        let is_late = rand::random_bool(LATE_ACKS);
        if !is_late {
            ack(&acker).await?;
        }
        performing.spawn(Arc::clone(self).perform(run, is_late.then_some(acker)));
        Ok(())
    }

    /// A run that came now; `None` for one without an execution id.
    fn hand_out(&self, told: &Told, redelivered: bool) -> Option<HandOut> {
        Some(HandOut {
            occurrence: parse_execution_id(&told.execution)?,
            id: told.execution.clone(),
            attempt: told.attempt,
            transport: Transport::Message { redelivered },
            worker: self.name.clone(),
            asked: told.published,
            from: now(),
            until: i64::MAX,
            ending: Ending::Held,
            answered: i64::MAX,
            said_done: false,
            overdue: false,
        })
    }

    /// Publishes once, and waits for the confirm.
    pub(super) async fn publish(
        &self,
        word: &str,
        body: &Value,
        is_kept: bool,
    ) -> Result<(), Lost> {
        self.thawed().await;
        let exchange = format!("scheduler.job.{}", self.job);
        let properties = BasicProperties::default().with_delivery_mode(if is_kept { 2 } else { 1 });
        let (options, body) = (BasicPublishOptions::default(), body.to_string());
        let confirm = {
            let channel = self.channel.lock().await;
            let channel = channel.as_ref().ok_or(Lost)?;
            let publish = channel.basic_publish(
                exchange.into(),
                word.into(),
                options,
                body.as_bytes(),
                properties,
            );
            publish.await.map_err(|_| Lost)?
        };
        match confirm.await {
            Ok(Confirmation::Ack(None)) => Ok(()),
            _ => Err(Lost),
        }
    }

    /// Sends heartbeats for all that it has, and stops what had no confirm in time.
    async fn beat_all(self: &Arc<Self>) {
        let mut ticker = tokio::time::interval(BEAT);
        // Dropped at the end, with what the broker does not take.
        let mut under_way = JoinSet::new();
        while !self.shared.stops() || !self.held.is_empty() {
            ticker.tick().await;
            while under_way.try_join_next().is_some() {}
            self.thawed().await;
            self.held.fence();
            if under_way.is_empty() {
                under_way.spawn(Arc::clone(self).beat());
            }
        }
    }

    /// Sends a heartbeat for each of its runs.
    async fn beat(self: Arc<Self>) {
        for (run, _, place) in self.held.all() {
            let (sent, body) = (now(), serde_json::json!({"jobName": self.job, "runId": run}));
            if self.publish("heartbeat", &body, false).await.is_ok() {
                self.held.extend(&run, place, sent + SILENCE.0);
            }
        }
    }
}

/// Acknowledges a message.
pub(super) async fn ack(acker: &Acker) -> lapin::Result<()> {
    acker.ack(BasicAckOptions::default()).await.map(drop)
}
