//! What supervisors know of runs, laid over what the state says of them. A supervisor hears of
//! claims, heartbeats and reports before they are recorded, and heartbeats are recorded nowhere.

use std::collections::HashMap;

use super::record::RunRecord;
use crate::app::state::App;
use crate::gateway::LiveRuns;
use crate::model::Millis;
use crate::model::claim::LiveRun;
use crate::model::run::{Occurrence, Phase};
use crate::model::run_report::RunState;

impl App {
    /// Asks the owners of runs that are not over how they are at this moment, for a moment, and
    /// lays that over the records.
    pub(super) async fn lay_over(&self, runs: &mut [RunRecord]) {
        let Some(gateway) = self.gateway() else { return };
        let of: Vec<_> =
            runs.iter().filter(|run| run.is_kept()).map(|run| run.occurrence).collect();
        if of.is_empty() {
            return;
        }
        let live = gateway.live(of).await;
        overlay(runs, &live, self.now());
    }
}

/// Lays what supervisors know over records, at an instant.
fn overlay(runs: &mut [RunRecord], live: &LiveRuns, now: Millis) {
    let known: HashMap<Occurrence, &LiveRun> =
        live.runs.iter().map(|one| (one.occurrence, one)).collect();
    for run in runs.iter_mut().filter(|run| run.is_kept()) {
        run.live = Some(!live.unanswered.contains(&run.occurrence));
        if let Some(one) = known.get(&run.occurrence) {
            lay(run, one, now);
        }
    }
}

fn lay(run: &mut RunRecord, live: &LiveRun, now: Millis) {
    // What it has not heard of yet is newer in the state.
    if live.attempt < run.attempt {
        return;
    }
    let phase = match live.phase {
        None | Some(Phase::Pending) => RunState::Pending,
        Some(Phase::Running) => RunState::Running,
        Some(Phase::Cancelling) => RunState::Cancelling,
    };
    let is_new = live.attempt > run.attempt;
    // Within an attempt the phase only goes forward; what waits behind another run is not offered.
    if is_new || (phase > run.state && run.state != RunState::Queued) {
        run.state = phase;
    }
    if is_new {
        (run.worker, run.started, run.heard) = (None, None, None);
        (run.progress, run.message) = (None, None);
        run.attempt = live.attempt;
    }
    if live.phase.is_some() {
        run.next_attempt_at = None;
    }
    if !live.worker.is_empty() {
        run.worker = Some(live.worker.clone());
    }
    let ago = live.heard_ms_ago.map(|ago| i64::try_from(ago).unwrap_or(Millis::MAX));
    run.heard = run.heard.max(ago.map(|ago| now.saturating_sub(ago)));
    run.progress = live.progress.or(run.progress);
    run.message = live.message.clone().or(run.message.take());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::run_terms::BusKind;

    const NOW: Millis = 1_763_700_000_000;

    fn record(job: u64, state: RunState, bus: BusKind) -> RunRecord {
        let occurrence = Occurrence { job, scheduled: 5, run: 0 };
        RunRecord { bus: Some(bus), state, due: 5, heard: Some(9), ..RunRecord::new(7, occurrence) }
    }

    fn live(job: u64, phase: Option<Phase>) -> LiveRun {
        LiveRun {
            occurrence: Occurrence { job, scheduled: 5, run: 0 },
            attempt: 1,
            phase,
            worker: phase.map_or(String::new(), |_| "w".to_owned()),
            heard_ms_ago: phase.map(|_| 250),
            progress: Some(40),
            message: None,
        }
    }

    fn laid(run: RunRecord, one: LiveRun) -> RunRecord {
        let mut runs = vec![run];
        overlay(&mut runs, &LiveRuns { runs: vec![one], ..LiveRuns::default() }, NOW);
        runs.remove(0)
    }

    #[test]
    fn a_status_shows_before_it_is_recorded_and_never_goes_back() {
        use RunState::{Cancelling, Completed, Pending, Queued, Running};
        for (stored, phase, shown) in [
            (Pending, Some(Phase::Running), Running),
            (Pending, Some(Phase::Pending), Pending),
            (Running, None, Running),
            (Running, Some(Phase::Cancelling), Cancelling),
            (Cancelling, Some(Phase::Running), Cancelling),
            (Queued, None, Queued),
            (Completed, Some(Phase::Running), Completed),
        ] {
            let run = laid(record(1, stored, BusKind::Embedded), live(1, phase));
            assert_eq!(run.state, shown, "{stored:?} under {phase:?}");
            assert_eq!(run.live, (stored != Completed).then_some(true));
        }
        let run = laid(record(1, Running, BusKind::Embedded), live(1, Some(Phase::Running)));
        assert_eq!((run.heard, run.progress), (Some(NOW - 250), Some(40)));
        assert_eq!(run.worker.as_deref(), Some("w"));
    }

    #[test]
    fn attempts_tell_what_is_newer() {
        let stored = RunRecord {
            attempt: 2,
            worker: Some("v".into()),
            ..record(1, RunState::Running, BusKind::Rabbitmq)
        };
        let older = laid(stored.clone(), live(1, Some(Phase::Cancelling)));
        assert_eq!(older, RunRecord { live: Some(true), ..stored.clone() });
        let newer = laid(stored, LiveRun { attempt: 3, ..live(1, None) });
        assert_eq!((newer.state, newer.attempt), (RunState::Pending, 3));
        assert_eq!((newer.worker, newer.heard), (None, None), "nobody has that one yet");
    }

    #[test]
    fn what_did_not_answer_is_said_and_runs_by_http_are_nobodys() {
        let mut runs = vec![
            record(1, RunState::Running, BusKind::Embedded),
            record(2, RunState::Running, BusKind::Embedded),
            record(3, RunState::Running, BusKind::Http),
        ];
        let unanswered = [runs[1].occurrence].into();
        let live = LiveRuns { runs: vec![live(1, Some(Phase::Running))], unanswered };
        overlay(&mut runs, &live, NOW);
        let shown: Vec<_> = runs.iter().map(|run| run.live).collect();
        assert_eq!(shown, [Some(true), Some(false), None]);
    }
}
