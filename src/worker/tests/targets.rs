//! Targets and terms: targets, executors, signatures, retries, success codes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fixture::{ReceivedCall, T0, WorkerFixture, collected, definition, later, single};
use crate::command::{Command, Outcome, ProjectEdit};
use crate::executor::signature::sign;
use crate::model::attempt::{Verdict, execution_id, occurrence_id};
use crate::model::delivery::Delivery;
use crate::model::job::{JobDefinition, Timing};
use crate::model::project::ProjectSettings;
use crate::model::result_code::ResultCode;
use crate::model::shard::shard_of;
use crate::model::target::{Auth, Executor, SigningSecret};
use crate::secret::purpose;

const URL: &str = "http://receiver/a";

const CLUSTER: u128 = 0xc1 << 96;

fn executor(kind: &str, url: &str) -> Executor {
    Executor {
        name: "e".to_owned(),
        kind: kind.to_owned(),
        webhook_url: url.to_owned(),
        webhook_method: "PUT".to_owned(),
        ..Executor::default()
    }
}

fn create_executor(fixture: &WorkerFixture, executor: Executor) -> u64 {
    match fixture.apply(&Command::CreateExecutor(executor)) {
        Outcome::Created(id) => id,
        other => panic!("{other:?}"),
    }
}

fn set_settings(fixture: &WorkerFixture, settings: ProjectSettings) {
    let edit = ProjectEdit { id: 1, settings: Some(settings), ..ProjectEdit::default() };
    fixture.apply(&Command::UpdateProject(edit));
}

fn signature(seen: &ReceivedCall, secrets: &[&str]) -> String {
    let timestamp = seen.lines["webhook-timestamp"].parse().unwrap();
    sign(secrets, &seen.webhook_id, timestamp, seen.body.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_target_gets_a_request_for_each_occurrence() {
    let mut fixture = WorkerFixture::new();
    fixture.answer_with(|_| (200, "thank\nyou".to_owned()));
    fixture.start();
    let mut definition = single("@every 10s", "http://receiver/a/{{jobId}}");
    let http = definition.http.as_mut().unwrap();
    http.auth = Auth::Bearer { token: fixture.keys.seal("let me in", purpose::TOKEN) };
    http.body = Some("{\"id\":\"{{executionId}}\"}".to_owned());
    http.headers = BTreeMap::from([("x-try".to_owned(), "{{attempt}}".to_owned())]);
    let key = fixture.keys.seal("opens", purpose::HEADER);
    http.secret_headers = BTreeMap::from([("x-api-key".to_owned(), key)]);
    let first = fixture.create(definition, 3);
    later(&fixture, 10_000).await;
    let mut seen = fixture.seen();
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
    collected(&fixture).await;
    let records = fixture.records(shard_of(first));
    assert_eq!(records.len(), 3);
    assert!(
        records.iter().all(|b| b.record.response.as_deref() == Some("thank you")),
        "{records:?}"
    );
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_executor_says_where_its_jobs_go_as_it_is_when_they_go() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let id = create_executor(&fixture, executor("webhook_url", URL));
    let jobs =
        fixture.create(JobDefinition { executor: Some(id), ..definition("@every 10s", "") }, 5);
    later(&fixture, 10_000).await;
    let seen = fixture.seen();
    assert_eq!((seen.len(), seen[0].jobs.len(), seen[0].method.as_str()), (1, 5, "PUT"));
    assert_eq!(seen[0].url, URL);
    // The request is built a moment ahead for the executor as it was then. It goes to the new place
    // all the same.
    fixture.pass(9_950, 9_950).await;
    let executor = executor("webhook_url", "http://receiver/b");
    fixture.apply(&Command::UpdateExecutor { id, expect: None, executor });
    fixture.settle().await;
    fixture.pass(100, 50).await;
    let seen = fixture.seen();
    assert_eq!((seen.len(), seen[1].url.as_str()), (2, "http://receiver/b"));
    assert_eq!(fixture.calls_of(jobs), [(10, 1), (20, 1)]);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_answer_is_not_understood_is_a_failed_attempt() {
    let mut fixture = WorkerFixture::new();
    fixture.answer_with(|seen| match seen.attempt {
        1 => (200, "{\"failed\": 2}".to_owned()),
        _ => (200, String::new()),
    });
    fixture.start();
    let first = fixture.jobs("@every 1000s", URL, 3);
    fixture.settle().await;
    fixture.pass(1_000_000, 500_000).await;
    collected(&fixture).await;
    assert_eq!((fixture.verdicts(shard_of(first)), fixture.pending(0)), (vec!["failed"], 1));
    let record = fixture.records(0).remove(0).record;
    let error = "the receiver answered 200, but its `failed` is not a list of execution ids";
    assert_eq!((record.result, record.error.as_deref()), (ResultCode::Http(200), Some(error)));
    later(&fixture, 10_000).await;
    collected(&fixture).await;
    assert_eq!(fixture.verdicts(0), ["failed", "delivered"]);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_can_be_sent_to_makes_dead_letters() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let jobs = fixture.create(definition("@every 10s", ""), 5);
    later(&fixture, 10_000).await;
    collected(&fixture).await;
    assert!(fixture.seen().is_empty());
    let records = fixture.records(shard_of(jobs));
    assert_eq!((records.len(), records[0].record.members.len()), (1, 5));
    assert_eq!(records[0].record.verdict, Verdict::Dead);
    let error = records[0].record.error.clone().unwrap();
    assert!(error.contains("neither callback_url nor http nor amqp nor executor"), "{error}");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_signed_by_all_secrets_in_use() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let seal = |text: &str, until| SigningSecret {
        sealed: fixture.keys.seal(text, purpose::SIGNING),
        until,
    };
    let own = vec![seal("its own", None)];
    let signing = vec![seal("new", None), seal("old", Some(T0 + 15_000))];
    set_settings(&fixture, ProjectSettings { signing, ..ProjectSettings::default() });
    let signed = Executor { signing: own, ..executor("webhook_url", "http://receiver/b") };
    let id = create_executor(&fixture, signed);
    let batch = fixture.jobs("@every 10s", URL, 2);
    let http = fixture.create(single("@every 10s", "http://receiver/c"), 1);
    let hired =
        fixture.create(JobDefinition { executor: Some(id), ..definition("@every 10s", "") }, 1);
    later(&fixture, 20_000).await;
    let seen = fixture.seen();
    assert_eq!(seen.len(), 6);
    for call in &seen {
        let secrets: &[&str] = match (call.jobs[0] == hired, call.at < T0 + 15_000) {
            (true, _) => &["its own"],
            (false, true) => &["new", "old"],
            (false, false) => &["new"],
        };
        assert_eq!(call.lines["webhook-signature"], signature(call, secrets), "{call:?}");
    }
    assert_eq!((fixture.calls_of(batch).len(), fixture.calls_of(http).len()), (2, 2));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_another_key_is_a_failed_attempt_and_nothing_goes_out_unsigned() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let other = crate::secret::Keys::new(&"00".repeat(32), "u", "p").unwrap();
    let signing = vec![SigningSecret { sealed: other.seal("x", purpose::SIGNING), until: None }];
    set_settings(&fixture, ProjectSettings { signing, ..ProjectSettings::default() });
    let jobs = fixture.jobs("@every 1000s", URL, 2);
    fixture.settle().await;
    fixture.pass(1_000_000, 500_000).await;
    collected(&fixture).await;
    assert!(fixture.seen().is_empty());
    let records = fixture.records(shard_of(jobs));
    assert_eq!((fixture.verdicts(0), fixture.pending(0)), (vec!["failed"], 1));
    assert!(records[0].record.error.clone().unwrap().contains("webhook secret"));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_sign_in_at_a_target_is_told_by_its_dead_letter() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let other = crate::secret::Keys::new(&"00".repeat(32), "u", "p").unwrap();
    let mut definition = single("@every 1000s", URL);
    let token = other.seal("let me in", purpose::TOKEN);
    definition.http.as_mut().unwrap().auth = Auth::Bearer { token };
    let job = fixture.create(definition, 1);
    fixture.settle().await;
    fixture.pass(1_000_000, 500_000).await;
    collected(&fixture).await;
    assert!(fixture.seen().is_empty());
    let records = fixture.records(shard_of(job));
    assert_eq!((records.len(), records[0].record.verdict), (1, Verdict::Dead));
    let error = records[0].record.error.as_deref().unwrap();
    for part in ["http.auth: the token cannot be opened", "SecretKey", "set it anew"] {
        assert!(error.contains(part), "{error}");
    }
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nearest_word_on_retries_and_timeouts_counts() {
    let mut fixture = WorkerFixture::new();
    fixture.answer_with(|_| (503, String::new()));
    fixture.start();
    let delivery = Delivery {
        retry_max: Some(2),
        retry_delay: Some(3_000),
        retry_factor: Some(1_000),
        retry_max_delay: None,
        timeout: Some(7_000),
    };
    set_settings(&fixture, ProjectSettings { delivery, ..ProjectSettings::default() });
    let theirs = fixture.jobs("@every 1000s", URL, 1);
    let own = Delivery { retry_delay: Some(1_000), timeout: Some(900), ..Delivery::default() };
    let own = JobDefinition {
        delivery: own,
        retry_max: Some(1),
        ..definition("@every 1000s", "http://receiver/b")
    };
    let own = fixture.create(own, 1);
    fixture.settle().await;
    fixture.pass(1_000_000, 500_000).await;
    for _ in 0..8 {
        collected(&fixture).await;
        fixture.pass(1_000, 1_000).await;
    }
    collected(&fixture).await;
    assert_eq!(fixture.calls_of(theirs), [(1_000, 1), (1_003, 2), (1_006, 3)]);
    assert_eq!(fixture.calls_of(own), [(1_000, 1), (1_001, 2)]);
    let timeout = |job| fixture.seen().iter().find(|call| call.jobs == [job]).unwrap().timeout;
    assert_eq!(timeout(theirs), Some(Duration::from_secs(7)));
    assert_eq!(timeout(own), Some(Duration::from_millis(900)));
    let mut verdicts = fixture.verdicts(0);
    verdicts.sort_unstable();
    assert_eq!(verdicts, ["dead", "dead", "failed", "failed", "failed"]);
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_of_its_own_codes_and_one_that_is_gone() {
    let mut fixture = WorkerFixture::new();
    fixture.answer_with(|seen| (if seen.url == URL { 404 } else { 410 }, String::new()));
    fixture.start();
    let mut own = single("@every 1000s", URL);
    own.http.as_mut().unwrap().success_codes = vec![404];
    let fine = fixture.create(own, 1);
    let gone = fixture.create(single("@every 1000s", "http://receiver/gone"), 1);
    fixture.settle().await;
    fixture.pass(1_000_000, 500_000).await;
    collected(&fixture).await;
    let of = |job| {
        let records = fixture.records(shard_of(job));
        records.into_iter().find(|b| b.record.members.iter().eq([job])).unwrap().record
    };
    assert_eq!((of(fine).verdict, of(fine).result), (Verdict::Delivered, ResultCode::Http(404)));
    assert_eq!((of(gone).verdict, of(gone).result), (Verdict::Dead, ResultCode::Http(410)));
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_run_has_its_own_id_from_the_request_to_the_record() {
    let mut fixture = WorkerFixture::new();
    fixture.answer_with(|seen| (if seen.attempt == 1 { 500 } else { 200 }, String::new()));
    fixture.start();
    let job = fixture.jobs("@every 1h", URL, 1);
    fixture.settle().await;
    fixture.pass(2_000, 1_000).await;
    let Outcome::Run(run) = fixture.apply(&Command::RunJob { id: job, forced: false }) else {
        panic!("no run");
    };
    fixture.settle().await;
    collected(&fixture).await;
    fixture.pass(5_000, 1_000).await;
    collected(&fixture).await;
    let seen = fixture.seen();
    assert_eq!(fixture.calls_of(job), [(2, 1), (7, 2)]);
    let id = occurrence_id(CLUSTER, run);
    assert!(seen.iter().all(|call| call.webhook_id == id), "{seen:?}");
    let list: serde_json::Value = serde_json::from_str(&seen[0].body).unwrap();
    assert_eq!(list[0]["execution_id"].as_str(), Some(id.as_str()));
    let records = fixture.records(shard_of(job));
    assert_eq!(fixture.verdicts(shard_of(job)), ["failed", "delivered"]);
    assert!(records.iter().all(|b| b.record.run == run.run && run.run > 0), "{records:?}");
    fixture.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_occurrence_of_a_one_off_says_so_and_a_run_of_it_does_not() {
    let mut fixture = WorkerFixture::new();
    fixture.start();
    let once =
        JobDefinition { timing: Timing::After(5_000), spec: String::new(), ..single("", URL) };
    let job = fixture.create(once, 1);
    later(&fixture, 1_000).await;
    fixture.apply(&Command::RunJob { id: job, forced: true });
    later(&fixture, 6_000).await;
    let mut once: Vec<_> = fixture.journaled().iter().map(|b| (b.run > 0, b.once)).collect();
    once.sort_unstable();
    assert_eq!(once, [(false, true), (true, false)]);
    fixture.stop().await;
}
