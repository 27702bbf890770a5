//! The size of a job: whether the log takes it, and whether its request can be sent even alone.

use crate::app::error::Error;
use crate::app::jobs::validate::rules::Rules;
use crate::app::targets::http::payload;
use crate::executor::http::template::Sizes;
use crate::executor::payload::DefinitionText;
use crate::model::job::JobDefinition;

/// The most bytes of a job with all its fields. The rest of a log entry takes some more.
pub(in crate::app::jobs) const MOST_BYTES: usize = 1_000_000;
/// An upper bound of all fields of a valid job but its data, in bytes, as JSON of which a byte may
/// take [`ESCAPED`]. The largest is `amqp`: a body of 64 KB, certificates of 32 KB, two tables of
/// 8 KB; beside it there are some 50 KB of labels and short texts.
const JOB_OVERHEAD: usize = (64 + 32 + 2 * 8) * 1_024 * ESCAPED + 50 * 1_024;
/// The longest form of one byte of data in JSON: `\u0001`.
const ESCAPED: usize = 6;
/// An upper bound of all of a payload but its data, in bytes.
const PAYLOAD_OVERHEAD: usize = 32 * 1_024;

/// Refuses a job that would be too large for the log.
fn check_size(definition: &JobDefinition, data: &str) -> Result<(), Error> {
    if data.len() + JOB_OVERHEAD <= MOST_BYTES {
        return Ok(());
    }
    let length = definition_bytes(definition) + data.len();
    if length <= MOST_BYTES {
        return Ok(());
    }
    let message = format!(
        "job data is too large: with its {} bytes the job has {length}, at most {MOST_BYTES} are \
         allowed",
        data.len()
    );
    Err(Error::too_large(message).field("data"))
}

/// The measure of the requests of a definition's jobs, made once a definition.
pub(in crate::app::jobs) enum Measure {
    /// The measure of a callback.
    Callback(DefinitionText),
    /// The measure of the definition's own `http`.
    Http(Sizes),
}

/// Refuses a job that is too large for the log, or whose request could not be sent even alone.
/// (`executors` measures a job with an executor.)
pub(in crate::app::jobs) fn check_payload(
    rules: &Rules,
    definition: &JobDefinition,
    measure: &mut Option<Measure>,
    data: &str,
) -> Result<(), Error> {
    check_size(definition, data)?;
    if definition.target.is_some() {
        // `executors` asks the kind.
        return Ok(());
    }
    let max = rules.payload_max;
    if definition.http.is_none()
        && data.len().saturating_mul(ESCAPED).saturating_add(PAYLOAD_OVERHEAD) <= max
    {
        return Ok(());
    }
    let measure = match measure {
        Some(known) => known,
        None => measure.insert(match &definition.http {
            None => Measure::Callback(DefinitionText::new(definition)),
            Some(http) => Measure::Http(payload::sizes(http)?),
        }),
    };
    match (measure, &definition.http) {
        (Measure::Http(sizes), Some(http)) => {
            payload::check_data(sizes, http, (data, &definition.template_type), max)
        }
        (Measure::Callback(text), _) => {
            let length = text.single_len(data);
            if length > max { Err(payload::too_large("callback", length, max)) } else { Ok(()) }
        }
        // The measure is made of the same definition.
        (Measure::Http(_), None) => Ok(()),
    }
}

/// The bytes of a definition in a log entry, which carries it as JSON.
pub(in crate::app::jobs) fn definition_bytes(definition: &JobDefinition) -> usize {
    // A definition always serialises; otherwise the encoding of the command would fail.
    64 + serde_json::to_vec(definition).map_or(0, |text| text.len())
}
