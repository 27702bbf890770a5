//! The writer: creates, edits, pauses, runs and deletes jobs through random nodes, as careful clients
//! do: with idempotency keys and versions, and again until the outcome is known. What was acknowledged
//! goes into the books, with every try into a log. It also reads back, linearizably, what it wrote.

use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use scheduler0::model::block::parse_execution_id;
use scheduler0::model::time::rfc3339;

use crate::books::{Books, JobBook, RunBook};
use crate::faults::Chance;
use crate::hosts::{Hosts, now};
use crate::receiver::{DESTINATIONS, Receivers};

/// How many clients write at a time.
const CLIENTS: u64 = 4;
/// Jobs of each shard that fire, and those that only fill it up.
const AWAKE: u64 = 6;
const ASLEEP: u64 = 64 - AWAKE;

/// What became of tries.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Writes that were acknowledged.
    pub(crate) acked: AtomicU64,
    /// Tries without an answer: the outcome is unknown.
    pub(crate) unknown: AtomicU64,
    /// Tries that a node refused for the time being (5xx, 429).
    pub(crate) refused: AtomicU64,
    /// Writes that had taken effect though the first tries had seemed to fail.
    pub(crate) recovered: AtomicU64,
    /// Linearizable reads that were answered.
    pub(crate) reads: AtomicU64,
}

/// The writer of a run.
pub(crate) struct Writer {
    hosts: Arc<Hosts>,
    receivers: Arc<Receivers>,
    seed: u64,
    project: u64,
    log: Mutex<File>,
    stop: AtomicBool,
    /// What was acknowledged.
    pub(crate) books: Mutex<Books>,
    /// What became of tries.
    pub(crate) tally: Tally,
    /// Answers that no rule allows.
    pub(crate) wrong: Mutex<Vec<String>>,
}

/// A final answer.
struct Reply {
    status: u16,
    body: Value,
    node: u64,
    /// Whether an earlier try may have done it.
    doubtful: bool,
}

impl Writer {
    /// Makes the project and the jobs to begin with, in so many shards.
    pub(crate) async fn begin(
        hosts: Arc<Hosts>,
        receivers: Arc<Receivers>,
        seed: u64,
        shards: u64,
    ) -> anyhow::Result<Arc<Self>> {
        let log = File::create(hosts.folder().join("writes.ndjson"))?;
        let mut writer = Self {
            hosts,
            receivers,
            seed,
            project: 0,
            log: Mutex::new(log),
            stop: AtomicBool::new(false),
            books: Mutex::default(),
            tally: Tally::default(),
            wrong: Mutex::default(),
        };
        let mut chance = Chance::new(seed ^ 0x77_7269_7465);
        let project = json!({"name": "chaos", "description": "of a test"});
        let made = writer.post(&mut chance, "project", "/api/v1/projects", &project).await?;
        writer.project = made["id"].as_u64().context("a project's id")?;
        let asleep = json!({
            "projectId": writer.project, "spec": "@yearly", "timezone": "UTC",
            "callbackUrl": writer.receivers.url(0), "data": "asleep",
        });
        let asleep = Value::from(vec![asleep; ASLEEP as usize]);
        for _ in 0..shards {
            writer.post(&mut chance, "sleepers", "/api/v1/jobs", &asleep).await?;
            writer.books.lock().unwrap().sleepers += ASLEEP;
            for _ in 0..AWAKE {
                writer.create(&mut chance, true).await;
            }
        }
        let made = writer.books.lock().unwrap().jobs.len() as u64;
        if made < shards * AWAKE {
            bail!("of {} jobs only {made} were created before any fault", shards * AWAKE);
        }
        Ok(Arc::new(writer))
    }

    async fn post(
        &self,
        chance: &mut Chance,
        what: &str,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let key = format!("{what}-{:016x}", chance.next());
        let reply = self
            .ask(chance, what, 0, |hosts, node| {
                let request = hosts.http().post(hosts.url(node, path)).json(body);
                request.header("idempotency-key", &key)
            })
            .await
            .context("the writer was stopped")?;
        if !(200..300).contains(&reply.status) {
            bail!("POST {path}: {} {}", reply.status, reply.body);
        }
        Ok(reply.body["data"].clone())
    }

    /// Writes until it is told to stop.
    pub(crate) async fn write(self: Arc<Self>) {
        let clients = (0..CLIENTS).map(|client| Arc::clone(&self).client(client));
        futures_util::future::join_all(clients).await;
    }

    /// No new writes; those under way go on until their outcome is known.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    async fn client(self: Arc<Self>, client: u64) {
        let mut chance = Chance::new(self.seed.wrapping_mul(31) ^ client);
        while !self.stop.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(50 + chance.below(300))).await;
            let what = chance.below(100);
            if what < 25 {
                self.create(&mut chance, false).await;
                continue;
            }
            // A job is only ever changed by one client, so that the order of its changes is known.
            let job = {
                let books = self.books.lock().unwrap();
                let own = books.jobs.values().filter(|job| job.id % CLIENTS == client);
                let own: Vec<_> =
                    own.filter(|job| job.deleted.is_none() && !job.is_once()).collect();
                own.get(chance.below(own.len().max(1) as u64) as usize).map(|job| (*job).clone())
            };
            let Some(job) = job else { continue };
            match what {
                25..65 => self.edit(&mut chance, job).await,
                65..72 => self.delete(&mut chance, job).await,
                72..82 => self.run(&mut chance, job).await,
                _ => self.read(&mut chance, job).await,
            }
        }
    }

    /// Asks random nodes until one gives an answer that is final. `None`: stopped long since.
    async fn ask(
        &self,
        chance: &mut Chance,
        what: &str,
        job: u64,
        request: impl Fn(&Hosts, u64) -> RequestBuilder,
    ) -> Option<Reply> {
        let mut doubtful = false;
        loop {
            let node = 1 + chance.below(*self.hosts.ids().end());
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
            // A log that cannot be written is noticed by whoever looks for it.
            let _ = writeln!(self.log.lock().unwrap(), "{line}");
            match status {
                0 => self.tally.unknown.fetch_add(1, Ordering::Relaxed),
                429 | 501.. => self.tally.refused.fetch_add(1, Ordering::Relaxed),
                _ => return Some(Reply { status, body, node, doubtful }),
            };
            doubtful = true;
            tokio::time::sleep(Duration::from_millis(100 + chance.below(200))).await;
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

    async fn create(&self, chance: &mut Chance, periodic: bool) {
        let (single, patient) = (chance.below(2) == 0, chance.below(3) > 0);
        let target = self.receivers.url(chance.below(DESTINATIONS as u64) as usize);
        let mut job = json!({
            "projectId": self.project, "timezone": "UTC", "timeout": "3s",
            "data": format!("{:016x}", chance.next()), "retryDelay": "1s", "retryFactor": 1,
            "retryMax": if chance.below(5) == 0 { 2 } else { 100 },
        });
        if single {
            job["http"] = json!({"method": "POST", "url": format!("{target}/single")});
        } else {
            job["callbackUrl"] = json!(target);
        }
        if patient {
            job["misfire"] = json!({"policy": "all", "grace": "1h", "max": 10_000});
        }
        let (mut every, mut after) = (None, None);
        match if periodic { 0 } else { chance.below(4) } {
            0 | 1 => {
                let period = *every.insert(1 + chance.below(10) as i64);
                job["spec"] = json!(format!("@every {period}s"));
            }
            2 => {
                let delay = *after.insert(1 + chance.below(20) as i64);
                job["after"] = json!(format!("{delay}s"));
            }
            _ => job["at"] = json!(rfc3339(now() + 2_000 + chance.below(20_000) as i64)),
        }
        let (key, body) = (format!("job-{:016x}", chance.next()), json!([job]));
        let reply = self.ask(chance, "create", 0, |hosts, node| {
            let request = hosts.http().post(hosts.url(node, "/api/v1/jobs")).json(&body);
            request.header("idempotency-key", &key).header("prefer", "return=representation")
        });
        let Some(reply) = reply.await else { return };
        let made = match &reply.body["data"] {
            Value::Array(jobs) => jobs.first().cloned().unwrap_or_default(),
            job => job.clone(),
        };
        match JobBook::created(&made, every, after) {
            Some(book) if reply.status == 201 => {
                self.acked(&reply, false);
                self.books.lock().unwrap().jobs.insert(book.id, book);
            }
            // A one-off whose instant passed while nobody could be reached is rightly refused.
            _ if reply.status == 422 && every.is_none() && after.is_none() => {}
            _ => self.wrong("create", 0, &reply),
        }
    }

    /// Takes a changed job into the books.
    fn changed(&self, what: &str, id: u64, every: Option<i64>, paused: bool, reply: &Reply) {
        let mut books = self.books.lock().unwrap();
        let book = books.jobs.get_mut(&id).unwrap();
        if book.changed(&reply.body["data"], every, paused).is_none() {
            drop(books);
            self.wrong(what, id, reply);
        }
    }

    /// Changes data, period or status. Each edit names the version that it is made for: a try that
    /// was stuck somewhere must not undo a later change.
    async fn edit(&self, chance: &mut Chance, job: JobBook) {
        let data = format!("{:016x}", chance.next());
        let mut edit = json!({"data": data});
        let (mut every, mut paused) = (None, job.last().paused);
        match chance.below(5) {
            0 | 1 => {
                let period = 1 + chance.below(10) as i64;
                edit["spec"] = json!(format!("@every {period}s"));
                // The same spec once more is no new schedule.
                every = (job.last().period() != Some(period * 1_000)).then_some(period);
            }
            // More are resumed than paused: who is paused proves little.
            2 | 3 if paused || chance.below(2) == 0 => {
                paused = !paused;
                edit["status"] = json!(if paused { "inactive" } else { "active" });
            }
            _ => {}
        }
        let path = format!("/api/v1/jobs/{}", job.id);
        let tag = format!("\"{}\"", job.version);
        let reply = self.ask(chance, "edit", job.id, |hosts, node| {
            let request = hosts.http().patch(hosts.url(node, &path)).json(&edit);
            request.header("if-match", &tag)
        });
        let Some(reply) = reply.await else { return };
        match reply.status {
            200 => {
                self.acked(&reply, false);
                self.changed("edit", job.id, every, paused, &reply);
            }
            // An earlier try has done it; nobody else changes this job.
            412 if reply.doubtful => {
                let Some(found) = self.look(chance, job.id).await else { return };
                if found.status == 200 && found.body["data"]["data"].as_str() == Some(&*data) {
                    self.acked(&reply, true);
                    self.changed("edit", job.id, every, paused, &found);
                } else {
                    self.wrong("edit, looked at again", job.id, &found);
                }
            }
            _ => self.wrong("edit", job.id, &reply),
        }
    }

    /// Reads a job linearizably.
    async fn look(&self, chance: &mut Chance, id: u64) -> Option<Reply> {
        let path = format!("/api/v1/jobs/{id}?consistency=linearizable");
        self.ask(chance, "read", id, |hosts, node| hosts.http().get(hosts.url(node, &path))).await
    }

    async fn read(&self, chance: &mut Chance, job: JobBook) {
        let Some(reply) = self.look(chance, job.id).await else { return };
        self.tally.reads.fetch_add(1, Ordering::Relaxed);
        if reply.status != 200 || reply.body["data"]["version"].as_u64() != Some(job.version) {
            self.wrong(&format!("read (expected version {})", job.version), job.id, &reply);
        }
    }

    async fn delete(&self, chance: &mut Chance, job: JobBook) {
        let path = format!("/api/v1/jobs/{}", job.id);
        let begun = now();
        let ask = |hosts: &Hosts, node| hosts.http().delete(hosts.url(node, &path));
        let Some(reply) = self.ask(chance, "delete", job.id, ask).await else { return };
        match reply.status {
            204 => self.acked(&reply, false),
            404 if reply.doubtful => self.acked(&reply, true),
            _ => return self.wrong("delete", job.id, &reply),
        }
        self.books.lock().unwrap().jobs.get_mut(&job.id).unwrap().deleted = Some((begun, now()));
    }

    async fn run(&self, chance: &mut Chance, job: JobBook) {
        let path = format!("/api/v1/jobs/{}/run", job.id);
        let key = format!("run-{:016x}", chance.next());
        let ask = |hosts: &Hosts, node| {
            let request = hosts.http().post(hosts.url(node, &path)).json(&json!({}));
            request.header("idempotency-key", &key)
        };
        let Some(reply) = self.ask(chance, "run", job.id, ask).await else { return };
        let id = reply.body["data"]["executionId"].as_str().unwrap_or_default().to_owned();
        match parse_execution_id(&id) {
            Some(run) if reply.status == 202 => {
                self.acked(&reply, false);
                let run = RunBook { job: job.id, scheduled: run.scheduled };
                self.books.lock().unwrap().runs.insert(id, run);
            }
            _ => self.wrong("run", job.id, &reply),
        }
    }
}
