//! The ledger of a job: its planned occurrences, and what became of each.

use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::history::time_range::TimeRange;
use crate::app::jobs::missing_job;
use crate::app::state::App;
use crate::model::{JobId, Millis};
use crate::store::ledger::{Entry, ledger};
use crate::store::meta;

/// The length of the ledger unless its begin is named, in milliseconds.
const DEFAULT_SPAN: Millis = 3_600_000;

/// A page of a job's planned occurrences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OccurrencePage {
    /// The cluster's id, which is part of execution ids.
    pub cluster: u128,
    /// The occurrences, in the order in which they are due.
    pub entries: Vec<Entry>,
    /// The begin of the next page, if there is one.
    pub next_from: Option<Millis>,
}

impl TimeRange {
    /// The range of a ledger whose ends may be left out: the last hour up to its end.
    ///
    /// # Errors
    ///
    /// `Invalid` where it ends before it begins.
    pub fn of_ledger(ends: (Option<Millis>, Option<Millis>), now: Millis) -> Result<Self, Error> {
        Self::new(ends, now, DEFAULT_SPAN)
    }
}

impl App {
    /// Reads about `limit` planned occurrences of a job, which are due in a range of time. A page
    /// ends before an instant, so that occurrences which are due together are never split.
    ///
    /// # Errors
    ///
    /// `NotFound` where nothing is known of the job; `TooSlow` or `Busy` when it cannot be read in
    /// time.
    pub async fn list_occurrences(
        &self,
        actor: &Actor,
        job: JobId,
        range: TimeRange,
        limit: usize,
    ) -> Result<OccurrencePage, Error> {
        authorize(actor, Action::HistoryRead, Resource::Any)?;
        let now = self.now();
        let found = self.read(actor, move |conn| {
            // One occurrence beyond the limit shows that there are more.
            let range = (range.begin(), range.end());
            let Some(found) = ledger(conn, job, now, range, limit.saturating_add(1))? else {
                return Ok(None);
            };
            let (entries, next_from) = first_page(found, limit);
            let cluster = meta::cluster_id(conn)?.unwrap_or_default();
            Ok(Some(OccurrencePage { cluster, entries, next_from }))
        });
        found.await?.ok_or_else(missing_job)
    }
}

/// The first `limit` occurrences, all those that are due with the last of them, and the instant at
/// which the next one is due.
fn first_page(mut found: Vec<Entry>, limit: usize) -> (Vec<Entry>, Option<Millis>) {
    let end = limit.checked_sub(1).and_then(|last| found.get(last));
    let end = end.map_or(Millis::MAX, |last| last.due);
    let next = found.iter().map(|one| one.due).find(|due| *due > end);
    let next_from = (found.len() > limit).then(|| next.unwrap_or(end.saturating_add(1)));
    found.truncate(found.partition_point(|one| one.due <= end));
    (found, next_from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ledger::State;

    fn page(due: &[Millis], limit: usize) -> (usize, Option<Millis>) {
        let entry = |due: &Millis| Entry { scheduled: *due, due: *due, state: State::Delivered };
        let (shown, next) = first_page(due.iter().map(entry).collect(), limit);
        (shown.len(), next)
    }

    #[test]
    fn a_page_never_splits_what_is_due_together() {
        for (due, limit, expected) in [
            (&[][..], 2, (0, None)),
            (&[1, 2], 2, (2, None)),
            (&[1, 2, 5], 2, (2, Some(5))),
            (&[1, 2, 2], 2, (3, Some(3))),
            (&[1, 2, 2, 9], 2, (3, Some(9))),
        ] {
            assert_eq!(page(due, limit), expected, "{due:?}");
        }
    }
}
