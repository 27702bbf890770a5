//! The headers that every call carries. Pure but for the random trace id. `send` calls it once a
//! request.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use crate::delivery::batch::Labels;
use crate::executor::trace_context::push_traceparent;
use crate::model::time::rfc3339;

/// The header of the signature; [`signature`](crate::executor::signature) makes its value.
pub const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// The header lines of a request. Their values share one piece of memory, as the client copies the
/// list more than once.
pub fn headers(labels: &Labels<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let mut text = String::with_capacity(256);
    let mut ends = [0; 8];
    let mut values = ends.iter_mut();
    let mut end = |text: &String| {
        if let Some(end) = values.next() {
            *end = text.len();
        }
    };
    text.push_str(labels.request_id);
    end(&text);
    text.push_str(&rfc3339(labels.scheduled));
    end(&text);
    push_traceparent(&mut text);
    end(&text);
    for number in [
        labels.now.max(0).cast_unsigned() / 1_000,
        labels.attempt.into(),
        labels.shard.into(),
        labels.epoch,
        labels.number.into(),
    ] {
        // Writing to a String cannot fail.
        let _ = write!(text, "{number}");
        end(&text);
    }
    let text = Bytes::from(text);
    let mut begin = 0;
    // Ids and instants consist of letters, digits and a few marks. If one did not, its line would
    // be empty, which is better than no request.
    let [id, scheduled, trace, now, attempt, shard, epoch, chunk] = ends.map(|end| {
        let value = text.slice(std::mem::replace(&mut begin, end)..end);
        HeaderValue::from_maybe_shared(value).unwrap_or_else(|_| HeaderValue::from_static(""))
    });
    vec![
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (HeaderName::from_static("webhook-id"), id.clone()),
        (HeaderName::from_static("idempotency-key"), id),
        (HeaderName::from_static("webhook-timestamp"), now),
        (HeaderName::from_static("scheduler-scheduled-at"), scheduled),
        (HeaderName::from_static("scheduler-attempt"), attempt),
        (HeaderName::from_static("scheduler-shard"), shard),
        (HeaderName::from_static("scheduler-fence"), epoch),
        (HeaderName::from_static("x-payload-chunk-id"), chunk),
        (HeaderName::from_static("traceparent"), trace),
    ]
}

/// The lines of [`headers`] together with those of a target. Where both have a name, the target's
/// line counts, except for lines that identify a request (`webhook-*`, `scheduler-*`). A request
/// without a body has no content type. Names are compared as receivers of the CGI family read them,
/// see [`as_read`].
pub fn overlay(
    mut ours: Vec<(HeaderName, HeaderValue)>,
    own: Vec<(HeaderName, HeaderValue)>,
) -> Vec<(HeaderName, HeaderValue)> {
    let kept = |n: &HeaderName| identifies_request(&as_read(n.as_str()));
    let named: Vec<_> = own.iter().map(|(name, _)| as_read(name.as_str()).into_owned()).collect();
    ours.retain(|(name, _)| {
        *name != CONTENT_TYPE && (kept(name) || named.iter().all(|other| other != name.as_str()))
    });
    ours.extend(own.into_iter().filter(|(name, _)| !kept(name)));
    ours
}

/// The name of a header in small letters, as CGI (RFC 3875 4.1.18), WSGI, Rack and PHP hand it on.
/// They do not distinguish `_` and `-`, so that `webhook_id` would mean `webhook-id` there.
pub fn as_read(name: &str) -> Cow<'_, str> {
    if name.contains('_') { Cow::Owned(name.replace('_', "-")) } else { Cow::Borrowed(name) }
}

/// Whether a header, by its name [as it is read](as_read), identifies a request: a target cannot
/// set it.
pub fn identifies_request(name: &str) -> bool {
    name.starts_with("webhook-") || name.starts_with("scheduler-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_targets_own_lines_replace_ours_except_for_what_the_request_is() {
        let line = |n: &'static str, v: &'static str| {
            (HeaderName::from_static(n), HeaderValue::from_static(v))
        };
        let ours = vec![
            line("content-type", "application/json"),
            line("webhook-id", "ours"),
            line("traceparent", "ours"),
            line("idempotency-key", "ours"),
        ];
        let own = vec![
            line("webhook-id", "own"),
            line("scheduler-fence", "own"),
            line("webhook_id", "own"),
            line("scheduler_fence", "own"),
            line("idempotency_key", "own"),
            line("traceparent", "own"),
            line("x-a", "own"),
        ];
        let expected = vec![
            line("webhook-id", "ours"),
            line("idempotency_key", "own"),
            line("traceparent", "own"),
            line("x-a", "own"),
        ];
        assert_eq!(overlay(ours, own), expected);
    }

    #[test]
    fn the_headers_say_what_was_sent() {
        let labels = Labels {
            shard: 7,
            epoch: 12,
            scheduled: 1_763_700_000_000,
            attempt: 2,
            number: 3,
            request_id: "deadbeef-4d-19aa0",
            now: 1_763_700_005_999,
            allowed: None,
        };
        let list = headers(&labels);
        let get = |name: &str| {
            let found = list.iter().find(|(n, _)| n.as_str() == name);
            found.and_then(|(_, v)| v.to_str().ok()).unwrap_or("missing")
        };
        assert_eq!(get("content-type"), "application/json");
        assert_eq!(get("webhook-id"), "deadbeef-4d-19aa0");
        assert_eq!(get("idempotency-key"), "deadbeef-4d-19aa0");
        assert_eq!(get("webhook-timestamp"), "1763700005");
        assert_eq!(get("scheduler-scheduled-at"), "2025-11-21T04:40:00Z");
        assert_eq!((get("scheduler-attempt"), get("scheduler-shard")), ("2", "7"));
        assert_eq!((get("scheduler-fence"), get("x-payload-chunk-id")), ("12", "3"));
        let trace = get("traceparent");
        assert_eq!((trace.len(), trace.split('-').count()), (55, 4));
        assert_ne!(list.last(), headers(&labels).last());
    }
}
