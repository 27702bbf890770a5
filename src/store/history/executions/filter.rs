//! The executions that are asked for, as conditions on records.

use rusqlite::types::Value;

use crate::model::shard::shard_of;
use crate::model::{JobId, Millis, ProjectId};
use crate::store::history::counters::{self, OutcomeKind};
use crate::store::row::clamped;

/// The executions that are asked for: those that match every field that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those of one project.
    pub project: Option<ProjectId>,
    /// Those of one job.
    pub job: Option<JobId>,
    /// Those of these kinds; empty means all.
    pub kinds: Vec<OutcomeKind>,
    /// Due at or after this instant.
    pub from: Option<Millis>,
    /// Due at or before this instant.
    pub until: Option<Millis>,
    /// Those behind this place (due, id) in the order of the list, where the page before ended.
    /// Totals are counted without it.
    pub after: Option<(Millis, u64)>,
}

/// The condition of a filter, without its `after`, and the values of its parameters.
pub(super) fn condition(filter: &Filter) -> (String, Vec<Value>) {
    let mut parts = vec!["TRUE".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    let mut compare = |text: &str, value: i64| {
        values.push(value.into());
        parts.push(format!("{text} ?{}", values.len()));
    };
    if let Some(from) = filter.from {
        compare("due >=", from);
    }
    if let Some(until) = filter.until {
        compare("due <=", until);
    }
    if let Some(project) = filter.project {
        compare("project =", project as i64);
    }
    if let Some(job) = filter.job {
        compare("shard =", i64::from(shard_of(job)));
        values.push((job as i64).into());
        parts.push(format!("lone IN (0, ?{})", values.len()));
    }
    if !filter.kinds.is_empty() {
        if filter.job.is_none() && !filter.kinds.contains(&OutcomeKind::Delivered) {
            // The condition of the index of what was not delivered, which is rare as a rule.
            parts.push("verdict <> 0".to_owned());
        }
        parts.push(fits(&filter.kinds));
    }
    (parts.join(" AND "), values)
}

/// The condition that a record is of one of these kinds; none mean all.
pub(super) fn fits(kinds: &[OutcomeKind]) -> String {
    if kinds.is_empty() {
        return "TRUE".to_owned();
    }
    let kinds: Vec<_> = kinds.iter().map(|kind| counters::condition(*kind)).collect();
    format!("({})", kinds.join(" OR "))
}

/// The condition, beginning with `AND`, that a record has members behind the place where the page
/// before ended.
pub(super) fn keyset(
    after: Option<(Millis, u64)>,
    descending: bool,
    mut values: Vec<Value>,
) -> (String, Vec<Value>) {
    let Some((due, last)) = after else { return (String::new(), values) };
    values.push(due.into());
    values.push(clamped(last).into());
    let (due, last) = (values.len() - 1, values.len());
    let text = if descending {
        format!(" AND due <= ?{due} AND (due < ?{due} OR id < ?{last})")
    } else {
        format!(" AND due >= ?{due} AND (due > ?{due} OR id + count - 1 > ?{last})")
    };
    (text, values)
}
