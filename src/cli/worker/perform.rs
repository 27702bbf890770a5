//! One run at this worker, from the answer to its claim to its report.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;
use tokio::time::Instant;

use super::assignment::Assignment;
use super::captured::LastLines;
use super::directive::Directive;
use super::ending::Ending;
use super::state::{QueuedReport, WorkerState};
use super::{environment, process, progress_line};
use crate::model::attempt::MAX_ERROR;

/// Performs a run, and hands its report on. A run without one is let go here; the others are let go
/// when their reports are answered.
pub(super) async fn perform(
    state: Arc<WorkerState>,
    run: Assignment,
    directive: watch::Receiver<Directive>,
) {
    let begun = Instant::now();
    let ending = run_command(&state, &run, directive).await;
    state.held.command_ended(&run.id);
    state.lines.ended(&run, &ending, begun.elapsed());
    match ending.report(&run) {
        // The receiver ends with the process only.
        Some(body) => {
            let report = QueuedReport { id: run.id, attempt: run.attempt, body };
            drop(state.reports.send(report));
        }
        None => state.held.let_go(&run.id, run.attempt),
    }
}

async fn run_command(
    state: &WorkerState,
    run: &Assignment,
    mut directive: watch::Receiver<Directive>,
) -> Ending {
    if let Some(ending) = until_it_may_begin(&mut directive).await {
        return ending;
    }
    let settings = &state.settings;
    let plan = process::ProcessPlan {
        command: &settings.command,
        environment: environment::of_run(run, &settings.worker),
        input: &run.data,
        grace: settings.grace,
        keeper: state.keeper.as_ref(),
    };
    let mut stderr = LastLines::new(MAX_ERROR);
    let each_line = |line: &str| {
        if let Some(progress) = progress_line::read(line) {
            state.held.note_progress(&run.id, progress);
            return;
        }
        stderr.push(line);
        state.lines.pass_on(run, line);
    };
    state.lines.begun(run);
    let finished = match process::run(plan, directive.clone(), each_line).await {
        Ok(finished) => finished,
        Err(error) => return not_started(state, &error),
    };
    state.failed_starts.store(0, Ordering::Relaxed);
    let told = *directive.borrow();
    match told {
        Directive::Unanswered => Ending::Unanswered,
        Directive::Gone => Ending::Gone,
        Directive::Cancel => Ending::Cancelled,
        Directive::Abandon if !finished.status.success() => {
            Ending::Failed { error: "the worker was stopped before the command ended".to_owned() }
        }
        _ => Ending::of_exit(finished.status, || finished.stdout.text(), &stderr),
    }
}

/// Waits for the directive to begin; another one ends the run before it has begun.
async fn until_it_may_begin(directive: &mut watch::Receiver<Directive>) -> Option<Ending> {
    let told = directive.wait_for(|told| *told != Directive::Hold).await.map(|told| *told);
    Some(match told {
        Ok(Directive::Go) => return None,
        Ok(Directive::Cancel) => Ending::Cancelled,
        Ok(Directive::Gone) => Ending::Gone,
        Ok(Directive::Unanswered) | Err(_) => Ending::Unanswered,
        Ok(Directive::Hold | Directive::GiveBack | Directive::Abandon) => {
            Ending::GivenBack { why: "the worker stops".to_owned() }
        }
    })
}

/// A command that cannot be started costs no retry: the fault is this machine's.
fn not_started(state: &WorkerState, error: &io::Error) -> Ending {
    state.failed_starts.fetch_add(1, Ordering::Relaxed);
    let program = state.settings.command.first().map(|name| name.to_string_lossy());
    let program = program.unwrap_or_default();
    Ending::GivenBack { why: format!("{program} cannot be started: {error}") }
}
