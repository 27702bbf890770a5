//! The next occurrences among all jobs, for the overview and the forecast. To reckon them may take
//! a moment where there are many jobs, and no page waits for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use maud::{Markup, html};

use crate::app::Error;
use crate::app::forecast::{Freshness, NextFiring, UpcomingFirings};
use crate::app::jobs::JobLabel;
use crate::model::{JobId, ProjectId};
use crate::ui::context::Page;
use crate::ui::jobs::describe::recurring;
use crate::ui::words::{counted, cut};

/// The time for which a whole page waits. A part that is asked for by itself waits to the end.
const PATIENCE: Duration = Duration::from_millis(80);

impl Page {
    /// Reckons the next occurrences for a part of this page; `None` where the part is not wanted,
    /// or would keep the page waiting. The work goes on then, for who asks next.
    pub(crate) async fn upcoming(
        &self,
        part: &str,
        project: Option<ProjectId>,
        limit: usize,
    ) -> Option<Result<UpcomingFirings, Error>> {
        let (app, actor) = (Arc::clone(&self.ui.app), self.actor.clone());
        let work =
            async move { app.upcoming_firings(&actor, project, limit, Freshness::Kept).await };
        self.within(part, work).await
    }

    /// The result of work for a part of this page, as [`Page::upcoming`] says.
    pub(crate) async fn within<T: Send + 'static>(
        &self,
        part: &str,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Option<Result<T, Error>> {
        if !self.wants(part) {
            return None;
        }
        let whole = self.context.part().is_none();
        let task = tokio::spawn(work);
        let done =
            if whole { tokio::time::timeout(PATIENCE, task).await.ok()? } else { task.await };
        // A task that panicked has said so in the log.
        Some(done.unwrap_or_else(|_| Err(Error::internal())))
    }
}

/// A line that says when some jobs fire, which, and by what schedule.
pub(crate) fn firing_line(
    page: &Page,
    one: &NextFiring,
    labels: &HashMap<JobId, JobLabel>,
) -> Markup {
    html! {
        a.line href={ "/ui/jobs/" (one.first) } {
            span.line-when { (page.context.relative_time(one.due)) }
            span.line-text { (who(one, labels)) }
            span.muted.line-more { (schedule(one)) }
        }
    }
}

/// The jobs that fire together: the name of one, or their number.
pub(crate) fn who(one: &NextFiring, labels: &HashMap<JobId, JobLabel>) -> String {
    let name = labels.get(&one.first).and_then(|label| label.name.clone());
    match (one.jobs, name) {
        (1, Some(name)) => cut(&name, 36),
        (1, None) => format!("Job {}", one.first),
        (jobs, _) => counted(jobs, "job"),
    }
}

/// The schedule in words.
pub(crate) fn schedule(one: &NextFiring) -> String {
    if one.spec.is_empty() { "once".to_owned() } else { recurring(&one.spec, &one.timezone) }
}
