//! The longest text that a template can become, as a function of the job's data: with the longest
//! ids, instants and numbers. Nothing is written to find it. The kinds ask when a job or a target
//! is created or changed.

use super::fill::{OPEN, Piece, Place, pieces};
use crate::model::template::LONGEST_TYPE;
use crate::model::time::rfc3339;
use crate::model::{JobId, Millis};

/// An execution id of the greatest length: 8, 16, 16 and 16 hex digits (the last for manual runs).
pub(in crate::executor) const EXECUTION_ID: &str =
    "00000000-0000000000000000-0000000000000000-0000000000000000";
/// An instant with the longest text: a year of six digits, and milliseconds.
pub(in crate::executor) const INSTANT: Millis = 8_210_000_000_000_001;

/// A length that grows with the data of the job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::executor) struct Length {
    /// In bytes, without the data.
    pub(in crate::executor) fixed: usize,
    /// The number of times that the data is filled in.
    pub(in crate::executor) times: usize,
}

impl Length {
    /// The length of a template, whose own text is written in the way of `own` and whose values in
    /// the way of `place`.
    pub(in crate::executor) fn of(template: &str, (own, place): (Place, Place)) -> Self {
        let mut length = Self::default();
        for piece in pieces(template) {
            length.fixed += match piece {
                Piece::Text(text) => own.length(text),
                Piece::Name("data") => {
                    length.times += 1;
                    0
                }
                Piece::Name(OPEN) => place.length(OPEN),
                Piece::Name("executionId") => EXECUTION_ID.len(),
                Piece::Name("jobId") => JobId::MAX.to_string().len(),
                Piece::Name("scheduledAt") => place.length(&rfc3339(INSTANT)),
                // Its characters are written as they are in every place.
                Piece::Name("template") => LONGEST_TYPE,
                Piece::Name("attempt") => u32::MAX.to_string().len(),
                // Neither is ever rendered.
                Piece::Name(_) | Piece::Unclosed(_) => 0,
            };
        }
        length
    }

    /// The sum of two lengths.
    pub(in crate::executor) fn plus(self, other: Self) -> Self {
        Self { fixed: self.fixed + other.fixed, times: self.times + other.times }
    }

    /// The length where the data takes `data` bytes each time.
    pub(in crate::executor) fn with(self, data: usize) -> usize {
        self.times.saturating_mul(data).saturating_add(self.fixed)
    }
}
