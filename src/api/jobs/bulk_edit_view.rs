//! The result of an edit of many jobs as answers show it: of each sample the fields that differ, in
//! the form of a job.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::api::http::casing;
use crate::api::jobs::preview::UpcomingView;
use crate::api::jobs::view::JobView;
use crate::app::App;
use crate::app::fields::{canonical, verbatim};
use crate::app::jobs::{BulkEdit, EditProblem, EditSample};
use crate::model::job::Casing;

/// Fields of a job that follow from the others or from the edit itself. They are not compared.
const FOLLOW: [&str; 11] = [
    "id",
    "version",
    "datecreated",
    "datemodified",
    "modifiedby",
    "timezoneoffset",
    "lastexecutiondate",
    "nextexecutiondate",
    "nextduedate",
    "executionid",
    "pauseuntil",
];
/// The longest value of a field of a sample, in bytes; of a longer one the begin is shown.
const LONGEST_VALUE: usize = 2_000;

/// The fields of a job, by name, in the casing of the answer.
type JobFields = BTreeMap<String, Box<RawValue>>;

/// The result of an edit of many jobs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BulkEditView {
    matched: u64,
    changed: u64,
    unchanged: u64,
    refused: u64,
    definitions: u64,
    dry_run: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<ProblemView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    samples: Vec<SampleView>,
}

/// A reason for which jobs are refused an edit.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProblemView {
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    message: String,
    jobs: u64,
    definitions: u64,
    /// The first of the jobs.
    job_id: u64,
}

/// A job before and after.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SampleView {
    id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    #[serde(serialize_with = "verbatim")]
    before: JobFields,
    #[serde(serialize_with = "verbatim")]
    after: JobFields,
    next_before: Vec<UpcomingView>,
    next_after: Vec<UpcomingView>,
}

impl BulkEditView {
    /// The view of a result.
    pub(crate) fn of(done: BulkEdit, app: &App, casing: Casing) -> Self {
        let BulkEdit { result, samples } = done;
        let problem = |one: EditProblem| ProblemView {
            code: one.code,
            field: one.field.map(|field| casing::name(&field, casing)),
            message: one.message,
            jobs: one.jobs,
            definitions: one.definitions,
            job_id: one.first,
        };
        let sample = |one| SampleView::of(one, app, casing);
        Self {
            matched: result.matched,
            changed: result.changed,
            unchanged: result.unchanged,
            refused: result.refused,
            definitions: result.definitions,
            dry_run: result.dry_run,
            problems: result.problems.into_iter().map(problem).collect(),
            samples: samples.into_iter().map(sample).collect(),
        }
    }
}

impl SampleView {
    fn of(sample: EditSample, app: &App, casing: Casing) -> Self {
        let EditSample { before, after, next_before, next_after } = sample;
        let (id, external_id) = (before.job.id, before.job.external_id.clone());
        let fields = |record| read_fields(&casing::to_json(&JobView::of(record, app), casing));
        let (before, after) = differing(fields(before), fields(after));
        let next = |all: Vec<_>| all.into_iter().map(UpcomingView::of).collect();
        let (next_before, next_after) = (next(next_before), next(next_after));
        Self { id, external_id, before, after, next_before, next_after }
    }
}

/// The fields of a job as it is shown.
fn read_fields(json: &[u8]) -> JobFields {
    // It was written a moment ago, as an object.
    serde_json::from_slice(json).unwrap_or_default()
}

/// The fields that differ, cut to a length.
fn differing(mut before: JobFields, mut after: JobFields) -> (JobFields, JobFields) {
    let differs = |name: &str| {
        let follows = canonical(name, &mut [0; 32]).is_some_and(|name| FOLLOW.contains(&name));
        let text = |fields: &JobFields| fields.get(name).map(|value| value.get().to_owned());
        !follows && text(&before) != text(&after)
    };
    let names: BTreeSet<String> = before.keys().chain(after.keys()).cloned().collect();
    let names: BTreeSet<String> = names.into_iter().filter(|name| differs(name)).collect();
    for fields in [&mut before, &mut after] {
        fields.retain(|name, _| names.contains(name));
        for value in fields.values_mut() {
            let text = value.get();
            if text.len() > LONGEST_VALUE {
                let cut = format!("{}...", &text[..text.floor_char_boundary(LONGEST_VALUE)]);
                if let Ok(short) = to_raw_value(&cut) {
                    *value = short;
                }
            }
        }
    }
    (before, after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fields_that_differ_are_shown_and_long_ones_are_cut() {
        let long = "ä".repeat(1_500);
        let before = read_fields(
            format!(
                r#"{{"id":1,"spec":"a","data":"{long}","labels":{{"My_Key":"x"}},"version":1}}"#
            )
            .as_bytes(),
        );
        let after = read_fields(br#"{"id":1,"spec":"a","data":"","jitter":"5s","version":2}"#);
        let (before, after) = differing(before, after);
        assert_eq!(before.keys().collect::<Vec<_>>(), ["data", "labels"]);
        assert_eq!(after.keys().collect::<Vec<_>>(), ["data", "jitter"]);
        assert_eq!(before["labels"].get(), r#"{"My_Key":"x"}"#, "its names are the client's own");
        let cut: String = serde_json::from_str(before["data"].get()).unwrap();
        assert!(cut.ends_with("ä...") && cut.len() < 2_010, "{} bytes", cut.len());
    }
}
