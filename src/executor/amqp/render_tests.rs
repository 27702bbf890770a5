//! Chunks: which messages are in one, and whose fault a message is that cannot be written.

use serde_json::json;

use super::super::fixture::{chunk, definition, executor, render, render_at_most, target};
use super::*;
use crate::delivery::executor::{Executor as _, Grouping};

fn sizes(rendered: &Rendered) -> Vec<usize> {
    rendered.requests.iter().map(|request| request.members.len()).collect()
}

#[test]
fn messages_of_one_exchange_fill_chunks_up_to_the_bounds() {
    let (executor, target, plain) = (executor(), target(json!({})), [definition(None)]);
    let jobs = |count: u64, data: usize| {
        let data = "x".repeat(data);
        render(&executor, &target, &plain, (1..=count).map(|id| (id, 0, data.clone())))
    };
    assert_eq!(sizes(&jobs(2_049, 1)), [1_024, 1_024, 1]);
    assert_eq!(sizes(&jobs(5, 400_000)), [2, 2, 1], "1 MiB of bodies");
    assert_eq!(sizes(&jobs(2, 600_000)), [1, 1]);
    assert!(jobs(0, 0).requests.is_empty());
    let rendered = jobs(3, 1);
    let request = &rendered.requests[0];
    assert_eq!((&*request.members, request.path), (&[1, 2, 3][..], 0));
    assert!(request.series.is_none() && rendered.failed.is_empty());
    let published = chunk(request);
    assert!(published.mandatory && published.broker.host == "h");
    let ids: Vec<_> =
        published.messages.iter().map(|message| (message.job, &message.body)).collect();
    assert_eq!(ids.iter().map(|(job, _)| *job).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(request.id, published.messages[0].execution);
}

#[test]
fn a_chunk_keeps_to_the_limits_of_its_executor() {
    let (executor, target, plain) = (executor(), target(json!({})), [definition(None)]);
    assert_eq!(executor.grouping(&target), Grouping::Chunk, "limits count messages");
    let sizes_at_most = |most| {
        let jobs = (1..=1_030).map(|id| (id, 0, "x".to_owned()));
        sizes(&render_at_most(most, (&executor, &target), &plain, jobs))
    };
    assert_eq!(sizes_at_most(Some(500)), [500, 500, 30]);
    assert_eq!(sizes_at_most(Some(5_000)), [1_024, 6]);
    assert_eq!(sizes_at_most(Some(1)).len(), 1_030);
}

#[test]
fn a_chunk_has_one_exchange_and_its_jobs_ascend() {
    let target = target(json!({"declare": {"type": "topic"}}));
    let definitions = [
        definition(None),
        definition(Some(json!({"exchange": "other", "body": "own"}))),
        definition(Some(json!({"routingKey": "c"}))),
    ];
    let jobs = (0..9).map(|id| (id, id as usize % 3, "d".to_owned()));
    let rendered = render(&executor(), &target, &definitions, jobs);
    let chunks: Vec<_> = rendered.requests.iter().map(chunk).collect();
    let exchange = |c: &&Publish| (c.exchange.name.clone(), c.exchange.declare.is_some());
    let exchanges: Vec<_> = chunks.iter().map(exchange).collect();
    assert_eq!(exchanges, [("events".to_owned(), true), ("other".to_owned(), false)]);
    assert_eq!(rendered.requests[0].members, [0, 2, 3, 5, 6, 8]);
    assert_eq!(rendered.requests[1].members, [1, 4, 7]);
    let keys: Vec<_> = chunks[0].messages.iter().map(|m| &*m.routing_key).collect();
    assert_eq!(keys, ["a.b", "c", "a.b", "c", "a.b", "c"]);
    assert!(chunks[1].messages.iter().all(|message| message.body == "own"));
}

#[test]
fn a_message_that_cannot_be_written_fails_its_job_alone() {
    let target = target(json!({"routingKey": "{{data}}"}));
    let definitions = [definition(None), definition(Some(json!({"newer": 1})))];
    let data = |id: u64| if id.is_multiple_of(2) { "x".repeat(256) } else { "ok".to_owned() };
    let jobs = (1..=6).map(|id| (id, usize::from(id == 5), data(id)));
    let rendered = render(&executor(), &target, &definitions, jobs);
    assert_eq!(rendered.requests[0].members, [1, 3]);
    let failed: Vec<_> = rendered.failed.iter().map(|(jobs, why)| (&**jobs, &**why)).collect();
    let too_long = "routingKey would have more than 255 bytes with what is filled in";
    assert_eq!(failed[0], (&[2, 4, 6][..], too_long));
    assert_eq!(failed[1].0, [5]);
    assert!(failed[1].1.contains("message has no field newer"), "{failed:?}");
    let base64 = super::super::fixture::target(json!({"bodyEncoding": "base64"}));
    let jobs = [(1, 0, "aGk=".to_owned()), (2, 0, "hi!".to_owned())];
    let rendered = render(&executor(), &base64, &definitions, jobs);
    assert_eq!(chunk(&rendered.requests[0]).messages[0].body, "hi");
    assert_eq!(rendered.failed[0].0, [2]);
}

#[test]
fn settings_that_cannot_be_read_fail_all_jobs_with_a_reason() {
    use crate::model::target::{AMQP, Configured};

    for (kind, part) in [(AMQP, "cannot be read"), ("other", "no target of this type")] {
        let configured =
            Configured { kind: kind.to_owned(), settings: json!({"newer": "hunter2"}) };
        let target = CallTarget::Settings(Box::new(configured));
        let jobs = (1..=2).map(|id| (id, 0, String::new()));
        let rendered = render(&executor(), &target, &[definition(None)], jobs);
        assert!(rendered.requests.is_empty());
        let [(jobs, why)] = rendered.failed.as_slice() else { panic!("{:?}", rendered.failed) };
        assert_eq!(jobs, &[1, 2]);
        assert!(why.contains(part) && !why.contains("hunter2"), "{why}");
    }
}

#[test]
#[ignore = "a measurement"]
fn the_time_to_write_a_message() {
    use std::time::Instant;

    use crate::delivery::executor::Executor as _;

    let executor = executor();
    let target = target(json!({
        "routingKey": "jobs.{{jobId}}", "headers": {"tenant": "a", "at": "{{scheduledAt}}"},
        "body": {"id": "{{executionId}}", "data": "{{data}}"},
    }));
    let (plain, own) = (definition(None), definition(Some(json!({"routingKey": "own.{{jobId}}"}))));
    let data = "x".repeat(256);
    for (what, definitions, batch) in [
        ("1,024 jobs of a definition", [Arc::clone(&plain)], 1_024),
        ("1,024 jobs with a message", [Arc::clone(&own)], 1_024),
        ("one job at a time", [plain], 1),
    ] {
        let rounds = 65_536 / batch;
        let begun = Instant::now();
        for _ in 0..rounds {
            let jobs = (0..batch).map(|id| (id, 0, data.clone()));
            assert!(render(&executor, &target, &definitions, jobs).failed.is_empty());
        }
        println!("{what}: {:?} a message", begun.elapsed() / (rounds * batch) as u32);
        let check = executor.data_check(&target, &definitions[0]).unwrap();
        let begun = Instant::now();
        for _ in 0..1_024 {
            check(&data).unwrap();
        }
        println!("a check of data: {:?}", begun.elapsed() / 1_024);
    }
}
