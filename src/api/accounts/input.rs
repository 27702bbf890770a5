//! The fields of an account in requests. `app::accounts` has their rules.

use serde_json::Value;

use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::app::accounts::{AccountInput, LONGEST_BY, LimitsPatch};
use crate::app::patch::Patch;
use crate::model::account::LONGEST_NAME;
use crate::model::feature::{Feature, Features};

/// Fields that a `GET` shows and nobody can set.
const READ_ONLY: &[&str] = &[
    "id",
    "usage",
    "version",
    "dateCreated",
    "dateModified",
    "executionsPausedUntil",
    "accountId",
    "deletedBy",
];

/// Reads a new account, or a change of one.
pub(crate) fn read(fields: &mut Fields) -> Result<AccountInput, Error> {
    let name = fields.text("name", LONGEST_NAME)?;
    let features = features(fields)?;
    let limits = limits(fields)?;
    let created_by = fields.text("createdBy", LONGEST_BY)?;
    let modified_by = fields.text("modifiedBy", LONGEST_BY)?;
    fields.ignore(READ_ONLY);
    Ok(AccountInput { name, features, limits, by: modified_by.or(created_by) })
}

/// Reads the list of an account's features: names, numbers, or objects as a `GET` shows them.
fn features(fields: &mut Fields) -> Result<Option<Features>, Error> {
    let Some(value) = fields.take("features") else { return Ok(None) };
    let Value::Array(list) = value else {
        return Err(Error::invalid("features", "features must be a list of names"));
    };
    let read = |value: Value| match value {
        Value::Object(object) => feature(&mut Fields::of(object)),
        Value::String(name) => named(&name),
        value => numbered(&value),
    };
    list.into_iter().map(read).collect::<Result<Features, Error>>().map(Some)
}

/// Reads the feature that a request names by `featureId`, or by its name in `feature`.
pub(crate) fn feature(fields: &mut Fields) -> Result<Feature, Error> {
    let id = fields.take("featureId").map(|value| numbered(&value)).transpose()?;
    let name = fields.text("feature", 64)?.map(|name| named(&name)).transpose()?;
    fields.ignore(&["accountId"]);
    match (id, name) {
        (Some(id), Some(name)) if id != name => {
            let message = "featureId and feature name two features: give one of them";
            Err(Error::invalid("feature", message))
        }
        (id, name) => id.or(name).ok_or_else(|| {
            let message = "featureId is missing: name a feature by its number, see GET /features";
            Error::invalid("featureId", message)
        }),
    }
}

fn numbered(value: &Value) -> Result<Feature, Error> {
    let found = value.as_u64().and_then(Feature::of_id);
    found.ok_or_else(|| {
        let numbers: Vec<_> = Feature::ALL.iter().map(|known| known.id().to_string()).collect();
        let message = format!("featureId must be one of {}: see GET /features", numbers.join(", "));
        Error::invalid("featureId", message)
    })
}

fn named(name: &str) -> Result<Feature, Error> {
    Feature::named(name).ok_or_else(|| {
        let names: Vec<_> = Feature::ALL.iter().map(|known| known.name()).collect();
        let message = format!("feature must be one of {}", names.join(", "));
        Error::invalid("feature", message)
    })
}

/// Reads the changes of limits. Null for all of them, or for one, takes it away.
fn limits(fields: &mut Fields) -> Result<LimitsPatch, Error> {
    let whole = |fields: &mut Fields, name: &'static str| match fields.take(name) {
        None => Ok(None),
        Some(Value::Object(object)) => Ok(Some(Fields::of(object))),
        Some(_) => Err(Error::invalid("limits", "limits must be an object of numbers, or null")),
    };
    let mut limits = match fields.patch("limits", whole)? {
        Patch::Keep => return Ok(LimitsPatch::default()),
        Patch::Clear => return Ok(LimitsPatch::clear()),
        Patch::Set(limits) => limits,
    };
    let read = LimitsPatch {
        projects: limits.patch("projects", Fields::number)?,
        jobs: limits.patch("jobs", Fields::number)?,
        executors: limits.patch("executors", Fields::number)?,
        credentials: limits.patch("credentials", Fields::number)?,
        executions_per_month: limits.patch("executionsPerMonth", Fields::number)?,
        requests_per_second: limits.patch("requestsPerSecond", Fields::number)?,
        jobs_per_request: limits.patch("jobsPerRequest", Fields::number)?,
    };
    // A limit with a wrong name would not hold.
    match limits.warnings().first_unknown() {
        Some(unknown) => {
            Err(Error::invalid("limits", format!("limits has no limit {unknown}: see the docs")))
        }
        None => Ok(read),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_json(json: &str) -> Result<AccountInput, Error> {
        read(&mut Fields::parse(json.as_bytes()).unwrap())
    }

    #[test]
    fn features_are_named_by_name_number_or_as_shown() {
        let input = read_json(
            r#"{"name":"a","features":["sub_minute",2,{"accountId":7,"featureId":4,"feature":"long_runs"}]}"#,
        )
        .unwrap();
        let names = input.features.unwrap().to_string();
        assert_eq!(names, "sub_minute, http_targets, long_runs");
        assert_eq!(read_json("{}").unwrap().features, None);
        for wrong in [r#"["x"]"#, "[0]", "[6]", "[1.5]", "[null]", "7", r#"[{"feature":"x"}]"#] {
            let error = read_json(&format!("{{\"features\":{wrong}}}")).unwrap_err();
            assert_eq!(error.status(), 400, "{wrong}");
        }
        let two = read_json(r#"{"features":[{"featureId":1,"feature":"long_runs"}]}"#);
        assert!(two.is_err());
    }

    #[test]
    fn limits_are_set_kept_and_taken_away() {
        let limits = read_json(r#"{"limits":{"jobs":3,"executions_per_month":null}}"#);
        let limits = limits.unwrap().limits;
        assert_eq!(limits.jobs, Patch::Set(3));
        assert_eq!(limits.executions_per_month, Patch::Clear);
        assert_eq!(limits.projects, Patch::Keep);
        assert_eq!(read_json(r#"{"limits":null}"#).unwrap().limits.jobs, Patch::Clear);
        for wrong in [r#"{"jobs":-1}"#, r#"{"jobs":"3"}"#, r#"{"job":3}"#, "3"] {
            let error = read_json(&format!("{{\"limits\":{wrong}}}")).unwrap_err();
            assert_eq!(error.status(), 400, "{wrong}");
        }
    }
}
