//! Clients that create, read, update and delete the same jobs through all nodes, and note each call
//! in a shared history.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::history_checker::{Answer, Call, Op};

/// The number of jobs that all clients use at a time.
pub(super) const SLOTS: usize = 5;
/// A slot for one job after the other.
#[derive(Clone, Default)]
pub(super) struct Slot {
    /// The number of the present job, which is part of its token.
    generation: u64,
    /// Its id, once a client knows it.
    id: Option<u64>,
}

/// The state that all clients share.
pub(super) struct Shared {
    pub(super) project: u64,
    pub(super) began: Instant,
    pub(super) slots: Vec<Mutex<Slot>>,
    /// The calls so far.
    pub(super) history: Mutex<Vec<Op>>,
    /// The job that each token made: the same for all clients.
    pub(super) made: Mutex<BTreeMap<String, u64>>,
    /// The number of answers so far.
    pub(super) answered: AtomicUsize,
    pub(super) written: AtomicU64,
    pub(super) stop: AtomicBool,
}

/// The result of a request.
enum Reply {
    /// The request was never sent.
    NotSent,
    /// The outcome is unknown.
    Unknown,
    /// The answer came in whole.
    Answered(Answer),
}

impl Shared {
    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    fn note(&self, client: &str, key: String, call: Call, invoked: u64, reply: Reply) {
        let answered = match reply {
            Reply::NotSent => return,
            // A read without an answer says nothing.
            Reply::Unknown if call == Call::Get => return,
            Reply::Unknown => None,
            Reply::Answered(answer) => {
                self.answered.fetch_add(1, Ordering::SeqCst);
                Some((self.now(), answer))
            }
        };
        let op = Op { client: client.to_owned(), key, call, invoked, answered };
        self.history.lock().unwrap().push(op);
    }
}

/// A client of one node.
pub(super) struct Client {
    pub(super) name: String,
    pub(super) http: reqwest::Client,
    pub(super) base: String,
    pub(super) shared: Arc<Shared>,
    pub(super) random: u64,
}

/// Status, version and job of an answer that came in whole.
async fn answer(request: RequestBuilder) -> Result<(StatusCode, u64, Value), Reply> {
    let sent = request.send().await;
    let response: Response =
        sent.map_err(|e| if e.is_connect() { Reply::NotSent } else { Reply::Unknown })?;
    let status = response.status();
    if status.is_server_error() {
        return Err(Reply::Unknown);
    }
    let tag = response.headers().get("etag").and_then(|tag| tag.to_str().ok());
    let version = tag.and_then(|tag| tag.trim_matches('"').parse().ok()).unwrap_or(0);
    let body = response.bytes().await.map_err(|_| Reply::Unknown)?;
    let body: Value = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&body).map_err(|_| Reply::Unknown)?
    };
    Ok((status, version, body["data"].clone()))
}

impl Client {
    fn below(&mut self, n: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.random >> 33) % n
    }

    /// Calls until the test stops it.
    pub(super) async fn run(mut self) {
        let mut ticker = tokio::time::interval(Duration::from_millis(4));
        ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut seen: BTreeMap<String, u64> = BTreeMap::new();
        while !self.shared.stop.load(Ordering::SeqCst) {
            ticker.tick().await;
            let at = self.below(SLOTS as u64) as usize;
            let slot = self.shared.slots[at].lock().unwrap().clone();
            let token = format!("job {at}.{}", slot.generation);
            let draw = self.below(20);
            match slot.id {
                Some(id) if draw < 10 => {
                    if let Some(version) = self.get(token.clone(), id).await {
                        seen.insert(token, version);
                    }
                }
                Some(id) if draw < 17 => {
                    // Half of the updates require the version that this client saw last.
                    let expect = seen.get(&token).copied().filter(|_| draw.is_multiple_of(2));
                    self.update(token, id, expect).await;
                }
                Some(id) if draw < 18 => {
                    if self.delete(token, id).await {
                        let mut slot = self.shared.slots[at].lock().unwrap();
                        if slot.id == Some(id) {
                            *slot = Slot { generation: slot.generation + 1, id: None };
                        }
                    }
                }
                // The same token may be sent again: it must make one job.
                _ => {
                    let id = self.create(token).await;
                    let mut place = self.shared.slots[at].lock().unwrap();
                    if place.generation == slot.generation {
                        place.id = place.id.or(id);
                    }
                }
            }
        }
    }

    async fn create(&self, token: String) -> Option<u64> {
        let shared = &self.shared;
        let body = json!({
            "projectId": shared.project, "spec": "@every 100h", "timezone": "UTC",
            "callbackUrl": "http://127.0.0.1:9/", "data": token,
        });
        let call = Call::Create { data: token.clone(), token: Some(token.clone()) };
        let invoked = shared.now();
        let ask = self.http.post(format!("{}/jobs", self.base)).json(&body);
        let ask = ask.header("idempotency-key", &token).header("prefer", "return=representation");
        let (reply, id) = match answer(ask).await {
            Ok((StatusCode::CREATED, _, data)) => {
                (Reply::Answered(Answer::Done { version: None }), data[0]["id"].as_u64())
            }
            Ok((status, _, data)) => panic!("create {token}: {status} {data}"),
            Err(reply) => (reply, None),
        };
        if let Some(id) = id {
            let first = *shared.made.lock().unwrap().entry(token.clone()).or_insert(id);
            assert_eq!(first, id, "{token} made two jobs");
        }
        shared.note(&self.name, token, call, invoked, reply);
        id
    }

    /// Reads a job; returns the version found.
    async fn get(&self, token: String, id: u64) -> Option<u64> {
        let invoked = self.shared.now();
        let url = format!("{}/jobs/{id}?consistency=linearizable", self.base);
        let (reply, found) = match answer(self.http.get(url)).await {
            Ok((StatusCode::OK, version, data)) => {
                let data = data["data"].as_str().unwrap().to_owned();
                (Reply::Answered(Answer::Found { version, data }), Some(version))
            }
            Ok((StatusCode::NOT_FOUND, ..)) => (Reply::Answered(Answer::Absent), None),
            Ok((status, _, data)) => panic!("get {token}: {status} {data}"),
            Err(reply) => (reply, None),
        };
        self.shared.note(&self.name, token, Call::Get, invoked, reply);
        found
    }

    async fn update(&self, token: String, id: u64, expect: Option<u64>) {
        let number = self.shared.written.fetch_add(1, Ordering::SeqCst);
        let mine = format!("{} {number}", self.name);
        let invoked = self.shared.now();
        let mut ask = self.http.patch(format!("{}/jobs/{id}", self.base));
        if let Some(version) = expect {
            ask = ask.header("if-match", format!("\"{version}\""));
        }
        let reply = match answer(ask.json(&json!({"data": mine}))).await {
            Ok((StatusCode::OK, version, data)) => {
                // The answer may show a later change of another client.
                let version = (data["data"] == mine.as_str()).then_some(version);
                Reply::Answered(Answer::Done { version })
            }
            Ok((StatusCode::NOT_FOUND, ..)) => Reply::Answered(Answer::Absent),
            Ok((StatusCode::PRECONDITION_FAILED, ..)) => Reply::Answered(Answer::Stale),
            Ok((status, _, data)) => panic!("update {token}: {status} {data}"),
            Err(reply) => reply,
        };
        self.shared.note(&self.name, token, Call::Update { data: mine, expect }, invoked, reply);
    }

    /// Deletes a job; returns true when it is gone for certain.
    async fn delete(&self, token: String, id: u64) -> bool {
        let invoked = self.shared.now();
        let reply = match answer(self.http.delete(format!("{}/jobs/{id}", self.base))).await {
            Ok((StatusCode::NO_CONTENT, ..)) => Reply::Answered(Answer::Deleted),
            Ok((StatusCode::NOT_FOUND, ..)) => Reply::Answered(Answer::Absent),
            Ok((status, _, data)) => panic!("delete {token}: {status} {data}"),
            Err(reply) => reply,
        };
        let gone = matches!(reply, Reply::Answered(_));
        self.shared.note(&self.name, token, Call::Delete { expect: None }, invoked, reply);
        gone
    }
}
