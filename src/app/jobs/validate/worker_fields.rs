//! The fields that only jobs with a queue of workers have, and the names of such jobs on a broker.
//! `definition` and `executors` call it. Pure.

use serde_json::Value;

use crate::app::error::Error;
use crate::app::jobs::validate::policy::value;
use crate::app::jobs::validate::refusals::unprocessable;
use crate::model::delivery::MAX_WAITING;
use crate::model::run_terms::RetryOn;

/// The longest name on a broker, in bytes: with what stands before and after it in the names of
/// queues it makes the 255 of AMQP.
const LONGEST_NAME: usize = 231;
/// The largest `maxQueue`.
const MOST_WAITING: u64 = 1_000_000;

/// `retryOn`: a list of failures.
pub(in crate::app::jobs) fn retry_on(json: &str) -> Result<RetryOn, Error> {
    const FIELD: &str = "retryOn";
    let wrong = || {
        let message = "job retryOn must be a list of lost, failed, timeout, such as [\"lost\"]; \
                       null takes the default of the queue's bus";
        Error::invalid(FIELD, message)
    };
    let Value::Array(list) = value(FIELD, json)? else { return Err(wrong()) };
    let mut on = RetryOn::default();
    for failure in &list {
        match failure.as_str() {
            Some("lost") => on.lost = true,
            Some("failed") => on.failed = true,
            Some("timeout") => on.timeout = true,
            _ => return Err(wrong()),
        }
    }
    Ok(on)
}

/// The failures of `retryOn`, as answers show them.
pub(crate) fn show_retry_on(on: RetryOn) -> Vec<&'static str> {
    let failures = [("lost", on.lost), ("failed", on.failed), ("timeout", on.timeout)];
    failures.into_iter().filter(|(_, is_on)| *is_on).map(|(name, _)| name).collect()
}

/// `maxQueue`: a number; 0 is no bound.
pub(in crate::app::jobs) fn max_queue(json: &str) -> Result<u32, Error> {
    const FIELD: &str = "maxQueue";
    if let Some(most @ ..=MOST_WAITING) = value(FIELD, json)?.as_u64() {
        return Ok(most as u32);
    }
    let message = format!(
        "job maxQueue must be a number from 0 (no bound) to {MOST_WAITING}; null is {MAX_WAITING}"
    );
    Err(Error::invalid(FIELD, message))
}

/// `workerName`: the job's name on a broker.
pub(in crate::app::jobs) fn worker_name(json: &str) -> Result<String, Error> {
    const FIELD: &str = "workerName";
    let Value::String(name) = value(FIELD, json)? else {
        let message = "job workerName must be text, such as \"nightly\"; null takes the externalId";
        return Err(Error::invalid(FIELD, message));
    };
    if name.is_empty() || name.len() > LONGEST_NAME {
        let message = format!(
            "job workerName must have 1 to {LONGEST_NAME} bytes; null takes the externalId"
        );
        return Err(Error::invalid(FIELD, message));
    }
    if name.chars().any(char::is_control) {
        let message = "job workerName has control characters in it, such as line ends: leave them \
                       out";
        return Err(Error::invalid(FIELD, message));
    }
    Ok(name)
}

/// Refuses a job in a queue of a broker that has no `workerName`, and no external id that could be
/// its name.
pub(in crate::app::jobs) fn check_bus_name(external_id: Option<&str>) -> Result<(), Error> {
    let Some(id) = external_id else {
        let message = "job workerName or externalId is required: it is the job's name on the \
                       broker of its queue";
        return Err(unprocessable("workerName", message));
    };
    if id.is_empty() || id.len() > LONGEST_NAME || id.chars().any(char::is_control) {
        let message = format!(
            "job externalId cannot be its name on the broker of its queue, which has 1 to \
             {LONGEST_NAME} bytes and no control characters: give workerName"
        );
        return Err(unprocessable("externalId", message));
    }
    Ok(())
}

/// The error of a field of [`crate::model::job::JobDefinition::queue_only`] at another target.
pub(in crate::app::jobs) fn needs_queue(field: &'static str) -> Error {
    let also = if field == "maxQueue" { ", or overlap queue" } else { "" };
    let message = format!(
        "job {field} needs an executorId of type worker{also}: leave {field} out, or clear it with \
         null"
    );
    unprocessable(field, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::error::ErrorKind;

    #[test]
    fn failures_are_named_and_shown_as_given() {
        for (given, shown) in [
            ("[]", vec![]),
            (r#"["lost"]"#, vec!["lost"]),
            (r#"["timeout","failed","lost","lost"]"#, vec!["lost", "failed", "timeout"]),
        ] {
            assert_eq!(show_retry_on(retry_on(given).unwrap()), shown, "{given}");
        }
        for bad in [r#""lost""#, r#"["gone"]"#, "[1]", "[null]", r#"{"lost":true}"#, "true"] {
            let error = retry_on(bad).unwrap_err();
            assert_eq!((error.kind(), error.field_name()), (ErrorKind::Invalid, Some("retryOn")));
            assert!(error.message().contains("list of lost, failed, timeout"), "{error}");
        }
    }

    #[test]
    fn a_bound_is_a_number_and_a_name_fits_into_those_of_queues() {
        assert_eq!((max_queue("0").unwrap(), max_queue("1000000").unwrap()), (0, 1_000_000));
        for bad in ["-1", "1.5", "1000001", "\"5\"", "[]", "1e30"] {
            let error = max_queue(bad).unwrap_err();
            assert_eq!((error.kind(), error.field_name()), (ErrorKind::Invalid, Some("maxQueue")));
        }
        let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
        assert_eq!(worker_name(&text(231)).unwrap().len(), 231);
        assert_eq!(worker_name("\"a.b c.ü\"").unwrap(), "a.b c.ü");
        for bad in ["\"\"", &text(232), "5", "\"a\\nb\""] {
            let error = worker_name(bad).unwrap_err();
            let said = (error.kind(), error.field_name());
            assert_eq!(said, (ErrorKind::Invalid, Some("workerName")), "{bad}");
        }
    }

    #[test]
    fn an_external_id_is_a_name_on_a_broker_if_it_can_be() {
        assert!(check_bus_name(Some(&"x".repeat(231))).is_ok());
        for (id, field) in [
            (None, "workerName"),
            (Some("x".repeat(232)), "externalId"),
            (Some("a\nb".into()), "externalId"),
        ] {
            let error = check_bus_name(id.as_deref()).unwrap_err();
            assert_eq!((error.kind(), error.field_name()), (ErrorKind::Unprocessable, Some(field)));
            assert!(error.message().contains("workerName"), "{error}");
        }
    }
}
