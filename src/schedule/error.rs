//! The errors of a schedule, for the person who wrote it: the field, what was understood, the fix.
//! The parsers of this folder make them, and the API shows them behind `job spec is not valid
//! <spec>` and `job timezone is not valid`. An error never holds more of the input than a line.

use thiserror::Error as ThisError;

/// The longest spec that is read, in bytes: six fields that list every value fit several times.
pub(super) const MAX_SPEC_BYTES: usize = 2048;

/// Why a spec, a zone, a duration or an instant was refused. Messages are lower case and complete
/// in themselves.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[non_exhaustive]
pub enum Error {
    /// The text is empty.
    #[error(
        "the schedule is empty; write five fields (minute hour day-of-month month day-of-week) or a descriptor such as @daily"
    )]
    Empty,
    /// Longer than any sensible spec.
    #[error("the schedule is {0} bytes long; at most {max} are read", max = MAX_SPEC_BYTES)]
    TooLong(usize),
    /// Neither five nor six fields.
    #[error("found {found} fields in {text:?}; {fix}")]
    FieldCount {
        /// The number of fields found.
        found: usize,
        /// The fields, shortened.
        text: String,
        /// What to write instead.
        fix: &'static str,
    },
    /// A field could not be understood.
    #[error("{field} field: {problem}")]
    Field {
        /// The field's name, such as `day-of-month`.
        field: &'static str,
        /// The reason and the fix.
        problem: String,
    },
    /// A word after `@` that means nothing.
    #[error(
        "{0:?} is no descriptor; use @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly (lower case) or @every with a duration such as @every 1h30m"
    )]
    Descriptor(String),
    /// The duration after `@every`.
    #[error("@every: {0}")]
    Every(Box<Error>),
    /// A period that `@every` cannot have.
    #[error(
        "@every: the period {text:?} is not valid: {problem}; a period is whole seconds, at least 1 s"
    )]
    Period {
        /// The period as given, shortened.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A schedule in the form of another scheduler.
    #[error("{text:?} is written for another scheduler; {fix}")]
    Foreign {
        /// The schedule as given, shortened.
        text: String,
        /// What to write instead.
        fix: String,
    },
    /// The fields are fine one by one, but no day of the calendar has them all.
    #[error(
        "day-of-month and month fields: {days} in {months} never comes; choose a day that the month has"
    )]
    Never {
        /// The day fields as understood.
        days: String,
        /// The month field as understood.
        months: String,
    },
    /// The zone does not exist.
    #[error("timezone {name:?} is unknown; {fix}")]
    Zone {
        /// The name as given, shortened.
        name: String,
        /// The nearest names, or where to look.
        fix: String,
    },
    /// A duration that could not be read.
    #[error("duration {text:?} is not understood: {problem}")]
    Duration {
        /// The text as given, shortened.
        text: String,
        /// The reason and the fix.
        problem: String,
    },
    /// An instant or local date-time that could not be read or does not exist.
    #[error("time {text:?} is not understood: {problem}")]
    At {
        /// The text as given, shortened.
        text: String,
        /// The reason and the fix.
        problem: String,
    },
}

/// The input as an error may repeat it: at most 60 characters.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(60) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", &text[..end]),
    }
}
