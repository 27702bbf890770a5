//! Jobs and rules that the tests of this module share. The jobs are written as JSON, in the form of
//! a request.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::app::error::Error;
use crate::app::jobs::input::{JobInput, Name};
use crate::app::jobs::validate::batch::Batch;
use crate::app::jobs::validate::rules::Rules;
use crate::app::targets::http::json_merge::same_name;
use crate::app::targets::settings::fixture::test_kinds;
use crate::command::NewJob;
use crate::executor::guard::TargetGuard;
use crate::model::Millis;
use crate::model::job::{Casing, JobDefinition};
use crate::model::target::AMQP;
use crate::secret::Keys;

/// The fields that [`input`] knows.
const NAMES: [Name; 37] = [
    Name::Project,
    Name::Spec,
    Name::At,
    Name::After,
    Name::Timezone,
    Name::CallbackUrl,
    Name::Http,
    Name::Executor,
    Name::Message,
    Name::ExecutionType,
    Name::StartDate,
    Name::EndDate,
    Name::Dst,
    Name::Jitter,
    Name::Misfire,
    Name::RetryMax,
    Name::RetryDelay,
    Name::RetryFactor,
    Name::RetryMaxDelay,
    Name::Timeout,
    Name::Overlap,
    Name::RunTimeout,
    Name::HeartbeatTimeout,
    Name::StartTimeout,
    Name::CancelTimeout,
    Name::RetryOn,
    Name::MaxQueue,
    Name::WorkerName,
    Name::AllowConcurrentRuns,
    Name::DeleteAfterRun,
    Name::Labels,
    Name::CreatedBy,
    Name::Data,
    Name::Status,
    Name::PauseUntil,
    Name::ExternalId,
    Name::ModifiedBy,
];

/// 2026-11-20T20:00:00Z.
pub(in crate::app::jobs) const NOW: Millis = 1_795_204_800_000;

/// The rules of a node with small limits.
pub(crate) fn rules() -> Rules {
    Rules {
        payload_max: 2_000_000,
        guard: TargetGuard::default(),
        casing: Casing::Snake,
        keys: Arc::new(Keys::new(&"5e".repeat(32), "node", "pass").unwrap()),
        executors: test_kinds(),
        now: NOW,
        grace: 60_000,
        max_timeout: Duration::from_mins(5),
    }
}

/// The definitions and rows that a body makes.
pub(in crate::app::jobs) fn read(
    body: &str,
    rules: Rules,
) -> Result<(Vec<JobDefinition>, Vec<NewJob>), Error> {
    let mut batch = Batch::new(rules);
    add_all(&mut batch, body)?;
    let jobs = batch.finish()?;
    Ok((jobs.definitions, jobs.jobs))
}

/// Adds the jobs of a body, a list or a single one. An error has the index.
pub(in crate::app::jobs) fn add_all(batch: &mut Batch<'_>, body: &str) -> Result<(), Error> {
    let jobs = match serde_json::from_str(body).unwrap() {
        Value::Array(jobs) => jobs,
        single => vec![single],
    };
    for (index, job) in jobs.into_iter().enumerate() {
        let Value::Object(job) = job else { panic!("{job} is no job") };
        batch.add(input_of(job)).map_err(|error| error.at(index))?;
    }
    Ok(())
}

/// The input that a body of one job makes.
pub(in crate::app::jobs) fn input(body: &str) -> JobInput<'static> {
    input_of(serde_json::from_str(body).unwrap())
}

fn input_of(fields: Map<String, Value>) -> JobInput<'static> {
    let mut job = JobInput::default();
    for (given, value) in fields {
        let is_it = |name: &Name| name.camel().is_some_and(|camel| same_name(camel, &given));
        let Some(name) = NAMES.into_iter().find(is_it) else {
            if given == AMQP {
                let json = Some(value).filter(|value| !value.is_null());
                if json.is_none() {
                    job.nulls.add(Name::Settings);
                }
                let json = json.map(|value| value.to_string().into());
                job.definition.settings.push((AMQP, json));
            }
            continue;
        };
        if value.is_null() {
            job.nulls.add(name);
            continue;
        }
        set(&mut job, name, &value);
    }
    if job.definition.callback_url.is_some() {
        job.definition.executor = None;
    }
    job
}

fn set(job: &mut JobInput<'static>, name: Name, value: &Value) {
    let text = || value.as_str().filter(|t| !t.is_empty()).map(|t| Cow::from(t.to_owned()));
    let definition = &mut job.definition;
    match name {
        Name::Project => definition.project = value.as_u64(),
        Name::Spec => definition.spec = text(),
        Name::Timezone => definition.timezone = text(),
        Name::CallbackUrl => definition.callback_url = text(),
        Name::ExecutionType => definition.execution_type = text(),
        Name::StartDate => definition.start_date = text(),
        Name::EndDate => definition.end_date = text(),
        Name::Executor => definition.executor = value.as_u64().filter(|id| *id > 0),
        Name::RetryMax => definition.retry_max = value.as_u64(),
        Name::CreatedBy => definition.created_by = text(),
        Name::Data => job.data = value.as_str().map(|text| text.to_owned().into()),
        Name::Status => job.status = text(),
        Name::At => {
            job.at = text();
            definition.at = job.at.is_some();
        }
        Name::PauseUntil => job.pause_until = text(),
        Name::ExternalId => job.external_id = text(),
        Name::ModifiedBy => job.modified_by = text(),
        rare => definition.rare.push((rare, value.to_string().into())),
    }
}

/// A valid job with one field replaced or added.
pub(in crate::app::jobs) fn with(field: &str, value: &str) -> String {
    let mut fields = vec![
        ("project_id", "7"),
        ("spec", "\"@every 1m\""),
        ("timezone", "\"America/New_York\""),
        ("callback_url", "\"http://localhost:3000/callback\""),
        ("data", "\"{}\""),
    ];
    fields.retain(|(name, _)| *name != field);
    fields.push((field, value));
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

/// A job without the fields of [`with`].
pub(in crate::app::jobs) fn bare(rest: &str) -> String {
    format!("{{\"projectId\":7,{rest}}}")
}

pub(in crate::app::jobs) const URL: &str = "\"callbackUrl\":\"http://localhost/\"";
pub(in crate::app::jobs) const SPEC: &str = "\"spec\":\"@daily\",\"timezone\":\"UTC\"";
