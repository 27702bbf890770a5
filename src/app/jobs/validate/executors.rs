//! The check that the executors which a request names can be sent to, by the state of this node.
//! `command::apply` refuses an executor that this node does not know, or that changes in the
//! meantime.

use std::collections::BTreeMap;

use crate::app::actor::Actor;
use crate::app::error::Error;
use crate::app::jobs::validate::refusals::{not_in_batches, unprocessable};
use crate::app::state::App;
use crate::app::targets::http::payload;
use crate::model::job::JobDefinition;
use crate::model::target::{Executor, WEBHOOK_URL};
use crate::store::executors;

/// Refuses the first definition that its executor does not suit, or the first job whose request
/// could not be sent by its executor. `jobs` are the definitions by index, with the data. The error
/// comes with the job's index, if there is one.
pub(in crate::app::jobs) async fn check<'j>(
    app: &App,
    actor: &Actor,
    definitions: &[JobDefinition],
    jobs: impl Iterator<Item = (usize, &'j str)> + Clone,
) -> Result<(), (Option<usize>, Error)> {
    let mut wanted: Vec<u64> =
        definitions.iter().filter_map(|definition| definition.executor).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    wanted.sort_unstable();
    wanted.dedup();
    let found = app.read(actor, move |conn| {
        let mut found = BTreeMap::new();
        for id in wanted {
            if let Some(executor) = executors::get(conn, id)? {
                found.insert(id, executor);
            }
        }
        Ok(found)
    });
    let found = found.await.map_err(|error| (None, error))?;
    let mut measures = Vec::with_capacity(definitions.len());
    for (place, definition) in definitions.iter().enumerate() {
        let executor = definition.executor.and_then(|id| found.get(&id));
        let first = || jobs.clone().position(|(of, _)| of == place);
        let judged = executor.map_or(Ok(()), |executor| judge(definition, executor));
        let of_http = judged.and_then(|()| {
            let http = executor.and_then(|executor| executor.http.as_deref());
            http.map(|http| Ok((http, payload::sizes(http)?))).transpose()
        });
        measures.push(of_http.map_err(|error| (first(), error))?);
    }
    for (index, (place, data)) in jobs.enumerate() {
        let Some(Some((http, sizes))) = measures.get(place) else { continue };
        payload::check_data(sizes, http, data, app.config.payload_max_bytes).map_err(|error| {
            let error = error.because("by its executor's http target");
            (Some(index), error.field("data"))
        })?;
    }
    Ok(())
}

fn judge(definition: &JobDefinition, executor: &Executor) -> Result<(), Error> {
    if executor.kind != WEBHOOK_URL && executor.settings.is_none() {
        let message = format!(
            "executor {} is of type {}, which cannot be called: use one of type {WEBHOOK_URL}",
            executor.id, executor.kind
        );
        return Err(unprocessable("executorId", message));
    }
    match definition.single_only().filter(|_| executor.http.is_none()) {
        Some(field) => Err(not_in_batches(field)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::delivery::Overlap;

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
