//! `PATCH` as a JSON Merge Patch (RFC 7396): the objects within a job that a request names are put
//! over what the job has, before the rules of `super::definition` see them. `super::edit` calls it.
//!
//! Only what is shown as an object merges: `http`, `misfire`, `dst`, `labels`. `data` and `http.body`
//! are values of the client's own, which are replaced whole, nulls in them included.

use serde_json::Value;

use crate::api::http::casing::canonical;
use crate::api::http::error::Error;
use crate::api::jobs::input::names::{Name, Names};
use crate::api::jobs::input::parse::DefinitionInput;
use crate::api::jobs::validate::policy::value;
use crate::api::jobs::view::MisfireView;
use crate::api::targets::http_target::json_merge;
use crate::api::targets::http_target::merge::merged;
use crate::model::job::JobDefinition;

/// Fields that every job has: null takes nothing away.
const ALWAYS: [Name; 2] = [Name::Project, Name::Status];

/// The fields of a patch, nested objects made whole. Adds to `nulls` what a nested null takes away
/// of the job itself.
pub(crate) fn merge_over<'a>(
    old: &JobDefinition,
    patch: &DefinitionInput<'a>,
    nulls: &mut Names,
) -> Result<DefinitionInput<'a>, Error> {
    if let Some(name) = ALWAYS.iter().find(|name| nulls.has(**name))
        && let Some(field) = name.camel()
    {
        let message = format!("job {field} cannot be null: name another, or leave it out");
        return Err(Error::invalid(field, message));
    }
    let mut whole = patch.clone();
    for (name, json) in &mut whole.rare {
        let shown = match name {
            Name::Http => {
                let given = value("http", json)?;
                if timeout_is_null(&given) {
                    nulls.add(Name::Timeout);
                }
                *json = merged(old.http.as_deref(), given)?.to_string().into();
                continue;
            }
            Name::Misfire => serde_json::to_value(MisfireView::of(&old.misfire)),
            Name::Dst => serde_json::to_value(old.dst),
            Name::Labels => serde_json::to_value(&old.labels),
            _ => continue,
        };
        // Of any other type it is refused where it is read, in its own words.
        let Some(field) = name.camel() else { continue };
        if let Value::Object(given) = value(field, json)? {
            let same = |known: &str, name: &str| known == name;
            *json = json_merge::over(shown.ok(), given, same).to_string().into();
        }
    }
    Ok(whole)
}

/// Whether `http.timeout`, another place to write the job's `timeout`, is taken away.
fn timeout_is_null(http: &Value) -> bool {
    let is_it = |name: &str| canonical(name, &mut [0; 24]) == Some("timeout");
    http.as_object().is_some_and(|http| http.iter().any(|(name, v)| is_it(name) && v.is_null()))
}
