//! A node with two projects that have one of everything each, and the keys that are bound to them.

use scheduler0::command::{Command, Outcome};
use scheduler0::model::attempt::{JournalBatch, JournalEntry, Verdict};
use scheduler0::model::execution_id::occurrence_id;
use scheduler0::model::run::Occurrence;
use scheduler0::model::shard::{Move, MoveKind, SHARDS, shard_of};
use scheduler0::model::time::parse_rfc3339;
use scheduler0::store::meta;
use serde_json::{Value, json};

use crate::harness::runs::{offer, taken};
use crate::harness::{Answer, ApiFixture, attempt_record};

/// The jobs that are there before those of the second side, so that its ids have many digits.
const FILLER: usize = 1_000;
/// The records of other kinds that come before: more than an hour has minutes.
const FEW: usize = 70;

/// A key pair, and its id.
pub(super) struct Key {
    pub(super) id: u64,
    public: String,
    secret: String,
}

impl Key {
    /// A key that is bound to projects.
    pub(super) async fn bound(api: &ApiFixture, projects: &[u64]) -> Self {
        let scopes = ["*", "audit:read"];
        Self::with(api, json!({"projects": projects, "scopes": scopes})).await
    }

    /// A key with these terms.
    pub(super) async fn with(api: &ApiFixture, body: Value) -> Self {
        Self::of(&api.post("/api/v1/credentials", body).await)
    }

    /// The key of an answer that made it.
    pub(super) fn of(made: &Answer) -> Self {
        assert_eq!(made.status, 201, "{}", made.json);
        let text = |name: &str| made.json["data"][name].as_str().unwrap().to_owned();
        let id = made.json["data"]["id"].as_u64().unwrap();
        Self { id, public: text("apiKey"), secret: text("apiSecret") }
    }

    /// Sends a request with the pair.
    pub(super) async fn send(
        &self,
        api: &ApiFixture,
        method: &str,
        path: &str,
        body: &str,
    ) -> Answer {
        self.send_with(api, method, path, &[], body).await
    }

    /// Sends a request with the pair and other headers.
    pub(super) async fn send_with(
        &self,
        api: &ApiFixture,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut all = vec![("x-api-key", &*self.public), ("x-secret-key", &*self.secret)];
        all.extend_from_slice(headers);
        api.send_bare(method, path, &all, body).await
    }
}

/// The ids of one side.
#[derive(Clone, Default)]
pub(super) struct Ids {
    pub(super) project: u64,
    pub(super) job: u64,
    pub(super) template: u64,
    pub(super) letter: u64,
    pub(super) credential: u64,
    /// The execution id of a run that a worker has.
    pub(super) run: String,
    /// The id of an async task.
    pub(super) task: String,
    /// A client's id of the job, also a label of it.
    pub(super) name: String,
}

impl Ids {
    /// Each id as text, with the name that masks it.
    pub(super) fn all(&self) -> [(String, &'static str); 8] {
        [
            (self.run.clone(), "RUN"),
            (self.task.clone(), "TASK"),
            (self.job.to_string(), "JOB"),
            (self.letter.to_string(), "LETTER"),
            (self.template.to_string(), "TEMPLATE"),
            (self.project.to_string(), "PROJECT"),
            (self.credential.to_string(), "CREDENTIAL"),
            (self.name.clone(), "NAME"),
        ]
    }

    /// Fills names in: `<JOB>` becomes the id of the job.
    pub(super) fn fill(&self, text: &str) -> String {
        let all = self.all().into_iter();
        all.fold(text.to_owned(), |text, (id, name)| text.replace(&format!("<{name}>"), &id))
    }

    /// The path of a route, with the ids that its noun has.
    pub(super) fn in_path(&self, path: &str) -> String {
        let noun = path.split('/').nth(1).unwrap_or_default();
        let id = match noun {
            "projects" => self.project.to_string(),
            "jobs" => self.job.to_string(),
            "templates" => self.template.to_string(),
            "dead-letters" => self.letter.to_string(),
            "credentials" => self.credential.to_string(),
            "async-tasks" => self.task.clone(),
            "runs" | "executions" => self.run.clone(),
            // Of executors, members and workers, which belong to no project.
            _ => "1".to_owned(),
        };
        path.replace("{id}", &id).replace("{external}", &self.name)
    }
}

/// The node.
pub(super) struct World {
    pub(super) api: ApiFixture,
    pub(super) own: Ids,
    pub(super) own_key: Key,
    pub(super) other: Ids,
    pub(super) other_key: Key,
    cluster: u128,
}

impl World {
    /// Starts the node and fills both sides.
    pub(super) async fn new() -> Self {
        let api = ApiFixture::build().await;
        let owns = |shard| Move { shard, to: 1, expects: 0, kind: MoveKind::TakeOver };
        let moves = Command::Assign((0..SHARDS).map(owns).collect());
        assert_eq!(api.cluster().propose(moves).await.unwrap(), Outcome::Assigned(SHARDS.into()));
        let cluster = api.cluster().read(meta::cluster_id).await.unwrap().unwrap();
        let queue = json!({"name": "emails", "type": "worker", "worker": {"bus": "embedded"}});
        assert_eq!(api.post("/api/v1/executors", queue).await.status, 201);
        let (mut journaled, mut sides) = (0, Vec::new());
        for name in ["alfa", "bravo"] {
            let body = json!({"name": name, "description": name});
            let made = api.post("/api/v1/projects", body).await;
            let project = made.json["data"]["id"].as_u64().unwrap();
            let key = Key::bound(&api, &[project]).await;
            let ids = Ids { project, name: name.to_owned(), ..Ids::default() };
            let ids = fill(&api, &key, ids, cluster, &mut journaled).await;
            sides.push((ids, key));
            if sides.len() == 1 {
                spread(&api, project, &mut journaled).await;
            }
        }
        let (other, other_key) = sides.pop().unwrap();
        let (own, own_key) = sides.pop().unwrap();
        Self { api, own, own_key, other, other_key, cluster }
    }

    /// Ids that nothing ever had. The run is one of the same shard and instant.
    pub(super) fn never(&self) -> Ids {
        let job = 64 * 64 * 1_000_000 + self.other.job;
        let of = scheduler0::model::execution_id::parse_execution_id(&self.other.run).unwrap();
        assert_eq!(shard_of(job), shard_of(self.other.job));
        Ids {
            project: 987_001,
            job,
            template: 987_003,
            letter: 987_004,
            credential: 987_005,
            run: occurrence_id(self.cluster, Occurrence { job, ..of }),
            task: "01937b2e-7c2f-7d3a-9d1f-0123456789ab".into(),
            name: "never".into(),
        }
    }

    /// What the other key finds, but for what goes on by itself.
    pub(super) async fn seen_by_the_other(&self) -> Vec<Value> {
        let Ids { project, job, template, letter, run, .. } = &self.other;
        let mut seen = Vec::new();
        for path in [
            format!("/projects/{project}"),
            format!("/jobs/{job}"),
            format!("/templates/{template}"),
            format!("/dead-letters/{letter}"),
            format!("/runs/{run}"),
            "/jobs".into(),
            "/dead-letters".into(),
            "/executions/totals".into(),
            "/credentials".into(),
        ] {
            let path = format!("/api/v1{path}");
            let answer = self.other_key.send(&self.api, "GET", &path, "").await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.json);
            let mut json = super::without_instants(&answer);
            json["path"] = path.into();
            seen.push(json);
        }
        seen
    }
}

/// Fills a side with one of everything, as its own key does where it can.
async fn fill(api: &ApiFixture, key: &Key, ids: Ids, cluster: u128, journaled: &mut u64) -> Ids {
    let Ids { project, name, .. } = &ids;
    let made = key.send(api, "POST", "/api/v1/jobs", &super::bodies::jobs(*project, name)).await;
    assert_eq!(made.status, 202, "{}", made.json);
    let location = made.header("location");
    let task = location.rsplit('/').next().unwrap().to_owned();
    let listed = key.send(api, "GET", &format!("/api/v1/jobs?externalId={name}"), "").await;
    let shown = &listed.json["data"]["jobs"][0];
    let job = shown["id"].as_u64().unwrap();
    let at = parse_rfc3339(shown["nextExecutionDate"].as_str().unwrap()).unwrap();
    let body = super::bodies::template(*project, name);
    let made = key.send(api, "POST", "/api/v1/templates", &body).await;
    assert_eq!(made.status, 201, "{}", made.json);
    let template = made.json["data"]["id"].as_u64().unwrap();
    // A dead letter, a delivery, and a run that a worker has.
    let mut dead = attempt_record(&[job], at, 4, Verdict::Dead);
    dead.error = Some(name.clone());
    let done = attempt_record(&[job], at + 60_000, 1, Verdict::Delivered);
    let of = Occurrence { job, scheduled: at + 120_000, run: 0 };
    let taken = taken(scheduler0::model::offer::Offer { project: *project, ..offer(of) }, name);
    let of_project = |mut record: scheduler0::model::attempt::AttemptRecord| {
        (record.project, record.shard) = (*project, shard_of(job));
        JournalEntry::Attempt(record)
    };
    let entries = vec![of_project(dead), of_project(done), JournalEntry::Taken(taken)];
    journal(api, journaled, entries).await;
    let letters = key.send(api, "GET", "/api/v1/dead-letters", "").await;
    let letter = letters.json["data"]["deadLetters"][0]["id"].as_u64().unwrap();
    let run = occurrence_id(cluster, of);
    let credential = key.id;
    Ids { job, template, letter, credential, run, task, ..ids }
}

/// Raises the numbers of all kinds, so that those of the next side are not in an answer by chance.
async fn spread(api: &ApiFixture, project: u64, journaled: &mut u64) {
    let job = json!({"projectId": project, "spec": "@every 1h", "timezone": "UTC",
                     "callbackUrl": "http://localhost:3000/"});
    let made = api.post("/api/v1/jobs", json!(vec![job; FILLER])).await;
    assert_eq!(made.status, 202, "{}", made.json);
    let mut records = Vec::new();
    for n in 0..FEW {
        let body = json!({"name": format!("p{n}"), "description": "d"});
        let made = api.post("/api/v1/projects", body).await;
        let id = made.json["data"]["id"].as_u64().unwrap();
        assert_eq!(api.delete(&format!("/api/v1/projects/{id}")).await.status, 204);
        let body = super::bodies::template(project, &format!("t{n}"));
        let made = api.send("POST", "/api/v1/templates", &[], body).await;
        let id = made.json["data"]["id"].as_u64().unwrap();
        assert_eq!(api.delete(&format!("/api/v1/templates/{id}")).await.status, 204);
        let key = Key::with(api, json!({})).await;
        assert_eq!(api.delete(&format!("/api/v1/credentials/{}", key.id)).await.status, 204);
        let mut dead = attempt_record(&[1], 1_000 + n as i64, 4, Verdict::Dead);
        (dead.project, dead.shard) = (project, shard_of(1));
        records.push(JournalEntry::Attempt(dead));
    }
    journal(api, journaled, records).await;
}

/// The collector records entries of the node's journal.
async fn journal(api: &ApiFixture, journaled: &mut u64, entries: Vec<JournalEntry>) {
    let (node, incarnation, first) = (1, 9, *journaled + 1);
    *journaled += entries.len() as u64;
    let batch = JournalBatch { node, incarnation, first, entries };
    let outcome = api.cluster().propose(Command::Record(batch)).await.unwrap();
    assert!(!matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
}
