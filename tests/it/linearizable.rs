//! Clients on all three nodes make, show, change and remove the same jobs while leaders die, freeze
//! and go; what they were told is put before the checker (`linear`). Beside it the proof that it
//! would notice: local reads on a node that is cut off.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, Response, StatusCode};
use scheduler0::command::{Command, NewProject, Outcome, ProjectEdit};
use scheduler0::store::projects;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::harness::{PATIENCE, RaftCluster, TestCluster, client, poll_interval};
use crate::history_checker::{Answer, Call, Op, check};

/// Jobs that the clients meet at.
const SLOTS: usize = 5;
/// Answers between two faults, at least.
const BETWEEN: usize = 120;

/// A place for jobs, one after the other.
#[derive(Clone, Default)]
struct Slot {
    /// Counts the jobs; the token of the present one.
    generation: u64,
    /// Its id, once a client knows it.
    id: Option<u64>,
}

/// What all clients share.
struct Scene {
    project: u64,
    began: Instant,
    slots: Vec<Mutex<Slot>>,
    history: Mutex<Vec<Op>>,
    /// Which job a token made: one, whoever asks.
    made: Mutex<BTreeMap<String, u64>>,
    answered: AtomicUsize,
    written: AtomicU64,
    stop: AtomicBool,
}

/// What came of a request.
enum Came {
    /// It was never sent.
    Never,
    /// Nobody knows.
    Unknown,
    Answered(Answer),
}

impl Scene {
    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    fn note(&self, client: &str, key: String, call: Call, invoked: u64, came: Came) {
        let answered = match came {
            Came::Never => return,
            // A read without an answer says nothing.
            Came::Unknown if call == Call::Get => return,
            Came::Unknown => None,
            Came::Answered(answer) => {
                self.answered.fetch_add(1, Ordering::SeqCst);
                Some((self.now(), answer))
            }
        };
        let op = Op { client: client.to_owned(), key, call, invoked, answered };
        self.history.lock().unwrap().push(op);
    }
}

struct Client {
    name: String,
    http: reqwest::Client,
    base: String,
    scene: Arc<Scene>,
    random: u64,
}

/// Status, version and job of an answer that came in whole.
async fn answer(request: RequestBuilder) -> Result<(StatusCode, u64, Value), Came> {
    let sent = request.send().await;
    let response: Response =
        sent.map_err(|e| if e.is_connect() { Came::Never } else { Came::Unknown })?;
    let status = response.status();
    if status.is_server_error() {
        return Err(Came::Unknown);
    }
    let tag = response.headers().get("etag").and_then(|tag| tag.to_str().ok());
    let version = tag.and_then(|tag| tag.trim_matches('"').parse().ok()).unwrap_or(0);
    let body = response.bytes().await.map_err(|_| Came::Unknown)?;
    let body: Value = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&body).map_err(|_| Came::Unknown)?
    };
    Ok((status, version, body["data"].clone()))
}

impl Client {
    fn below(&mut self, n: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.random >> 33) % n
    }

    async fn run(mut self) {
        let mut ticker = tokio::time::interval(Duration::from_millis(4));
        ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut seen: BTreeMap<String, u64> = BTreeMap::new();
        while !self.scene.stop.load(Ordering::SeqCst) {
            ticker.tick().await;
            let at = self.below(SLOTS as u64) as usize;
            let slot = self.scene.slots[at].lock().unwrap().clone();
            let token = format!("job {at}.{}", slot.generation);
            let dice = self.below(20);
            match slot.id {
                Some(id) if dice < 10 => {
                    if let Some(version) = self.get(token.clone(), id).await {
                        seen.insert(token, version);
                    }
                }
                Some(id) if dice < 17 => {
                    // Half of them only if the job is still as this client saw it last.
                    let expect = seen.get(&token).copied().filter(|_| dice.is_multiple_of(2));
                    self.update(token, id, expect).await;
                }
                Some(id) if dice < 18 => {
                    if self.delete(token, id).await {
                        let mut slot = self.scene.slots[at].lock().unwrap();
                        if slot.id == Some(id) {
                            *slot = Slot { generation: slot.generation + 1, id: None };
                        }
                    }
                }
                // Also when it is there already: once for a token.
                _ => {
                    let id = self.create(token).await;
                    let mut place = self.scene.slots[at].lock().unwrap();
                    if place.generation == slot.generation {
                        place.id = place.id.or(id);
                    }
                }
            }
        }
    }

    async fn create(&self, token: String) -> Option<u64> {
        let scene = &self.scene;
        let body = json!({
            "projectId": scene.project, "spec": "@every 100h", "timezone": "UTC",
            "callbackUrl": "http://127.0.0.1:9/", "data": token,
        });
        let call = Call::Create { data: token.clone(), token: Some(token.clone()) };
        let invoked = scene.now();
        let ask = self.http.post(format!("{}/jobs", self.base)).json(&body);
        let ask = ask.header("idempotency-key", &token).header("prefer", "return=representation");
        let (came, id) = match answer(ask).await {
            Ok((StatusCode::CREATED, _, data)) => {
                (Came::Answered(Answer::Done { version: None }), data[0]["id"].as_u64())
            }
            Ok((status, _, data)) => panic!("create {token}: {status} {data}"),
            Err(came) => (came, None),
        };
        if let Some(id) = id {
            let first = *scene.made.lock().unwrap().entry(token.clone()).or_insert(id);
            assert_eq!(first, id, "{token} made two jobs");
        }
        scene.note(&self.name, token, call, invoked, came);
        id
    }

    /// The version found.
    async fn get(&self, token: String, id: u64) -> Option<u64> {
        let invoked = self.scene.now();
        let url = format!("{}/jobs/{id}?consistency=linearizable", self.base);
        let (came, found) = match answer(self.http.get(url)).await {
            Ok((StatusCode::OK, version, data)) => {
                let data = data["data"].as_str().unwrap().to_owned();
                (Came::Answered(Answer::Found { version, data }), Some(version))
            }
            Ok((StatusCode::NOT_FOUND, ..)) => (Came::Answered(Answer::Absent), None),
            Ok((status, _, data)) => panic!("get {token}: {status} {data}"),
            Err(came) => (came, None),
        };
        self.scene.note(&self.name, token, Call::Get, invoked, came);
        found
    }

    async fn update(&self, token: String, id: u64, expect: Option<u64>) {
        let number = self.scene.written.fetch_add(1, Ordering::SeqCst);
        let mine = format!("{} {number}", self.name);
        let invoked = self.scene.now();
        let mut ask = self.http.patch(format!("{}/jobs/{id}", self.base));
        if let Some(version) = expect {
            ask = ask.header("if-match", format!("\"{version}\""));
        }
        let came = match answer(ask.json(&json!({"data": mine}))).await {
            Ok((StatusCode::OK, version, data)) => {
                // It shows the job as it is by then: maybe another one's change already.
                let version = (data["data"] == mine.as_str()).then_some(version);
                Came::Answered(Answer::Done { version })
            }
            Ok((StatusCode::NOT_FOUND, ..)) => Came::Answered(Answer::Absent),
            Ok((StatusCode::PRECONDITION_FAILED, ..)) => Came::Answered(Answer::Stale),
            Ok((status, _, data)) => panic!("update {token}: {status} {data}"),
            Err(came) => came,
        };
        self.scene.note(&self.name, token, Call::Update { data: mine, expect }, invoked, came);
    }

    /// Whether it is gone for certain.
    async fn delete(&self, token: String, id: u64) -> bool {
        let invoked = self.scene.now();
        let came = match answer(self.http.delete(format!("{}/jobs/{id}", self.base))).await {
            Ok((StatusCode::NO_CONTENT, ..)) => Came::Answered(Answer::Deleted),
            Ok((StatusCode::NOT_FOUND, ..)) => Came::Answered(Answer::Absent),
            Ok((status, _, data)) => panic!("delete {token}: {status} {data}"),
            Err(came) => came,
        };
        let gone = matches!(came, Came::Answered(_));
        self.scene.note(&self.name, token, Call::Delete { expect: None }, invoked, came);
        gone
    }
}

async fn progress(cluster: &TestCluster, scene: &Scene) {
    let goal = scene.answered.load(Ordering::SeqCst) + BETWEEN;
    cluster
        .wait_until("the clients get on", async |_: &TestCluster| {
            (scene.answered.load(Ordering::SeqCst) >= goal).then_some(())
        })
        .await;
}

/// The leader, asked of whoever answers.
async fn leader(cluster: &TestCluster) -> u64 {
    cluster
        .wait_until("a leader", async |c: &TestCluster| {
            for id in 1..=3 {
                if let Some(leader) = c.leader(id).await {
                    return Some(leader);
                }
            }
            None
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_linearizable_through_any_node_whatever_becomes_of_leaders() {
    let mut cluster = TestCluster::start(3).await;
    let scene = Arc::new(Scene {
        project: cluster.project(1, "registers").await,
        began: Instant::now(),
        slots: (0..SLOTS).map(|_| Mutex::default()).collect(),
        history: Mutex::default(),
        made: Mutex::default(),
        answered: AtomicUsize::new(0),
        written: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    });
    let mut clients = JoinSet::new();
    for n in 0..6 {
        let node = n % 3 + 1;
        let base = cluster.url(node, "/api/v1");
        let name = format!("client {n} on node {node}");
        let client = Client { name, http: client(), base, scene: scene.clone(), random: n * 77 };
        clients.spawn(client.run());
    }
    progress(&cluster, &scene).await;
    for fault in ["kill", "freeze", "stop", "kill a follower"] {
        let leader = leader(&cluster).await;
        match fault {
            "kill" => {
                cluster.kill(leader);
                progress(&cluster, &scene).await;
                cluster.restart(leader).await;
            }
            "freeze" => {
                cluster.freeze(leader);
                progress(&cluster, &scene).await;
                cluster.unfreeze(leader);
            }
            // In order: it hands its leadership over before it ends.
            "stop" => {
                assert_eq!(cluster.stop(leader).await, Some(0), "{}", cluster.log(leader));
                progress(&cluster, &scene).await;
                cluster.restart(leader).await;
            }
            _ => {
                let follower = leader % 3 + 1;
                cluster.kill(follower);
                progress(&cluster, &scene).await;
                cluster.restart(follower).await;
            }
        }
        progress(&cluster, &scene).await;
    }
    scene.stop.store(true, Ordering::SeqCst);
    let finish = async { while clients.join_next().await.transpose().unwrap().is_some() {} };
    tokio::time::timeout(PATIENCE, finish).await.expect("the clients stop");

    let history = std::mem::take(&mut *scene.history.lock().unwrap());
    let count = |what: fn(&Op) -> bool| history.iter().filter(|op| what(op)).count();
    let answers = [
        ("updates", count(|op| matches!(op.answered, Some((_, Answer::Done { .. }))))),
        ("reads", count(|op| matches!(op.answered, Some((_, Answer::Found { .. }))))),
        ("deletions", count(|op| matches!(op.answered, Some((_, Answer::Deleted))))),
        ("stale updates", count(|op| matches!(op.answered, Some((_, Answer::Stale))))),
    ];
    let unknown = count(|op| op.answered.is_none());
    assert!(answers.iter().all(|(_, n)| *n > 0), "too little happened: {answers:?}");
    let jobs = check(&history).unwrap_or_else(|violation| panic!("{violation}"));
    println!("{} calls on {jobs} jobs: {answers:?}, {unknown} unknown", history.len());
    cluster.assert_same_state(1, 3).await;
}

/// Connections to an address go by way of it, until it is cut.
#[derive(Default)]
struct Wire {
    cut: AtomicBool,
    open: AtomicUsize,
}

impl Wire {
    /// Where to connect instead.
    async fn lead_to(self: Arc<Self>, to: String) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                self.open.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(self.clone().carry(from, to.clone()));
            }
        });
        address
    }

    async fn carry(self: Arc<Self>, mut from: TcpStream, to: String) {
        let cut = async {
            while !self.cut.load(Ordering::SeqCst) {
                poll_interval().await;
            }
        };
        let carried = async {
            if let Ok(mut to) = TcpStream::connect(to).await {
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            }
        };
        tokio::select! {
            biased;
            () = cut => {}
            () = carried => {}
        }
        self.open.fetch_sub(1, Ordering::SeqCst);
    }

    /// When this returns, nothing more comes through.
    async fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
        while self.open.load(Ordering::SeqCst) > 0 {
            poll_interval().await;
        }
    }
}

/// Who leads, once it is not node 3.
async fn led_by_another(raft: &RaftCluster) -> u64 {
    let leader = raft.leader().await;
    if leader != 3 {
        return leader;
    }
    raft.node(3).transfer_leader(1).await.unwrap();
    raft.leader().await
}

/// A node answers a write by its own books. One that reaches the leader, but is not reached by it, does
/// not have the write there: to say "done" and show what was before would be a lie.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_see_its_write_does_not_say_that_it_is_done() {
    let wire = Arc::new(Wire::default());
    let raft = RaftCluster::build_proxied(3, async |to| wire.clone().lead_to(to).await).await;
    let leader = led_by_another(&raft).await;
    wire.cut().await;
    let new = NewProject { name: "p".into(), description: "a".into(), ..NewProject::default() };
    let answer = raft.node(3).propose(Command::CreateProject(new)).await;
    let error = answer.expect_err("its books do not have it");
    assert!(!error.is_unwritten(), "{error}");
    let read = async |node: u64| raft.node(node).read(|conn| projects::get(conn, 1)).await.unwrap();
    assert!(read(leader).await.is_some(), "it is committed");
    assert!(read(3).await.is_none(), "and not here");
}

#[tokio::test(flavor = "multi_thread")]
async fn local_reads_on_a_node_that_is_cut_off_are_found_out() {
    let wire = Arc::new(Wire::default());
    let raft = RaftCluster::build_proxied(3, async |to| wire.clone().lead_to(to).await).await;
    let leader = led_by_another(&raft).await;
    let began = Instant::now();
    let mut history = Vec::new();
    let mut note = |call: Call, invoked: u64, answer: Answer| {
        let answered = Some((began.elapsed().as_nanos() as u64, answer));
        let (client, key) = ("a client".to_owned(), "project".to_owned());
        history.push(Op { client, key, call, invoked, answered });
    };
    let now = || began.elapsed().as_nanos() as u64;
    let read = async |node| {
        let found = raft.node(node).read(move |conn| projects::get(conn, 1)).await.unwrap();
        found.map_or(Answer::Absent, |p| Answer::Found { version: 0, data: p.description })
    };

    let at = now();
    let new = NewProject { name: "p".into(), description: "a".into(), ..NewProject::default() };
    let (index, made) =
        raft.node(leader).propose_indexed(Command::CreateProject(new)).await.unwrap();
    assert_eq!(made, Outcome::Created(1));
    note(Call::Create { data: "a".to_owned(), token: None }, at, Answer::Done { version: None });
    raft.applied(3, index).await;

    wire.cut().await;
    let at = now();
    let edit = ProjectEdit { id: 1, description: Some("b".into()), ..ProjectEdit::default() };
    let done = raft.node(leader).propose(Command::UpdateProject(edit)).await.unwrap();
    assert_eq!(done, Outcome::Done);
    note(Call::Update { data: "b".to_owned(), expect: None }, at, Answer::Done { version: None });
    raft.node(leader).linearize().await.unwrap();
    let at = now();
    assert!(raft.node(3).linearize().await.is_err(), "it cannot know, and says so");
    let stale = read(3).await;
    assert_eq!(stale, Answer::Found { version: 0, data: "a".to_owned() });
    note(Call::Get, at, stale);

    wire.cut.store(false, Ordering::SeqCst);
    while raft.node(3).linearize().await.is_err() {
        poll_interval().await;
    }
    let at = now();
    note(Call::Get, at, read(3).await);
    let violation = check(&history).expect_err("a stale read");
    assert!(violation.story.contains("none fits"), "{violation}");
    history.remove(2);
    check(&history).unwrap_or_else(|violation| panic!("without it all is well: {violation}"));
}
