//! The way of reports into the log: what workers and receivers say of runs is gathered with what
//! others say, and a cancel is proposed by itself. A cancel is somebody's decision, so the audit
//! has a row of it, with the address that it came from. `report` calls it.

use super::gather::ReportAnswer;
use crate::app::actor::Actor;
use crate::app::error::{Error, refused};
use crate::app::state::App;
use crate::command::{Command, Outcome};
use crate::model::run_report::{MAX_REPORTS, RunReport, Said};

impl App {
    /// Carries out reports, in their order; gives an answer for each. Those of a request with a
    /// cancel share commands with no others.
    pub(super) async fn carry_out(
        &self,
        actor: &Actor,
        reports: Vec<RunReport>,
    ) -> Vec<ReportAnswer> {
        if !reports.iter().any(|report| matches!(report.said, Said::Cancel { .. })) {
            return self.reports.tell(&actor.into(), reports).await;
        }
        let mut answers = Vec::with_capacity(reports.len());
        for chunk in reports.chunks(MAX_REPORTS) {
            match self.propose(actor, Command::ReportRuns { reports: chunk.to_vec() }).await {
                Ok(Outcome::Reports(told)) => answers.extend(told.into_iter().map(Ok)),
                Ok(other) => answers.extend(failed(&refused(other), chunk)),
                Err(error) => answers.extend(failed(&error, chunk)),
            }
        }
        answers
    }
}

/// The answers to reports that could not be carried out together.
fn failed(error: &Error, chunk: &[RunReport]) -> impl Iterator<Item = ReportAnswer> {
    std::iter::repeat_n(Err(error.clone()), chunk.len())
}
