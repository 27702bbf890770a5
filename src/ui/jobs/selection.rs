//! The jobs that are meant by a page of many jobs, as its address and its form carry them: those
//! that were ticked, or those that a search finds.

use crate::app::jobs::{Filter, MOST_NAMED};
use crate::model::{JobId, Millis};
use crate::ui::context::address;
use crate::ui::form::Form;
use crate::ui::jobs::search::{Search, status_named};
use crate::ui::lists::Projects;
use crate::ui::words::counted;

/// The jobs that are meant.
pub(crate) struct Selection {
    q: String,
    /// The search without the words that name a schedule.
    q_without_schedule: String,
    status: String,
    ids: Vec<JobId>,
    /// Every job is meant.
    pub(crate) all: bool,
    pub(crate) filter: Filter,
    /// The words of the search, for people.
    pub(crate) terms: Vec<String>,
    pub(crate) problem: Option<String>,
}

impl Selection {
    pub(crate) fn read(form: &Form, projects: &Projects, now: Millis) -> Self {
        let q = form.text("q").unwrap_or_default().to_owned();
        let status = form.text("status").unwrap_or_default().to_owned();
        let ids: Vec<_> = form.each("id").filter_map(|id| id.parse().ok()).collect();
        let mut search = Search::read(&q, projects, now);
        match status_named(&status) {
            Some(status) => search.choose_status(status, now),
            None if status.is_empty() => {}
            None => search.problem = Some(format!("there is no status {status}")),
        }
        let mut terms: Vec<_> = search.terms.iter().map(|term| term.meaning.clone()).collect();
        if !status.is_empty() {
            terms.push(format!("status {status}"));
        }
        let q_without_schedule = search.without_schedule();
        let filter = if ids.is_empty() {
            search.filter
        } else {
            terms = vec![format!("{} that were ticked", counted(ids.len() as u64, "job"))];
            Filter { ids: Some(ids.clone()), ..Filter::default() }
        };
        let all = form.text("all").is_some() && filter == Filter::default();
        let mut problem = search.problem;
        if ids.len() > MOST_NAMED {
            problem = Some(format!("more than {MOST_NAMED} jobs are ticked: use a search"));
        }
        Self { q, q_without_schedule, status, ids, all, filter, terms, problem }
    }

    /// Nothing narrows the jobs, and nobody has said that all are meant.
    pub(crate) fn is_open(&self) -> bool {
        self.filter == Filter::default() && !self.all
    }

    /// The parameters by which the selection is carried on.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut given = Vec::new();
        if self.ids.is_empty() {
            given.push(("q", self.q.clone()));
            given.push(("status", self.status.clone()));
        }
        given.extend(self.ids.iter().map(|id| ("id", id.to_string())));
        if self.all {
            given.push(("all", "yes".to_owned()));
        }
        given.retain(|(_, value)| !value.is_empty());
        given
    }

    /// The address of a page about the selection.
    pub(crate) fn address(&self, path: &str, more: &[(&str, &str)]) -> String {
        let own = self.parameters();
        let own = own.iter().map(|(name, value)| (*name, value.as_str()));
        address(path, own.chain(more.iter().copied()))
    }

    /// The address of the list that the selection came from. After an edit it is not searched by
    /// the schedule, which may be another one now.
    pub(crate) fn list(&self, is_edited: bool) -> String {
        let q = if is_edited { &self.q_without_schedule } else { &self.q };
        let given = [("q", q.as_str()), ("status", self.status.as_str())];
        address("/ui/jobs", given.into_iter().filter(|(_, value)| !value.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(fields: &[(&str, &str)]) -> Selection {
        let form =
            Form::of(fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect());
        Selection::read(&form, &Projects(std::collections::BTreeMap::new()), 5)
    }

    #[test]
    fn a_selection_is_carried_on_as_it_was_given() {
        let ticked = selection(&[("id", "3"), ("id", "7"), ("q", "label:a=b")]);
        assert_eq!(ticked.filter, Filter { ids: Some(vec![3, 7]), ..Filter::default() });
        assert_eq!(ticked.address("/x", &[("action", "pause")]), "/x?id=3&id=7&action=pause");
        let found = selection(&[("q", "label:a=b"), ("status", "paused"), ("all", "yes")]);
        assert!(!found.all, "a filter is never widened to all jobs");
        assert_eq!(found.address("/x", &[]), "/x?q=label%3Aa%3Db&status=paused");
        let open = selection(&[("q", "")]);
        assert!(open.is_open() && !selection(&[("all", "yes")]).is_open());
    }

    #[test]
    fn an_edited_schedule_is_not_searched_for() {
        let found = selection(&[("q", "project:3 spec:\"0 9 * * *\" zone:UTC")]);
        assert_eq!(found.filter.spec.as_deref(), Some("0 9 * * *"));
        assert_eq!(found.list(true), "/ui/jobs?q=project%3A3");
        assert!(found.list(false).contains("spec%3A"));
    }
}
