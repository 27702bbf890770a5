//! Chunks that go: their labels, signatures and password, and where they may go.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::fixture::{chunk, definition, executor, executor_with, keys, render, target};
use super::*;
use crate::clock::{SchedulerTime, SystemClock};
use crate::delivery::call::Call;
use crate::delivery::call_queue::CallQueue;
use crate::delivery::destination::{Destination, Limits};
use crate::delivery::destination_queues::QueueOptions;
use crate::delivery::registry::Registry;
use crate::delivery::reply::Reply;
use crate::delivery::request::Request;
use crate::executor::guard::TargetGuard;
use crate::executor::signature::sign;

const LABELS: Labels<'_> = Labels {
    shard: 7,
    epoch: 12,
    scheduled: 1_763_700_000_000,
    attempt: 2,
    number: 0,
    request_id: "not used",
    now: 1_763_700_005_999,
    allowed: None,
};

fn one(target: &CallTarget) -> Request {
    let jobs = [(77, 0, "data".to_owned())];
    render(&executor(), target, &[definition(None)], jobs).requests.remove(0)
}

fn completed(target: &CallTarget, signing: &[SigningSecret]) -> Message {
    let mut request = one(target);
    request.prepared.complete(target, &LABELS, signing).unwrap();
    chunk(&request).messages[0].clone()
}

#[test]
fn a_message_says_which_occurrence_it_is_and_keeps_its_own_headers() {
    let target = target(json!({"headers": {"x-own": 1, "t": "{{jobId}}"}}));
    let message = completed(&target, &[]);
    assert_eq!(message.properties.timestamp, 1_763_700_005);
    let mut headers = message.properties.headers;
    let trace = headers.remove("traceparent").unwrap();
    assert_eq!(trace.as_str().map(str::len), Some(55));
    let expected = json!({
        "x-own": 1, "t": "77", "scheduler-execution-id": message.execution,
        "scheduler-job-id": 77, "scheduler-scheduled-at": "2025-11-21T04:40:00Z",
        "scheduler-attempt": 2, "scheduler-shard": 7, "scheduler-fence": 12,
    });
    assert_eq!(Value::Object(headers), expected);
    let own = super::super::fixture::target(json!({"headers": {"traceparent": "own"}}));
    assert_eq!(completed(&own, &[]).properties.headers["traceparent"], json!("own"));
    assert_ne!(completed(&target, &[]).properties.headers["traceparent"], trace);
}

#[test]
fn a_message_is_signed_by_the_secrets_in_use() {
    let secret =
        |text: &str, until| SigningSecret { sealed: keys().seal(text, purpose::SIGNING), until };
    let list = [secret("new", None), secret("old", Some(LABELS.now - 1))];
    let message = completed(&target(json!({})), &list);
    let headers = message.properties.headers;
    let signature = sign(&["new"], &message.execution, 1_763_700_005, b"data");
    assert_eq!(headers["webhook-signature"], json!(signature));
    assert_eq!(headers["webhook-id"], json!(message.execution));
    assert_eq!(headers["webhook-timestamp"], json!("1763700005"));
    let other = [SigningSecret { sealed: keys().seal("x", purpose::TOKEN), until: None }];
    let (target, mut request) = (target(json!({})), one(&target(json!({}))));
    let error = request.prepared.complete(&target, &LABELS, &other).unwrap_err();
    assert!(error.contains("webhook secret"), "{error}");
}

#[test]
fn a_password_that_cannot_be_opened_is_an_error_of_the_attempt() {
    let mut target = target(json!({}));
    let CallTarget::Settings(own) = &mut target else { unreachable!() };
    own.settings["broker"]["password"] = json!("bm90IHNlYWxlZA==");
    let error = one(&target).prepared.complete(&target, &LABELS, &[]).unwrap_err();
    assert!(error.starts_with("amqp.url: the password cannot be opened"), "{error}");
}

#[tokio::test]
async fn a_complete_chunk_is_published_with_the_password_and_none_goes_where_it_may_not() {
    let guard = TargetGuard { allow_loopback: false, ..TargetGuard::default() };
    let (executor, published) = executor_with(guard);
    let time = std::sync::Arc::new(SchedulerTime::new(std::sync::Arc::new(SystemClock)));
    let registry = Registry::new([std::sync::Arc::new(executor.clone()) as _]);
    let calls = CallQueue::new(registry, &QueueOptions::default(), time);
    for (url, goes) in [("amqp://u:hunter2@h", true), ("amqp://u:hunter2@127.0.0.1", false)] {
        let target = target(json!({"url": url}));
        let jobs = [(77, 0, "data".to_owned())];
        let mut request = render(&executor, &target, &[definition(None)], jobs).requests.remove(0);
        request.prepared.complete(&target, &LABELS, &[]).unwrap();
        let reply = calls.call(Call {
            request: request.prepared,
            destination: Destination::new("amqp://h:5672"),
            path: 0,
            project: 1,
            probe: false,
            limits: Limits::default(),
            jobs: 1,
            timeout: Duration::from_secs(30),
            before_send: Box::new(|| true),
            unwanted: None,
        });
        match reply.await {
            Reply::PerJob { .. } => assert!(goes),
            Reply::Done(attempt) => {
                let error = attempt.error.unwrap();
                assert!(!goes && error.contains("a loopback address"), "{error}");
            }
            reply => panic!("{reply:?}"),
        }
    }
    let published = published.lock().unwrap();
    let [(chunk, password)] = published.as_slice() else { panic!("{}", published.len()) };
    assert_eq!((&**password, chunk.messages.len()), ("hunter2", 1));
    assert!(!format!("{published:?}").contains("hunter2"));
}
