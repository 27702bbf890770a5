//! The sizes of the requests that a target makes of a job's data. `read` and the checks of jobs
//! call it.

use crate::app::error::Error;
use crate::executor::http::template::{Error as RenderError, Sizes};
use crate::model::target::HttpTarget;

/// The sizes of the requests of a target.
pub(crate) fn sizes(target: &HttpTarget) -> Result<Sizes, Error> {
    Sizes::new(target).map_err(|error| unprocessable(&error))
}

/// Refuses a job's data that makes a request which cannot be sent: `TooLarge` where its body has
/// more than `max_body` bytes, else `Unprocessable`. `sizes` are those of the target, and
/// `template` is the type of the template that made the job, or empty.
pub(crate) fn check_data(
    sizes: &Sizes,
    target: &HttpTarget,
    (data, template): (&str, &str),
    max_body: usize,
) -> Result<(), Error> {
    let length = sizes.body(data);
    if length > max_body {
        return Err(too_large("request", length, max_body));
    }
    sizes.check_data(target, (data, template), max_body).map_err(|error| unprocessable(&error))
}

/// `TooLarge`: the request of this job alone has a larger body than may be sent.
pub(crate) fn too_large(what: &str, length: usize, max_body: usize) -> Error {
    let message = format!(
        "job data is too large: its {what} would have {length} bytes, \
         HTTPExecutorPayloadMaxSizeMb allows {max_body}"
    );
    Error::too_large(message).field("data")
}

/// `Unprocessable`: each part is valid, but the request cannot be rendered.
fn unprocessable(error: &RenderError) -> Error {
    Error::unprocessable(error.to_string()).field(error.field())
}
