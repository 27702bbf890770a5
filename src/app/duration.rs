//! Durations in requests, with the errors of `app`: what is a duration, `schedule` says. Answers
//! write them as Go does, `"1h30m"`, and requests may repeat that. The API's readers call it, and
//! so do the checks of jobs.

use std::time::Duration;

use serde_json::Value;

use crate::app::error::Error;
use crate::model::Millis;
use crate::schedule::{read_duration, show_duration};

const DAY: Millis = 86_400_000;

/// Reads a duration between two bounds, in milliseconds.
pub(crate) fn read(
    field: &'static str,
    value: &Value,
    bounds: (Millis, Millis),
) -> Result<Millis, Error> {
    read_duration(field, value, bounds).map_err(|message| Error::invalid(field, message))
}

/// Reads the `timeout` of attempts, as jobs and projects give it: at most `MaxJobTimeout`.
pub(crate) fn timeout(value: &Value, most: Duration) -> Result<Millis, Error> {
    const FIELD: &str = "timeout";
    let most = most.as_millis() as Millis;
    let millis = read(FIELD, value, (1, most.max(DAY)))?;
    if millis <= most {
        return Ok(millis);
    }
    let most = show_duration(most);
    let message = format!("{FIELD} must be from 1ms to {most}, the MaxJobTimeout of this server");
    Err(Error::invalid(FIELD, message).because(
        "work that takes longer answers 202 with Scheduler-Async: true (http targets), and its \
         runTimeout counts",
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::app::error::ErrorKind;

    #[test]
    fn a_timeout_is_at_most_what_the_operator_allows() {
        let most = Duration::from_mins(5);
        assert_eq!(timeout(&json!("5m"), most).unwrap(), 300_000);
        for given in [json!("5m1s"), json!(301), json!("24h")] {
            let error = format!("{:?}", timeout(&given, most).unwrap_err());
            for part in ["timeout must be from 1ms to 5m", "MaxJobTimeout", "202", "runTimeout"] {
                assert!(error.contains(part), "{given}: {error}");
            }
        }
        for bad in [json!(0), json!("soon"), json!("25h")] {
            assert_eq!(timeout(&bad, most).unwrap_err().kind(), ErrorKind::Invalid, "{bad}");
        }
    }
}
