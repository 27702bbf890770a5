//! The phases of runs that workers perform: begun, to be cancelled, given back, lost, over.
//!
//! ```text
//!   pending ──started──> running ── failed, lost ──> a row again, or dead
//!      │  cancel, timeout   │  └─── released ──────> a row again, which costs no retry
//!      └───> cancelling <───┘
//!                 └── confirmed, or not in time ──> cancelled; failed, if timeouts are retried
//! ```
//!
//! The phase of an attempt only goes forward (*phases go forward*). Every time a run is handed out
//! its attempt is higher than before, so that a report can say which one it means.

use super::end::TOO_LONG;
use super::row::deadline;
use crate::command::apply::entry::{Entry, Refusal, cut};
use crate::model::Millis;
use crate::model::attempt::{ResultOrigin, SkipReason, Verdict, bounded};
use crate::model::offer::MAX_NAME;
use crate::model::run::{CancelCause, Phase, Run, WorkerRun};
use crate::model::run_report::RunState;
use crate::model::run_terms::{BusKind, RetryOn};

/// The delay before a run that was given back is offered again, in milliseconds.
const RELEASE_DELAY: Millis = 1_000;

impl Entry<'_, '_> {
    /// Notes that a run has begun. One that has begun before, or of which the store knows no
    /// worker, is left as it is; of one that is being cancelled only the instant is noted. Returns
    /// its state then, as all rules here do.
    pub(in crate::command::apply) fn start_run(
        &mut self,
        run: &Run,
        worker: &str,
    ) -> Result<RunState, Refusal> {
        let Some(kept) = run.worker.as_deref() else { return Ok(RunState::of_run(run)) };
        let has_begun = run.started != kept.since || kept.terms.bus != BusKind::Rabbitmq;
        match kept.phase {
            Phase::Cancelling if !has_begun => {
                let started = self.stamp.max(kept.since.saturating_add(1));
                self.put_run(&Run { started, ..run.clone() })?;
            }
            Phase::Cancelling | Phase::Running => {}
            Phase::Pending => {
                let named = if worker.is_empty() { kept.worker.as_str() } else { worker };
                let named = cut(named.to_owned(), MAX_NAME);
                let kept = WorkerRun { phase: Phase::Running, worker: named, ..kept.clone() };
                let started = self.stamp.max(kept.since.saturating_add(1));
                let ends = kept.terms.run_timeout.map(|long| started.saturating_add(long));
                let worker = Some(Box::new(kept));
                let run = Run { started, heard: self.stamp, ends, worker, ..run.clone() };
                self.put_run(&Run { deadline: deadline(&run), ..run })?;
                return Ok(RunState::Running);
            }
        }
        Ok(RunState::of_run(run))
    }

    /// Cancels a run for a client: its worker is asked to stop. Where there is nobody to ask, the
    /// run ends at once.
    pub(in crate::command::apply) fn ask_to_cancel(
        &mut self,
        run: &Run,
        by: Option<&str>,
    ) -> Result<RunState, Refusal> {
        if run.bus() == BusKind::Http {
            self.cancel_run(run)?;
            return Ok(RunState::Cancelled);
        }
        let by = by.map(|by| cut(by.to_owned(), MAX_NAME));
        self.begin_cancel(run, CancelCause::Client { by })?;
        Ok(RunState::Cancelling)
    }

    /// Lets a run be cancelled. One that is cancelled already has no more time than it had; a
    /// client's wish stands above a timeout, which might have led to another attempt.
    fn begin_cancel(&mut self, run: &Run, why: CancelCause) -> Result<(), Refusal> {
        let Some(kept) = run.worker.as_deref() else { return Ok(()) };
        if matches!(kept.why, Some(CancelCause::Client { .. })) {
            return Ok(());
        }
        let deadline = match kept.phase {
            Phase::Cancelling => run.deadline,
            _ => self.stamp.saturating_add(kept.terms.cancel_timeout.max(0)),
        };
        let kept = WorkerRun { phase: Phase::Cancelling, why: Some(why), ..kept.clone() };
        self.put_run(&Run { deadline, worker: Some(Box::new(kept)), ..run.clone() })
    }

    /// Ends a run whose worker has stopped, or did not say so in time (`confirmed`).
    pub(in crate::command::apply) fn end_cancelled(
        &mut self,
        run: &Run,
        confirmed: bool,
    ) -> Result<RunState, Refusal> {
        let kept = run.worker.as_deref();
        let note = (!confirmed).then_some("its worker did not confirm the cancel");
        let mut error = note.map(str::to_owned);
        let (mut reason, mut origin) = (SkipReason::Cancelled, ResultOrigin::Cancelled);
        match kept.and_then(|kept| kept.why.as_ref()) {
            Some(CancelCause::TimedOut) => {
                let words = [Some(TOO_LONG), note].into_iter().flatten().collect::<Vec<_>>();
                (error, origin) = (Some(words.join("; ")), ResultOrigin::TimedOut);
                if kept.is_some_and(|kept| kept.terms.retry_on.timeout) {
                    return self.fail_run(run, origin, error);
                }
            }
            Some(CancelCause::NotStarted) => {
                (reason, origin) = (SkipReason::NotStarted, ResultOrigin::TimedOut);
            }
            Some(CancelCause::Client { .. }) | None => {}
        }
        self.end_run(run, Verdict::Skipped(reason), origin, error)?;
        Ok(RunState::Cancelled)
    }

    /// Records that a run failed, in its worker's words. `retry` says whether the worker allows
    /// another attempt; the terms decide.
    pub(in crate::command::apply) fn fail_kept(
        &mut self,
        run: &Run,
        error: Option<String>,
        retry: bool,
    ) -> Result<RunState, Refusal> {
        let kept = run.worker.as_deref();
        let retry_on = kept.map_or(RetryOn::of(BusKind::Http), |kept| kept.terms.retry_on);
        match kept.and_then(|kept| kept.why.as_ref()) {
            None if retry && retry_on.failed => self.fail_run(run, ResultOrigin::Reported, error),
            Some(CancelCause::TimedOut) if retry && retry_on.timeout => {
                self.fail_run(run, ResultOrigin::TimedOut, error)
            }
            // Also of a run that is not wanted any more: it is not tried again.
            _ => {
                self.end_run(run, Verdict::Dead, ResultOrigin::Reported, error)?;
                Ok(RunState::Failed)
            }
        }
    }

    /// Records that a worker was silent for too long.
    pub(in crate::command::apply) fn lose_run(&mut self, run: &Run) -> Result<RunState, Refusal> {
        let Some(kept) = run.worker.as_deref() else { return Ok(RunState::of_run(run)) };
        let who = match kept.worker.as_str() {
            "" => "its worker".to_owned(),
            name => format!("worker {name}"),
        };
        let error = format!("nothing was heard of {who} within its heartbeat timeout");
        let error = Some(bounded(error));
        if kept.terms.retry_on.lost {
            return self.fail_run(run, ResultOrigin::Lost, error);
        }
        self.end_run(run, Verdict::Dead, ResultOrigin::Lost, error)?;
        Ok(RunState::Failed)
    }

    /// Takes a run back from a worker that did not work on it: it is offered again a little later,
    /// and no retry is used up.
    pub(in crate::command::apply) fn release_run(
        &mut self,
        run: &Run,
    ) -> Result<RunState, Refusal> {
        let run = Run { base: run.base.saturating_add(1), ..run.clone() };
        self.hold(&run)?;
        let at = self.stamp.saturating_add(RELEASE_DELAY);
        self.try_again(&run, run.attempt.saturating_add(1), at)?;
        Ok(RunState::Pending)
    }

    /// Carries out the deadline of a run that a worker has been handed.
    pub(super) fn expire_kept(&mut self, run: &Run, kept: &WorkerRun) -> Result<(), Refusal> {
        match kept.phase {
            Phase::Cancelling => self.end_cancelled(run, false).map(drop),
            Phase::Pending => self.begin_cancel(run, CancelCause::NotStarted),
            Phase::Running if kept.terms.bus == BusKind::Http => {
                self.fail_run(run, ResultOrigin::TimedOut, Some(TOO_LONG.into())).map(drop)
            }
            Phase::Running => self.begin_cancel(run, CancelCause::TimedOut),
        }
    }
}
