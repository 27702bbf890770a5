//! Reports on runs, and cancellations: by workers, receivers and clients. Each is answered by
//! itself, when it is committed.
//!
//! ```text
//!   ids ─ look ─┬─ the run is there, or never will be ──────────────┐
//!               └─ its record is on its way ── wait on the feed ────┴─> gather ─> ReportRuns
//!                                                └─ it has not come: proposed where it never can,
//!                                                   and where the store has nothing of the run
//! ```
//!
//! The runs of a request wait together, and are looked at together in one read. Runs that were
//! claimed at this node are not looked at when their end is reported: `claimed` knows whether their
//! record has come. The rules of what counts are those of `command::apply`. What is looked up here
//! decides only whether a report waits.

use std::collections::HashSet;

use futures_util::StreamExt;
use futures_util::future::Either;
use futures_util::stream::FuturesUnordered;

use super::absence::not_recorded_yet;
use super::arrivals::{Arrival, Changed, PATIENCE_MS};
use super::ids::{missing_run, named_in, planned};
use super::placed::{OneRun, Placed, PlacedAnswers, answer, fail, notice};
use super::standing::{Standing, is_settled, standing};
use super::word::{RunAnswer, RunInput, RunWord, not_yet};
use crate::app::actor::Actor;
use crate::app::authz::{Action, Resource, authorize};
use crate::app::error::{Error, ErrorKind};
use crate::app::state::App;
use crate::model::claim::ReportNotice;
use crate::model::run::Occurrence;
use crate::model::run_report::{RunReport, Said};
use crate::store::meta;

/// The time after which a report on a run that was claimed here is looked up, if no change has told
/// of its record, in milliseconds: the change may have come before the claim's answer.
const LOOK_MS: u64 = 250;

/// The runs that the ids of a request name, and the wait for the records of all of them.
struct NamedRuns {
    cluster: u128,
    of: Vec<Occurrence>,
    arrival: Arrival,
}

impl App {
    /// Carries out reports, and answers each, in their order.
    ///
    /// # Errors
    ///
    /// `TooSlow` or `Busy` when the runs cannot be looked up in time. Errors of single reports are
    /// in their answers: `NotFound` where no run has the id; `Conflict` where the run is over or
    /// somebody else has it, with its state; `Unavailable` without a leader, and where its record
    /// may still come.
    pub async fn report_runs(
        &self,
        actor: &Actor,
        inputs: Vec<RunInput>,
    ) -> Result<Vec<RunAnswer>, Error> {
        authorize(actor, Action::RunsReport, Resource::Any)?;
        // Before the first look: what comes after it is not missed, and needs no second one.
        let Some(named) = self.expect_named(&inputs).await else {
            return Box::pin(self.look_and_report(actor, inputs, None)).await;
        };
        let Some(runs) = self.claimed_here(&named.of, &inputs) else {
            return Box::pin(self.look_and_report(actor, inputs, Some(named.arrival))).await;
        };
        let NamedRuns { cluster, of, arrival } = named;
        let missing = |of| RunAnswer { occurrence: Some(of), cluster, told: Err(missing_run()) };
        let mut answers: Vec<_> = of.into_iter().map(missing).collect();
        for (at, told) in self.report_on(actor, runs, Some(arrival), LOOK_MS).await {
            answers[at].told = told;
        }
        // The change that was taken for the record may have been another one of the run.
        let is_missing =
            |told: &RunAnswer| matches!(&told.told, Err(e) if e.kind() == ErrorKind::NotFound);
        let again: Vec<_> = (0..answers.len()).filter(|at| is_missing(&answers[*at])).collect();
        if !again.is_empty() {
            let inputs = again.iter().map(|at| inputs[*at].clone()).collect();
            let told = Box::pin(self.look_and_report(actor, inputs, None)).await?;
            again.into_iter().zip(told).for_each(|(at, told)| answers[at] = told);
        }
        Ok(answers)
    }

    /// The runs of a request, if all were claimed at this node and their records have come or are
    /// on their way: they need no look.
    fn claimed_here(&self, named: &[Occurrence], inputs: &[RunInput]) -> Option<Vec<OneRun>> {
        let asked = named.iter().zip(inputs);
        let asked = asked.map(|(of, input)| (*of, input.attempt, input.worker.as_str()));
        let recorded = self.arrivals.recorded(asked).into_iter().collect::<Option<_>>()?;
        OneRun::claimed(named, inputs, recorded)
    }

    /// Looks the runs of reports up, and carries the reports out. `begun` is a wait for all of them
    /// from before that, if there is one.
    async fn look_and_report(
        &self,
        actor: &Actor,
        inputs: Vec<RunInput>,
        begun: Option<Arrival>,
    ) -> Result<Vec<RunAnswer>, Error> {
        let now = self.now();
        let looked = inputs.clone();
        let found = self.read(actor, move |conn| {
            let cluster = meta::cluster_id(conn)?.unwrap_or_default();
            let look = |input: &RunInput| match named_in(conn, cluster, &input.id)? {
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
        let found = inputs.into_iter().zip(found).enumerate();
        let runs = OneRun::by_run(found.filter_map(|(at, (input, found))| {
            let (of, standing) = found?;
            Some((of, Placed { at, input, standing }))
        }));
        for (at, told) in self.report_on(actor, runs, begun, PATIENCE_MS).await {
            answers[at].told = told;
        }
        Ok(answers)
    }

    /// Carries out the reports on some runs, and waits for the records of those that are on their
    /// way. `begun` is a wait for all of them from before they were looked at, if there is one. All
    /// are looked at after `look_ms` milliseconds, whether or not a change has named them.
    async fn report_on(
        &self,
        actor: &Actor,
        runs: Vec<OneRun>,
        begun: Option<Arrival>,
        look_ms: u64,
    ) -> PlacedAnswers {
        let clock = self.time.clock();
        let (late, term) = (clock.boot() + PATIENCE_MS, self.term());
        let mut look_at = late.min(clock.boot() + look_ms);
        let (mut waiting, ready): (Vec<_>, Vec<_>) = runs.into_iter().partition(OneRun::is_awaited);
        let mut answers = Vec::new();
        let mut told = FuturesUnordered::new();
        if !ready.is_empty() {
            told.push(Either::Left(self.tell(actor, ready)));
        }
        let mut changed = Changed::default();
        let mut arrival = begun.filter(|_| !waiting.is_empty());
        if arrival.is_none() && !waiting.is_empty() {
            // What came before the wait began is seen by the first look.
            changed = Changed::All;
            match self.expect_records(&waiting) {
                Ok(begun) => arrival = Some(begun),
                Err(busy) => answers.extend(fail(std::mem::take(&mut waiting), &busy)),
            }
        }
        let mut in_time = true;
        while let Some(arrival) = arrival.as_ref().filter(|_| !waiting.is_empty()) {
            waiting = match self.look_again(actor, waiting, &changed).await {
                Ok(waiting) => waiting,
                Err((waiting, error)) => {
                    answers.extend(fail(waiting, &error));
                    break;
                }
            };
            let (later, ready): (Vec<_>, Vec<_>) =
                waiting.into_iter().partition(OneRun::is_awaited);
            if !ready.is_empty() {
                told.push(Either::Left(self.tell(actor, ready)));
            }
            if !in_time {
                // It is seldom made, and would make room for itself in each of the others.
                told.push(Either::Right(Box::pin(self.tell_late(actor, later, term))));
                break;
            }
            waiting = later;
            let until = look_at;
            let next = async {
                tokio::select! {
                    changed = arrival.changed() => (changed, false),
                    () = clock.sleep_until(until) => (Changed::All, true),
                }
            };
            tokio::pin!(next);
            while !waiting.is_empty() {
                tokio::select! {
                    Some(some) = told.next() => answers.extend(some),
                    next = &mut next => {
                        let has_waited;
                        (changed, has_waited) = next;
                        in_time = !has_waited || look_at < late;
                        if has_waited {
                            look_at = late;
                        }
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

    /// Carries out the reports on runs whose records have not come in time, as far as they never
    /// will. Others are to be repeated, and with them what was said of the same run behind them:
    /// where the store has nothing of a run, only if the leader does not know it either.
    async fn tell_late(&self, actor: &Actor, runs: Vec<OneRun>, term: u64) -> PlacedAnswers {
        let unsettled = self.unsettled(actor, &runs).await;
        let late = runs.iter().flat_map(|run| run.late(unsettled.contains(&run.of))).collect();
        let mut absent = self.are_absent(late, term).await.into_iter();
        let (mut answers, mut proven, mut notices) = (Vec::new(), Vec::new(), Vec::new());
        let mut unproven = HashSet::new();
        for mut run in runs {
            let mut may_come =
                |one: &Placed| one.needs_record() && !absent.next().unwrap_or_default();
            let open: Vec<_> = run.placed.iter().map(&mut may_come).collect();
            let first = open.iter().position(|is_open| *is_open).unwrap_or(open.len());
            if run.is_unheard_of() {
                unproven.extend(run.placed[first..].iter().map(|one| one.at));
                proven.push(run);
                continue;
            }
            for one in run.placed.split_off(first) {
                let RunInput { attempt, worker, word, .. } = one.input;
                let said = word
                    .said()
                    .map(|said| notice(&RunReport { occurrence: run.of, attempt, worker, said }));
                notices.extend(said.flatten());
                let state = match one.standing {
                    Standing::Awaited(state) => state,
                    _ => None,
                };
                answers.push((one.at, Err(not_recorded_yet(state))));
            }
            if !run.placed.is_empty() {
                proven.push(run);
            }
        }
        if let Some(gateway) = self.gateway().filter(|_| !notices.is_empty()) {
            // Its worker is alive, whatever becomes of its words.
            gateway.note_reports(self.reached_notices(actor, notices).await).await;
        }
        let told = self.tell(actor, proven).await;
        answers.extend(told.into_iter().map(|(at, told)| {
            let told = told.map_err(|error| match error.kind() {
                ErrorKind::NotFound if unproven.contains(&at) => not_recorded_yet(error.state()),
                _ => error,
            });
            (at, told)
        }));
        answers
    }

    /// The planned occurrences of which the store has nothing and whose shards have not settled
    /// them; all of which it has nothing, where that cannot be read.
    async fn unsettled(&self, actor: &Actor, runs: &[OneRun]) -> HashSet<Occurrence> {
        let planned = runs.iter().filter(|run| run.is_unheard_of() && run.of.run == 0);
        let all: Vec<_> = planned.map(|run| run.of).collect();
        if all.is_empty() {
            return HashSet::new();
        }
        let asked = all.clone();
        let found = self.read(actor, move |conn| {
            let look = |of| Ok((of, is_settled(conn, of)?));
            asked.into_iter().map(look).collect::<rusqlite::Result<Vec<_>>>()
        });
        let Ok(found) = found.await else { return all.into_iter().collect() };
        found.into_iter().filter(|(_, is_settled)| !is_settled).map(|(of, _)| of).collect()
    }

    /// Begins to wait for the records of all runs that are named. `None` where the ids alone do not
    /// say which these are, or too many wait: the runs that a look finds on their way are waited
    /// for then.
    async fn expect_named(&self, inputs: &[RunInput]) -> Option<NamedRuns> {
        let cluster = self.gateway()?.cluster_id().await.ok()?;
        let of = inputs.iter().map(|input| planned(cluster, &input.id));
        let of = of.collect::<Option<Vec<_>>>()?;
        let rows = inputs.iter().any(|input| matches!(input.word, RunWord::Cancel { .. }));
        let arrival = self.arrivals.expect(&self.cluster, of.clone(), rows).ok()?;
        Some(NamedRuns { cluster, of, arrival })
    }

    /// Begins to wait for the records of runs.
    fn expect_records(&self, runs: &[OneRun]) -> Result<Arrival, Error> {
        // A client may cancel what is not on offer yet.
        let cancels = |one: &Placed| matches!(one.input.word, RunWord::Cancel { .. });
        let rows = runs.iter().any(|run| run.placed.iter().any(cancels));
        self.arrivals.expect(&self.cluster, runs.iter().map(|run| run.of).collect(), rows)
    }

    /// Looks again at the runs that changed, in one read.
    async fn look_again(
        &self,
        actor: &Actor,
        mut runs: Vec<OneRun>,
        changed: &Changed,
    ) -> Result<Vec<OneRun>, (Vec<OneRun>, Error)> {
        self.note_records(&mut runs);
        let is_changed = |run: &OneRun| run.is_awaited() && changed.holds(run.of);
        let now = self.now();
        let asked = |run: &OneRun| {
            let inputs: Vec<_> = run.placed.iter().map(|one| one.input.clone()).collect();
            (run.of, inputs)
        };
        let asked: Vec<_> = runs.iter().filter(|run| is_changed(run)).map(asked).collect();
        if asked.is_empty() {
            return Ok(runs);
        }
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
        let looked = runs.iter_mut().filter(|run| is_changed(run));
        for (run, found) in looked.zip(found) {
            for (one, standing) in run.placed.iter_mut().zip(found) {
                one.standing = standing;
            }
        }
        Ok(runs)
    }

    /// Lets runs be proposed that were claimed at this node and whose record has come.
    fn note_records(&self, runs: &mut [OneRun]) {
        let mut recorded = self.arrivals.recorded(runs.iter().flat_map(OneRun::asked)).into_iter();
        for run in runs {
            let its: Vec<_> = recorded.by_ref().take(run.placed.len()).collect();
            if run.ends_only() && its.iter().all(|is_recorded| *is_recorded == Some(true)) {
                run.placed.iter_mut().for_each(|one| one.standing = Standing::Present);
            }
        }
    }

    /// Proposes the reports on some runs, and gives the answers.
    async fn tell(&self, actor: &Actor, runs: Vec<OneRun>) -> PlacedAnswers {
        let (mut answers, mut open) = (Vec::with_capacity(runs.len()), Vec::new());
        let (mut reports, mut notices) = (Vec::new(), Vec::new());
        let placed =
            runs.into_iter().flat_map(|run| run.placed.into_iter().map(move |one| (run.of, one)));
        for (occurrence, one) in placed {
            let RunInput { attempt, ref worker, ref word, .. } = one.input;
            let worker = worker.clone();
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
            gateway.note_reports(self.reached_notices(actor, notices).await).await;
        }
        if reports.is_empty() {
            return answers;
        }
        let told = self.carry_out(actor, reports).await;
        for (one, told) in open.into_iter().zip(told) {
            answers.push((one.at, told.and_then(|told| answer(&one.input.word, told))));
        }
        answers
    }
}
