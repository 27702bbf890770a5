//! A patch as a JSON Merge Patch (RFC 7396): the objects within a job that a request names are
//! merged with those of the job, before the rules of `definition` apply. `edit` calls it.
//!
//! Only fields that are shown as objects merge: `http`, the settings of other kinds, `message`,
//! `misfire`, `dst`, `labels`. `data` and bodies are the client's own values, which are replaced
//! whole, nulls in them included.

use serde_json::Value;

use crate::app::error::Error;
use crate::app::fields::canonical;
use crate::app::jobs::input::{DefinitionInput, Name, Names};
use crate::app::jobs::misfire::MisfireView;
use crate::app::jobs::validate::policy::value;
use crate::app::jobs::validate::rules::Rules;
use crate::app::targets::http::json_merge;
use crate::app::targets::http::merge::merged;
use crate::app::targets::settings::kinds::message_fields;
use crate::app::targets::settings::merge::merged as merged_settings;
use crate::app::targets::settings::names::make_camel;
use crate::app::targets::settings::read::patched;
use crate::model::job::JobDefinition;
use crate::secret::SecretJson;

/// Fields that every job has, so that null cannot clear them.
const NOT_NULLABLE: [Name; 2] = [Name::Project, Name::Status];

/// The fields of a patch with nested objects made whole. Adds to `nulls` the fields of the job that
/// a nested null clears.
pub(in crate::app::jobs) fn merge_over<'a>(
    rules: &Rules,
    old: &JobDefinition,
    patch: &DefinitionInput<'a>,
    nulls: &mut Names,
) -> Result<DefinitionInput<'a>, Error> {
    if let Some(name) = NOT_NULLABLE.iter().find(|name| nulls.has(**name))
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
            Name::Message => {
                let mut given = SecretJson::from(value("message", json)?);
                let fields = message_fields(&rules.executors);
                make_camel("message", given.value_mut(), fields)?;
                let shown = old.message.as_deref().cloned();
                *json = merged_settings(shown, given.into_value(), fields).to_string().into();
                continue;
            }
            Name::Misfire => serde_json::to_value(MisfireView::of(&old.misfire)),
            Name::Dst => serde_json::to_value(old.dst),
            Name::Labels => serde_json::to_value(&old.labels),
            _ => continue,
        };
        // Any other type is refused where the field is read.
        let Some(field) = name.camel() else { continue };
        if let Value::Object(given) = value(field, json)? {
            let same = |known: &str, name: &str| known == name;
            *json = json_merge::over(shown.ok(), given, same).to_string().into();
        }
    }
    for (kind, json) in &mut whole.settings {
        let executor = rules.executors.get(kind);
        let (Some(given), Some(executor)) = (json.as_deref(), executor) else { continue };
        let given = SecretJson::from(value(kind, given)?);
        let known = old.target.as_ref().filter(|own| own.kind == *kind).map(|own| &own.settings);
        let whole = patched(executor, kind, &given, known)?;
        *json = Some(whole.to_string().into());
    }
    Ok(whole)
}

/// Says whether the patch clears `http.timeout`, another place of the job's `timeout`.
fn timeout_is_null(http: &Value) -> bool {
    let is_it = |name: &str| canonical(name, &mut [0; 24]) == Some("timeout");
    http.as_object().is_some_and(|http| http.iter().any(|(name, v)| is_it(name) && v.is_null()))
}
