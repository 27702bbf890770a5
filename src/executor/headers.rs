//! The headers that every call carries, and the Standard Webhooks signature. Pure but for the random
//! trace id; the worker calls it once a request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use sha2::Sha256;

use crate::model::Millis;
use crate::model::shard::ShardId;
use crate::model::time::rfc3339;

/// The signature's header; its value is made by [`sign`].
pub const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// What the headers of one request say.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    /// The shard of all its jobs.
    pub shard: ShardId,
    /// The fence: the highest epoch that the sender knows of the shard.
    pub epoch: u64,
    /// The scheduled instant.
    pub scheduled: Millis,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// Its place among the chunks of its batch, from 0.
    pub chunk: u32,
    /// `payload::Chunk::webhook_id`: the same whenever the same jobs go out again.
    pub webhook_id: &'a str,
    /// Scheduler time now.
    pub now: Millis,
}

/// The header lines of a request.
pub fn headers(labels: &Labels<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let number = |n: u64| HeaderValue::from(n);
    // Ids and instants consist of letters, digits and a few marks; were one not to, the line would
    // be empty rather than the request lost.
    let text = |t: &str| HeaderValue::from_str(t).unwrap_or_else(|_| HeaderValue::from_static(""));
    let id = text(labels.webhook_id);
    vec![
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (HeaderName::from_static("webhook-id"), id.clone()),
        (HeaderName::from_static("idempotency-key"), id),
        (
            HeaderName::from_static("webhook-timestamp"),
            HeaderValue::from(labels.now.div_euclid(1_000)),
        ),
        (HeaderName::from_static("scheduler-scheduled-at"), text(&rfc3339(labels.scheduled))),
        (HeaderName::from_static("scheduler-attempt"), number(labels.attempt.into())),
        (HeaderName::from_static("scheduler-shard"), number(labels.shard.into())),
        (HeaderName::from_static("scheduler-fence"), number(labels.epoch)),
        (HeaderName::from_static("x-payload-chunk-id"), number(labels.chunk.into())),
        (HeaderName::from_static("traceparent"), text(&traceparent())),
    ]
}

/// Our lines with a target's own: where names meet its line counts, except where ours say what a
/// request is (`webhook-*`, `scheduler-*`). A request without a body has no type of it.
pub fn overlay(
    mut ours: Vec<(HeaderName, HeaderValue)>,
    own: Vec<(HeaderName, HeaderValue)>,
) -> Vec<(HeaderName, HeaderValue)> {
    let kept = |n: &HeaderName| says_what_it_is(n.as_str());
    ours.retain(|(name, _)| {
        *name != CONTENT_TYPE && (kept(name) || own.iter().all(|(other, _)| other != name))
    });
    ours.extend(own.into_iter().filter(|(name, _)| !kept(name)));
    ours
}

/// Whether a header, by its name in small letters, says what a request is: always ours.
pub fn says_what_it_is(name: &str) -> bool {
    name.starts_with("webhook-") || name.starts_with("scheduler-")
}

/// A W3C trace context of its own for each request; not sampled, as nothing is recorded here.
fn traceparent() -> String {
    // All zeros would be invalid.
    format!("00-{:032x}-{:016x}-00", rand::random::<u128>().max(1), rand::random::<u64>().max(1))
}

/// The value of `webhook-signature` by Standard Webhooks v1: one signature for each secret,
/// separated by spaces, so that a receiver that knows the old or the new one accepts it.
///
/// A secret is `whsec_` and base64, or any other text, taken as its bytes.
pub fn sign(secrets: &[&str], id: &str, timestamp: i64, body: &[u8]) -> String {
    let mut signatures = Vec::with_capacity(secrets.len());
    for secret in secrets {
        let decoded = secret.strip_prefix("whsec_").and_then(|s| STANDARD.decode(s).ok());
        let key = decoded.unwrap_or_else(|| secret.as_bytes().to_vec());
        // HMAC takes keys of any length, so there is always one.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { continue };
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        signatures.push(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())));
    }
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn the_published_vector_is_signed_as_published() {
        let sign = |secrets: &[&str]| {
            let body = br#"{"test": 2432232314}"#;
            sign(secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body)
        };
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(sign(&[SECRET]), expected);
        let both = sign(&[SECRET, "plain"]);
        let parts: Vec<_> = both.split(' ').collect();
        assert_eq!((parts.len(), parts[0]), (2, expected));
        assert!(parts[1].starts_with("v1,") && parts[1] != expected);
    }

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
            line("traceparent", "own"),
            line("x-a", "own"),
        ];
        let expected = vec![
            line("webhook-id", "ours"),
            line("idempotency-key", "ours"),
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
            chunk: 3,
            webhook_id: "deadbeef-4d-19aa0",
            now: 1_763_700_005_999,
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
        assert_ne!(trace, traceparent());
    }
}
