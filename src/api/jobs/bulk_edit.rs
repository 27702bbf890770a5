//! Many jobs edited at once: `POST /jobs/edit`. What the edit names is read as the body of a
//! `PATCH` of one job is.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::value::RawValue;

use crate::api::http::body::{JsonBody, SMALL};
use crate::api::http::context::RequestContext;
use crate::api::http::error::Error;
use crate::api::http::fields::{Fields, bad_json};
use crate::api::http::{idempotency, respond};
use crate::api::jobs::bulk::wanted;
use crate::api::jobs::bulk_edit_view::BulkEditView;
use crate::api::jobs::input::parse;
use crate::api::state::ApiState;
use crate::app::fields::canonical;
use crate::app::jobs::input::JobInput;
use crate::app::jobs::{BulkEditInput, LONGEST_BY};
use crate::app::warnings::Warnings;
use crate::model::Millis;
use crate::model::job::Casing;

/// The longest body, in bytes.
const LONGEST: usize = 4 * SMALL;

pub(crate) async fn edit_jobs(
    State(state): ApiState,
    context: RequestContext,
    headers: HeaderMap,
    JsonBody(body, _hold): JsonBody<LONGEST>,
) -> Result<Response, Error> {
    let (app, actor, casing) = (&state.app, &context.actor, context.casing());
    let key = idempotency::key(&headers, actor, "POST /jobs/edit", &body)?;
    let kinds = app.kinds_for_jobs();
    let (input, mut warnings) = read_input(&body, &kinds, app.now(), casing)?;
    let done = Box::pin(app.edit_jobs(actor, key, input, &mut warnings)).await?;
    let view = BulkEditView::of(done, app, casing);
    Ok(respond::warn(respond::ok(&view, casing), &warnings))
}

/// Reads a request. `kinds` are the kinds whose settings a job may hold.
fn read_input(
    body: &[u8],
    kinds: &[&'static str],
    now: Millis,
    casing: Casing,
) -> Result<(BulkEditInput, Warnings), Error> {
    let mut fields = Fields::parse(body)?;
    let filter = wanted(&mut fields, now)?;
    let dry_run = fields.flag("dryRun")?.unwrap_or(false);
    let by = fields.text("modifiedBy", LONGEST_BY)?;
    let is_given = fields.take("set").is_some();
    // An unknown field might be meant to narrow the filter.
    if let Some(name) = fields.warnings().first_unknown() {
        let message = format!("there is no field {name}: give filter, all, set, dryRun");
        return Err(Error::unprocessable(message));
    }
    if !is_given {
        let message = "set is missing: give the fields that PATCH /jobs/{id} takes, such as \
                       {\"jitter\": \"30s\"}";
        return Err(Error::unprocessable(message).field("set"));
    }
    let (set, warnings) = read_set(body, kinds)?;
    Ok((BulkEditInput { filter, dry_run, by, set, casing }, warnings))
}

/// Reads what an edit names. It is read of the text of the body, so that no number in it is
/// rounded, and no name in it is moved.
fn read_set(body: &[u8], kinds: &[&'static str]) -> Result<(JobInput<'static>, Warnings), Error> {
    let parts: BTreeMap<String, &RawValue> =
        serde_json::from_slice(body).map_err(|error| bad_json(&error))?;
    let is_set = |name: &str| canonical(name, &mut [0; 32]) == Some("set");
    let text = parts.iter().find(|(name, _)| is_set(name)).map_or("", |(_, text)| text.get());
    if !text.starts_with('{') {
        let message = "set must be an object with the fields that PATCH /jobs/{id} takes";
        return Err(Error::unprocessable(message).field("set"));
    }
    let (set, warnings) = parse::one(text.as_bytes(), kinds)?;
    if let Some(name) = warnings.first_unknown() {
        let message =
            format!("set has no field {name}: it has those that PATCH /jobs/{{id}} takes");
        return Err(Error::unprocessable(message).field("set"));
    }
    Ok((set.into_owned(), warnings))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<BulkEditInput, String> {
        let read = read_input(body.as_bytes(), &[], 5, Casing::Camel);
        read.map(|(input, _)| input).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn an_edit_is_read_as_a_patch_is() {
        let body = r#"{"filter":{"spec":"0 9 * * *"},"Set":{"retry_max":2,"data":{"b":1.50,
            "a":18446744073709551616}},"dry_run":true,"modified_by":"me"}"#;
        let input = read(body).unwrap();
        assert_eq!(input.filter.spec.as_deref(), Some("0 9 * * *"));
        assert!(input.dry_run && input.by.as_deref() == Some("me"));
        assert_eq!(input.set.definition.retry_max, Some(2));
        let data = input.set.data.unwrap().replace(char::is_whitespace, "");
        assert_eq!(data, r#"{"b":1.50,"a":18446744073709551616}"#);
    }

    #[test]
    fn an_edit_without_a_meaning_is_refused() {
        for (body, field) in [
            (r#"{"filter":{"ids":[1]}}"#, "set"),
            (r#"{"filter":{"ids":[1]},"set":null}"#, "set"),
            (r#"{"filter":{"ids":[1]},"set":[]}"#, "set"),
            (r#"{"filter":{"ids":[1]},"set":{"colour":1}}"#, "set"),
            (r#"{"filter":{"ids":[1]},"set":{"spec":1}}"#, "spec"),
            (r#"{"set":{"jitter":"5s"}}"#, "filter"),
        ] {
            let refused = read(body).unwrap_err();
            assert!(refused.contains(&format!("field: Some({field:?})")), "{body}: {refused}");
        }
        let until = read(r#"{"all":true,"set":{"jitter":"5s"},"until":"x"}"#).unwrap_err();
        assert!(until.contains("there is no field until"), "{until}");
    }
}
