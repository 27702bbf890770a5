//! The check that jobs call only where their project may (`allowedTargets`). `executors` makes it
//! for new and changed jobs, `bulk_edit` for many at a time. The executor judges each call again.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::app::error::Error;
use crate::delivery::registry::Registry;
use crate::model::ProjectId;
use crate::model::call_target::CallTarget;
use crate::model::job::JobDefinition;
use crate::model::target::{AMQP, Executor};
use crate::model::target_pattern::TargetPattern;
use crate::store::projects;

/// The lists of projects that have one.
pub(in crate::app::jobs) type Lists = BTreeMap<ProjectId, Vec<TargetPattern>>;

/// Reads the lists of these projects.
pub(in crate::app::jobs) fn lists_of(
    conn: &Connection,
    projects: impl IntoIterator<Item = ProjectId>,
) -> rusqlite::Result<Lists> {
    let mut lists = Lists::new();
    for id in projects {
        let allowed = projects::get(conn, id)?.map(|found| found.settings.allowed_targets);
        if let Some(allowed) = allowed.filter(|allowed| !allowed.is_empty()) {
            lists.insert(id, allowed);
        }
    }
    Ok(lists)
}

/// Refuses a definition whose target the list of its project does not name. A name of an HTTP
/// target that may lead to an address that the list names is judged when it is called.
pub(in crate::app::jobs) fn check(
    kinds: &Registry,
    lists: &Lists,
    definition: &JobDefinition,
    executor: Option<&Executor>,
) -> Result<(), Error> {
    let Some(allowed) = lists.get(&definition.project) else { return Ok(()) };
    let known = definition.executor.map(|id| (id, executor));
    let Ok(target) = CallTarget::of(definition, known) else { return Ok(()) };
    let kind = kinds.get(target.kind());
    let Some(address) = kind.and_then(|kind| kind.call_address(&target)) else { return Ok(()) };
    let by_address = !matches!(target, CallTarget::Settings(_));
    if address.is_named_by(allowed, by_address) {
        return Ok(());
    }
    let field = field_of(definition);
    let names: Vec<_> = allowed.iter().map(ToString::to_string).collect();
    let message = format!(
        "{field}: jobs of project {} may call {} only (its allowedTargets), and not {}://{}:{}",
        definition.project,
        names.join(", "),
        address.scheme,
        address.host,
        address.port,
    );
    Err(Error::target_not_allowed(field, message))
}

/// The field that the target of a definition stands in.
fn field_of(definition: &JobDefinition) -> &'static str {
    match &definition.target {
        _ if definition.http.is_some() => "http.url",
        Some(own) if own.kind == AMQP => "amqp.url",
        Some(_) => "target",
        None if definition.executor.is_some() => "executorId",
        None => "callbackUrl",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::error::ErrorKind;
    use crate::clock::SystemClock;
    use crate::executor::{Options, registry};
    use crate::metrics::PublishMetrics;
    use crate::model::target::{HttpTarget, WEBHOOK_URL};
    use crate::model::target_pattern::NOT_ALLOWED;
    use crate::secret::Keys;
    use std::sync::Arc;

    fn kinds() -> Registry {
        let keys = Arc::new(Keys::new(&"ab".repeat(32), "node", "pass").unwrap());
        let clock = Arc::new(SystemClock) as _;
        registry(Options::default(), PublishMetrics::default(), &keys, &clock).unwrap()
    }

    #[test]
    fn answers_and_attempts_have_the_same_code() {
        assert_eq!(ErrorKind::TargetNotAllowed.code(), NOT_ALLOWED);
    }

    #[test]
    fn a_job_calls_where_its_project_may_and_the_field_is_named() {
        let kinds = kinds();
        let allowed = ["https://*.a.example:443", "10.0.0.0/8:8080"];
        let allowed = allowed.map(|text| text.parse().unwrap()).to_vec();
        let lists = Lists::from([(1, allowed)]);
        let job = JobDefinition { project: 1, ..JobDefinition::default() };
        let callback = |url: &str| JobDefinition { callback_url: url.into(), ..job.clone() };
        let http = |url: &str| {
            let http = HttpTarget { url: url.into(), ..HttpTarget::default() };
            JobDefinition { http: Some(Box::new(http)), ..job.clone() }
        };
        let named = JobDefinition { executor: Some(7), ..job.clone() };
        let executor = |url: &str| Executor {
            kind: WEBHOOK_URL.into(),
            webhook_url: url.into(),
            ..Executor::default()
        };
        for (definition, executor, field) in [
            (callback("https://x.a.example/"), None, None),
            (callback("https://evila.example/"), None, Some("callbackUrl")),
            (callback("http://10.1.1.1:8080/"), None, None),
            (callback("http://11.1.1.1:8080/"), None, Some("callbackUrl")),
            (callback("http://any.example:8080/"), None, None),
            (callback("http://any.example:8081/"), None, Some("callbackUrl")),
            (http("https://x.a.example/{{jobId}}"), None, None),
            (http("https://x.b.example/{{jobId}}"), None, Some("http.url")),
            (named.clone(), Some(executor("https://x.a.example/")), None),
            (named.clone(), Some(executor("https://a.example/")), Some("executorId")),
            (JobDefinition { project: 2, ..callback("https://other.example/") }, None, None),
        ] {
            let error = check(&kinds, &lists, &definition, executor.as_ref()).err();
            assert_eq!(error.as_ref().and_then(Error::field_name), field, "{definition:?}");
            assert!(error.is_none_or(|error| error.kind() == ErrorKind::TargetNotAllowed));
        }
    }
}
