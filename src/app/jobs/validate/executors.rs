//! The check that the targets of jobs can be called with their data: the executors that a request
//! names, by the state of this node, and the settings that jobs hold themselves. `command::apply`
//! refuses an executor that this node does not know, or that changes in the meantime.

use std::collections::{BTreeMap, BTreeSet};

use crate::app::actor::Actor;
use crate::app::error::Error;
use crate::app::jobs::validate::features;
use crate::app::jobs::validate::project_targets::{self, Lists, lists_of};
use crate::app::jobs::validate::refusals::{not_in_batches, unprocessable, without_runs};
use crate::app::jobs::validate::worker_fields::{check_bus_name, needs_queue};
use crate::app::state::App;
use crate::app::targets::http::payload;
use crate::delivery::executor::DataCheck;
use crate::delivery::registry::Registry;
use crate::executor::http::template::Sizes;
use crate::model::call_target::CallTarget;
use crate::model::job::JobDefinition;
use crate::model::run_terms::BusKind;
use crate::model::target::{AMQP, Executor, HttpTarget, WEBHOOK_URL, is_queue, takes_messages};
use crate::store::executors;

/// The executors that definitions name, by id.
type Executors = BTreeMap<u64, Executor>;

/// What a job has of its own for its target.
#[derive(Clone, Copy)]
pub(in crate::app::jobs) struct OwnValues<'j> {
    /// The place of its definition.
    pub(in crate::app::jobs) definition: usize,
    /// The data.
    pub(in crate::app::jobs) data: &'j str,
    /// The client's id.
    pub(in crate::app::jobs) external_id: Option<&'j str>,
}

/// Refuses the first definition that its executor does not suit, or the first job whose own values
/// its target does not take. Messages become what their kind has validated. The error comes with
/// the job's index, if there is one.
pub(in crate::app::jobs) async fn check<'j>(
    app: &App,
    actor: &Actor,
    definitions: &mut [JobDefinition],
    jobs: impl Iterator<Item = OwnValues<'j>> + Clone,
) -> Result<(), (Option<usize>, Error)> {
    let (found, lists) = look_up(app, actor, definitions).await.map_err(|error| (None, error))?;
    let known = features::of_projects(app, actor, definitions).await.map_err(|e| (None, e))?;
    let mut checks = Vec::with_capacity(definitions.len());
    for (place, definition) in definitions.iter_mut().enumerate() {
        let executor = definition.executor.and_then(|id| found.get(&id));
        let check = suit(&app.executors, definition, executor).and_then(|check| {
            features::check(known.of(definition.project), definition, executor)?;
            project_targets::check(&app.executors, &lists, definition, executor)?;
            Ok(check)
        });
        let first = || jobs.clone().position(|job| job.definition == place);
        checks.push(check.map_err(|error| (first(), error))?);
    }
    for (index, job) in jobs.enumerate() {
        if let Some(JobDefinition { project, .. }) = definitions.get(job.definition) {
            let checked = features::check_data(known.of(*project), *project, job.data);
            checked.map_err(|error| (Some(index), error))?;
        }
        let Some(Some(check)) = checks.get(job.definition) else { continue };
        check.job(job, app.config.payload_max_bytes).map_err(|error| (Some(index), error))?;
    }
    Ok(())
}

/// Reads the executors, and where the projects may call. An executor that a message is for must be
/// there and take it, since its kind validates the message: this node may have to hear of it, or of
/// its new type, first.
async fn look_up(
    app: &App,
    actor: &Actor,
    definitions: &[JobDefinition],
) -> Result<(Executors, Lists), Error> {
    let found = read(app, actor, definitions).await?;
    if definitions.iter().all(|definition| can_validate_message(definition, &found.0)) {
        return Ok(found);
    }
    app.linearize().await?;
    read(app, actor, definitions).await
}

/// Whether the executor of a definition's message, if it has one, is there and takes messages.
fn can_validate_message(definition: &JobDefinition, found: &Executors) -> bool {
    let executor = definition.executor.filter(|_| definition.message.is_some());
    executor.is_none_or(|id| found.get(&id).is_some_and(|found| takes_messages(&found.kind)))
}

async fn read(
    app: &App,
    actor: &Actor,
    definitions: &[JobDefinition],
) -> Result<(Executors, Lists), Error> {
    let wanted: BTreeSet<u64> = definitions.iter().filter_map(|own| own.executor).collect();
    // Without a list of targets in the cluster, a job without an executor needs no read.
    if wanted.is_empty() && !app.auth.accounts(&app.cluster).await?.has_lists() {
        return Ok(Default::default());
    }
    let of: BTreeSet<_> = definitions.iter().map(|own| own.project).collect();
    app.read(actor, move |conn| {
        let with_id = |id| Ok(executors::get(conn, id)?.map(|found| (id, found)));
        let found = wanted.into_iter().map(with_id).filter_map(Result::transpose);
        Ok((found.collect::<rusqlite::Result<_>>()?, lists_of(conn, of)?))
    })
    .await
}

/// The check of the own values of a definition's jobs.
pub(in crate::app::jobs) enum Check {
    /// By the sizes of the requests that an executor's `http` makes, with the type of the template
    /// that made the jobs.
    Http(Box<HttpTarget>, Sizes, String),
    /// By the kind of the target.
    Kind(DataCheck),
    /// By the external id, which is the name on a broker. Such a queue takes any data.
    BusName,
}

impl Check {
    /// Refuses a job whose own values the target does not take. `most` is the most bytes of a
    /// payload.
    pub(in crate::app::jobs) fn job(&self, job: OwnValues<'_>, most: usize) -> Result<(), Error> {
        match self {
            Self::Http(http, sizes, template) => {
                payload::check_data(sizes, http, (job.data, template), most)
                    .map_err(|error| error.because("by its executor's http target").field("data"))
            }
            Self::Kind(check) => Ok(check(job.data)?),
            Self::BusName => check_bus_name(job.external_id),
        }
    }
}

/// Refuses a definition that its executor does not suit, and validates its message. The result
/// checks the data of its jobs; `None` where nothing is left to check.
pub(in crate::app::jobs) fn suit(
    kinds: &Registry,
    definition: &mut JobDefinition,
    executor: Option<&Executor>,
) -> Result<Option<Check>, Error> {
    if let Some(executor) = executor {
        judge(definition, executor)?;
    }
    if let Some(given) = definition.message.take() {
        let valid = validate_message(kinds, definition, executor, &given)?;
        definition.message = Some(Box::new(valid));
    }
    let bus = executor.and_then(Executor::bus);
    if bus == Some(BusKind::Rabbitmq) && definition.worker_name.is_none() {
        return Ok(Some(Check::BusName));
    }
    if let Some(http) = executor.and_then(|executor| executor.http.as_ref()) {
        let template = definition.template_type.clone();
        return Ok(Some(Check::Http(http.clone(), payload::sizes(http)?, template)));
    }
    // An executor that is not here is one that `apply` refuses, or that is new.
    let known = definition.executor.map(|id| (id, executor));
    if known.is_some() && executor.is_none() {
        return Ok(None);
    }
    let Ok(to) = CallTarget::of(definition, known) else { return Ok(None) };
    let CallTarget::Settings(_) = &to else { return Ok(None) };
    let Some(kind) = kinds.get(to.kind()) else { return Ok(None) };
    Ok(Some(Check::Kind(kind.data_check(&to, definition)?)))
}

fn validate_message(
    kinds: &Registry,
    definition: &JobDefinition,
    executor: Option<&Executor>,
    given: &serde_json::Value,
) -> Result<serde_json::Value, Error> {
    const FIELD: &str = "message";
    let id = definition.executor.unwrap_or_default();
    let Some(executor) = executor else { return Err(missing(id)) };
    let kind = &executor.kind;
    if !takes_messages(kind) {
        let message = format!(
            "job message is for executors of type {AMQP}, and executor {id} is of type {kind}: \
             leave message out of a new job; of one that is there, message null clears it"
        );
        return Err(unprocessable(FIELD, message));
    }
    let Some(known) = kinds.get(kind) else {
        let message = format!("job message cannot be checked: this node knows no type {kind}");
        return Err(unprocessable(FIELD, message));
    };
    Ok(known.validate_message(given)?)
}

/// The error where there is no such executor.
pub(in crate::app::jobs) fn missing(id: u64) -> Error {
    let message = format!("executor with id {id} does not exist");
    Error::malformed(message).field("executorId")
}

fn judge(definition: &JobDefinition, executor: &Executor) -> Result<(), Error> {
    if executor.kind != WEBHOOK_URL && executor.settings.is_none() {
        let message = format!(
            "executor {} is of type {}, which cannot be called: use one of type {WEBHOOK_URL}",
            executor.id, executor.kind
        );
        return Err(unprocessable("executorId", message));
    }
    match definition.single_only().filter(|_| !executor.takes_runs()) {
        Some(field) if executor.settings.is_some() => {
            return Err(without_runs(field, &executor.kind));
        }
        Some(field) => return Err(not_in_batches(field)),
        None => {}
    }
    match definition.queue_only().filter(|_| !is_queue(&executor.kind)) {
        Some(field) => Err(needs_queue(field)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::app::error::ErrorKind;
    use crate::app::targets::settings::fixture::{LONGEST_DATA, test_kinds};
    use crate::model::delivery::Overlap;
    use crate::model::target::{Configured, WORKER};

    fn with_settings(kind: &str) -> Executor {
        let settings = Some(Box::new(json!({"routingKey": "a"})));
        Executor { id: 1, kind: kind.to_owned(), settings, ..Executor::default() }
    }

    fn with_message(message: Value) -> JobDefinition {
        let message = Some(Box::new(message));
        JobDefinition { executor: Some(1), message, ..JobDefinition::default() }
    }

    #[test]
    fn a_message_is_for_an_executor_whose_kind_takes_it_and_finds_it_valid() {
        let good = json!({"routingKey": "b"});
        let webhook = Executor { id: 1, kind: WEBHOOK_URL.to_owned(), ..Executor::default() };
        for (message, executor, refused) in [
            (good.clone(), Some(with_settings("amqp")), None),
            (
                json!({"routingKey": ""}),
                Some(with_settings("amqp")),
                Some(("message.routingKey", ErrorKind::Invalid, "is empty")),
            ),
            (
                good.clone(),
                Some(with_settings("other")),
                Some(("message", ErrorKind::Unprocessable, "is of type other")),
            ),
            (
                good.clone(),
                Some(webhook),
                Some(("message", ErrorKind::Unprocessable, "for executors of type amqp")),
            ),
            (good.clone(), None, Some(("executorId", ErrorKind::Malformed, "does not exist"))),
        ] {
            let mut definition = with_message(message);
            match (suit(&test_kinds(), &mut definition, executor.as_ref()).err(), refused) {
                (None, None) => assert_eq!(definition.message.as_deref(), Some(&good)),
                (Some(error), Some((field, kind, said))) => {
                    assert_eq!((error.field_name(), error.kind()), (Some(field), kind));
                    assert!(error.message().contains(said), "{error}");
                }
                (error, refused) => panic!("{error:?} {refused:?}"),
            }
        }
    }

    #[test]
    fn an_executor_that_may_be_out_of_date_here_is_read_again_for_a_message() {
        let message = with_message(json!({}));
        let bare = JobDefinition { message: None, ..message.clone() };
        let found = |kind: &str| Executors::from([(1, with_settings(kind))]);
        assert!(can_validate_message(&message, &found("amqp")));
        assert!(!can_validate_message(&message, &Executors::new()), "it may be new");
        assert!(!can_validate_message(&message, &found("other")), "its type may be new");
        for found in [found("other"), Executors::new()] {
            assert!(can_validate_message(&bare, &found), "there is no message");
        }
    }

    #[test]
    fn the_kind_of_a_target_checks_the_data_of_its_jobs() {
        let own = Configured { kind: "amqp".to_owned(), settings: json!({"routingKey": "a"}) };
        let own = JobDefinition { target: Some(Box::new(own)), ..JobDefinition::default() };
        let named = JobDefinition { executor: Some(1), ..JobDefinition::default() };
        let executor = with_settings("amqp");
        for (mut definition, executor) in [(own, None), (named, Some(&executor))] {
            let check = suit(&test_kinds(), &mut definition, executor).unwrap().unwrap();
            let fits = "x".repeat(LONGEST_DATA);
            check.job(OwnValues { definition: 0, data: &fits, external_id: None }, 0).unwrap();
            let data = &*"x".repeat(LONGEST_DATA + 1);
            let job = OwnValues { definition: 0, data, external_id: None };
            let error = check.job(job, 0).unwrap_err();
            assert_eq!((error.field_name(), error.kind()), (Some("data"), ErrorKind::TooLarge));
        }
        let mut callback = JobDefinition { callback_url: "u".into(), ..JobDefinition::default() };
        assert!(suit(&test_kinds(), &mut callback, None).unwrap().is_none());
        let mut newer = JobDefinition { executor: Some(1), ..JobDefinition::default() };
        let newer = suit(&test_kinds(), &mut newer, Some(&with_settings("newer"))).unwrap();
        assert!(newer.is_none(), "what this node does not know it cannot check");
    }

    #[test]
    fn settings_without_runs_refuse_the_fields_of_runs() {
        let definition =
            JobDefinition { executor: Some(1), run_timeout: Some(1), ..JobDefinition::default() };
        let error = judge(&definition, &with_settings("amqp")).unwrap_err();
        assert_eq!(error.field_name(), Some("runTimeout"));
        assert!(error.message().contains("for amqp the confirm is the end"), "{error}");
    }

    fn queue(bus: &str) -> Executor {
        let settings = Some(Box::new(json!({"bus": bus})));
        Executor { id: 1, kind: WORKER.to_owned(), settings, ..Executor::default() }
    }

    #[test]
    fn fields_of_workers_need_a_queue() {
        let start = JobDefinition { start_timeout: Some(1), ..JobDefinition::default() };
        let most = JobDefinition { max_queue: Some(1), ..JobDefinition::default() };
        let waits = JobDefinition { overlap: Overlap::Queue { most: 1 }, ..most.clone() };
        let http = Executor {
            kind: WEBHOOK_URL.to_owned(),
            http: Some(Box::default()),
            ..Executor::default()
        };
        for (definition, executor, field) in [
            (&start, &queue("embedded"), None),
            (&most, &queue("embedded"), None),
            (&waits, &queue("rabbitmq"), None),
            (&start, &with_settings("amqp"), Some("startTimeout")),
            (&start, &http, Some("startTimeout")),
            (&most, &http, Some("maxQueue")),
            (&waits, &http, None),
        ] {
            let error = judge(definition, executor).err();
            assert_eq!(error.as_ref().and_then(Error::field_name), field, "{executor:?}");
            if let Some(error) = error {
                assert_eq!(error.kind(), ErrorKind::Unprocessable);
                assert!(error.message().contains("type worker"), "{error}");
            }
        }
    }

    #[test]
    fn a_queue_of_a_broker_needs_a_name_for_each_job() {
        let named = JobDefinition { worker_name: Some("n".into()), ..JobDefinition::default() };
        let job = |external_id| OwnValues { definition: 0, data: "", external_id };
        for (mut definition, bus, external_id, field) in [
            (JobDefinition::default(), "embedded", None, None),
            (JobDefinition::default(), "rabbitmq", Some("e"), None),
            (named, "rabbitmq", None, None),
            (JobDefinition::default(), "rabbitmq", None, Some("workerName")),
        ] {
            definition.executor = Some(1);
            let check = suit(&test_kinds(), &mut definition, Some(&queue(bus))).unwrap();
            let error = check.and_then(|check| check.job(job(external_id), 0).err());
            assert_eq!(error.as_ref().and_then(Error::field_name), field, "{bus} {external_id:?}");
            assert!(error.is_none_or(|error| error.kind() == ErrorKind::Unprocessable));
        }
    }

    #[test]
    fn an_executor_must_be_one_that_can_be_called_as_the_job_wants() {
        let definition =
            |overlap| JobDefinition { executor: Some(1), overlap, ..JobDefinition::default() };
        let executor = |kind: &str, single: bool| Executor {
            id: 1,
            kind: kind.to_owned(),
            http: single.then(Box::default),
            ..Executor::default()
        };
        for (overlap, kind, single, field) in [
            (Overlap::Allow, "webhook_url", false, None),
            (Overlap::Skip, "webhook_url", true, None),
            (Overlap::Skip, "webhook_url", false, Some("overlap")),
            (Overlap::Allow, "container", false, Some("executorId")),
        ] {
            let judged = judge(&definition(overlap), &executor(kind, single));
            let named = judged.err().map(|error| format!("{error:?}"));
            assert_eq!(named.is_some(), field.is_some(), "{overlap:?} {kind}");
            if let (Some(shown), Some(field)) = (named, field) {
                assert!(shown.contains(&format!("field: Some({field:?})")), "{shown}");
                assert!(shown.contains("kind: Unprocessable"), "{shown}");
            }
        }
    }
}
