//! Where jobs go, on what terms, and what follows from the answer, story by story.

use std::collections::BTreeMap;
use std::time::Duration;

use super::world::{Seen, T0, World, definition, pause_and_resume};
use crate::command::{Command, JobAction, JobEdit, Outcome, ProjectAction, ProjectEdit};
use crate::executor::headers::sign;
use crate::model::attempt::{
    AttemptRecord, ResultOrigin, SkipReason, Verdict, execution_id, occurrence_id,
};
use crate::model::delivery::{Delivery, Overlap, Retry};
use crate::model::job::{JobDefinition, Timing};
use crate::model::project::ProjectSettings;
use crate::model::run::{Accepted, Begun};
use crate::model::shard::shard_of;
use crate::model::target::{Auth, Executor, HttpTarget, SigningSecret};
use crate::secret::purpose;
use crate::store::ledger::State;

const URL: &str = "http://receiver/a";
const CLUSTER: u128 = 0xc1 << 96;

fn single(spec: &str, url: &str) -> JobDefinition {
    let http =
        HttpTarget { method: "PUT".to_owned(), url: url.to_owned(), ..HttpTarget::default() };
    JobDefinition { http: Some(Box::new(http)), ..definition(spec, "") }
}

fn with_overlap(overlap: Overlap) -> JobDefinition {
    JobDefinition { overlap, ..single("@every 10s", URL) }
}

fn executor(kind: &str, url: &str) -> Executor {
    Executor {
        name: "e".to_owned(),
        kind: kind.to_owned(),
        webhook_url: url.to_owned(),
        webhook_method: "PUT".to_owned(),
        ..Executor::default()
    }
}

fn hires(world: &World, executor: Executor) -> u64 {
    match world.apply(&Command::CreateExecutor(executor)) {
        Outcome::Created(id) => id,
        other => panic!("{other:?}"),
    }
}

fn settles(world: &World, settings: ProjectSettings) {
    let edit = ProjectEdit { id: 1, settings: Some(settings), ..ProjectEdit::default() };
    world.apply(&Command::UpdateProject(edit));
}

async fn later(world: &World, ms: u64) {
    world.settle().await;
    world.pass(ms, 500).await;
}

/// Collects, and lets the engine read what came of it.
async fn collected(world: &World) {
    world.collect();
    world.settle().await;
}

fn signature(seen: &Seen, secrets: &[&str]) -> String {
    let timestamp = seen.lines["webhook-timestamp"].parse().unwrap();
    sign(secrets, &seen.webhook_id, timestamp, seen.body.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_target_gets_a_request_for_each_occurrence() {
    let mut world = World::new();
    world.says(|_| (200, "thank\nyou".to_owned()));
    world.start();
    let mut definition = single("@every 10s", "http://receiver/a/{{jobId}}");
    let http = definition.http.as_mut().unwrap();
    http.auth = Auth::Bearer { token: world.keys.seal("let me in", purpose::TOKEN) };
    http.body = Some("{\"id\":\"{{executionId}}\"}".to_owned());
    http.headers = BTreeMap::from([("x-try".to_owned(), "{{attempt}}".to_owned())]);
    let key = world.keys.seal("opens", purpose::HEADER);
    http.secret_headers = BTreeMap::from([("x-api-key".to_owned(), key)]);
    let first = world.shaped(definition, 3);
    later(&world, 10_000).await;
    let mut seen = world.seen();
    seen.sort_by_key(|call| call.jobs[0]);
    assert_eq!(seen.len(), 3);
    for (job, call) in (first..).zip(&seen) {
        let id = execution_id(CLUSTER, job, T0 + 10_000);
        assert_eq!((call.method.as_str(), &call.webhook_id), ("PUT", &id));
        assert_eq!(call.url, format!("http://receiver/a/{job}"));
        assert_eq!(call.body, format!("{{\"id\":\"{id}\"}}"));
        assert_eq!((call.lines["x-try"].as_str(), call.chunk), ("1", 0));
        assert_eq!(call.lines["authorization"], "Bearer let me in");
        assert_eq!(call.lines["x-api-key"], "opens");
        assert!(!call.lines.contains_key("webhook-signature"));
        assert_eq!(call.timeout, Some(Duration::from_secs(30)));
    }
    collected(&world).await;
    let records = world.records(shard_of(first));
    assert_eq!(records.len(), 3);
    assert!(
        records.iter().all(|b| b.record.response.as_deref() == Some("thank you")),
        "{records:?}"
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_says_where_its_jobs_go_as_it_is_when_they_go() {
    let mut world = World::new();
    world.start();
    let id = hires(&world, executor("webhook_url", URL));
    let jobs =
        world.shaped(JobDefinition { executor: Some(id), ..definition("@every 10s", "") }, 5);
    later(&world, 10_000).await;
    let seen = world.seen();
    assert_eq!((seen.len(), seen[0].jobs.len(), seen[0].method.as_str()), (1, 5, "PUT"));
    assert_eq!(seen[0].url, URL);
    // Built a moment ahead, for the executor as it was then: it goes to the new place all the same.
    world.pass(9_950, 9_950).await;
    let executor = executor("webhook_url", "http://receiver/b");
    world.apply(&Command::UpdateExecutor { id, expect: None, executor });
    world.settle().await;
    world.pass(100, 50).await;
    let seen = world.seen();
    assert_eq!((seen.len(), seen[1].url.as_str()), (2, "http://receiver/b"));
    assert_eq!(world.calls_of(jobs), [(10, 1), (20, 1)]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_answer_is_not_understood_is_a_failed_attempt() {
    let mut world = World::new();
    world.says(|seen| match seen.attempt {
        1 => (200, "{\"failed\": 2}".to_owned()),
        _ => (200, String::new()),
    });
    world.start();
    let first = world.jobs("@every 1000s", URL, 3);
    world.settle().await;
    world.pass(1_000_000, 500_000).await;
    collected(&world).await;
    assert_eq!((world.verdicts(shard_of(first)), world.pending(0)), (vec!["failed"], 1));
    let record = world.records(0).remove(0).record;
    let error = "the receiver answered 200, but its `failed` is not a list of execution ids";
    assert_eq!((record.http_code, record.error.as_deref()), (200, Some(error)));
    later(&world, 10_000).await;
    collected(&world).await;
    assert_eq!(world.verdicts(0), ["failed", "delivered"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_can_be_sent_to_makes_dead_letters() {
    let mut world = World::new();
    world.start();
    let jobs = world.shaped(definition("@every 10s", ""), 5);
    later(&world, 10_000).await;
    collected(&world).await;
    assert!(world.seen().is_empty());
    let records = world.records(shard_of(jobs));
    assert_eq!((records.len(), records[0].record.members.len()), (1, 5));
    assert_eq!(records[0].record.verdict, Verdict::Dead);
    let error = records[0].record.error.clone().unwrap();
    assert!(error.contains("neither callback_url nor http nor executor"), "{error}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_signed_by_all_secrets_in_use() {
    let mut world = World::new();
    world.start();
    let seal = |text: &str, until| SigningSecret {
        sealed: world.keys.seal(text, purpose::SIGNING),
        until,
    };
    let own = vec![seal("its own", None)];
    let signing = vec![seal("new", None), seal("old", Some(T0 + 15_000))];
    settles(&world, ProjectSettings { signing, ..ProjectSettings::default() });
    let signed = Executor { signing: own, ..executor("webhook_url", "http://receiver/b") };
    let id = hires(&world, signed);
    let batch = world.jobs("@every 10s", URL, 2);
    let http = world.shaped(single("@every 10s", "http://receiver/c"), 1);
    let hired =
        world.shaped(JobDefinition { executor: Some(id), ..definition("@every 10s", "") }, 1);
    later(&world, 20_000).await;
    let seen = world.seen();
    assert_eq!(seen.len(), 6);
    for call in &seen {
        let secrets: &[&str] = match (call.jobs[0] == hired, call.at < T0 + 15_000) {
            (true, _) => &["its own"],
            (false, true) => &["new", "old"],
            (false, false) => &["new"],
        };
        assert_eq!(call.lines["webhook-signature"], signature(call, secrets), "{call:?}");
    }
    assert_eq!((world.calls_of(batch).len(), world.calls_of(http).len()), (2, 2));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_another_key_is_a_failed_attempt_and_nothing_goes_out_unsigned() {
    let mut world = World::new();
    world.start();
    let other = crate::secret::Keys::new(&"00".repeat(32), "u", "p").unwrap();
    let signing = vec![SigningSecret { sealed: other.seal("x", purpose::SIGNING), until: None }];
    settles(&world, ProjectSettings { signing, ..ProjectSettings::default() });
    let jobs = world.jobs("@every 1000s", URL, 2);
    world.settle().await;
    world.pass(1_000_000, 500_000).await;
    collected(&world).await;
    assert!(world.seen().is_empty());
    let records = world.records(shard_of(jobs));
    assert_eq!((world.verdicts(0), world.pending(0)), (vec!["failed"], 1));
    assert!(records[0].record.error.clone().unwrap().contains("webhook secret"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_sign_in_at_a_target_is_told_by_its_dead_letter() {
    let mut world = World::new();
    world.start();
    let other = crate::secret::Keys::new(&"00".repeat(32), "u", "p").unwrap();
    let mut definition = single("@every 1000s", URL);
    let token = other.seal("let me in", purpose::TOKEN);
    definition.http.as_mut().unwrap().auth = Auth::Bearer { token };
    let job = world.shaped(definition, 1);
    world.settle().await;
    world.pass(1_000_000, 500_000).await;
    collected(&world).await;
    assert!(world.seen().is_empty());
    let records = world.records(shard_of(job));
    assert_eq!((records.len(), records[0].record.verdict), (1, Verdict::Dead));
    let error = records[0].record.error.as_deref().unwrap();
    for part in ["http.auth: the token cannot be opened", "SecretKey", "set it anew"] {
        assert!(error.contains(part), "{error}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nearest_word_on_retries_and_timeouts_counts() {
    let mut world = World::new();
    world.says(|_| (503, String::new()));
    world.start();
    let delivery = Delivery {
        retry_max: Some(2),
        retry_delay: Some(3_000),
        retry_factor: Some(1_000),
        retry_max_delay: None,
        timeout: Some(7_000),
    };
    settles(&world, ProjectSettings { delivery, ..ProjectSettings::default() });
    let theirs = world.jobs("@every 1000s", URL, 1);
    let own = Delivery { retry_delay: Some(1_000), timeout: Some(900), ..Delivery::default() };
    let own = JobDefinition {
        delivery: own,
        retry_max: Some(1),
        ..definition("@every 1000s", "http://receiver/b")
    };
    let own = world.shaped(own, 1);
    world.settle().await;
    world.pass(1_000_000, 500_000).await;
    for _ in 0..8 {
        collected(&world).await;
        world.pass(1_000, 1_000).await;
    }
    collected(&world).await;
    assert_eq!(world.calls_of(theirs), [(1_000, 1), (1_003, 2), (1_006, 3)]);
    assert_eq!(world.calls_of(own), [(1_000, 1), (1_001, 2)]);
    let timeout = |job| world.seen().iter().find(|call| call.jobs == [job]).unwrap().timeout;
    assert_eq!(timeout(theirs), Some(Duration::from_secs(7)));
    assert_eq!(timeout(own), Some(Duration::from_millis(900)));
    let mut verdicts = world.verdicts(0);
    verdicts.sort_unstable();
    assert_eq!(verdicts, ["dead", "dead", "failed", "failed", "failed"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_of_its_own_codes_and_one_that_is_gone() {
    let mut world = World::new();
    world.says(|seen| (if seen.url == URL { 404 } else { 410 }, String::new()));
    world.start();
    let mut own = single("@every 1000s", URL);
    own.http.as_mut().unwrap().success_codes = vec![404];
    let fine = world.shaped(own, 1);
    let gone = world.shaped(single("@every 1000s", "http://receiver/gone"), 1);
    world.settle().await;
    world.pass(1_000_000, 500_000).await;
    collected(&world).await;
    let of = |job| {
        let records = world.records(shard_of(job));
        records.into_iter().find(|b| b.record.members.iter().eq([job])).unwrap().record
    };
    assert_eq!((of(fine).verdict, of(fine).http_code), (Verdict::Delivered, 404));
    assert_eq!((of(gone).verdict, of(gone).http_code), (Verdict::Dead, 410));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_run_has_its_own_id_from_the_request_to_the_record() {
    let mut world = World::new();
    world.says(|seen| (if seen.attempt == 1 { 500 } else { 200 }, String::new()));
    world.start();
    let job = world.jobs("@every 1h", URL, 1);
    world.settle().await;
    world.pass(2_000, 1_000).await;
    let Outcome::Run(run) = world.apply(&Command::RunJob { id: job, forced: false }) else {
        panic!("no run");
    };
    world.settle().await;
    collected(&world).await;
    world.pass(5_000, 1_000).await;
    collected(&world).await;
    let seen = world.seen();
    assert_eq!(world.calls_of(job), [(2, 1), (7, 2)]);
    let id = occurrence_id(CLUSTER, run);
    assert!(seen.iter().all(|call| call.webhook_id == id), "{seen:?}");
    let list: serde_json::Value = serde_json::from_str(&seen[0].body).unwrap();
    assert_eq!(list[0]["execution_id"].as_str(), Some(id.as_str()));
    let records = world.records(shard_of(job));
    assert_eq!(world.verdicts(shard_of(job)), ["failed", "delivered"]);
    assert!(records.iter().all(|b| b.record.run == run.run && run.run > 0), "{records:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_goes_on_working_makes_a_run() {
    let mut world = World::new();
    world.says(|_| (202, "async".to_owned()));
    world.start();
    let http = JobDefinition {
        run_timeout: Some(60_000),
        heartbeat_timeout: Some(9_000),
        ..single("@every 10s", URL)
    };
    let http = world.shaped(http, 1);
    let batch = world.jobs("@every 10s", "http://receiver/b", 1);
    let unbounded = single("@every 10s", "http://receiver/c");
    let beating = JobDefinition { heartbeat_timeout: Some(9_000), ..unbounded.clone() };
    let endless = JobDefinition { run_timeout: Some(0), ..unbounded.clone() };
    let others = [
        (world.shaped(unbounded, 1), (Some(24 * 3_600_000), None)),
        (world.shaped(beating, 1), (None, Some(9_000))),
        (world.shaped(endless, 1), (None, None)),
    ];
    later(&world, 10_000).await;
    let records = world.journaled();
    let of = |job| records.iter().find(|b| b.members.iter().eq([job])).unwrap();
    let retry = Retry { max: 3, delay: 5_000, factor: 2_000, max_delay: 3_600_000 };
    let accepted = Accepted { run_timeout: Some(60_000), heartbeat_timeout: Some(9_000), retry };
    assert_eq!(of(http).verdict, Verdict::Running);
    assert_eq!(of(http).accepted.as_deref(), Some(&accepted));
    assert_eq!((of(batch).verdict, &of(batch).accepted), (Verdict::Delivered, &None));
    for (job, bounds) in others {
        let promise = of(job).accepted.as_deref().unwrap();
        assert_eq!((promise.run_timeout, promise.heartbeat_timeout), bounds, "job {job}");
    }
    // It is in the journal: W permits it.
    world.apply(&Command::Tick);
    world.pass(6_000, 500).await;
    collected(&world).await;
    assert!(world.shard(0).watermark >= T0 + 10_000);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_may_not_overlap_asks_before_it_goes_out() {
    let mut world = World::new();
    world.begins(|begin| {
        Ok(match begin.occurrence.scheduled - T0 {
            20_000 => Begun::Skipped,
            30_000 => Begun::Queued,
            _ => Begun::Go,
        })
    });
    world.start();
    let job = world.shaped(with_overlap(Overlap::Skip), 1);
    let free = world.shaped(single("@every 10s", "http://receiver/free"), 1);
    later(&world, 40_000).await;
    assert_eq!(world.calls_of(job), [(10, 1), (40, 1)]);
    assert_eq!(world.calls_of(free).len(), 4);
    let asked = world.asked();
    assert_eq!(asked.len(), 4, "{asked:?}");
    let first = &asked[0];
    assert_eq!((first.occurrence.job, first.due, first.attempt), (job, T0 + 10_000, 1));
    assert_eq!((first.overlap, first.epoch, first.pending), (Overlap::Skip, 1, None));
    // Nothing is left open by what the store settled themselves.
    world.apply(&Command::Tick);
    world.pass(6_000, 500).await;
    collected(&world).await;
    assert!(world.shard(0).watermark >= T0 + 40_000);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_leader_a_run_waits_and_holds_up_nobody() {
    let mut world = World::new();
    world.begins(|begin| {
        // Nobody leads for 3 s.
        if begin.due == T0 + 10_000 { Err("no leader".to_owned()) } else { Ok(Begun::Go) }
    });
    world.start();
    let job = world.shaped(with_overlap(Overlap::Skip), 1);
    let batch = world.jobs("@every 1s", URL, 1);
    later(&world, 13_000).await;
    assert_eq!((world.calls_of(job), world.calls_of(batch).len()), (vec![], 13));
    let asked = world.asked().len();
    assert!((2..=12).contains(&asked), "a few times, not in a circle: {asked}");
    world.begins(|_| Ok(Begun::Go));
    world.pass(1_000, 500).await;
    assert_eq!(world.calls_of(job).len(), 1, "once there is one");
    assert_eq!(world.seen().last().map(|call| call.attempt), Some(1));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_books_call_not_yours_is_looked_up_and_not_lost() {
    let mut world = World::new();
    let count = std::sync::atomic::AtomicU64::new(0);
    world.begins(move |_| {
        let first = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        Ok(if first { Begun::NotYours } else { Begun::Go })
    });
    world.start();
    let job = world.shaped(with_overlap(Overlap::Skip), 1);
    later(&world, 10_000).await;
    assert_eq!(world.asked().len(), 2, "the store know of no end and no row: it is due still");
    assert_eq!(world.calls_of(job), [(10, 1)]);
    later(&world, 10_000).await;
    assert_eq!(world.calls_of(job), [(10, 1), (20, 1)]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_run_that_waits_goes_when_the_books_say_so_and_a_forced_one_does_not_ask() {
    let mut world = World::new();
    let count = std::sync::atomic::AtomicU64::new(0);
    world.begins(move |_| {
        let first = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        Ok(if first { Begun::Queued } else { Begun::Go })
    });
    world.start();
    let definition = JobDefinition { overlap: Overlap::QueueOne, ..single("@every 1h", URL) };
    let job = world.shaped(definition, 1);
    later(&world, 1_000).await;
    world.apply(&Command::RunJob { id: job, forced: false });
    world.settle().await;
    let asked = world.asked();
    assert_eq!(asked.len(), 2, "the row is read again, and here it was not parked");
    assert!(asked[0].pending.is_some() && asked[0].occurrence.run > 0);
    assert_eq!(world.calls_of(job), [(1, 1)]);
    world.stop().await;
    let mut world = World::new();
    world.begins(|_| panic!("nobody has to ask"));
    world.start();
    let job = world.shaped(with_overlap(Overlap::Skip), 1);
    later(&world, 1_000).await;
    world.apply(&Command::RunJob { id: job, forced: true });
    world.settle().await;
    assert_eq!(world.calls_of(job), [(1, 1)]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_closed_destination_does_not_take_waits_in_the_books_as_one() {
    let mut world = World::new();
    world.start();
    world.close(URL, T0 + 25_000);
    let first = world.shaped(single("@every 1000s", URL), 40);
    let other = world.jobs("@every 1000s", "http://receiver/b", 1);
    world.settle().await;
    world.clock.advance(Duration::from_secs(1_000));
    world.close(URL, T0 + 1_020_000);
    world.settle().await;
    world.settle().await;
    assert_eq!((world.seen().len(), world.calls_of(other).len()), (1, 1));
    let records: Vec<AttemptRecord> = world.journaled();
    let put_off: Vec<_> = records.iter().filter(|b| b.verdict.name() == "postponed").collect();
    assert_eq!((put_off.len(), put_off[0].members.len()), (1, 40), "one, not one a job");
    assert_eq!(put_off[0].verdict, Verdict::Postponed { at: T0 + 1_020_000 });
    assert_eq!((put_off[0].attempt, put_off[0].origin), (1, ResultOrigin::Answer));
    world.apply(&Command::Tick);
    world.pass(6_000, 500).await;
    assert!(world.calls_of(first).is_empty());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_too_long_for_a_slow_destination_is_put_off() {
    let mut world = World::new();
    // One worker and a queue of two: a share of two.
    world.workers(1, 2);
    world.hang(&[URL]);
    world.start();
    let definition = single("@every 1000s", URL);
    world.shaped(definition, 20);
    world.settle().await;
    world.clock.advance(Duration::from_secs(1_000));
    world.settle().await;
    assert!(world.journaled().is_empty(), "still patient");
    world.pass(11_000, 1_000).await;
    let records = world.journaled();
    let members: u64 = records.iter().map(|b| b.members.len()).sum();
    assert_eq!((records.len(), members), (1, 18), "{records:?}");
    assert!(matches!(records[0].verdict, Verdict::Postponed { at } if at >= T0 + 1_015_000));
    world.hang(&[]);
    world.settle().await;
    assert_eq!(world.seen().len(), 2);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn for_a_destination_that_hangs_little_is_written_and_the_rest_is_put_off_as_one() {
    let mut world = World::new();
    world.hang(&[URL]);
    world.start();
    world.shaped(single("@every 1000s", URL), 1_000);
    world.settle().await;
    world.clock.advance(Duration::from_secs(1_000));
    world.settle().await;
    world.pass(11_000, 1_000).await;
    let records = world.journaled();
    let members: u64 = records.iter().map(|b| b.members.len()).sum();
    // 64 under way and a stride of 52 behind them, of 16 shards.
    assert_eq!(members, 1_000 - 116);
    assert!(records.len() <= 16, "{} blocks", records.len());
    assert!(records.iter().all(|b| matches!(b.verdict, Verdict::Postponed { .. })));
    world.hang(&[]);
    world.settle().await;
    assert_eq!(world.seen().len(), 116);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_occurrence_of_a_one_off_says_so_and_a_run_of_it_does_not() {
    let mut world = World::new();
    world.start();
    let once =
        JobDefinition { timing: Timing::After(5_000), spec: String::new(), ..single("", URL) };
    let job = world.shaped(once, 1);
    later(&world, 1_000).await;
    world.apply(&Command::RunJob { id: job, forced: true });
    later(&world, 6_000).await;
    let mut once: Vec<_> = world.journaled().iter().map(|b| (b.run > 0, b.once)).collect();
    once.sort_unstable();
    assert_eq!(once, [(false, true), (true, false)]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_paused_project_a_row_that_was_never_tried_is_skipped() {
    let mut world = World::new();
    let once =
        JobDefinition { timing: Timing::After(0), spec: String::new(), ..definition("", URL) };
    world.apply(&Command::turn_project(1, ProjectAction::Pause { until: None }, None));
    world.clock.advance(Duration::from_secs(1));
    world.start();
    let job = world.shaped(once, 1);
    world.jobs("@every 1s", URL, 1);
    later(&world, 3_000).await;
    collected(&world).await;
    assert!(world.seen().is_empty());
    let records = world.records(shard_of(job));
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0].record.verdict, Verdict::Skipped(SkipReason::Paused));
    assert_eq!(world.rows(shard_of(job)), []);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_books_an_overlapping_run_is_skipped_or_waits_for_the_one_before() {
    for (overlap, calls) in [
        (Overlap::Skip, vec![(10, 1), (30, 1)]),
        (Overlap::QueueOne, vec![(10, 1), (25, 1), (30, 1)]),
    ] {
        let mut world = World::new();
        world.hang(&[URL]);
        world.start();
        let job = world.shaped(with_overlap(overlap), 1);
        later(&world, 25_000).await;
        assert_eq!(world.calls_of(job), [(10, 1)], "{overlap:?}");
        world.hang(&[]);
        world.settle().await;
        // With the end of the first one in the store the second may begin.
        collected(&world).await;
        later(&world, 1_000).await;
        collected(&world).await;
        later(&world, 4_000).await;
        collected(&world).await;
        assert_eq!(world.calls_of(job), calls, "{overlap:?}");
        let skipped = world.verdicts(shard_of(job)).iter().filter(|v| **v == "skipped").count();
        assert_eq!(skipped, usize::from(overlap == Overlap::Skip));
        assert_eq!(world.rows(shard_of(job)), []);
        world.apply(&Command::Tick);
        world.pass(6_000, 500).await;
        collected(&world).await;
        assert!(world.shard(0).watermark >= T0 + 30_000);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_off_goes_out_once_when_the_destination_takes_it() {
    let mut world = World::new();
    world.start();
    let first = world.shaped(single("@every 1000s", URL), 20);
    world.settle().await;
    world.close(URL, T0 + 1_020_000);
    world.clock.advance(Duration::from_secs(1_000));
    world.settle().await;
    collected(&world).await;
    let rows = world.rows(shard_of(first));
    assert_eq!((rows.len(), rows[0].attempt, rows[0].next_at), (1, 1, T0 + 1_020_000));
    world.pass(19_000, 1_000).await;
    assert!(world.seen().is_empty());
    world.pass(2_000, 500).await;
    let mut jobs: Vec<_> = world.seen().into_iter().flat_map(|call| call.jobs).collect();
    jobs.sort_unstable();
    assert_eq!(jobs, (first..first + 20).collect::<Vec<_>>());
    assert!(world.seen().iter().all(|call| call.attempt == 1));
    collected(&world).await;
    assert_eq!(world.rows(shard_of(first)), []);
    assert_eq!(world.verdicts(shard_of(first)), ["delivered"; 20]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_off_for_too_long_is_given_up() {
    let mut world = World::new();
    world.options.retry_max = 0;
    world.start();
    let first = world.shaped(single("@every 100000s", URL), 5);
    world.settle().await;
    world.close(URL, T0 + 200_000_000);
    world.clock.advance(Duration::from_secs(100_000));
    world.settle().await;
    collected(&world).await;
    assert_eq!(world.rows(shard_of(first)).len(), 1);
    // The breaker says when to look; it is closed still, and the patience of an hour is over.
    world.clock.advance(Duration::from_secs(100_001));
    world.close(URL, T0 + 300_000_000);
    world.settle().await;
    collected(&world).await;
    let records = world.records(shard_of(first));
    let dead: Vec<_> = records.iter().filter(|b| b.record.verdict == Verdict::Dead).collect();
    assert_eq!((dead.len(), dead[0].record.members.len()), (1, 5), "{records:?}");
    assert!(dead[0].record.error.as_deref().unwrap().contains("has been failing since"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_what_was_paused_when_it_began_holds_nobody_up() {
    for of_project in [true, false] {
        let mut world = World::new();
        world.start();
        let job = world.shaped(with_overlap(Overlap::Skip), 1);
        let (pause, resume) = pause_and_resume(job, of_project);
        world.settle().await;
        // It is only to ask when it is due, and then its job is paused.
        world.pass(9_950, 9_950).await;
        world.apply(&pause);
        later(&world, 5_000).await;
        collected(&world).await;
        assert_eq!((world.calls_of(job), world.runs(job)), (vec![], 0), "{of_project}");
        world.apply(&resume);
        later(&world, 10_000).await;
        assert_eq!(world.calls_of(job), [(20, 1)], "{of_project}");
        world.apply(&Command::Expire { limit: 9 });
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_edited_before_it_was_due_is_skipped_when_its_run_has_begun() {
    let mut world = World::new();
    world.start();
    let job = world.shaped(with_overlap(Overlap::Skip), 1);
    // The leader's clock is behind: it stamps an edit with an instant that is over here, and the run
    // had begun when it came.
    let edit = JobEdit { id: job, definition: single("@every 1h", URL), ..JobEdit::default() };
    let (store, edit) = (world.store(), Command::UpdateJob(edit));
    world.begins(move |_| {
        store.apply_at(T0 + 9_999, &edit);
        Ok(Begun::Go)
    });
    world.settle().await;
    later(&world, 12_000).await;
    world.apply(&Command::Tick);
    later(&world, 1_000).await;
    collected(&world).await;
    assert_eq!((world.calls_of(job), world.asked().len()), (vec![], 1));
    let why = world.explained(job, T0 + 10_000);
    let account = why.account.unwrap();
    assert_eq!(account.state, State::Skipped(SkipReason::Edited));
    assert!(!account.planned && account.attempts.len() == 1, "{account:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_off_is_put_off_when_it_is_due() {
    let mut world = World::new();
    world.close(URL, T0 + 12_000);
    world.start();
    let job = world.jobs("@every 10s", URL, 1);
    world.settle().await;
    world.pass(9_950, 9_950).await;
    assert_eq!(world.journaled(), []);
    let jobs = vec![(job, 1)];
    let action = JobAction::Pause { until: None };
    world.apply(&Command::ChangeJobs { jobs, action, by: None });
    later(&world, 2_000).await;
    collected(&world).await;
    world.apply(&Command::Tick);
    later(&world, 30_000).await;
    collected(&world).await;
    assert_eq!((world.calls_of(job), world.rows(shard_of(job))), (vec![], vec![]));
    assert!(world.shard(0).watermark > T0 + 10_000);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_paused_before_it_is_due_neither_waits_behind_a_run_nor_ends_it() {
    for overlap in [Overlap::QueueOne, Overlap::CancelPrevious] {
        let mut world = World::new();
        world.says(|_| (202, "async".to_owned()));
        world.start();
        let job = world.shaped(with_overlap(overlap), 1);
        later(&world, 11_000).await;
        collected(&world).await;
        assert_eq!((world.calls_of(job), world.runs(job)), (vec![(10, 1)], 1), "{overlap:?}");
        world.pass(8_950, 8_950).await;
        let jobs = vec![(job, 1)];
        let action = JobAction::Pause { until: None };
        world.apply(&Command::ChangeJobs { jobs, action, by: None });
        later(&world, 2_000).await;
        world.apply(&Command::Tick);
        later(&world, 2_000).await;
        collected(&world).await;
        assert_eq!(world.asked().len(), 1, "{overlap:?}");
        assert_eq!((world.rows(shard_of(job)), world.runs(job)), (vec![], 1), "{overlap:?}");
        world.stop().await;
    }
}
