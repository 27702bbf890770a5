//! Runs: what waits for workers, is under way and is over, listed and read one by one.

use std::collections::BTreeSet;

use scheduler0::command::{Command, Outcome};
use scheduler0::model::attempt::{
    AttemptRecord, JournalEntry, Occurrences, ResultOrigin, SkipReason, Verdict,
};
use scheduler0::model::claim::LiveRun;
use scheduler0::model::delivery::Overlap;
use scheduler0::model::members::Members;
use scheduler0::model::offer::{Offer, RunProgress};
use scheduler0::model::run::{Accepted, BeginRun, Begun, Occurrence, Phase};
use scheduler0::model::run_report::Said;
use scheduler0::model::shard::shard_of;
use scheduler0::model::time::{parse_rfc3339, rfc3339};
use serde_json::{Value, json};

use crate::harness::RunsFixture;
use crate::harness::runs::{offer, terms};

/// The runs of a query, as (job, minute, state), in the order of the answer.
async fn list(runs: &RunsFixture, query: &str) -> Vec<(u64, i64, String)> {
    let list = runs.api.get(&format!("/api/v1/runs{query}")).await;
    assert_eq!(list.status, 200, "{query}: {}", list.json);
    list.json["data"]["runs"].as_array().unwrap().iter().map(|run| short(runs, run)).collect()
}

fn short(runs: &RunsFixture, run: &Value) -> (u64, i64, String) {
    let at = parse_rfc3339(run["scheduledAt"].as_str().unwrap()).unwrap();
    let state = run["state"].as_str().unwrap().to_owned();
    (run["jobId"].as_u64().unwrap(), (at - runs.at) / 60_000, state)
}

fn record(of: Occurrence, verdict: Verdict, origin: ResultOrigin) -> JournalEntry {
    let Occurrence { job, scheduled, run } = of;
    let members = Members::from_sorted([job]);
    let (project, shard, epoch) = (1, shard_of(job), 1);
    let of = Occurrences { project, shard, epoch, due: scheduled, scheduled, members };
    JournalEntry::Attempt(AttemptRecord { run, origin, ..AttemptRecord::attempt(of, verdict) })
}

/// One run in each state: offered, taken, cancelling, parked, accepted by HTTP, and four ends.
async fn one_of_each() -> RunsFixture {
    let mut runs = RunsFixture::new().await;
    let of = |runs: &RunsFixture, job, minute| runs.of(job, minute);
    let first = of(&runs, 1, 0);
    runs.offer(first).await;
    for (job, minute, worker) in [(2, 1, "w1"), (3, 2, "w2"), (4, 3, "w1")] {
        runs.take(of(&runs, job, minute), worker).await;
    }
    runs.say(of(&runs, 3, 2), Said::Cancel { by: Some("me".into()) }).await;
    runs.say(of(&runs, 4, 3), Said::Done { result: Some("42 mails".into()) }).await;
    // An occurrence that waits behind the run of its job.
    let request = BeginRun {
        occurrence: of(&runs, 2, 4),
        project: 1,
        shard: shard_of(2),
        node: 1,
        epoch: 1,
        due: of(&runs, 2, 4).scheduled,
        attempt: 1,
        pending: None,
        overlap: Overlap::QueueOne,
        timeout: 10_000,
        retry: terms().retry,
    };
    let granted = runs.api.cluster().propose(Command::BeginRun(request)).await.unwrap();
    assert_eq!(granted, Outcome::Begun(Begun::Queued));
    // A receiver accepted one.
    let promise = Accepted { run_timeout: None, heartbeat_timeout: None, retry: terms().retry };
    let JournalEntry::Attempt(accepted) =
        record(of(&runs, 6, 5), Verdict::Running, ResultOrigin::Answer)
    else {
        unreachable!()
    };
    let accepted = AttemptRecord { accepted: Some(Box::new(promise)), ..accepted };
    runs.journal(vec![JournalEntry::Attempt(accepted)]).await;
    // Ends.
    for minute in [6, 7] {
        runs.take(of(&runs, 1, minute), "w3").await;
    }
    let failed = Said::Failed { error: Some("no disk".into()), retry: false };
    runs.say(of(&runs, 1, 6), failed).await;
    runs.say(of(&runs, 1, 7), Said::Cancel { by: None }).await;
    runs.say(of(&runs, 1, 7), Said::Cancelled).await;
    let full = Verdict::Skipped(SkipReason::QueueFull);
    let (skipped, sent) = (of(&runs, 5, 8), of(&runs, 6, 9));
    runs.journal(vec![
        record(skipped, full, ResultOrigin::Answer),
        record(sent, Verdict::Delivered, ResultOrigin::Answer),
    ])
    .await;
    runs
}

fn rows(list: &[(u64, i64, &str)]) -> Vec<(u64, i64, String)> {
    list.iter().map(|(job, minute, state)| (*job, *minute, (*state).to_owned())).collect()
}

#[tokio::test]
async fn each_filter_finds_its_runs() {
    let runs = one_of_each().await;
    let open = [
        (6, 5, "running"),
        (2, 4, "queued"),
        (3, 2, "cancelling"),
        (2, 1, "running"),
        (1, 0, "pending"),
    ];
    let at = |minute: i64| rfc3339(runs.at + minute * 60_000);
    let created = format!("?createdBefore={}", at(2));
    let started = format!("?startedBefore={}", at(2));
    let heard = format!("?heartbeatBefore={}", at(90));
    for (query, expected) in [
        ("", &open[..]),
        ("?state=pending", &open[4..]),
        ("?state=running", &[open[0], open[3]]),
        ("?state=running&state=queued", &[open[0], open[1], open[3]]),
        ("?state=running,cancelling", &[open[0], open[2], open[3]]),
        ("?state=completed", &[(4, 3, "completed")]),
        ("?state=failed&state=completed", &[(1, 6, "failed"), (4, 3, "completed")]),
        ("?state=cancelled&state=pending", &[open[4], (1, 7, "cancelled")]),
        ("?jobId=2", &[open[1], open[3]]),
        (
            "?jobId=1&state=pending,failed,cancelled",
            &[open[4], (1, 7, "cancelled"), (1, 6, "failed")],
        ),
        ("?jobId=5&state=skipped", &[(5, 8, "skipped")]),
        ("?jobId=6&state=completed", &[]),
        ("?projectId=1", &open),
        ("?projectId=2", &[]),
        ("?queue=emails", &open[1..]),
        ("?queue=reports", &[]),
        ("?queue=emails&state=completed", &[(4, 3, "completed")]),
        ("?queue=reports&state=completed", &[]),
        ("?worker=w1", &[open[3]]),
        ("?worker=w3", &[]),
        ("?worker=w2&state=cancelling", &[open[2]]),
        (created.as_str(), &open[3..]),
        (started.as_str(), &[open[3]]),
        // When a worker's run was heard of, only its owner knows.
        (heard.as_str(), &open[..1]),
    ] {
        assert_eq!(list(&runs, query).await, rows(expected), "{query}");
        // One by one, the same.
        let (mut paged, mut after) = (Vec::new(), String::new());
        loop {
            let and = if query.is_empty() { '?' } else { '&' };
            let path = format!("/api/v1/runs{query}{and}limit=1{after}");
            let page = runs.api.get(&path).await;
            let shown = page.json["data"]["runs"].as_array().unwrap();
            paged.extend(shown.iter().map(|run| short(&runs, run)));
            let Some(next) = page.json["data"]["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(paged, rows(expected), "{query}, by pages");
    }
}

#[tokio::test]
async fn a_run_is_found_by_either_id_and_shown_with_its_attempts() {
    let mut runs = one_of_each().await;
    let progress = RunProgress {
        occurrence: runs.of(2, 1),
        attempt: 1,
        progress: Some(40),
        message: Some("half".into()),
    };
    runs.journal(vec![JournalEntry::Progress(vec![progress])]).await;
    let list = runs.api.get("/api/v1/runs?jobId=2&state=running").await;
    let one = list.json["data"]["runs"][0].clone();
    assert_eq!((&one["queue"], &one["bus"]), (&json!("emails"), &json!("embedded")));
    assert_eq!((&one["jobName"], &one["worker"]), (&json!("two"), &json!("w1")));
    assert_eq!((&one["progress"], &one["message"]), (&json!(40), &json!("half")));
    assert_eq!(one["startedAt"], rfc3339(runs.at + 60_010));
    assert!(one.get("heartbeatAt").is_none() && one.get("attempts").is_none(), "{one}");
    let (id, run_id) = (one["id"].as_str().unwrap(), one["runId"].as_str().unwrap());
    assert_eq!(run_id.len(), 24);
    let by_id = runs.api.get(&format!("/api/v1/runs/{id}")).await;
    let by_run_id = runs.api.get(&format!("/api/v1/runs/{run_id}")).await;
    assert_eq!((by_id.status.as_u16(), &by_id.json), (200, &by_run_id.json));
    let mut shown = by_id.json["data"].clone();
    assert_eq!(shown.as_object_mut().unwrap().remove("attempts"), Some(json!([])));
    assert_eq!(shown, one, "a list shows the same");
    let stops = runs.api.get("/api/v1/runs?state=cancelling").await.json["data"]["runs"][0].clone();
    assert_eq!((&stops["reason"], &stops["cancelledBy"]), (&json!("cancelled"), &json!("me")));
    // An execution is found by it, too.
    let execution = runs.api.get(&format!("/api/v1/executions/{run_id}")).await;
    assert_eq!(execution.json["data"]["executionId"], id);

    let of = async |query: &str| {
        let list = runs.api.get(&format!("/api/v1/runs{query}")).await;
        let id = list.json["data"]["runs"][0]["id"].as_str().unwrap().to_owned();
        runs.api.get(&format!("/api/v1/runs/{id}")).await.json["data"].clone()
    };
    let done = of("?state=completed").await;
    assert_eq!((&done["state"], &done["result"]), (&json!("completed"), &json!("42 mails")));
    assert!(done["endedAt"].is_string() && done["startedAt"].is_string(), "{done}");
    assert_eq!(done["attempts"][0]["how"], "reported");
    let failed = of("?state=failed").await;
    assert_eq!((&failed["state"], &failed["error"]), (&json!("failed"), &json!("no disk")));
    let skipped = of("?jobId=5&state=skipped").await;
    assert_eq!((&skipped["state"], &skipped["reason"]), (&json!("skipped"), &json!("queue_full")));
    assert!(skipped.get("startedAt").is_none(), "{skipped}");
    let waits = of("?state=pending").await;
    assert_eq!((&waits["attempt"], &waits["state"]), (&json!(1), &json!("pending")));
    let of_http = of("?jobId=6").await;
    assert_eq!((&of_http["bus"], &of_http["state"]), (&json!("http"), &json!("running")));
    assert_eq!(of_http["attempts"].as_array().unwrap().len(), 1);
    // Who performed the runs of a job that was deleted is not known any more.
    let deleted = runs.api.send("DELETE", "/api/v1/jobs/4", &[], "").await;
    assert!(deleted.status.is_success(), "{}", deleted.json);
    let done = runs.api.get("/api/v1/runs?state=completed").await.json["data"]["runs"][0].clone();
    assert_eq!((&done["jobId"], &done["bus"]), (&json!(4), &Value::Null), "{done}");
    for unknown in
        ["1", "x", "00000001-1-1", "0123456789abcdef01234567", "0123456789abcdef0123456g"]
    {
        let missing = runs.api.get(&format!("/api/v1/runs/{unknown}")).await;
        assert_eq!(missing.status, 404, "{unknown}: {}", missing.json);
    }
}

#[tokio::test]
async fn what_the_owner_knows_is_shown_before_it_is_recorded() {
    let mut runs = RunsFixture::new().await;
    let (offered, taken) = (runs.of(1, 0), runs.of(2, 0));
    runs.offer(offered).await;
    runs.take(taken, "w").await;
    let live = |of: Occurrence, phase, progress| LiveRun {
        occurrence: of,
        attempt: 1,
        phase: Some(phase),
        worker: "w2".into(),
        heard_ms_ago: Some(1),
        progress,
        message: None,
    };
    let known = vec![
        live(offered, Phase::Running, None),
        LiveRun { worker: "w".into(), ..live(taken, Phase::Cancelling, Some(70)) },
    ];
    runs.api.workers.know(Some(known));
    let expected = rows(&[(2, 0, "cancelling"), (1, 0, "running")]);
    let mut shown = list(&runs, "").await;
    shown.sort_by(|one, other| other.cmp(one));
    assert_eq!(shown, expected);
    let one = runs.api.get("/api/v1/runs?jobId=1").await.json["data"]["runs"][0].clone();
    assert_eq!((&one["worker"], &one["live"]), (&json!("w2"), &json!(true)), "{one}");
    let id = one["id"].as_str().unwrap();
    let same = runs.api.get(&format!("/api/v1/runs/{id}")).await.json["data"].clone();
    assert_eq!((&same["state"], &same["worker"]), (&json!("running"), &json!("w2")));
    assert_eq!(list(&runs, "?state=pending").await, [], "it was taken meanwhile");
    let other = runs.api.get("/api/v1/runs?worker=w").await.json["data"]["runs"][0].clone();
    assert_eq!(other["progress"], 70, "{other}");
    assert!(one["heartbeatAt"].is_string(), "{one}");
    let heard = rfc3339(runs.api.app.now() + 3_600_000);
    let query = format!("?heartbeatBefore={heard}");
    assert_eq!(list(&runs, &query).await, rows(&[(2, 0, "cancelling")]));
    // An owner that says nothing delays an answer for a moment.
    runs.api.workers.know(None);
    let one = runs.api.get("/api/v1/runs?jobId=1").await.json["data"]["runs"][0].clone();
    assert_eq!((&one["state"], &one["live"]), (&json!("pending"), &json!(false)), "{one}");
}

#[tokio::test]
async fn a_manual_run_is_found_by_its_run_id() {
    let mut runs = RunsFixture::new().await;
    let ran = runs.api.post("/api/v1/jobs/1/run", json!({})).await;
    let id = ran.json["data"]["executionId"].as_str().unwrap().to_owned();
    let read = async |runs: &RunsFixture, id: &str| {
        runs.api.get(&format!("/api/v1/runs/{id}")).await.json["data"].clone()
    };
    let waits = read(&runs, &id).await;
    let run_id = waits["runId"].as_str().unwrap().to_owned();
    assert_eq!(read(&runs, &run_id).await, waits);
    let parts: Vec<_> = id.split('-').collect();
    let hex = |text: &str| i64::from_str_radix(text, 16).unwrap();
    let of = Occurrence {
        job: 1,
        scheduled: hex(parts[2]),
        run: u64::from_str_radix(parts[3], 16).unwrap(),
    };
    runs.take(of, "w").await;
    assert_eq!(read(&runs, &run_id).await["state"], "running");
    runs.say(of, Said::Done { result: None }).await;
    let over = read(&runs, &run_id).await;
    assert_eq!((&over["state"], &over["id"]), (&json!("completed"), &json!(id)));
}

#[tokio::test]
async fn pages_go_through_a_row_of_ten_thousand_members_while_they_are_taken() {
    const MEMBERS: u64 = 10_000;
    let mut runs = RunsFixture::new().await;
    // Jobs of one shard, which need not exist for a row of theirs.
    let of_shard = (1..).filter(|job| shard_of(*job) == 0).take(MEMBERS as usize);
    let members: Vec<u64> = of_shard.collect();
    let of = runs.of(1, 0);
    let group = Offer { members: Members::from_sorted(members.iter().copied()), ..offer(of) };
    runs.journal(vec![JournalEntry::Offered(group)]).await;
    let (mut seen, mut after, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = runs.api.get(&format!("/api/v1/runs?limit=1000{after}")).await;
        let shown = page.json["data"]["runs"].as_array().unwrap();
        seen.extend(shown.iter().map(|run| run["jobId"].as_u64().unwrap()));
        let Some(next) = page.json["data"]["next"].as_str() else { break };
        after = format!("&after={next}");
        // Some before and some behind the place are taken meanwhile: none is missed or shown twice.
        for job in [members[pages], members[MEMBERS as usize - 1 - pages]] {
            runs.take(Occurrence { job, ..of }, "w").await;
        }
        pages += 1;
    }
    assert_eq!((pages, seen.len()), (10, MEMBERS as usize));
    let all: BTreeSet<_> = seen.into_iter().collect();
    assert!(all.into_iter().eq(members), "each once");
    assert_eq!(list(&runs, "?worker=w&limit=1000").await.len(), 20);
}

#[tokio::test]
async fn what_was_completed_late_is_listed_once() {
    let runs = one_of_each().await;
    let failed = runs.of(1, 6);
    runs.say(failed, Said::Done { result: None }).await;
    assert_eq!(list(&runs, "?state=failed").await, []);
    assert_eq!(
        list(&runs, "?state=failed,completed").await,
        rows(&[(1, 6, "completed"), (4, 3, "completed")])
    );
}

#[tokio::test]
async fn a_list_that_makes_no_sense_is_refused() {
    let runs = RunsFixture::new().await;
    for (query, status, field) in [
        ("state=paused", 400, "state"),
        ("state=skipped", 400, "state"),
        ("jobId=x", 400, "jobId"),
        ("projectId=-1", 400, "projectId"),
        ("queue=nowhere", 404, "queue"),
        ("worker=w&state=completed", 400, "worker"),
        ("heartbeatBefore=2026-01-01&state=failed", 400, "heartbeatBefore"),
        ("createdBefore=yesterday", 400, "createdBefore"),
        ("startedBefore=1", 400, "startedBefore"),
        ("heartbeatBefore=x", 400, "heartbeatBefore"),
        ("limit=0", 400, "limit"),
        ("after=o-1", 400, "after"),
    ] {
        let refused = runs.api.get(&format!("/api/v1/runs?{query}")).await;
        let told = (refused.status.as_u16(), refused.json["error"]["field"].as_str());
        assert_eq!(told, (status, Some(field)), "{query}: {}", refused.json);
    }
    let name = "x".repeat(256);
    for field in ["queue", "worker"] {
        let refused = runs.api.get(&format!("/api/v1/runs?{field}={name}")).await;
        assert_eq!(refused.json["error"]["field"], field);
    }
    assert_eq!(runs.api.get("/api/v1/runs?offset=1").await.status, 400);
}
