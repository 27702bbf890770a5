//! Named executors: jobs keep their executor in place and callable.

use super::*;
use crate::command::JobEdit;
use crate::model::delivery::Overlap;
use crate::model::target::Executor;
use crate::store::executors;

#[test]
fn an_executor_stays_as_long_as_jobs_go_there() {
    let mut state = ApplyFixture::new();
    let executor = Executor {
        name: "e".into(),
        kind: "webhook_url".into(),
        webhook_url: "http://receiver/a".into(),
        ..Executor::default()
    };
    assert_eq!(state.done(Command::CreateExecutor(executor)), Outcome::Created(1));
    let there = |id| JobDefinition { executor: Some(id), ..every_minute() };
    let refused = state.refused(&create(5, there(2), 1, false));
    assert_eq!(refused, (RejectionKind::Invalid, "executor with id 2 does not exist".into()));
    state.done(create(5, there(1), 1, true));
    let delete = Command::DeleteExecutor { id: 1, expect: None };
    assert_eq!(state.refused(&delete).0, RejectionKind::Conflict, "a staged job counts");
    state.done(Command::ActivateJobs { request: 5 });
    assert_eq!(state.refused(&delete).0, RejectionKind::Conflict);
    state.now += 1;
    state.edit(1, |edit| {
        edit.definition = JobDefinition { spec: "@hourly".into(), ..every_minute() }
    });
    assert_eq!(state.closed_intervals(1).len(), 1);
    state.done(delete);
    assert_eq!(state.read(|c| executors::get(c, 1)), None);
}

#[test]
fn an_executor_stays_callable_as_long_as_jobs_go_there() {
    let mut state = ApplyFixture::new();
    let callable = Executor {
        name: "e".into(),
        kind: "webhook_url".into(),
        webhook_url: "http://receiver/a".into(),
        ..Executor::default()
    };
    state.done(Command::CreateExecutor(callable.clone()));
    let update = |executor: &Executor| Command::UpdateExecutor {
        id: 1,
        expect: None,
        executor: executor.clone(),
    };
    let container = Executor { kind: "container".into(), ..callable.clone() };
    let nowhere = Executor { webhook_url: String::new(), ..callable.clone() };
    let single = Executor { http: Some(Box::default()), ..nowhere.clone() };
    for unused in [&container, &nowhere, &callable] {
        state.done(update(unused));
    }
    state.done(create(5, JobDefinition { executor: Some(1), ..every_minute() }, 1, true));
    for (change, field) in [(&container, "type cannot"), (&nowhere, "webhook_url and http cannot")]
    {
        let (kind, message) = state.refused(&update(change));
        assert_eq!(kind, RejectionKind::Conflict);
        assert!(message.starts_with(field), "{message}");
        assert!(message.ends_with("give the jobs another target first"), "{message}");
    }
    let kept = state.read(|c| executors::get(c, 1));
    assert_eq!(
        kept.map(|executor| (executor.kind, executor.version)),
        Some((callable.kind.clone(), 4))
    );
    state.done(update(&single));
    // Settings that a batch has no place for.
    let skipping = JobDefinition { executor: Some(1), overlap: Overlap::Skip, ..every_minute() };
    state.done(create(6, skipping.clone(), 1, true));
    let (kind, message) = state.refused(&update(&callable));
    assert_eq!(kind, RejectionKind::Conflict);
    assert!(message.starts_with("http cannot go while jobs with overlap"), "{message}");
    state.done(Command::DiscardJobs { request: 6 });
    state.done(update(&callable));
    let (kind, message) = state.refused(&create(7, skipping.clone(), 1, false));
    assert_eq!(kind, RejectionKind::Invalid);
    assert!(message.ends_with("which the job's overlap needs"), "{message}");
    state.done(Command::DiscardJobs { request: 5 });
    state.done(update(&container));
    let late = JobDefinition { overlap: Overlap::Allow, ..skipping };
    let (kind, message) = state.refused(&create(7, late, 1, false));
    assert_eq!(kind, RejectionKind::Invalid);
    assert!(message.contains("cannot be called"), "{message}");
}

/// An executor of a kind with settings.
fn with_settings(kind: &str) -> Executor {
    let settings = Some(Box::new(serde_json::json!({"url": "amqp://a"})));
    Executor { name: "e".into(), kind: kind.into(), settings, ..Executor::default() }
}

#[test]
fn the_type_of_an_executor_stays_while_jobs_use_it() {
    let mut state = ApplyFixture::new();
    let webhook = Executor {
        name: "e".into(),
        kind: "webhook_url".into(),
        webhook_url: "http://receiver/a".into(),
        ..Executor::default()
    };
    let update = |executor: &Executor| Command::UpdateExecutor {
        id: 1,
        expect: None,
        executor: executor.clone(),
    };
    state.done(Command::CreateExecutor(with_settings("amqp")));
    state.done(update(&webhook));
    state.done(update(&with_settings("amqp")));
    state.done(create(5, JobDefinition { executor: Some(1), ..every_minute() }, 1, true));
    for other in [&webhook, &with_settings("other")] {
        let (kind, message) = state.refused(&update(other));
        assert_eq!(kind, RejectionKind::Conflict);
        assert!(message.starts_with("type cannot change while jobs use"), "{message}");
    }
    let moved = Some(Box::new(serde_json::json!({"url": "amqp://b"})));
    state.done(update(&Executor { settings: moved, ..with_settings("amqp") }));
    state.done(Command::DiscardJobs { request: 5 });
    state.done(update(&webhook));
}

#[test]
fn an_executor_takes_only_jobs_that_its_kind_knows() {
    let mut state = ApplyFixture::new();
    state.done(Command::CreateExecutor(with_settings("amqp")));
    state.done(Command::CreateExecutor(Executor { name: "f".into(), ..with_settings("other") }));
    let to = |executor| JobDefinition { executor: Some(executor), ..every_minute() };
    let message = Some(Box::new(serde_json::json!({"routingKey": "a"})));
    let messages = |executor| JobDefinition { message: message.clone(), ..to(executor) };
    state.done(create(5, messages(1), 1, false));
    let (kind, said) = state.refused(&create(6, messages(2), 1, false));
    assert_eq!(kind, RejectionKind::Invalid);
    assert!(said.contains("is of type other, which takes no message"), "{said}");
    let runs = JobDefinition { overlap: Overlap::Skip, ..to(1) };
    let (kind, said) = state.refused(&create(6, runs, 1, false));
    assert_eq!(kind, RejectionKind::Invalid);
    assert!(said.ends_with("which the job's overlap needs"), "{said}");
    state.now += 1;
    let edit = JobEdit { definition: messages(2), ..same(&state.job(1), state.now) };
    assert_eq!(state.refused(&Command::UpdateJob(Box::new(edit))).0, RejectionKind::Invalid);
}

/// A queue of workers.
fn queue(bus: &str) -> Executor {
    let settings = Some(Box::new(serde_json::json!({"bus": bus})));
    Executor { name: "q".into(), kind: "worker".into(), settings, ..Executor::default() }
}

#[test]
fn the_bus_of_a_queue_stays_while_jobs_use_it() {
    let mut state = ApplyFixture::new();
    let update = |executor| Command::UpdateExecutor { id: 1, expect: None, executor };
    state.done(Command::CreateExecutor(queue("embedded")));
    state.done(update(queue("rabbitmq")));
    state.done(create(5, JobDefinition { executor: Some(1), ..every_minute() }, 1, true));
    let (kind, said) = state.refused(&update(queue("embedded")));
    assert_eq!(kind, RejectionKind::Conflict);
    assert!(said.starts_with("bus cannot change while jobs use the queue"), "{said}");
    let (kind, said) = state.refused(&update(with_settings("amqp")));
    assert_eq!(kind, RejectionKind::Conflict);
    assert!(said.starts_with("type cannot change"), "{said}");
    let slower = serde_json::json!({"bus": "rabbitmq", "heartbeatTimeout": 1});
    state.done(update(Executor { settings: Some(Box::new(slower)), ..queue("rabbitmq") }));
    state.done(Command::DiscardJobs { request: 5 });
    state.done(update(queue("embedded")));
}

#[test]
fn fields_of_workers_need_a_queue() {
    let mut state = ApplyFixture::new();
    state.done(Command::CreateExecutor(queue("embedded")));
    state.done(Command::CreateExecutor(with_settings("amqp")));
    let to = |executor| JobDefinition { executor: Some(executor), ..every_minute() };
    let starts = |executor| JobDefinition { start_timeout: Some(1), ..to(executor) };
    state.done(create(5, starts(1), 1, false));
    state.done(create(6, JobDefinition { overlap: Overlap::Skip, ..to(1) }, 1, false));
    let (kind, said) = state.refused(&create(7, starts(2), 1, false));
    assert_eq!(kind, RejectionKind::Invalid);
    assert!(said.ends_with("is no queue of workers, which the job's startTimeout needs"), "{said}");
}
