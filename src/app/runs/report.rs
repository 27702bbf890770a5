//! Reports on runs, and cancellations: by workers, receivers and clients. Each is answered by
//! itself, when it is committed.
//!
//! ```text
//!   ids ─ look ─┬─ the run is there, or never will be ──────────────┐
//!               └─ its record is on its way ── wait on the feed ────┴─> gather ─> ReportRuns
//! ```
//!
//! The runs of a request wait together, and are looked at together in one read.
//! The rules of what counts are those of `command::apply`. What is looked up here decides only
//! whether a report waits.

use std::collections::HashMap;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::arrivals::{Arrival, PATIENCE_MS};
use super::ids::{missing_run, named};
use super::standing::{Standing, standing};
use super::word::{RunAnswer, RunInput, RunWord, not_yet, refusal};
use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::Error;
use crate::app::state::App;
use crate::command::Reported;
use crate::model::claim::ReportNotice;
use crate::model::run::Occurrence;
use crate::model::run_report::{RunReport, RunState, Said};
use crate::store::meta;

/// A report whose occurrence was found, with its place among the answers.
struct Placed {
    at: usize,
    input: RunInput,
    standing: Standing,
}

/// The reports of a request on one run. They are carried out in their order.
struct OneRun {
    of: Occurrence,
    placed: Vec<Placed>,
}

impl OneRun {
    fn is_awaited(&self) -> bool {
        self.placed.iter().any(|one| one.standing.is_awaited())
    }
}

/// The answers to reports, each with its place.
type PlacedAnswers = Vec<(usize, Result<RunState, Error>)>;

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
        let mut runs: Vec<OneRun> = Vec::new();
        let mut places: HashMap<Occurrence, usize> = HashMap::new();
        for (at, (input, found)) in inputs.into_iter().zip(found).enumerate() {
            let Some((of, standing)) = found else { continue };
            let place = *places.entry(of).or_insert_with(|| {
                runs.push(OneRun { of, placed: Vec::new() });
                runs.len() - 1
            });
            runs[place].placed.push(Placed { at, input, standing });
        }
        for (at, told) in self.report_on(actor, runs).await {
            answers[at].told = told;
        }
        Ok(answers)
    }

    /// Carries out the reports on some runs, and waits for the records of those that are on their
    /// way.
    async fn report_on(&self, actor: &Actor, runs: Vec<OneRun>) -> PlacedAnswers {
        let clock = self.time.clock();
        let late = clock.boot() + PATIENCE_MS;
        let (mut waiting, ready): (Vec<_>, Vec<_>) = runs.into_iter().partition(OneRun::is_awaited);
        let mut told: FuturesUnordered<_> =
            ready.into_iter().map(|run| self.tell(actor, run)).collect();
        let mut answers = Vec::new();
        let mut arrival = None;
        if !waiting.is_empty() {
            match self.expect_records(&waiting) {
                Ok(begun) => arrival = Some(begun),
                Err(busy) => answers.extend(fail(std::mem::take(&mut waiting), &busy)),
            }
        }
        let mut in_time = true;
        while let Some(arrival) = arrival.as_ref().filter(|_| !waiting.is_empty()) {
            // What came before the wait began is seen by the first of these reads.
            waiting = match self.look_again(actor, waiting).await {
                Ok(waiting) => waiting,
                Err((waiting, error)) => {
                    answers.extend(fail(waiting, &error));
                    break;
                }
            };
            let (later, ready): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(|run| in_time && run.is_awaited());
            waiting = later;
            told.extend(ready.into_iter().map(|run| self.tell(actor, run)));
            let woken = async {
                tokio::select! {
                    () = arrival.changed() => true,
                    () = clock.sleep_until(late) => false,
                }
            };
            tokio::pin!(woken);
            while !waiting.is_empty() {
                tokio::select! {
                    Some(some) = told.next() => answers.extend(some),
                    is_woken = &mut woken => {
                        in_time = is_woken;
                        break;
                    }
                }
            }
        }
        while let Some(some) = told.next().await {
            answers.extend(some);
        }
        answers
    }

    /// Begins to wait for the records of runs.
    fn expect_records(&self, runs: &[OneRun]) -> Result<Arrival, Error> {
        // A client may cancel what is not on offer yet.
        let cancels = |one: &Placed| matches!(one.input.word, RunWord::Cancel { .. });
        let rows = runs.iter().any(|run| run.placed.iter().any(cancels));
        self.arrivals.expect(&self.cluster, runs.iter().map(|run| run.of).collect(), rows)
    }

    /// Looks again at runs, in one read.
    async fn look_again(
        &self,
        actor: &Actor,
        mut runs: Vec<OneRun>,
    ) -> Result<Vec<OneRun>, (Vec<OneRun>, Error)> {
        let now = self.now();
        let asked = |run: &OneRun| {
            let inputs: Vec<_> = run.placed.iter().map(|one| one.input.clone()).collect();
            (run.of, inputs)
        };
        let asked: Vec<_> = runs.iter().map(asked).collect();
        let found = self.read(actor, move |conn| {
            let look = |(of, inputs): &(Occurrence, Vec<RunInput>)| {
                inputs.iter().map(|input| standing(conn, *of, input, now)).collect()
            };
            asked.iter().map(look).collect::<rusqlite::Result<Vec<Vec<_>>>>()
        });
        let found = match found.await {
            Ok(found) => found,
            Err(error) => return Err((runs, error)),
        };
        for (run, found) in runs.iter_mut().zip(found) {
            for (one, standing) in run.placed.iter_mut().zip(found) {
                one.standing = standing;
            }
        }
        Ok(runs)
    }

    /// Proposes the reports on one run, and gives the answers.
    async fn tell(&self, actor: &Actor, run: OneRun) -> PlacedAnswers {
        let (mut answers, mut open) = (Vec::with_capacity(run.placed.len()), Vec::new());
        let (mut reports, mut notices) = (Vec::new(), Vec::new());
        for one in run.placed {
            let RunInput { attempt, ref worker, ref word, .. } = one.input;
            let (occurrence, worker) = (run.of, worker.clone());
            let (attempt, said) = match &one.standing {
                Standing::Answered(told) => {
                    if told.is_ok() {
                        // A sign of life, though nothing is to be recorded.
                        notices.push(ReportNotice { occurrence, attempt, worker, ends: false });
                    }
                    answers.push((one.at, told.clone()));
                    continue;
                }
                Standing::Begins { attempt, terms } => {
                    (*attempt, Some(Said::Started { terms: terms.clone() }))
                }
                Standing::Present | Standing::Awaited(_) => (attempt, word.said()),
            };
            if let Some(said) = said {
                let report = RunReport { occurrence, attempt, worker, said };
                notices.extend(notice(&report));
                reports.push(report);
                open.push(one);
            } else {
                let state = match one.standing {
                    Standing::Awaited(state) => state,
                    _ => None,
                };
                answers.push((one.at, Err(not_yet(state))));
            }
        }
        if let Some(gateway) = self.gateway().filter(|_| !notices.is_empty()) {
            // A sign of life for the supervisor, whatever becomes of it.
            gateway.note_reports(notices).await;
        }
        if reports.is_empty() {
            return answers;
        }
        let told = self.reports.tell(&actor.into(), reports).await;
        for (one, told) in open.into_iter().zip(told) {
            answers.push((one.at, told.and_then(|told| answer(&one.input.word, told))));
        }
        answers
    }
}

/// The answers to reports that fail for the same reason.
fn fail(runs: Vec<OneRun>, error: &Error) -> PlacedAnswers {
    let placed = runs.into_iter().flat_map(|run| run.placed);
    placed.map(|one| (one.at, Err(error.clone()))).collect()
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
