//! What came back, and what it means: the receiver's answer read by the rules of HTTP and of
//! `docs/jobs.md` ("Retries"). The worker decides what follows from a class; nothing here does.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::http_date::http_date;
use crate::model::Millis;
use crate::model::postponement::Obstacle;

/// The longest `Retry-After` that is honoured: a receiver's slip must not park a job for a year.
pub const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);
/// How much of an answer's text an error message repeats, in characters.
const EXCERPT: usize = 160;

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `before_send` said no: not a byte went out.
    Withheld,
    /// Its destination takes nothing at the moment, or this node cannot call: not a byte went out,
    /// and it is no attempt.
    Refused {
        /// When to try, in scheduler time.
        until: Millis,
        /// Why.
        obstacle: Obstacle,
    },
    /// It was attempted.
    Done(Answer),
    /// It was sent, and ended before its answer came, as nobody wants that any more.
    Unwanted(Answer),
}

/// The result of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status; 0 when none came back.
    pub status: u16,
    /// What `Retry-After` asked for, at most [`MAX_RETRY_AFTER`].
    pub retry_after: Option<Duration>,
    /// Boot-clock milliseconds of the first byte, or of the attempt when none went out.
    pub started_boot: u64,
    /// From there to the end of the answer, in milliseconds.
    pub duration_ms: u32,
    /// Whether the request may have reached the receiver.
    pub sent: bool,
    /// What went wrong, for people: short, without the URL. `None` for a success.
    pub error: Option<String>,
    /// A 202 with `Scheduler-Async: true`: the receiver goes on working and reports later.
    pub accepted_async: bool,
    /// The answer's body, its content coding undone, cut at what is kept ([`super::MAX_BODY`]).
    pub body: Bytes,
    /// Why `body` is not the whole body: it broke off, is too long, late, or coded in a way that is
    /// not read. `None` when it is whole. It matters for batches alone ([`failed`]).
    pub flaw: Option<String>,
}

/// What an answer means for the jobs of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// 2xx: accepted (but see [`failed`]).
    Success,
    /// No answer, 408, 425, 429, 5xx, and 3xx (which is never followed): worth another attempt,
    /// not before `after` if the receiver named a delay.
    Retry {
        /// What `Retry-After` asked for.
        after: Option<Duration>,
    },
    /// Any other 4xx: this request will not be accepted; a batch is split, a single job is dead.
    Refused,
    /// 410: as refused; for a single job its target is gone for good.
    Gone,
    /// 412: the receiver has seen a higher fence; the current owner decides.
    Fenced,
}

/// The class of an HTTP status (0 for none).
pub fn classify(status: u16, retry_after: Option<Duration>) -> Class {
    match status {
        200..=299 => Class::Success,
        410 => Class::Gone,
        412 => Class::Fenced,
        408 | 425 | 429 => Class::Retry { after: retry_after },
        400..=499 => Class::Refused,
        _ => Class::Retry { after: retry_after },
    }
}

impl Answer {
    /// What it means where the target names no success codes of its own.
    pub fn class(&self) -> Class {
        classify(self.status, self.retry_after)
    }

    /// How long the receiver asks the sender to wait: 429 or 503 with a `Retry-After` that is not 0.
    pub fn asks_to_wait(&self, success_codes: &[u16]) -> Option<Duration> {
        let after = self.retry_after.filter(|after| !after.is_zero())?;
        let asks = matches!(self.status, 429 | 503) && !success_codes.contains(&self.status);
        asks.then_some(after)
    }

    /// What it means where these are the statuses that count as success; none named means 2xx. A
    /// 2xx that is not among them is worth another attempt.
    pub fn class_by(&self, success_codes: &[u16]) -> Class {
        match self.class() {
            class if success_codes.is_empty() => class,
            _ if success_codes.contains(&self.status) => Class::Success,
            Class::Success => Class::Retry { after: self.retry_after },
            class => class,
        }
    }
}

/// Reads a `Retry-After`: seconds, or an HTTP date seen from `now`; more than [`MAX_RETRY_AFTER`]
/// counts as that. `None` when it is neither.
pub fn retry_after(value: &str, now: Millis) -> Option<Duration> {
    let value = value.trim();
    let wait = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than fit are a long time all the same.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let at = http_date(value, now)?;
        Duration::from_millis(at.saturating_sub(now).max(0) as u64)
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// What a 2xx answer to a batch says of its jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// Nothing: all of them are accepted.
    Nobody,
    /// These execution ids failed, the rest is accepted.
    Failed(Vec<String>),
    /// Something that is not understood, and what: none may be taken for accepted.
    Unclear(&'static str),
}

/// Reads the body of a 2xx answer to a batch. A JSON object with a list of execution ids under
/// `failed` names them; none, `null`, `false`, 0 and an empty list name nobody. Anything else under
/// `failed` is unclear, and so is a body that begins as a JSON object and is none: it may have been
/// cut where nothing else tells. Any other body says nothing.
pub fn failed(body: &[u8]) -> Named {
    #[derive(Deserialize)]
    struct Partial {
        #[serde(default)]
        failed: Value,
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if body.starts_with(b"\xff\xfe") || body.starts_with(b"\xfe\xff") {
        return Named::Unclear("its body is UTF-16; JSON is UTF-8");
    }
    if body.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
        return Named::Nobody;
    }
    let Ok(partial) = serde_json::from_slice::<Partial>(body) else {
        return Named::Unclear("its body begins as a JSON object and is none");
    };
    let wrong = Named::Unclear("its `failed` is not a list of execution ids");
    match partial.failed {
        Value::Null | Value::Bool(false) => Named::Nobody,
        Value::Number(count) if count.as_u64() == Some(0) => Named::Nobody,
        Value::Array(ids) if ids.is_empty() => Named::Nobody,
        Value::Array(ids) => {
            let text = |id| if let Value::String(id) = id { Some(id) } else { None };
            ids.into_iter().map(text).collect::<Option<_>>().map_or(wrong, Named::Failed)
        }
        _ => wrong,
    }
}

/// The message for a status that is no success, with the start of the answer if it is plain text.
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
        let class = |status, codes: &[u16]| {
            let answer = Answer { status, sent: true, ..Answer::default() };
            answer.class_by(codes)
        };
        let retry = Class::Retry { after: None };
        assert_eq!([class(204, &[]), class(404, &[])], [Class::Success, Class::Refused]);
        assert_eq!([class(404, &[201, 404]), class(201, &[201, 404])], [Class::Success; 2]);
        assert_eq!([class(200, &[201]), class(500, &[201])], [retry; 2]);
        assert_eq!([class(410, &[201]), class(500, &[500])], [Class::Gone, Class::Success]);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_a_day_at_most() {
        let now = 784_111_777_000; // Sun, 06 Nov 1994 08:49:37 GMT
        assert_eq!(retry_after(" 120 ", now), Some(Duration::from_mins(2)));
        let date = "Sun, 06 Nov 1994 08:50:37 GMT";
        assert_eq!(retry_after(date, now), Some(Duration::from_mins(1)));
        assert_eq!(retry_after(date, now + 3_600_000), Some(Duration::ZERO));
        assert_eq!(
            retry_after("Sunday, 06-Nov-94 08:50:37 GMT", now),
            Some(Duration::from_mins(1))
        );
        assert_eq!(retry_after("Sun Nov  6 08:50:37 1994", now), Some(Duration::from_mins(1)));
        for long in ["99999999999", "99999999999999999999", "Sun, 06 Nov 2094 08:49:37 GMT"] {
            assert_eq!(retry_after(long, now), Some(MAX_RETRY_AFTER), "{long}");
        }
        for wrong in ["soon", "-1", "", "1.5", "+7"] {
            assert_eq!(retry_after(wrong, now), None, "{wrong}");
        }
    }

    #[test]
    fn partial_failures_are_named_absent_or_not_understood() {
        let named = Named::Failed(vec!["a-1-2".to_owned(), "a-2-2".to_owned()]);
        for text in [
            " {\"failed\":[\"a-1-2\",\"a-2-2\"],\"x\":1}",
            "\u{feff}{\"failed\":[\"a-1-2\",\"a-2-2\"]}",
        ] {
            assert_eq!(failed(text.as_bytes()), named, "{text}");
        }
        for all in [
            "",
            "ok",
            "[]",
            "{}",
            "[{\"failed\":[\"a-1-2\"]}]",
            r#"{"failed":[]}"#,
            r#"{"failed":null}"#,
            r#"{"failed":false}"#,
            r#"{"failed":0}"#,
            r#"{"done":5}"#,
        ] {
            assert_eq!(failed(all.as_bytes()), Named::Nobody, "{all}");
        }
        for odd in [
            r#"{"failed":true}"#,
            r#"{"failed":2}"#,
            r#"{"failed":"a-1-2"}"#,
            r#"{"failed":[1]}"#,
            r#"{"failed":[{"executionId":"a-1-2"}]}"#,
            r#"{"failed":{"a-1-2":"why"}}"#,
            r#"{"failed":["a-1-2"]} {"failed":[]}"#,
            r#"{"failed":["a-1-2"],"failed":[]}"#,
            "{'failed': ['a-1-2']}",
            "{",
        ] {
            assert!(matches!(failed(odd.as_bytes()), Named::Unclear(_)), "{odd}");
        }
        assert!(matches!(failed(b"\xff\xfe{\0"), Named::Unclear(_)));
        let whole = br#"{"note":"hello","failed":["a-1-2"]}"#;
        for cut in 1..whole.len() {
            assert!(matches!(failed(&whole[..cut]), Named::Unclear(_)), "cut at {cut}");
        }
    }

    #[test]
    fn a_complaint_repeats_plain_text_only_and_not_much_of_it() {
        assert_eq!(complaint(503, b"down\n for  tea"), "the receiver answered 503: down for tea");
        assert_eq!(complaint(500, b"<html>"), "the receiver answered 500");
        assert!(complaint(500, "\u{e4}".repeat(5_000).as_bytes()).len() <= 400);
    }
}
