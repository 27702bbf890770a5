//! Reports on runs, and cancellations: by workers, receivers and clients. Each is answered by
//! itself, when it is committed.
//!
//! ```text
//!   ids ─ look ─┬─ the run is there, or never will be ──────────────┐
//!               └─ its record is on its way ── wait on the feed ────┴─> gather ─> ReportRuns
//! ```
//!
//! The rules of what counts are those of `command::apply`. What is looked up here decides only
//! whether a report waits.

use std::collections::HashMap;

use futures_util::future::join_all;

use super::arrivals::PATIENCE_MS;
use super::ids::{missing_run, named};
use super::standing::{Standing, standing};
use super::word::{RunAnswer, RunInput, RunWord, refusal};
use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::state::App;
use crate::command::{RejectionKind, Reported};
use crate::model::claim::ReportNotice;
use crate::model::run::Occurrence;
use crate::model::run_report::{RunReport, RunState, Said};
use crate::store::meta;

/// A report whose occurrence was found, with its place among the answers.
#[derive(Clone)]
struct Placed {
    at: usize,
    input: RunInput,
    standing: Standing,
}

impl App {
    /// Carries out reports, and answers each, in their order.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when the runs cannot be looked up in time. Errors of single reports are
    /// in their answers: `NotFound` where no run has the id; `Conflict` where the run is over or
    /// somebody else has it, with its state; `Unavailable` without a leader.
    pub async fn report_runs(
        &self,
        actor: &Actor,
        inputs: Vec<RunInput>,
    ) -> Result<Vec<RunAnswer>, Error> {
        authorize(actor, Action::RunsReport, Resource::Any)?;
        let now = self.now();
        let looked = inputs.clone();
        let found = self.read(actor, move |conn| {
            let cluster = meta::cluster_id(conn)?.unwrap_or_default();
            let look = |input: &RunInput| match named(conn, &input.id)? {
                Some(of) => Ok(Some((of, standing(conn, of, input, now)?))),
                None => Ok(None),
            };
            Ok((cluster, looked.iter().map(look).collect::<rusqlite::Result<Vec<_>>>()?))
        });
        let (cluster, found) = found.await?;
        let missing = |of: Option<Occurrence>| RunAnswer {
            occurrence: of,
            cluster,
            told: Err(missing_run()),
        };
        let mut answers: Vec<_> =
            found.iter().map(|found| missing(found.as_ref().map(|(of, _)| *of))).collect();
        // The reports on one run are carried out in their order, those on others beside them.
        let mut runs: Vec<(Occurrence, Vec<Placed>)> = Vec::new();
        let mut places: HashMap<Occurrence, usize> = HashMap::new();
        for (at, (input, found)) in inputs.into_iter().zip(found).enumerate() {
            let Some((of, standing)) = found else { continue };
            let place = *places.entry(of).or_insert_with(|| {
                runs.push((of, Vec::new()));
                runs.len() - 1
            });
            runs[place].1.push(Placed { at, input, standing });
        }
        let told = runs.into_iter().map(|(of, placed)| self.report_on(actor, of, placed));
        for (at, told) in join_all(told).await.into_iter().flatten() {
            answers[at].told = told;
        }
        Ok(answers)
    }

    /// Carries out reports on one run, and waits for its record before that if it is on its way.
    async fn report_on(
        &self,
        actor: &Actor,
        of: Occurrence,
        mut placed: Vec<Placed>,
    ) -> Vec<(usize, Result<RunState, Error>)> {
        let mut answers = Vec::with_capacity(placed.len());
        let clock = self.time.clock();
        let late = clock.boot() + PATIENCE_MS;
        // A client may cancel what is not on offer yet.
        let rows = placed.iter().any(|one| matches!(one.input.word, RunWord::Cancel { .. }));
        let (mut arrival, mut in_time) = (None, true);
        loop {
            let waits = placed.iter().any(|one| one.standing.is_awaited());
            if waits && in_time {
                let Some(arrival) = &arrival else {
                    match self.arrivals.expect(&self.cluster, of, rows) {
                        Ok(begun) => arrival = Some(begun),
                        Err(busy) => {
                            let busy = |one: Placed| (one.at, Err(busy.clone()));
                            answers.extend(placed.into_iter().map(busy));
                            return answers;
                        }
                    }
                    // What came before the wait began is seen by another look.
                    if let Err(error) = self.look_again(actor, of, &mut placed).await {
                        answers.extend(placed.into_iter().map(|one| (one.at, Err(error.clone()))));
                        return answers;
                    }
                    continue;
                };
                tokio::select! {
                    () = arrival.changed() => {}
                    () = clock.sleep_until(late) => in_time = false,
                }
                // A begin takes its terms from the run.
                let begins = placed.iter().any(|one| one.input.word == RunWord::Running);
                if begins && let Err(error) = self.look_again(actor, of, &mut placed).await {
                    answers.extend(placed.into_iter().map(|one| (one.at, Err(error.clone()))));
                    return answers;
                }
            }
            placed = self.tell(actor, of, placed, arrival.is_some() && in_time, &mut answers).await;
            if placed.is_empty() {
                return answers;
            }
        }
    }

    /// Looks again at the run of reports.
    async fn look_again(
        &self,
        actor: &Actor,
        of: Occurrence,
        placed: &mut [Placed],
    ) -> Result<(), Error> {
        let now = self.now();
        let inputs: Vec<_> = placed.iter().map(|one| one.input.clone()).collect();
        let found = self.read(actor, move |conn| {
            inputs.iter().map(|input| standing(conn, of, input, now)).collect::<Result<Vec<_>, _>>()
        });
        for (one, standing) in placed.iter_mut().zip(found.await?) {
            one.standing = standing;
        }
        Ok(())
    }

    /// Proposes reports on one run, and adds the answers. Gives back those whose run is still on
    /// its way, while the caller is `patient`.
    async fn tell(
        &self,
        actor: &Actor,
        of: Occurrence,
        placed: Vec<Placed>,
        patient: bool,
        answers: &mut Vec<(usize, Result<RunState, Error>)>,
    ) -> Vec<Placed> {
        let (mut open, mut reports, mut again) = (Vec::new(), Vec::new(), Vec::new());
        for one in placed {
            let RunInput { attempt, ref worker, ref word, .. } = one.input;
            let (attempt, said) = match &one.standing {
                Standing::Answered(told) => {
                    answers.push((one.at, told.clone()));
                    continue;
                }
                Standing::Begins { attempt, terms } => {
                    (*attempt, Some(Said::Started { terms: terms.clone() }))
                }
                Standing::Present | Standing::Awaited => (attempt, word.said()),
            };
            match said {
                Some(said) => {
                    let worker = worker.clone();
                    reports.push(RunReport { occurrence: of, attempt, worker, said });
                    open.push(one);
                }
                None if patient => again.push(one),
                None => answers.push((one.at, Err(missing_run()))),
            }
        }
        if reports.is_empty() {
            return again;
        }
        if let Some(gateway) = self.gateway() {
            // A sign of life for the supervisor, whatever becomes of it.
            gateway.note_reports(reports.iter().filter_map(notice).collect()).await;
        }
        let told = self.reports.tell(actor.into(), reports).await;
        for (one, told) in open.into_iter().zip(told) {
            match told {
                Ok(Reported::Refused { why, .. })
                    if patient
                        && why.kind == RejectionKind::NotFound
                        && one.standing.is_awaited() =>
                {
                    again.push(one);
                }
                Ok(told) => answers.push((one.at, answer(&one.input.word, told))),
                Err(error) => answers.push((one.at, Err(error))),
            }
        }
        again
    }
}

/// The notice of a report for the supervisor of its run; `None` for what no worker said.
fn notice(report: &RunReport) -> Option<ReportNotice> {
    let ends = match report.said {
        Said::Started { .. } => false,
        Said::Done { .. } | Said::Failed { .. } | Said::Cancelled | Said::Released => true,
        Said::Lost { .. } | Said::Cancel { .. } => return None,
    };
    let RunReport { occurrence, attempt, ref worker, .. } = *report;
    Some(ReportNotice { occurrence, attempt, worker: worker.clone(), ends })
}

/// The answer to a report that was carried out or refused.
fn answer(word: &RunWord, told: Reported) -> Result<RunState, Error> {
    match told {
        Reported::Counted(state) => Ok(state),
        Reported::Refused { state, why } => Err(refusal(word, state, why)),
    }
}
