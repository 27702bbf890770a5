//! The pause of a project in requests: `status` and `pauseUntil`.

use crate::api::http::error::Error;
use crate::api::http::fields::Fields;
use crate::app::projects::pause::{PauseInput, Status, pause_end};
use crate::model::Millis;
use crate::model::time::parse_rfc3339;

/// The longest `status` and instant, in bytes.
const LONGEST: usize = 256;

/// Reads `status` and `pauseUntil`.
pub(crate) fn read(fields: &mut Fields, now: Millis) -> Result<PauseInput, Error> {
    let status = fields.text("status", LONGEST)?.filter(|status| !status.is_empty());
    let status = match status.as_deref() {
        None => None,
        Some("active") => Some(Status::Active),
        Some("inactive") => Some(Status::Inactive),
        Some(_) => return Err(Error::invalid("status", "status must be active or inactive")),
    };
    let until = fields.patch("pauseUntil", |fields, name| read_end(fields, name, now))?;
    Ok(PauseInput::new(status, until)?)
}

/// Reads the end of a pause, which must lie in the future.
pub(crate) fn read_end(
    fields: &mut Fields,
    name: &'static str,
    now: Millis,
) -> Result<Option<Millis>, Error> {
    let Some(text) = fields.text(name, LONGEST)? else { return Ok(None) };
    let wrong =
        || Error::invalid(name, format!("{name} must be RFC 3339, such as 2026-11-20T20:18:07Z"));
    let until = parse_rfc3339(&text).ok_or_else(wrong)?;
    Ok(Some(pause_end(name, until, now)?))
}
