//! The fields of a project in requests. `app::projects` has their rules.

use std::time::Duration;

use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::api::projects::pause_input;
use crate::api::projects::settings;
use crate::app::projects::input::{
    LONGEST_BY, LONGEST_DESCRIPTION, LONGEST_NAME, ProjectEdit, ProjectInput, new_name, required,
};
use crate::model::Millis;

/// Fields that a `GET` shows and nobody can set.
const READ_ONLY: &[&str] = &[
    "id",
    "version",
    "dateCreated",
    "dateModified",
    "accountId",
    "deletedBy",
    "webhookSecretSet",
    "previousSecretUntil",
];

/// Reads the name that the caller gives itself.
pub(crate) fn modified_by(fields: &mut Fields) -> Result<Option<String>, Error> {
    fields.text("modifiedBy", LONGEST_BY)
}

/// Reads a new project.
pub(crate) fn read_new(
    fields: &mut Fields,
    max_timeout: Duration,
    now: Millis,
) -> Result<ProjectInput, Error> {
    let name = required(fields.text("name", LONGEST_NAME)?, "name")?;
    let description = fields.text("description", LONGEST_DESCRIPTION)?;
    let description = required(description, "description")?;
    let by = fields.text("createdBy", LONGEST_BY)?;
    let settings = settings::read(fields, max_timeout)?;
    let pause = pause_input::read(fields, now)?;
    fields.ignore(READ_ONLY);
    fields.ignore(&["modifiedBy"]);
    Ok(ProjectInput { name, description, settings, pause, by })
}

/// Reads a change of a project.
pub(crate) fn read_edit(
    fields: &mut Fields,
    max_timeout: Duration,
    now: Millis,
) -> Result<ProjectEdit, Error> {
    let name = new_name(fields.text("name", LONGEST_NAME)?)?;
    let description = fields.text("description", LONGEST_DESCRIPTION)?;
    let by = modified_by(fields)?;
    fields.ignore(READ_ONLY);
    fields.ignore(&["createdBy"]);
    let settings = settings::read(fields, max_timeout)?;
    let pause = pause_input::read(fields, now)?;
    Ok(ProjectEdit { name, description, settings, pause, by })
}
