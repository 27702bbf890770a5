//! The fields of a template in a request. A field that the request does not name stays, in `PUT` as
//! in `PATCH`, since secrets of targets are not shown and no client could send all of it.
//! `payloadSchema`, `jsonSchema`, `payload`, `target` and `job` are replaced whole.
//! `app::templates` has the rules.

use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::jobs::input::parse;
use crate::api::templates::body::{Body, object_of};
use crate::app::jobs::LONGEST_BY;
use crate::app::patch::Patch;
use crate::app::templates::input::{
    LONGEST_DESCRIPTION, LONGEST_LABEL, LONGEST_TYPE, TemplateInput,
};
use crate::app::warnings::Warnings;

/// The fields that hold JSON of the client's own, or the fields of jobs.
const OWN: &[&str] = &["payloadSchema", "jsonSchema", "payload", "target", "job"];

/// Fields that a `GET` shows and nobody can set.
const READ_ONLY: &[&str] = &["id", "version", "dateCreated", "dateModified", "accountId"];

/// Reads a body.
pub(crate) fn read<'a>(
    body: &'a [u8],
    kinds: &[&'static str],
) -> Result<(TemplateInput<'a>, Warnings), Error> {
    read_fields(Body::read(body, OWN)?, kinds)
}

/// Reads a file of templates: an object of them by type, in its order.
pub(crate) fn read_file<'a>(
    text: &'a str,
    kinds: &[&'static str],
    warnings: &mut Warnings,
) -> Result<Vec<(String, TemplateInput<'a>)>, Error> {
    let mut templates = Vec::new();
    for (kind, json) in object_of(text)?.0 {
        let read = Body::of(json, OWN).and_then(|body| read_fields(body, kinds));
        let (input, said) = read.map_err(|error| {
            Error::from(error.into_app().because(format_args!("in template {kind}")))
        })?;
        warnings.merge(said);
        templates.push((kind, input));
    }
    Ok(templates)
}

fn read_fields<'a>(
    mut body: Body<'a>,
    kinds: &[&'static str],
) -> Result<(TemplateInput<'a>, Warnings), Error> {
    let fields = &mut body.fields;
    fields.not_null(&["type", "projectId"])?;
    let mut input = TemplateInput {
        kind: fields.text("type", LONGEST_TYPE)?,
        project: fields.number("projectId")?,
        label: text(fields.patch("label", |f, name| f.text(name, LONGEST_LABEL))?),
        description: text(
            fields.patch("description", |f, name| f.text(name, LONGEST_DESCRIPTION))?,
        ),
        start_in_seconds: fields.number("startInSeconds")?,
        user_triggered: fields.flag("userTriggered")?,
        reschedule: fields.flag("rescheduleAfterTermination")?,
        keep_completed: fields.patch("keepCompleted", Fields::number)?,
        active: fields.flag("active")?,
        created_by: fields.text("createdBy", LONGEST_BY)?,
        modified_by: fields.text("modifiedBy", LONGEST_BY)?,
        ..TemplateInput::default()
    };
    fields.ignore(READ_ONLY);
    input.payload_schema = schema(&mut body, "payloadSchema")?;
    input.json_schema = schema(&mut body, "jsonSchema")?;
    input.payload = match body.take("payload") {
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
        Patch::Set(json) => Patch::Set(json.to_owned()),
    };
    let mut warnings = Warnings::default();
    match body.take("target") {
        Patch::Keep => {}
        // A client that sends null may mean to stop the calls, and a null target would not do so.
        Patch::Clear => {
            let message = "target must not be null: leave it out to keep it, or set active to \
                           false, so that nothing goes to it";
            return Err(Error::invalid("target", message));
        }
        Patch::Set(target) => {
            let (target, said) = parse::one(target.as_bytes(), kinds)?;
            warnings.merge(said);
            input.target = Some(target);
        }
    }
    input.policies = match body.take("job") {
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
        Patch::Set(job) => {
            let (job, said) = parse::one(job.as_bytes(), kinds)?;
            warnings.merge(said);
            Patch::Set(job)
        }
    };
    warnings.merge(body.fields.warnings());
    Ok((input, warnings))
}

/// The JSON of a schema. Null would leave a payload without rules, or mean the other kind.
fn schema(body: &mut Body<'_>, name: &'static str) -> Result<Option<String>, Error> {
    match body.take(name) {
        Patch::Keep => Ok(None),
        Patch::Clear => {
            let message = format!(
                "{name} must not be null: leave it out to keep the schema, or give the one that \
                 replaces it"
            );
            Err(Error::invalid(name, message))
        }
        Patch::Set(json) => Ok(Some(json.to_owned())),
    }
}

/// A text that null makes empty.
fn text(given: Patch<String>) -> Option<String> {
    match given {
        Patch::Keep => None,
        Patch::Clear => Some(String::new()),
        Patch::Set(text) => Some(text),
    }
}
