//! The single operations of the writer on a job: create, edit, pause, read, run and delete, and
//! what each answer means for [`ExpectedJob`]. `writer` chooses the operation, its `ask` the node.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use scheduler0::model::attempt::parse_execution_id;
use scheduler0::model::time::rfc3339;

use super::{Reply, Writer};
use crate::expected::{Bus, ExpectedJob, ExpectedRun, Kind, Overlap, Span};
use crate::faults::Random;
use crate::hosts::{Hosts, now};
use crate::receiver::DESTINATIONS;
use crate::workers::bus_name;

/// A jitter, mostly longer than the period of a job, in milliseconds.
fn some_jitter(random: &mut Random) -> i64 {
    1_000 * (1 + random.below(20) as i64)
}

impl Writer {
    /// The kind of the next job. Calls are the most; what nobody is there for is a call, too.
    fn kind(&self, random: &mut Random) -> Kind {
        let overlap = match random.below(3) {
            0 => Overlap::Allow,
            1 => Overlap::Skip,
            _ => Overlap::Queue,
        };
        match random.below(12) {
            0 | 1 if self.targets.exchange != 0 => Kind::Message,
            2..5 => Kind::Run(Bus::Embedded, overlap),
            5 | 6 if self.targets.bus_queue != 0 => Kind::Run(Bus::Broker, overlap),
            _ => Kind::Call,
        }
    }

    /// What a job of a kind says of its target.
    fn aim(&self, random: &mut Random, job: &mut Value, kind: Kind) {
        let single = random.below(2) == 0;
        let target = self.receivers.url(random.below(DESTINATIONS as u64) as usize);
        match kind {
            Kind::Call if single => {
                job["http"] = json!({"method": "POST", "url": format!("{target}/single")});
            }
            Kind::Call => job["callbackUrl"] = json!(target),
            Kind::Message if single => job["amqp"] = self.targets.message.clone(),
            Kind::Message => job["executorId"] = json!(self.targets.exchange),
            Kind::Run(bus, overlap) => {
                // Longer than a worker goes on without an answer.
                job["cancelTimeout"] = json!("8s");
                match bus {
                    Bus::Embedded => job["executorId"] = json!(self.targets.queue),
                    Bus::Broker => {
                        job["executorId"] = json!(self.targets.bus_queue);
                        job["workerName"] = json!(bus_name(random.next()));
                        job["startTimeout"] = json!("10s");
                        job["retryOn"] = json!(["lost", "failed", "timeout"]);
                    }
                }
                match overlap {
                    Overlap::Allow => {}
                    Overlap::Skip => job["overlap"] = json!("skip"),
                    Overlap::Queue => {
                        (job["overlap"], job["maxQueue"]) = (json!("queue"), json!(3));
                    }
                }
            }
        }
    }

    pub(super) async fn create(&self, random: &mut Random, periodic: bool) {
        let patient = random.below(3) > 0;
        let kind = self.kind(random);
        let mut job = json!({
            "projectId": self.project, "timezone": "UTC", "timeout": "3s",
            "data": format!("{:016x}", random.next()), "retryDelay": "1s", "retryFactor": 1,
            "retryMax": if random.below(5) == 0 { 2 } else { 100 },
        });
        self.aim(random, &mut job, kind);
        if patient {
            job["misfire"] = json!({"policy": "all", "grace": "1h", "max": 10_000});
        }
        let (mut every, mut after) = (None, None);
        match if periodic { 0 } else { random.below(4) } {
            0 | 1 => {
                let period = *every.insert(1 + random.below(10) as i64);
                job["spec"] = json!(format!("@every {period}s"));
            }
            2 => {
                let delay = *after.insert(1 + random.below(20) as i64);
                job["after"] = json!(format!("{delay}s"));
            }
            _ => job["at"] = json!(rfc3339(now() + 2_000 + random.below(20_000) as i64)),
        }
        let jitter = if random.below(2) == 0 { 0 } else { some_jitter(random) };
        if jitter > 0 {
            job["jitter"] = json!(format!("{}s", jitter / 1_000));
        }
        let (key, body) = (format!("job-{:016x}", random.next()), json!([job]));
        let reply = self.ask(random, "create", 0, |hosts, node| {
            let request = hosts.http().post(hosts.url(node, "/api/v1/jobs")).json(&body);
            request.header("idempotency-key", &key).header("prefer", "return=representation")
        });
        let reply = reply.await;
        let made = match &reply.body["data"] {
            Value::Array(jobs) => jobs.first().cloned().unwrap_or_default(),
            job => job.clone(),
        };
        match ExpectedJob::created(&made, kind, every, after, jitter) {
            Some(tracked) if reply.status == 201 => {
                self.acked(&reply, false);
                self.expected.lock().unwrap().jobs.insert(tracked.id, tracked);
            }
            // A one-off is rightly refused when its instant passed while no node could be reached.
            _ if reply.status == 422 && every.is_none() && after.is_none() => {}
            _ => self.wrong("create", 0, &reply),
        }
    }

    /// Notes a changed job.
    fn changed(&self, what: &str, id: u64, every: Option<i64>, to: Span, reply: &Reply) {
        let mut expected = self.expected.lock().unwrap();
        let tracked = expected.jobs.get_mut(&id).unwrap();
        if tracked.changed(&reply.body["data"], every, to).is_none() {
            drop(expected);
            self.wrong(what, id, reply);
        }
    }

    /// Changes data, period, status, jitter or last date. Each edit names the version that it
    /// changes, so that a delayed try cannot undo a later change.
    pub(super) async fn edit(&self, random: &mut Random, job: ExpectedJob) {
        let data = format!("{:016x}", random.next());
        let mut edit = json!({"data": data});
        let (mut every, mut to) = (None, job.last());
        match random.below(9) {
            0 | 1 => {
                let period = 1 + random.below(10) as i64;
                edit["spec"] = json!(format!("@every {period}s"));
                // The same spec is no new schedule.
                every = (job.last().period() != Some(period * 1_000)).then_some(period);
            }
            // More jobs are resumed than paused: a paused job proves little.
            2 | 3 if to.paused || random.below(2) == 0 => {
                to.paused = !to.paused;
                edit["status"] = json!(if to.paused { "inactive" } else { "active" });
            }
            4 | 5 => {
                to.jitter = if random.below(3) == 0 { 0 } else { some_jitter(random) };
                edit["jitter"] = match to.jitter {
                    0 => Value::Null,
                    some => json!(format!("{}s", some / 1_000)),
                };
            }
            // More jobs go on than end.
            6 | 7 if to.end.is_some() || random.below(3) == 0 => {
                to.end = match to.end {
                    Some(_) => None,
                    None => Some(now() + random.below(15_000) as i64),
                };
                edit["endDate"] = to.end.map_or(Value::Null, |end| json!(rfc3339(end)));
            }
            _ => {}
        }
        let path = format!("/api/v1/jobs/{}", job.id);
        let tag = format!("\"{}\"", job.version);
        let reply = self.ask(random, "edit", job.id, |hosts, node| {
            let request = hosts.http().patch(hosts.url(node, &path)).json(&edit);
            request.header("if-match", &tag)
        });
        let reply = reply.await;
        match reply.status {
            200 => {
                self.acked(&reply, false);
                self.changed("edit", job.id, every, to, &reply);
            }
            // An earlier try took effect: no other client changes this job.
            412 if reply.doubtful => {
                let found = self.look(random, job.id).await;
                if found.status == 200 && found.body["data"]["data"].as_str() == Some(&*data) {
                    self.acked(&reply, true);
                    self.changed("edit", job.id, every, to, &found);
                } else {
                    self.wrong("edit, looked at again", job.id, &found);
                }
            }
            _ => self.wrong("edit", job.id, &reply),
        }
    }

    /// Reads a job linearizably.
    async fn look(&self, random: &mut Random, id: u64) -> Reply {
        let path = format!("/api/v1/jobs/{id}?consistency=linearizable");
        self.ask(random, "read", id, |hosts, node| hosts.http().get(hosts.url(node, &path))).await
    }

    pub(super) async fn read(&self, random: &mut Random, job: ExpectedJob) {
        let reply = self.look(random, job.id).await;
        self.tally.reads.fetch_add(1, Ordering::Relaxed);
        if reply.status != 200 || reply.body["data"]["version"].as_u64() != Some(job.version) {
            self.wrong(&format!("read (expected version {})", job.version), job.id, &reply);
        }
    }

    pub(super) async fn delete(&self, random: &mut Random, job: ExpectedJob) {
        let path = format!("/api/v1/jobs/{}", job.id);
        let begun = now();
        let ask = |hosts: &Hosts, node| hosts.http().delete(hosts.url(node, &path));
        let reply = self.ask(random, "delete", job.id, ask).await;
        match reply.status {
            204 => self.acked(&reply, false),
            404 if reply.doubtful => self.acked(&reply, true),
            _ => return self.wrong("delete", job.id, &reply),
        }
        self.expected.lock().unwrap().jobs.get_mut(&job.id).unwrap().deleted = Some((begun, now()));
    }

    pub(super) async fn run(&self, random: &mut Random, job: ExpectedJob) {
        let path = format!("/api/v1/jobs/{}/run", job.id);
        let key = format!("run-{:016x}", random.next());
        let ask = |hosts: &Hosts, node| {
            let request = hosts.http().post(hosts.url(node, &path)).json(&json!({}));
            request.header("idempotency-key", &key)
        };
        let reply = self.ask(random, "run", job.id, ask).await;
        let id = reply.body["data"]["executionId"].as_str().unwrap_or_default().to_owned();
        match parse_execution_id(&id) {
            Some(run) if reply.status == 202 => {
                self.acked(&reply, false);
                let run = ExpectedRun { job: job.id, scheduled: run.scheduled };
                self.expected.lock().unwrap().runs.insert(id, run);
            }
            _ => self.wrong("run", job.id, &reply),
        }
    }
}
