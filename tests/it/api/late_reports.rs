//! Reports that come before the record of their run: they wait for it, are refused where it never
//! can come, and are to be repeated where it still may.

use std::sync::Arc;

use futures_util::future::join_all;
use scheduler0::command::{Command, Outcome};
use scheduler0::model::attempt::{AttemptRecord, JournalEntry, Occurrences, Verdict, Watermark};
use scheduler0::model::claim::{HandedOut, ReportNotice};
use scheduler0::model::delivery::Overlap;
use scheduler0::model::members::Members;
use scheduler0::model::offer::Offer;
use scheduler0::model::run::{Accepted, BeginRun, Begun, Occurrence};
use scheduler0::model::shard::shard_of;
use scheduler0::schedule::delayed;
use scheduler0::store::pending;
use serde_json::json;

use super::run_reports::{id, state_of, tell};
use crate::harness::runs::{offer, taken, terms};
use crate::harness::{LIMIT, RunsFixture, poll_interval};

#[tokio::test]
async fn a_report_waits_for_the_record_of_its_claim() {
    let mut runs = RunsFixture::at_a_standstill().await;
    let (of, offered) = (now_of(&runs, 1), now_of(&runs, 2));
    runs.offer(offered).await;
    let ids = (id(&runs, of).await, id(&runs, offered).await);
    for (of, id, state) in [(of, ids.0, "completed"), (offered, ids.1, "failed")] {
        let body = json!({"reports": [{"id": id, "state": state, "attempt": 1, "retry": false}]});
        let api = Arc::clone(&runs.api);
        let told = tokio::spawn(async move { api.post("/api/v1/workers/w/report", body).await });
        poll_interval().await;
        let row = runs.api.cluster().read(|conn| pending::for_shard(conn, 0)).await.unwrap();
        let row = row.iter().find(|row| row.members.contains(of.job)).map(|row| row.id);
        runs.journal(vec![JournalEntry::Taken(taken(Offer { pending: row, ..offer(of) }, "w"))])
            .await;
        let told = tokio::time::timeout(LIMIT, told).await.unwrap().unwrap();
        let answer = &told.json["data"]["reports"][0];
        assert_eq!((&answer["status"], &answer["state"]), (&json!(200), &json!(state)), "{answer}");
        let shown = runs.api.get(&format!("/api/v1/runs/{id}")).await;
        assert!(shown.json["data"]["startedAt"].is_string(), "{}", shown.json);
    }
}

/// An occurrence of this moment: its record may be on its way. It is due after the cluster was
/// born, up to which all is settled.
fn now_of(runs: &RunsFixture, job: u64) -> Occurrence {
    Occurrence { job, scheduled: (runs.api.app.now() / 1_000 + 1) * 1_000, run: 0 }
}

#[tokio::test]
async fn a_report_by_the_older_route_waits_until_its_run_is_accepted() {
    let mut runs = RunsFixture::at_a_standstill().await;
    let of = now_of(&runs, 6);
    // It is on offer and keeps a place among the runs of its job, but nobody has it.
    let request = BeginRun {
        occurrence: of,
        project: 1,
        shard: shard_of(of.job),
        node: 1,
        epoch: 1,
        due: of.scheduled,
        attempt: 1,
        pending: None,
        overlap: Overlap::Skip,
        timeout: 10_000,
        retry: terms().retry,
    };
    let queued = now_of(&runs, 1);
    let request = BeginRun { occurrence: queued, shard: shard_of(1), ..request };
    let granted = runs.api.cluster().propose(Command::BeginRun(request)).await.unwrap();
    assert_eq!(granted, Outcome::Begun(Begun::Go));
    runs.offer(queued).await;
    let path = format!("/api/v1/executions/{}/fail", id(&runs, queued).await);
    let api = Arc::clone(&runs.api);
    let told = tokio::spawn(async move { api.post(&path, json!({"retry": false})).await });
    poll_interval().await;
    runs.take(queued, "w").await;
    let told = tokio::time::timeout(LIMIT, told).await.unwrap().unwrap();
    assert_eq!((told.status.as_u16(), state_of(&told)), (200, "failed".into()), "{}", told.json);
    // Of a receiver that answers and reports in the same moment.
    let path = format!("/api/v1/executions/{}/complete", id(&runs, of).await);
    let api = Arc::clone(&runs.api);
    let told = tokio::spawn(async move { api.post(&path, json!({})).await });
    poll_interval().await;
    let promise = Accepted { run_timeout: None, heartbeat_timeout: None, retry: terms().retry };
    let (project, shard, epoch, due) = (1, shard_of(6), 1, of.scheduled);
    let members = Members::from_sorted([6]);
    let occurrences = Occurrences { project, shard, epoch, due, scheduled: due, members };
    let accepted = AttemptRecord {
        accepted: Some(Box::new(promise)),
        ..AttemptRecord::attempt(occurrences, Verdict::Running)
    };
    runs.journal(vec![JournalEntry::Attempt(accepted)]).await;
    let told = tokio::time::timeout(LIMIT, told).await.unwrap().unwrap();
    assert_eq!((told.status.as_u16(), state_of(&told)), (200, "delivered".into()));
}

#[tokio::test]
async fn a_report_on_a_run_that_never_comes_is_answered_in_the_end() {
    let mut runs = RunsFixture::new().await;
    let (of, offered) = (now_of(&runs, 1), now_of(&runs, 2));
    runs.offer(offered).await;
    let long_ago = Occurrence { scheduled: of.scheduled - 48 * 3_600_000, ..of };
    // The owner has all that was due then in its journal, and says that nobody has the other one.
    let at = of.scheduled;
    let settled = Watermark { shard: shard_of(of.job), epoch: 1, at };
    runs.journal(vec![JournalEntry::Watermarks(vec![settled])]).await;
    let execution = format!("/api/v1/executions/{}/fail", id(&runs, of).await);
    let (told, late, on_offer, older) = tokio::join!(
        tell(&runs, of, "complete", ""),
        tell(&runs, long_ago, "fail", ""),
        tell(&runs, offered, "fail", "{\"attempt\":1}"),
        runs.api.post(&execution, json!({})),
    );
    assert_eq!((told.0, late.0, older.status.as_u16()), (404, 404, 404));
    assert_eq!(on_offer, (404, "pending".to_owned()));
}

#[tokio::test]
async fn a_report_whose_record_may_still_come_is_to_be_repeated() {
    let mut runs = RunsFixture::new().await;
    let (of, offered, begun) = (now_of(&runs, 1), now_of(&runs, 2), now_of(&runs, 3));
    runs.offer(offered).await;
    runs.take(begun, "w").await;
    let (unsettled, claimed, begun) =
        (id(&runs, of).await, id(&runs, offered).await, id(&runs, begun).await);
    // The owner cannot tell.
    runs.api.workers.say_handed_out(HandedOut::Unknown);
    let paths = [
        format!("runs/{unsettled}/complete"),
        format!("executions/{unsettled}/complete"),
        format!("runs/{claimed}/fail"),
    ];
    let told =
        paths.iter().map(async |path| runs.api.post(&format!("/api/v1/{path}"), json!({})).await);
    for told in join_all(told).await {
        assert_eq!(told.status, 503, "{}", told.json);
        assert_eq!(told.header("retry-after"), "1");
        let message = told.json["error"]["message"].as_str().unwrap();
        assert!(message.contains("report again"), "{message}");
    }
    // It has handed the attempt out. What is said of a run behind such a report waits with it, and
    // others are answered by themselves.
    runs.api.workers.say_handed_out(HandedOut::Yes);
    let reports = json!([
        {"id": claimed, "state": "failed", "attempt": 1},
        {"id": begun, "state": "completed", "attempt": 1},
        {"id": claimed, "state": "completed", "attempt": 1},
    ]);
    let told = runs.api.post("/api/v1/workers/w/report", json!({"reports": reports})).await;
    let answers = told.json["data"]["reports"].as_array().unwrap();
    let statuses: Vec<_> = answers.iter().map(|one| one["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [503, 200, 503], "{}", told.json);
    assert_eq!(answers[0]["state"], "pending");
    // Its worker is alive all the same.
    let ended = async {
        let has_ended = |told: &ReportNotice| told.occurrence == offered && told.ends;
        while !runs.api.workers.reports().iter().any(has_ended) {
            poll_interval().await;
        }
    };
    tokio::time::timeout(LIMIT, ended).await.unwrap();
}

const HOUR: i64 = 3_600_000;

/// Creates job 7 of queue 1, with a jitter of an hour. Its occurrence of about this moment, and the
/// instant at which that is due: minutes later.
async fn with_jitter(runs: &RunsFixture) -> (Occurrence, i64) {
    let job = json!({"projectId": 1, "spec": "@every 2h", "timezone": "UTC", "executorId": 1,
                     "externalId": "seven", "jitter": "1h"});
    let made = runs.api.post("/api/v1/jobs", job).await;
    assert_eq!(made.status, 202, "{}", made.json);
    let first = now_of(runs, 7);
    let late = (0..50).find_map(|second| {
        let of = Occurrence { scheduled: first.scheduled + second * 1_000, ..first };
        let due = delayed(of.job, of.scheduled, HOUR);
        (due > of.scheduled + 2 * 60_000).then_some((of, due))
    });
    late.unwrap()
}

fn record(of: Occurrence, due: i64, verdict: Verdict) -> JournalEntry {
    let members = Members::from_sorted([of.job]);
    let (project, shard, epoch, scheduled) = (1, shard_of(of.job), 1, of.scheduled);
    let occurrences = Occurrences { project, shard, epoch, due, scheduled, members };
    JournalEntry::Attempt(AttemptRecord::attempt(occurrences, verdict))
}

#[tokio::test]
async fn the_leader_is_asked_before_a_report_is_to_be_repeated() {
    let mut runs = RunsFixture::new().await;
    let (of, due) = with_jitter(&runs).await;
    // Its dead letter is found by the occurrence, and its end by no instant that is looked at.
    let dead = Occurrence { scheduled: of.scheduled + 1_000, ..of };
    let other = delayed(dead.job, dead.scheduled, HOUR) + 500;
    let entries = vec![record(of, due, Verdict::Delivered), record(dead, other, Verdict::Dead)];
    runs.journal(entries).await;
    let execution = format!("/api/v1/executions/{}/complete", id(&runs, of).await);
    let (again, refused, older) = tokio::join!(
        tell(&runs, of, "complete", "{\"attempt\":1}"),
        tell(&runs, of, "fail", "{\"attempt\":1}"),
        runs.api.post(&execution, json!({})),
    );
    let done = "completed".to_owned();
    assert_eq!((again, refused), ((200, done.clone()), (409, done.clone())));
    assert_eq!(older.status, 200, "{}", older.json);
    assert_eq!(tell(&runs, dead, "complete", "").await, (200, done));
}

#[tokio::test]
async fn a_run_is_waited_for_though_its_jitter_was_taken_away_or_its_job_deleted() {
    let mut runs = RunsFixture::new().await;
    let (of, _) = with_jitter(&runs).await;
    let settled = Watermark { shard: shard_of(of.job), epoch: 1, at: of.scheduled + 1_000 };
    runs.journal(vec![JournalEntry::Watermarks(vec![settled])]).await;
    // Its owner has handed it out, and the record of that is on its way.
    runs.api.workers.say_handed_out(HandedOut::Yes);
    let execution = format!("/api/v1/executions/{}/complete", id(&runs, of).await);
    for (method, body) in [("PATCH", "{\"jitter\":\"0s\"}"), ("DELETE", "")] {
        let edited = runs.api.send(method, "/api/v1/jobs/7", &[], body).await;
        assert!(edited.status.is_success(), "{method}: {}", edited.json);
        let (told, older) = tokio::join!(
            tell(&runs, of, "complete", "{\"attempt\":1}"),
            runs.api.post(&execution, json!({})),
        );
        assert_eq!((told.0, older.status.as_u16()), (503, 503), "{method}");
    }
}
