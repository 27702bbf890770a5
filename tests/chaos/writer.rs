//! The writer: it creates, edits, pauses, runs and deletes jobs through random nodes as careful
//! clients do, with idempotency keys and versions, and repeats each request until its outcome is
//! known. Jobs call receivers, publish messages, or are performed by workers, whose runs it
//! cancels. Acknowledged writes go into [`Expected`], each try into a log. It also reads its writes
//! back, linearizably. `operations` has the single writes, `cancelling` the cancels.

mod cancelling;
mod operations;

use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::broker::Broker;
use crate::expected::{Expected, ExpectedJob};
use crate::faults::Random;
use crate::hosts::{Hosts, now};
use crate::receiver::Receivers;
use crate::workers::{BUS_QUEUE, BUS_SILENCE, QUEUE, SILENCE};

/// The number of clients that write at a time.
const CLIENTS: u64 = 4;
/// The number of jobs that fire, for each shard.
const FIRING: u64 = 6;
/// The number of jobs that only fill a shard.
const IDLE: u64 = 64 - FIRING;

/// The choices of a client, out of a hundred, from 82 on to this one are cancels.
const CANCELS_END: u64 = 92;

/// The time until the nodes know of each other that all kinds of executors may be created.
const UPGRADED: Duration = Duration::from_secs(30);

/// The numbers of tries by their outcome.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Writes that were acknowledged.
    pub(crate) acked: AtomicU64,
    /// Tries without an answer, whose outcome is unknown.
    pub(crate) unknown: AtomicU64,
    /// Tries that a node refused for now (5xx, 429).
    pub(crate) refused: AtomicU64,
    /// Writes that had taken effect although their first tries seemed to fail.
    pub(crate) recovered: AtomicU64,
    /// Answered linearizable reads.
    pub(crate) reads: AtomicU64,
}

/// The writer of a run.
pub(crate) struct Writer {
    hosts: Arc<Hosts>,
    receivers: Arc<Receivers>,
    seed: u64,
    project: u64,
    targets: Targets,
    log: Mutex<File>,
    stop: AtomicBool,
    /// The acknowledged writes.
    pub(crate) expected: Mutex<Expected>,
    /// The numbers of tries.
    pub(crate) tally: Tally,
    /// Answers that no rule allows.
    pub(crate) wrong: Mutex<Vec<String>>,
}

/// What jobs other than calls are sent to.
#[derive(Debug, Default)]
struct Targets {
    /// The settings of a job that publishes; null without a broker.
    message: Value,
    /// The executor that publishes; 0 without a broker.
    exchange: u64,
    /// The queue of the workers that claim.
    queue: u64,
    /// The queue of the workers at the broker; 0 without a broker.
    bus_queue: u64,
}

/// A final answer.
struct Reply {
    status: u16,
    body: Value,
    node: u64,
    /// True when an earlier try may have taken effect.
    doubtful: bool,
}

impl Writer {
    /// Creates the project and the first jobs, in `shards` shards.
    pub(crate) async fn begin(
        hosts: Arc<Hosts>,
        receivers: Arc<Receivers>,
        broker: Option<&Broker>,
        seed: u64,
        shards: u64,
    ) -> anyhow::Result<Arc<Self>> {
        let log = File::create(hosts.folder().join("writes.ndjson"))?;
        let mut writer = Self {
            hosts,
            receivers,
            seed,
            project: 0,
            targets: Targets::default(),
            log: Mutex::new(log),
            stop: AtomicBool::new(false),
            expected: Mutex::default(),
            tally: Tally::default(),
            wrong: Mutex::default(),
        };
        let mut random = Random::new(seed ^ 0x77_7269_7465);
        let project = json!({"name": "chaos", "description": "of a test"});
        let made = writer.post(&mut random, "project", "/api/v1/projects", &project).await?;
        writer.project = made["id"].as_u64().context("a project's id")?;
        writer.targets = writer.targets(&mut random, broker).await?;
        let idle = json!({
            "projectId": writer.project, "spec": "@yearly", "timezone": "UTC",
            "callbackUrl": writer.receivers.url(0), "data": "idle",
        });
        let idle = Value::from(vec![idle; IDLE as usize]);
        for _ in 0..shards {
            writer.post(&mut random, "idle jobs", "/api/v1/jobs", &idle).await?;
            writer.expected.lock().unwrap().idle_jobs += IDLE;
            for _ in 0..FIRING {
                writer.create(&mut random, true).await;
            }
        }
        let made = writer.expected.lock().unwrap().jobs.len() as u64;
        if made < shards * FIRING {
            bail!("of {} jobs only {made} were created before any fault", shards * FIRING);
        }
        Ok(Arc::new(writer))
    }

    /// Creates the executors, which the nodes take once all of them are known to be of a version
    /// that knows these kinds.
    async fn targets(
        &self,
        random: &mut Random,
        broker: Option<&Broker>,
    ) -> anyhow::Result<Targets> {
        let queue = json!({"name": QUEUE, "type": "worker",
            "worker": {"bus": "embedded", "heartbeatTimeout": SILENCE.1}});
        let mut targets =
            Targets { queue: self.executor(random, &queue).await?, ..Targets::default() };
        if let Some(broker) = broker {
            targets.message = broker.target();
            let exchange = json!({"name": "broker", "type": "amqp", "amqp": targets.message});
            targets.exchange = self.executor(random, &exchange).await?;
            let settings = broker.queue_settings(BUS_SILENCE);
            let queue = json!({"name": BUS_QUEUE, "type": "worker", "worker": settings});
            targets.bus_queue = self.executor(random, &queue).await?;
        }
        Ok(targets)
    }

    async fn executor(&self, random: &mut Random, body: &Value) -> anyhow::Result<u64> {
        let until = Instant::now() + UPGRADED;
        loop {
            match self.post(random, "executor", "/api/v1/executors", body).await {
                Ok(made) => return made["id"].as_u64().context("an executor's id"),
                Err(error) if Instant::now() > until => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    async fn post(
        &self,
        random: &mut Random,
        what: &str,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let key = format!("{what}-{:016x}", random.next());
        let reply = self
            .ask(random, what, 0, |hosts, node| {
                let request = hosts.http().post(hosts.url(node, path)).json(body);
                request.header("idempotency-key", &key)
            })
            .await;
        if !(200..300).contains(&reply.status) {
            bail!("POST {path}: {} {}", reply.status, reply.body);
        }
        Ok(reply.body["data"].clone())
    }

    /// Writes until [`Writer::stop`] is called.
    pub(crate) async fn write(self: Arc<Self>) {
        let clients = (0..CLIENTS).map(|client| Arc::clone(&self).client(client));
        futures_util::future::join_all(clients).await;
    }

    /// Ends the writing; writes under way go on until their outcome is known.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    async fn client(self: Arc<Self>, client: u64) {
        let mut random = Random::new(self.seed.wrapping_mul(31) ^ client);
        while !self.stop.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(50 + random.below(300))).await;
            let what = random.below(100);
            if what < 25 {
                self.create(&mut random, false).await;
                continue;
            }
            let cancels = (82..CANCELS_END).contains(&what);
            // Only one client changes a job, so that the order of its changes is known.
            let job = {
                let expected = self.expected.lock().unwrap();
                let own = expected.jobs.values().filter(|job| job.id % CLIENTS == client);
                let fits = |job: &&ExpectedJob| {
                    if cancels { job.kind.is_run() } else { !job.is_once() }
                };
                let own: Vec<_> = own.filter(|job| job.deleted.is_none()).filter(fits).collect();
                own.get(random.below(own.len().max(1) as u64) as usize).map(|job| (*job).clone())
            };
            let Some(job) = job else { continue };
            match what {
                25..65 => self.edit(&mut random, job).await,
                65..72 => self.delete(&mut random, job).await,
                72..82 => self.run(&mut random, job).await,
                82..CANCELS_END => self.cancel(&mut random, job).await,
                _ => self.read(&mut random, job).await,
            }
        }
    }

    /// Sends a request to random nodes until one gives a final answer.
    async fn ask(
        &self,
        random: &mut Random,
        what: &str,
        job: u64,
        request: impl Fn(&Hosts, u64) -> RequestBuilder,
    ) -> Reply {
        let mut doubtful = false;
        loop {
            let node = 1 + random.below(*self.hosts.ids().end());
            let asked = now();
            let (status, body) = match request(&self.hosts, node).send().await {
                Err(_) => (0, Value::Null),
                Ok(response) => {
                    let status = response.status().as_u16();
                    match response.bytes().await {
                        Err(_) => (0, Value::Null),
                        Ok(body) => (status, serde_json::from_slice(&body).unwrap_or_default()),
                    }
                }
            };
            let line = json!({"at": asked, "took": now() - asked, "node": node, "what": what,
                "job": job, "status": status, "error": body["error"]["message"],
                "version": body["data"]["version"]});
            // A failure to write this log does not matter to the run.
            let _ = writeln!(self.log.lock().unwrap(), "{line}");
            match status {
                0 => self.tally.unknown.fetch_add(1, Ordering::Relaxed),
                429 | 501.. => self.tally.refused.fetch_add(1, Ordering::Relaxed),
                _ => return Reply { status, body, node, doubtful },
            };
            doubtful = true;
            tokio::time::sleep(Duration::from_millis(100 + random.below(200))).await;
        }
    }

    fn wrong(&self, what: &str, job: u64, reply: &Reply) {
        let Reply { status, body, node, doubtful } = reply;
        let text = format!(
            "{what} of job {job} through node {node}, doubtful {doubtful}: {status} {body}"
        );
        self.wrong.lock().unwrap().push(text);
    }

    fn acked(&self, reply: &Reply, again: bool) {
        self.tally.acked.fetch_add(1, Ordering::Relaxed);
        if again || (reply.doubtful && reply.status >= 400) {
            self.tally.recovered.fetch_add(1, Ordering::Relaxed);
        }
    }
}
