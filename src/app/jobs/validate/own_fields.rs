//! The small fields that are each job's own: external id, status, and the name of who made the
//! change.

use crate::app::error::Error;
use crate::app::fields::check_text;
use crate::model::job::JobStatus;

/// The longest `externalId`, in bytes.
const LONGEST_EXTERNAL: usize = 255;

/// The longest `until`, in bytes.
pub const LONGEST_TIME: usize = 64;
/// The longest `createdBy` and `modifiedBy`, in bytes.
pub const LONGEST_BY: usize = 256;

/// Checks the client's own name of a job.
pub(in crate::app::jobs) fn external_id(given: Option<&str>) -> Result<Option<String>, Error> {
    let Some(given) = given else { return Ok(None) };
    check_text("externalId", given, LONGEST_EXTERNAL)?;
    Ok(Some(given.to_owned()))
}

/// The status that a client may give a job.
pub(in crate::app::jobs) fn status(given: Option<&str>) -> Result<Option<JobStatus>, Error> {
    match given {
        None => Ok(None),
        Some("active") => Ok(Some(JobStatus::Active)),
        Some("inactive") => Ok(Some(JobStatus::Inactive)),
        Some(_) => Err(Error::invalid("status", "job status must be active or inactive")),
    }
}

/// Checks the name that a client gives for who made the change.
pub(in crate::app::jobs) fn by(
    field: &'static str,
    given: Option<&str>,
) -> Result<Option<String>, Error> {
    let Some(given) = given else { return Ok(None) };
    check_text(field, given, LONGEST_BY)?;
    Ok(Some(given.to_owned()))
}
