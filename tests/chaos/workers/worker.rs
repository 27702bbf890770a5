//! One worker process: it claims, keeps what it has by heartbeats, and stops what had no answer in
//! time. `workers` starts it, and `performing` performs the runs that it gets.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use scheduler0::model::attempt::parse_execution_id;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::held::{Handed, HeldRuns};
use super::record::{Ending, HandOut, Transport, Unanswered};
use super::{GROUPS, QUEUE, SILENCE, Shared, is_refused_for_now};
use crate::hosts::now;

/// The time between two heartbeats of a worker.
const BEAT: Duration = Duration::from_millis(700);
/// The wait of a claim.
const WAIT: &str = "1s";
/// The runs that a worker has at a time, at most.
const MOST: usize = 8;
/// The time between two tries.
const PAUSE: Duration = Duration::from_millis(100);
/// The time in which the first heartbeat of a claim is due, in milliseconds.
const FIRST_HEARTBEAT: i64 = 15_000;

/// One worker process.
pub(super) struct Worker {
    pub(super) name: String,
    group: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) held: HeldRuns,
    /// The instant at which the claim was sent that is under way.
    claiming: Mutex<Option<i64>>,
}

impl Worker {
    pub(super) fn new(name: String, place: u64, shared: &Arc<Shared>) -> Self {
        Self {
            name,
            group: (place % GROUPS) as usize,
            shared: Arc::clone(shared),
            held: HeldRuns::new(shared),
            claiming: Mutex::default(),
        }
    }

    /// Works until it is stopped, and until what it has is over.
    pub(super) async fn live(self: Arc<Self>) {
        tokio::join!(self.claim_all(), self.beat_all());
    }

    /// Returns when the worker is not frozen.
    pub(super) async fn thawed(&self) {
        self.shared.thawed(self.group).await;
    }

    /// Sends a request to a random node, and takes the answer when the worker is not frozen.
    pub(super) async fn post(&self, path: &str, body: &Value) -> (Option<(u16, Value)>, bool) {
        self.thawed().await;
        let answer = self.shared.post(path, body).await;
        self.thawed().await;
        answer
    }

    /// Notes that the process has died: what it has is silent from now on.
    pub(super) fn is_dead(&self, at: i64) {
        if let Some(sent) = self.claiming.lock().unwrap().take() {
            self.unanswered(sent);
        }
        self.held.die(at);
    }

    fn unanswered(&self, from: i64) {
        let lost = Unanswered { from };
        self.shared.record.lock().unwrap().unanswered.push(lost);
    }

    async fn claim_all(self: &Arc<Self>) {
        let mut performing = JoinSet::new();
        while !self.shared.stops() {
            while performing.try_join_next().is_some() {}
            let room = MOST - performing.len();
            if room == 0 {
                performing.join_next().await;
                continue;
            }
            let key = format!("{:032x}", rand::random::<u128>());
            let body = json!({"workerId": self.name, "queues": [QUEUE], "max": room, "wait": WAIT,
                              "key": key});
            for run in self.claim(&body).await {
                performing.spawn(Arc::clone(self).perform(run));
            }
        }
        while performing.join_next().await.is_some() {}
    }

    /// Claims until an answer comes, or the worker gives the claim up.
    async fn claim(&self, body: &Value) -> Vec<Handed> {
        self.thawed().await;
        let sent = now();
        *self.claiming.lock().unwrap() = Some(sent);
        let mut may_be_lost = false;
        let runs = loop {
            match self.post("/workers/claim", body).await {
                // The repetition may have been answered by another owner than the first one.
                (Some((200, envelope)), _) => break self.read(&envelope, sent),
                (Some((204, _)), _) => break Vec::new(),
                (Some((status, _)), _) if is_refused_for_now(status) => {}
                (Some((status, body)), _) => self.shared.wrong("a claim", status, &body),
                (None, arrived) => may_be_lost |= arrived,
            }
            // It repeats the claim, or has forgotten it.
            if self.shared.stops() || rand::random_bool(0.4) {
                break Vec::new();
            }
            tokio::time::sleep(PAUSE).await;
        };
        *self.claiming.lock().unwrap() = None;
        if may_be_lost {
            self.unanswered(sent);
        }
        runs
    }

    /// Takes the runs of an answer.
    fn read(&self, envelope: &Value, sent: i64) -> Vec<Handed> {
        let mut taken = Vec::new();
        for run in envelope["data"]["runs"].as_array().into_iter().flatten() {
            match self.hand_out(run, sent) {
                Some(one) => taken.extend(self.take(one)),
                None => self.shared.wrong("a claim", 200, run),
            }
        }
        taken
    }

    /// A run that came now; `None` for one without an id.
    fn hand_out(&self, run: &Value, sent: i64) -> Option<HandOut> {
        let (id, attempt) = (run["id"].as_str()?, run["attempt"].as_u64()?);
        Some(HandOut {
            occurrence: parse_execution_id(id)?,
            id: id.to_owned(),
            attempt,
            transport: Transport::Claim,
            worker: self.name.clone(),
            asked: sent,
            from: now(),
            until: i64::MAX,
            ending: Ending::Held,
            answered: i64::MAX,
            said_done: false,
            overdue: false,
        })
    }

    /// Takes a run; `None` for an attempt that the worker has already.
    fn take(&self, one: HandOut) -> Option<Handed> {
        let deadline = one.asked + SILENCE.0.min(FIRST_HEARTBEAT);
        self.held.take(&one.id.clone(), one, deadline)
    }

    /// Sends heartbeats for all that it has.
    async fn beat_all(&self) {
        let mut ticker = tokio::time::interval(BEAT);
        while !self.shared.stops() || !self.held.is_empty() {
            ticker.tick().await;
            self.thawed().await;
            self.held.fence();
            let held = self.held.all();
            if held.is_empty() {
                continue;
            }
            let named =
                |(id, attempt, _): &(String, u64, usize)| json!({"id": id, "attempt": attempt});
            let runs: Vec<_> = held.iter().map(named).collect();
            let wait = if rand::random_bool(0.3) { "300ms" } else { "0s" };
            let (sent, body) = (now(), json!({"runs": runs, "wait": wait}));
            let path = format!("/workers/{}/heartbeat", self.name);
            match self.post(&path, &body).await.0 {
                Some((200, envelope)) => self.hear(&envelope["data"], &held, sent),
                Some((status, _)) if is_refused_for_now(status) => {}
                Some((status, body)) => self.shared.wrong("a heartbeat", status, &body),
                None => {}
            }
        }
    }

    /// Takes in the answer to a heartbeat.
    fn hear(&self, heard: &Value, runs: &[(String, u64, usize)], sent: i64) {
        let has = |name: &str, id: &str| {
            let ids = heard[name].as_array();
            ids.is_some_and(|ids: &Vec<Value>| ids.iter().any(|known| known == id))
        };
        for (id, attempt, place) in runs {
            if has("gone", id) {
                self.held.told(id, Some(*attempt), Ending::Gone);
            } else if has("cancel", id) {
                self.held.told(id, Some(*attempt), Ending::Cancelled);
            } else if !has("unknown", id) {
                self.held.extend(id, *place, sent + SILENCE.0);
            }
        }
    }
}
