//! What came of an edit of many jobs, or would come of it. The API and the pages show it; the log
//! keeps [`BulkEditResult`] under the key of a request.

use serde::{Deserialize, Serialize};

use crate::app::jobs::next_runs::Upcoming;
use crate::app::jobs::record::JobRecord;
use crate::model::JobId;

/// An edit of many jobs, with some of them where it is a dry run.
#[derive(Clone, Debug, Default)]
pub struct BulkEdit {
    /// The numbers.
    pub result: BulkEditResult,
    /// Some of the jobs that would change, those of different definitions first; only of a dry run.
    pub samples: Vec<EditSample>,
}

/// The result of an edit of many jobs. The log stores it in this form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BulkEditResult {
    /// The number of jobs that the filter finds.
    pub matched: u64,
    /// The number of those that were changed; in a dry run, that would be.
    pub changed: u64,
    /// The number of those that are so already.
    pub unchanged: u64,
    /// The number of those that are refused the edit.
    pub refused: u64,
    /// The number of different definitions that the jobs have.
    pub definitions: u64,
    /// Nothing was written.
    pub dry_run: bool,
    /// The reasons of those that are refused.
    pub problems: Vec<EditProblem>,
}

/// A reason for which jobs are refused an edit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EditProblem {
    /// The code of the error, as in answers.
    pub code: String,
    /// The camelCase name of the field that it is about.
    pub field: Option<String>,
    /// The reason, with the fix.
    pub message: String,
    /// The number of jobs.
    pub jobs: u64,
    /// The number of different definitions that they have.
    pub definitions: u64,
    /// The first of them.
    pub first: JobId,
}

/// A job before and after an edit that is not made.
#[derive(Clone, Debug)]
pub struct EditSample {
    /// The job as it is.
    pub before: JobRecord,
    /// The job as it would be, as if the edit were made now.
    pub after: JobRecord,
    /// Its next occurrences as it is.
    pub next_before: Vec<Upcoming>,
    /// Its next occurrences as it would be.
    pub next_after: Vec<Upcoming>,
}
