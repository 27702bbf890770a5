//! What happened: attempts and sums of them, explanations, dead letters, and the reports that end
//! runs.

mod analytics;
mod cleanup;
mod dead_letters;
pub(in crate::app) mod execution;
pub(in crate::app) mod executions;
mod explain;
mod explain_words;
mod occurrences;
mod problems;
mod rates;
mod recent;
mod reports;
mod run_words;
mod time_range;

pub use analytics::{Analytics, AnalyticsPoint, Grain, Totals};
pub use cleanup::RetentionMonths;
pub use dead_letters::{BulkLetterResult, LetterRecord, LetterSelection, replay_rate};
pub use execution::OccurrenceRecord;
pub use executions::ExecutionRecord;
pub(in crate::app) use executions::ExecutionRecords;
pub use explain::Explanation;
pub use occurrences::OccurrencePage;
pub use problems::{DEAD_WITHIN, FAILED_WITHIN, MOST_ATTEMPTS, MOST_LETTERS, Problem, Problems};
pub use rates::RateReport;
pub use reports::{ReportedState, bounded_words};
pub use time_range::TimeRange;

pub use crate::events::KindCounts;
pub use crate::store::attempts::StoredAttempt;
pub use crate::store::counters::OutcomeKind;
pub use crate::store::dead_letters::{DeadLetter, Filter as LetterFilter, Order as LetterOrder};
pub use crate::store::executions::{Execution, Filter as ExecutionFilter};
pub use crate::store::explain::{Account, Explained};
pub use crate::store::ledger::{Entry, State};
pub use crate::store::timeline::FiringState;
