//! Limits of accounts under writers at all nodes at once: no more is created than the limit says,
//! and no less.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use scheduler0::cluster::{Cluster, Error};
use scheduler0::command::{Command, CreateJobs, NewJob, NewProject, Outcome, RejectionKind};
use scheduler0::model::FIRST_ACCOUNT;
use scheduler0::model::account::{AccountEdit, Limits};
use scheduler0::model::feature::Features;
use scheduler0::model::job::JobDefinition;
use scheduler0::store::accounts;
use tokio::task::JoinSet;

use crate::harness::{RaftCluster, poll_interval, written};

const WRITERS: u64 = 64;
const PROJECTS: u64 = 20;
const JOBS: u64 = 300;

/// What became of the tries of all writers.
#[derive(Default)]
struct Tally {
    created: AtomicU64,
    refused: AtomicU64,
}

impl Tally {
    fn note(&self, outcome: &Outcome, count: u64) {
        match outcome {
            Outcome::Rejected(why) => {
                assert_eq!(why.kind, RejectionKind::QuotaExceeded, "{why}");
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
            _ => {
                self.created.fetch_add(count, Ordering::Relaxed);
            }
        }
    }
}

/// Proposes until the cluster takes it: a leader may change, and a node may be busy.
async fn propose(node: &Cluster, command: &Command) -> Outcome {
    loop {
        match node.propose(command.clone()).await {
            Ok(outcome) => return outcome,
            Err(
                Error::NoLeader
                | Error::NotLeader { .. }
                | Error::Busy
                | Error::NotRaised(_)
                | Error::UpgradePending { .. },
            ) => poll_interval().await,
            Err(error) => panic!("{error}"),
        }
    }
}

fn jobs(request: u128, count: u64, staged: bool) -> Command {
    let definition = JobDefinition {
        project: 1,
        spec: "@every 1h".into(),
        period: Some(3_600_000),
        timezone: "UTC".into(),
        callback_url: "https://example.com/".into(),
        execution_type: "http".into(),
        ..JobDefinition::default()
    };
    let jobs = (0..count).map(|_| NewJob::default()).collect();
    Command::CreateJobs(CreateJobs { request, definitions: vec![definition], jobs, staged })
}

/// One writer: projects, requests of a few jobs, and staged requests.
async fn write(node: Cluster, writer: u64, projects: Arc<Tally>, created: Arc<Tally>) {
    for number in 0..2 {
        let name = format!("{writer} {number}");
        let new = NewProject { name, description: "d".into(), ..NewProject::default() };
        projects.note(&propose(&node, &Command::CreateProject(new)).await, 1);
        let request = u128::from(writer * 10 + number);
        let count = writer % 5 + 1;
        created.note(&propose(&node, &jobs(request, count, false)).await, count);
        let staged = 1_000_000 + request;
        // A chunk by itself is within the limit.
        for _ in 0..2 {
            let outcome = propose(&node, &jobs(staged, count, true)).await;
            assert!(matches!(outcome, Outcome::Jobs { .. }) || is_quota(&outcome), "{outcome}");
        }
        match propose(&node, &Command::ActivateJobs { request: staged }).await {
            Outcome::Jobs { jobs, .. } => {
                let activated = jobs.iter().map(|(_, count)| count).sum();
                created.created.fetch_add(activated, Ordering::Relaxed);
            }
            Outcome::Rejected(_) => {
                created.refused.fetch_add(1, Ordering::Relaxed);
            }
            outcome => panic!("{outcome}"),
        }
    }
}

fn is_quota(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Rejected(why) if why.kind == RejectionKind::QuotaExceeded)
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_at_three_nodes_reach_a_limit_and_do_not_pass_it() {
    let raft = RaftCluster::build(3).await;
    let leader = raft.leader().await;
    let first = NewProject { name: "p".into(), description: "d".into(), ..NewProject::default() };
    propose(raft.node(leader), &Command::CreateProject(first)).await;
    let limits = Limits { projects: Some(PROJECTS), jobs: Some(JOBS), ..Limits::default() };
    let edit = AccountEdit { name: "default".into(), features: Features::ALL, limits, by: None };
    let edit = Command::UpdateAccount { id: FIRST_ACCOUNT, expect: None, edit: Box::new(edit) };
    assert_eq!(propose(raft.node(leader), &edit).await, Outcome::Done);

    let (projects, created) = (Arc::new(Tally::default()), Arc::new(Tally::default()));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let node = raft.node(writer % 3 + 1).clone();
        writers.spawn(write(node, writer, Arc::clone(&projects), Arc::clone(&created)));
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    assert_eq!(projects.created.load(Ordering::Relaxed), PROJECTS - 1, "one was there");
    assert_eq!(projects.refused.load(Ordering::Relaxed), 2 * WRITERS - (PROJECTS - 1));
    // Single jobs fill what no larger request fits into.
    let mut total = created.created.load(Ordering::Relaxed);
    for number in 0.. {
        match propose(raft.node(number % 3 + 1), &jobs(9_000_000 + u128::from(number), 1, false))
            .await
        {
            Outcome::Jobs { .. } => total += 1,
            outcome => {
                assert!(is_quota(&outcome), "{outcome}");
                break;
            }
        }
    }
    assert_eq!(total, JOBS);
    let last = written(raft.node(leader), Command::Tick).await;
    for node in 1..=3 {
        raft.applied(node, last).await;
        let read = |conn: &rusqlite::Connection| {
            let count = |table: &str| {
                let sql = format!("SELECT COUNT(*) FROM {table}");
                conn.query_row(&sql, [], |row| row.get::<_, i64>(0))
            };
            Ok((accounts::get(conn, FIRST_ACCOUNT)?, count("projects")?, count("jobs")?))
        };
        let (account, rows_of_projects, rows_of_jobs) = raft.node(node).read(read).await.unwrap();
        let held = account.unwrap().held;
        assert_eq!((held.projects, held.jobs), (PROJECTS, JOBS), "node {node}");
        assert_eq!((rows_of_projects, rows_of_jobs), (20, 300), "node {node}");
    }
}
