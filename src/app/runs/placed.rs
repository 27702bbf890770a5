//! The reports of a request, by run, each with its place among the answers. `report` carries them
//! out. Plain data; nothing here reads or waits.

use std::collections::HashMap;

use super::absence::LateReport;
use super::standing::Standing;
use super::word::{RunInput, RunWord, refusal};
use crate::app::error::Error;
use crate::command::Reported;
use crate::model::claim::{HandOutQuestion, ReportNotice};
use crate::model::run::Occurrence;
use crate::model::run_report::{RunReport, RunState, Said};

/// A report whose occurrence was found, with its place among the answers.
pub(super) struct Placed {
    pub(super) at: usize,
    pub(super) input: RunInput,
    pub(super) standing: Standing,
}

impl Placed {
    /// Whether the report changes nothing without the record that is waited for. That a run is done
    /// counts for whatever the store has of it.
    pub(super) fn needs_record(&self) -> bool {
        match self.standing {
            Standing::Awaited(Some(_)) => !matches!(self.input.word, RunWord::Completed { .. }),
            Standing::Awaited(None) => true,
            _ => false,
        }
    }
}

/// The reports of a request on one run. They are carried out in their order.
pub(super) struct OneRun {
    pub(super) of: Occurrence,
    pub(super) placed: Vec<Placed>,
}

impl OneRun {
    /// Sorts the reports of a request by their runs, in the order in which the runs were named
    /// first.
    pub(super) fn by_run(all: impl Iterator<Item = (Occurrence, Placed)>) -> Vec<Self> {
        let mut runs: Vec<Self> = Vec::new();
        let mut places: HashMap<Occurrence, usize> = HashMap::new();
        for (of, placed) in all {
            let place = *places.entry(of).or_insert_with(|| {
                runs.push(Self { of, placed: Vec::new() });
                runs.len() - 1
            });
            runs[place].placed.push(placed);
        }
        runs
    }

    /// The runs of reports on what workers claimed at this node: those whose record has come
    /// (`true`) are proposed without a look, the others wait for it. `None` where a report says
    /// more than how its run ended: what is answered then depends on the run.
    pub(super) fn claimed(
        named: &[Occurrence],
        inputs: &[RunInput],
        recorded: Vec<bool>,
    ) -> Option<Vec<Self>> {
        if inputs.iter().any(needs_look) {
            return None;
        }
        let placed = named.iter().zip(inputs).zip(recorded).enumerate();
        Some(Self::by_run(placed.map(|(at, ((of, input), is_recorded))| {
            let standing = if is_recorded { Standing::Present } else { Standing::Awaited(None) };
            (*of, Placed { at, input: input.clone(), standing })
        })))
    }

    /// What its reports are about: the run, with the attempt and the worker that each names.
    pub(super) fn asked(&self) -> impl Iterator<Item = (Occurrence, u32, &str)> {
        let of = self.of;
        self.placed.iter().map(move |one| (of, one.input.attempt, one.input.worker.as_str()))
    }

    /// Whether its reports say no more than how it ended.
    pub(super) fn ends_only(&self) -> bool {
        !self.placed.iter().any(|one| needs_look(&one.input))
    }

    pub(super) fn is_awaited(&self) -> bool {
        self.placed.iter().any(|one| one.standing.is_awaited())
    }

    /// Says whether the store has nothing at all of the run; its reports have that in common.
    pub(super) fn is_unheard_of(&self) -> bool {
        self.placed.iter().all(|one| matches!(one.standing, Standing::Awaited(None)))
    }

    /// Those of its reports that change nothing without the record that is waited for.
    pub(super) fn late(&self, is_unsettled: bool) -> impl Iterator<Item = LateReport> {
        let occurrence = self.of;
        self.placed.iter().filter(|one| one.needs_record()).map(move |one| {
            let RunInput { attempt, ref worker, .. } = one.input;
            let worker = worker.clone();
            LateReport { question: HandOutQuestion { occurrence, attempt, worker }, is_unsettled }
        })
    }
}

/// Whether what is answered to a report depends on the state of its run.
fn needs_look(input: &RunInput) -> bool {
    matches!(input.word, RunWord::Running | RunWord::Cancel { .. })
}

/// The answers to reports, each with its place.
pub(super) type PlacedAnswers = Vec<(usize, Result<RunState, Error>)>;

/// The answers to reports that fail for the same reason.
pub(super) fn fail(runs: Vec<OneRun>, error: &Error) -> PlacedAnswers {
    let placed = runs.into_iter().flat_map(|run| run.placed);
    placed.map(|one| (one.at, Err(error.clone()))).collect()
}

/// The notice of a report for the supervisor of its run; `None` for what no worker said.
pub(super) fn notice(report: &RunReport) -> Option<ReportNotice> {
    let ends = match report.said {
        Said::Started { .. } => false,
        Said::Done { .. } | Said::Failed { .. } | Said::Cancelled | Said::Released => true,
        Said::Lost { .. } | Said::Cancel { .. } => return None,
    };
    let RunReport { occurrence, attempt, ref worker, .. } = *report;
    Some(ReportNotice { occurrence, attempt, worker: worker.clone(), ends })
}

/// The answer to a report that was carried out or refused.
pub(super) fn answer(word: &RunWord, told: Reported) -> Result<RunState, Error> {
    match told {
        Reported::Counted(state) => Ok(state),
        Reported::Refused { state, why } => Err(refusal(word, state, why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_runs_that_were_claimed_here_only_ends_are_reported_without_a_look() {
        let of = |job| Occurrence { job, scheduled: 5, run: 0 };
        let input = |word| RunInput { id: String::new(), attempt: 1, worker: "w".into(), word };
        let completed = || input(RunWord::Completed { result: None });
        let failed = || input(RunWord::Failed { error: None, retry: true });
        let named = [of(1), of(2), of(1)];
        let runs =
            OneRun::claimed(&named, &[failed(), completed(), completed()], vec![true, false, true]);
        let runs = runs.expect("no look");
        let places = |run: &OneRun| run.placed.iter().map(|one| one.at).collect::<Vec<_>>();
        assert_eq!(
            (runs[0].of, places(&runs[0]), runs[0].is_awaited()),
            (of(1), vec![0, 2], false)
        );
        assert_eq!((runs[1].of, places(&runs[1]), runs[1].is_awaited()), (of(2), vec![1], true));
        for word in [RunWord::Running, RunWord::Cancel { by: None }] {
            assert!(OneRun::claimed(&named[..1], &[input(word)], vec![true]).is_none());
        }
    }
}
