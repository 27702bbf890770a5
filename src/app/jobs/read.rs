//! Reads of jobs.

use crate::app::error::Error;

/// The error where there is no such job.
pub(crate) fn missing_job() -> Error {
    Error::not_found("job cannot be found")
}
