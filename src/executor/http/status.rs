//! The meaning of HTTP statuses, by `docs/jobs.md` ("Retries"): the class of an answer, what it
//! says about its destination, and the error of a failure. `run` asks; nothing here
//! decides what follows from a class.

use std::time::Duration;

use crate::delivery::attempt::{Attempt, Class};
use crate::delivery::call_outcome::CallOutcome;

/// The length of the answer's text that an error repeats, in characters.
const EXCERPT: usize = 160;

/// The class of an HTTP status (0 for none). A 3xx is never followed, so it is worth another
/// attempt, as are no answer, 408, 425, 429 and 5xx.
fn classify(status: u16, retry_after: Option<Duration>) -> Class {
    match status {
        200..=299 => Class::Success,
        410 => Class::Gone,
        412 => Class::Fenced,
        408 | 425 | 429 => Class::Retry { after: retry_after },
        400..=499 => Class::Refused,
        _ => Class::Retry { after: retry_after },
    }
}

/// The class of an answer with this status, where these statuses count as success; an empty list
/// means 2xx. A 2xx that is not among them is worth another attempt. A 429 or 503 with a
/// `Retry-After` that is not 0 asks to wait.
pub fn class(status: u16, retry_after: Option<Duration>, success_codes: &[u16]) -> Class {
    let class = match classify(status, retry_after) {
        class if success_codes.is_empty() => class,
        _ if success_codes.contains(&status) => Class::Success,
        Class::Success => Class::Retry { after: retry_after },
        class => class,
    };
    match (class, retry_after) {
        (Class::Retry { .. }, Some(after)) if matches!(status, 429 | 503) && !after.is_zero() => {
            Class::Wait { after }
        }
        _ => class,
    }
}

/// Whether a status is an answer, and no error of the receiver's own.
pub(super) fn is_answered(status: u16) -> bool {
    (1..500).contains(&status)
}

/// The outcome of a call for the breakers: any answer but 429 and 5xx says that the destination is
/// alive.
pub(super) fn outcome(attempt: &Attempt) -> CallOutcome {
    match attempt.class {
        Class::Wait { after } => CallOutcome::Asked { after: after.as_millis() as u64 },
        Class::Retry { after } if matches!(attempt.code.http_code(), 0 | 429 | 500..) => {
            let after = after.map_or(0, |after| after.as_millis() as u64);
            CallOutcome::Failed { down: !attempt.sent, unreachable: false, after }
        }
        _ => CallOutcome::Fine,
    }
}

/// The error for a status that is no success, with the start of the answer if it is plain text.
pub(super) fn complaint(status: u16, body: &[u8]) -> String {
    let head = &body[..body.len().min(EXCERPT * 4)];
    let text = String::from_utf8_lossy(head);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text: String = text.chars().filter(|c| !c.is_control()).take(EXCERPT).collect();
    if text.is_empty() || text.starts_with('<') {
        format!("the receiver answered {status}")
    } else {
        format!("the receiver answered {status}: {text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::result_code::ResultCode;

    #[test]
    fn statuses_fall_into_their_classes() {
        let retry = Class::Retry { after: None };
        for (status, class) in [
            (200, Class::Success),
            (299, Class::Success),
            (0, retry),
            (301, retry),
            (304, retry),
            (400, Class::Refused),
            (404, Class::Refused),
            (408, retry),
            (410, Class::Gone),
            (412, Class::Fenced),
            (413, Class::Refused),
            (425, retry),
            (429, retry),
            (500, retry),
            (503, retry),
            (599, retry),
        ] {
            assert_eq!(classify(status, None), class, "{status}");
        }
        let after = Some(Duration::from_secs(7));
        assert_eq!(classify(503, after), Class::Retry { after });
    }

    #[test]
    fn success_codes_replace_the_2xx() {
        let class = |status, codes: &[u16]| class(status, None, codes);
        let retry = Class::Retry { after: None };
        assert_eq!([class(204, &[]), class(404, &[])], [Class::Success, Class::Refused]);
        assert_eq!([class(404, &[201, 404]), class(201, &[201, 404])], [Class::Success; 2]);
        assert_eq!([class(200, &[201]), class(500, &[201])], [retry; 2]);
        assert_eq!([class(410, &[201]), class(500, &[500])], [Class::Gone, Class::Success]);
    }

    #[test]
    fn answers_say_whether_the_destination_is_alive() {
        let outcome_of = |status, sent, after, codes: &[u16]| {
            let class = class(status, after, codes);
            outcome(&Attempt { class, code: ResultCode::http(status), sent, ..Attempt::default() })
        };
        let after = Some(Duration::from_secs(7));
        for status in [200, 202, 301, 400, 404, 408, 410, 412, 413, 425] {
            assert_eq!(outcome_of(status, true, after, &[]), CallOutcome::Fine, "{status}");
        }
        for (status, sent) in [(0, false), (0, true), (500, true), (502, true)] {
            let failed = CallOutcome::Failed { down: !sent, unreachable: false, after: 7_000 };
            assert_eq!(outcome_of(status, sent, after, &[]), failed, "{status}");
        }
        for status in [429, 503] {
            let asked = CallOutcome::Asked { after: 7_000 };
            assert_eq!(outcome_of(status, true, after, &[]), asked, "{status}");
            let failed = CallOutcome::Failed { down: false, unreachable: false, after: 0 };
            for no_time in [None, Some(Duration::ZERO)] {
                assert_eq!(outcome_of(status, true, no_time, &[]), failed, "{status}");
            }
        }
        assert_eq!(outcome_of(503, true, after, &[503]), CallOutcome::Fine);
    }

    #[test]
    fn a_complaint_repeats_plain_text_only_and_not_much_of_it() {
        assert_eq!(complaint(503, b"down\n for  tea"), "the receiver answered 503: down for tea");
        assert_eq!(complaint(500, b"<html>"), "the receiver answered 500");
        assert!(complaint(500, "\u{e4}".repeat(5_000).as_bytes()).len() <= 400);
    }
}
