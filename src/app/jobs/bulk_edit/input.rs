//! What a request for an edit of many jobs asks for, and which fields no such edit has.

use crate::app::error::Error;
use crate::app::jobs::input::{JobInput, Name};
use crate::app::jobs::validate::own_fields;
use crate::app::jobs::validate::refusals::unprocessable;
use crate::model::job::Casing;
use crate::store::jobs::Filter;

/// Fields of a patch that an edit of many jobs does not take, each with what to do instead.
const SET_ELSEWHERE: [(&str, &str); 3] = [
    ("status", "pause or resume many jobs by POST /jobs/pause and POST /jobs/resume"),
    ("pauseUntil", "pause many jobs by POST /jobs/pause with until"),
    ("externalId", "it is the name of one job: change it by PATCH /jobs/{id}"),
];

/// A request to edit many jobs.
#[derive(Clone, Debug)]
pub struct BulkEditInput {
    /// The jobs, checked by [`bulk_filter`](crate::app::jobs::bulk_filter).
    pub filter: Filter,
    /// Only says what the edit would do.
    pub dry_run: bool,
    /// The name that the caller gives itself.
    pub by: Option<String>,
    /// The fields that a patch of each job would name.
    pub set: JobInput<'static>,
    /// The casing of the callbacks of jobs that get a target.
    pub casing: Casing,
}

impl BulkEditInput {
    /// The name of the caller, in either of its places.
    pub(super) fn caller(&self) -> Result<Option<String>, Error> {
        let own = own_fields::by("modifiedBy", self.set.modified_by.as_deref())?;
        Ok(self.by.clone().or(own))
    }
}

/// Refuses a patch that names nothing, or what an edit of many jobs does not change.
pub(super) fn check_set(set: &JobInput<'_>) -> Result<(), Error> {
    let given = [
        set.status.is_some() || set.nulls.has(Name::Status),
        set.pause_until.is_some() || set.nulls.has(Name::PauseUntil),
        set.external_id.is_some() || set.nulls.has(Name::ExternalId),
    ];
    let elsewhere = SET_ELSEWHERE.into_iter().zip(given).find(|(_, given)| *given);
    if let Some(((field, instead), _)) = elsewhere {
        return Err(unprocessable(field, format!("set cannot have {field}: {instead}")));
    }
    if (JobInput { modified_by: None, ..set.clone() }) == JobInput::default() {
        let message = "set names no field: give those that PATCH /jobs/{id} takes, such as \
                       {\"jitter\": \"30s\"}";
        return Err(unprocessable("set", message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::jobs::validate::fixtures::input;

    #[test]
    fn an_edit_of_many_names_something_and_nothing_that_is_each_jobs_own() {
        for (set, field) in [
            ("{}", Some("set")),
            (r#"{"modifiedBy":"me"}"#, Some("set")),
            (r#"{"spec":""}"#, Some("set")),
            (r#"{"status":"inactive"}"#, Some("status")),
            (r#"{"jitter":"5s","pauseUntil":null}"#, Some("pauseUntil")),
            (r#"{"externalId":"a"}"#, Some("externalId")),
            (r#"{"externalId":null}"#, Some("externalId")),
            (r#"{"jitter":null}"#, None),
            (r#"{"data":""}"#, None),
            (r#"{"labels":{}}"#, None),
            (r#"{"retryMax":0}"#, None),
        ] {
            let refused = check_set(&input(set)).err();
            assert_eq!(refused.as_ref().and_then(Error::field_name), field, "{set}");
        }
    }
}
