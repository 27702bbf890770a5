//! The range of time that a use case of the history looks at.

use crate::app::error::Error;
use crate::model::Millis;

/// A range of time. Both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    begin: Millis,
    end: Millis,
}

impl TimeRange {
    /// Checks a range whose ends may be left out: it goes up to now, and begins `span`
    /// milliseconds before its end.
    ///
    /// # Errors
    ///
    /// `Invalid` where it ends before it begins.
    pub fn new(
        (from, until): (Option<Millis>, Option<Millis>),
        now: Millis,
        span: Millis,
    ) -> Result<Self, Error> {
        let end = until.unwrap_or(now);
        let begin = from.unwrap_or(end.saturating_sub(span));
        if end < begin {
            return Err(Error::invalid("until", "until must not be before from"));
        }
        Ok(Self { begin, end })
    }

    /// Its first instant.
    pub fn begin(self) -> Millis {
        self.begin
    }

    /// Its last instant.
    pub fn end(self) -> Millis {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_that_are_left_out_are_now_and_a_span_before() {
        for (given, expected) in [
            ((None, None), (90, 100)),
            ((None, Some(50)), (40, 50)),
            ((Some(20), None), (20, 100)),
            ((Some(50), Some(50)), (50, 50)),
        ] {
            let range = TimeRange::new(given, 100, 10).unwrap();
            assert_eq!((range.begin(), range.end()), expected, "{given:?}");
        }
        for backwards in [(Some(101), None), (Some(51), Some(50))] {
            let error = TimeRange::new(backwards, 100, 10).unwrap_err();
            assert_eq!(error.field_name(), Some("until"), "{backwards:?}");
        }
    }
}
