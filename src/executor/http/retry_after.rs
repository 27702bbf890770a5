//! `Retry-After` (RFC 9110 10.2.3): the delay that a receiver asks for. `response` reads it.

use std::time::Duration;

use super::http_date::http_date;
use crate::delivery::attempt::MAX_RETRY_AFTER;
use crate::model::Millis;

/// Reads a `Retry-After`: seconds, or an HTTP date seen from `now`. More than [`MAX_RETRY_AFTER`]
/// counts as that. `None` when it is neither.
pub(super) fn retry_after(value: &str, now: Millis) -> Option<Duration> {
    let value = value.trim();
    let wait = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // A number with more digits than fit is a long time too.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let at = http_date(value, now)?;
        Duration::from_millis(at.saturating_sub(now).max(0) as u64)
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
