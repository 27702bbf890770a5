//! Instants as whole milliseconds, and their RFC 3339 form. Used everywhere; it never reads a
//! clock.

use chrono::{DateTime, SecondsFormat, Utc};

/// An instant: milliseconds since 1970-01-01T00:00:00Z, or a length of time in milliseconds where
/// the name says so.
pub type Millis = i64;

/// The instant as RFC 3339 in UTC, with milliseconds only where they are not zero.
///
/// Instants that chrono cannot hold (beyond the year 262,000) come out as the epoch.
pub fn rfc3339(instant: Millis) -> String {
    let time = DateTime::<Utc>::from_timestamp_millis(instant).unwrap_or_default();
    let format =
        if instant.rem_euclid(1000) == 0 { SecondsFormat::Secs } else { SecondsFormat::Millis };
    time.to_rfc3339_opts(format, true)
}

/// Reads an RFC 3339 instant with any offset; `None` when it is not one.
pub fn parse_rfc3339(text: &str) -> Option<Millis> {
    DateTime::parse_from_rfc3339(text).ok().map(|t| t.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_read_back_as_written() {
        for t in [0, 1, 999, 1_000, 1_763_700_000_123, -1] {
            assert_eq!(parse_rfc3339(&rfc3339(t)), Some(t));
        }
        assert_eq!(rfc3339(1_763_700_000_000), "2025-11-21T04:40:00Z");
        assert_eq!(parse_rfc3339("2025-11-21T05:40:00+01:00"), Some(1_763_700_000_000));
        assert_eq!(parse_rfc3339("yesterday"), None);
    }
}
