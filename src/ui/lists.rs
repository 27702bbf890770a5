//! Reading of lists for pages: a page of records with its total and the place where the list goes
//! on, and the names of projects.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::app::history::LetterFilter;
use crate::app::jobs::JobLabel;
use crate::app::page::{After, PageWriter, Total};
use crate::app::projects::ProjectRecord;
use crate::app::{self, Action, Error, ErrorKind, Resource, authorize};
use crate::model::target::Executor;
use crate::model::{JobId, ProjectId};
use crate::ui::context::Page;

/// The rows of a list on one page.
pub(crate) const ROWS: u64 = 50;
/// The most projects whose names a page knows.
const MOST_PROJECTS: u64 = 500;

/// The most executors that a form offers.
pub(crate) const MOST_EXECUTORS: u64 = 200;

/// The records of one page.
#[derive(Debug)]
pub(crate) struct Listed<R> {
    pub(crate) records: Vec<R>,
    pub(crate) total: Total,
    /// The place of the last record, where the page is full.
    pub(crate) next: Option<After>,
}

/// Gathers the records of a page.
pub(crate) struct Gather<R> {
    limit: u64,
    listed: Listed<R>,
}

impl<R> Gather<R> {
    /// A page of so many records at most.
    pub(crate) fn new(limit: u64) -> Self {
        let total = Total { count: 0, estimated: false };
        Self { limit, listed: Listed { records: Vec::new(), total, next: None } }
    }

    /// What was gathered.
    pub(crate) fn listed(self) -> Listed<R> {
        self.listed
    }
}

impl<R: Send + 'static> PageWriter<R> for Gather<R> {
    type Written = Listed<R>;

    fn begin(&mut self, total: Total) {
        self.listed.total = total;
    }

    fn push(&mut self, record: R, after: After) -> bool {
        self.listed.records.push(record);
        let is_full = self.listed.records.len() as u64 >= self.limit;
        if is_full {
            self.listed.next = Some(after);
        }
        !is_full
    }

    fn end(self) -> Listed<R> {
        self.listed()
    }
}

/// A place in a list as text for an address.
pub(crate) fn cursor(after: After) -> String {
    match after.key {
        Some(key) => format!("{key:x}-{:x}", after.id),
        None => format!("{:x}", after.id),
    }
}

/// Reads what [`cursor`] wrote. A text that is none counts as the beginning of the list.
pub(crate) fn read_cursor(text: &str) -> Option<After> {
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    let (key, id) = match text.split_once('-') {
        Some((key, id)) => (Some(number(key)?.cast_signed()), id),
        None => (None, text),
    };
    let id = number(id).filter(|id| i64::try_from(*id).is_ok_and(|id| id < i64::MAX))?;
    Some(After { key, id })
}

/// The projects, by number.
#[derive(Default)]
pub(crate) struct Projects(pub(crate) BTreeMap<ProjectId, ProjectRecord>);

impl Page {
    /// Reads the projects, at most [`MOST_PROJECTS`]; none for an actor that may not see them.
    ///
    /// # Errors
    ///
    /// As [`crate::app::App::list_projects`].
    pub(crate) async fn projects(&self) -> Result<Projects, Error> {
        if !self.may(Action::ProjectsRead) {
            return Ok(Projects::default());
        }
        let page = crate::app::page::Page { limit: MOST_PROJECTS, ..Default::default() };
        let gather = Gather::new(MOST_PROJECTS);
        let listed = self.ui.app.list_projects(&self.actor, page, gather).await?;
        let by_id = |record: ProjectRecord| (record.project.id, record);
        Ok(Projects(listed.records.into_iter().map(by_id).collect()))
    }

    /// The number of dead letters, a few seconds old at most: each is counted.
    ///
    /// # Errors
    ///
    /// As [`crate::app::App::list_dead_letters`].
    pub(crate) async fn letters(&self) -> Result<u64, Error> {
        authorize(&self.actor, Action::DeadLettersRead, Resource::Any)?;
        let (app, actor) = (Arc::clone(&self.ui.app), self.actor.clone());
        let count = async move {
            let (all, one) = (LetterFilter::default(), app::page::Page::default());
            let one = app::page::Page { limit: 1, ..one };
            let listed = app.list_dead_letters(&actor, all, one, Gather::new(1)).await?;
            Ok(listed.total.count)
        };
        self.ui.letters.get(self.actor.reach(), count).await.map(|count| *count)
    }

    /// Reads the name of one project.
    ///
    /// # Errors
    ///
    /// As [`crate::app::App::get_project`], but for a project that is gone or may not be seen.
    pub(crate) async fn project_name(&self, id: ProjectId) -> Result<String, Error> {
        match self.ui.app.get_project(&self.actor, id).await {
            Ok(record) => Ok(record.project.name),
            Err(error) if is_hidden(&error) => Ok(format!("project {id}")),
            Err(error) => Err(error),
        }
    }

    /// Reads the projects, and one more that the page is about, wherever it is in the list.
    ///
    /// # Errors
    ///
    /// As [`Page::projects`].
    pub(crate) async fn projects_with(&self, id: Option<ProjectId>) -> Result<Projects, Error> {
        let mut projects = self.projects().await?;
        if let Some(id) = id.filter(|id| !projects.0.contains_key(id)) {
            match self.ui.app.get_project(&self.actor, id).await {
                Ok(record) => {
                    projects.0.insert(id, record);
                }
                Err(error) if is_hidden(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(projects)
    }
}

impl Page {
    /// Reads the executors that a form offers, at most [`MOST_EXECUTORS`]; none for an actor that
    /// may not see them.
    ///
    /// # Errors
    ///
    /// As [`crate::app::App::list_executors`].
    pub(crate) async fn executors(&self) -> Result<Vec<Executor>, Error> {
        if !self.may(Action::ExecutorsRead) {
            return Ok(Vec::new());
        }
        let page = crate::app::page::Page { limit: MOST_EXECUTORS, ..Default::default() };
        let gather = Gather::new(MOST_EXECUTORS);
        Ok(self.ui.app.list_executors(&self.actor, page, gather).await?.records)
    }

    /// Reads the names and targets of jobs that a list is about; none for an actor that may not see
    /// them.
    ///
    /// # Errors
    ///
    /// As [`crate::app::App::label_jobs`].
    pub(crate) async fn labels(
        &self,
        jobs: impl Iterator<Item = JobId>,
    ) -> Result<HashMap<JobId, JobLabel>, Error> {
        if !self.may(Action::JobsRead) {
            return Ok(HashMap::new());
        }
        let ids: std::collections::BTreeSet<_> = jobs.collect();
        self.ui.app.label_jobs(&self.actor, ids.into_iter().collect()).await
    }
}

/// Says whether a record that a page only names is not there, or may not be seen.
pub(crate) fn is_hidden(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::MissingScopes)
}

impl Projects {
    /// The projects to choose from: number and name.
    pub(crate) fn choices(&self) -> Vec<(String, String)> {
        self.0.iter().map(|(id, one)| (id.to_string(), one.project.name.clone())).collect()
    }

    /// The name of a project.
    pub(crate) fn name(&self, id: ProjectId) -> String {
        let found = self.0.get(&id);
        found.map_or_else(|| format!("project {id}"), |record| record.project.name.clone())
    }

    /// There may be more projects than a page reads.
    pub(crate) fn is_cut(&self) -> bool {
        self.0.len() as u64 >= MOST_PROJECTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_list_reads_back() {
        for after in [
            After { key: None, id: 31 },
            After { key: Some(-1), id: 1 },
            After { key: Some(1_763_700_000_000), id: 7 },
        ] {
            assert_eq!(read_cursor(&cursor(after)), Some(after));
        }
        for bad in ["", "-", "x", "1-", "-1", "1-2-3", "ffffffffffffffff"] {
            assert_eq!(read_cursor(bad), None, "{bad}");
        }
    }
}
