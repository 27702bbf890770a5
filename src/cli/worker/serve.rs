//! Runs a worker from its first claim to its end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::event_lines::EventLines;
use super::flags::WorkerFlags;
use super::held::HeldRuns;
use super::keeper::Keeper;
use super::nodes::Nodes;
use super::state::{WorkerOptions, WorkerState};
use super::stops::{LifeStage, StopSignals, reached};
use super::{claims, heartbeats, reports, self_fencing};
use crate::cli::Global;
use crate::cli::client::Client;
use crate::cli::output::Output;
use crate::clock::SystemClock;
use crate::disk::modes;

/// The longest time for the last reports after the second signal.
const LAST_REPORTS: Duration = Duration::from_secs(10);

/// Carries out the command.
pub(in crate::cli) fn run(
    flags: &WorkerFlags,
    global: &Global,
    output: Output,
) -> anyhow::Result<()> {
    let settings = flags.settings()?;
    let client = global.worker_client()?;
    // The commands write files of their user.
    modes::give_back_umask();
    let lines = Arc::new(EventLines::start(output.is_json(), flags.quiet)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        let (advance, stage) = watch::channel(LifeStage::Working);
        tokio::spawn(StopSignals::take()?.advance(advance));
        let keeper = Keeper::start(Arc::clone(&lines));
        serve(settings, client, Arc::clone(&lines), Some(keeper), stage).await
    });
    lines.flush();
    done
}

/// Works until the stage says otherwise, or a node refuses the claims.
pub(super) async fn serve(
    settings: WorkerOptions,
    client: Client,
    lines: Arc<EventLines>,
    keeper: Option<Keeper>,
    mut life: watch::Receiver<LifeStage>,
) -> anyhow::Result<()> {
    let (reports, queued) = mpsc::unbounded_channel();
    let state = Arc::new(WorkerState {
        nodes: Nodes::new(client, Arc::clone(&lines)),
        held: HeldRuns::default(),
        clock: Arc::new(SystemClock),
        reports,
        keeper,
        failed_starts: 0.into(),
        waits_refused: false.into(),
        lines,
        settings,
    });
    say_hello(&state);
    tokio::spawn(self_fencing::keep(Arc::clone(&state)));
    tokio::spawn(heartbeats::send_all(Arc::clone(&state)));
    tokio::spawn(reports::send_all(Arc::clone(&state), queued));
    let claimed = claims::claim_all(&state, life.clone()).await;
    state.held.give_back_unbegun();
    let left = state.held.count();
    if let Err(failure) = &claimed {
        state.lines.say(&failure.to_string());
    }
    if left > 0 {
        state
            .lines
            .say(&format!("claims no more; waits for {left} runs; a second signal kills them"));
    }
    let was_killed = tokio::select! {
        _ = state.held.at_most(0) => false,
        () = reached(&mut life, LifeStage::Killing) => true,
    };
    if was_killed {
        state.held.abandon_all();
        let ended = timeout(LAST_REPORTS, state.held.at_most(0));
        tokio::select! {
            _ = ended => {}
            () = reached(&mut life, LifeStage::Leaving) => {}
        }
    }
    claimed?;
    match (was_killed, state.held.count()) {
        (false, _) => Ok(()),
        (true, 0) => anyhow::bail!("commands were killed before their end"),
        (true, left) => anyhow::bail!("{left} runs were left without an answered report"),
    }
}

fn say_hello(state: &WorkerState) {
    let WorkerOptions { worker, queues, concurrency, .. } = &state.settings;
    let of = if queues.len() == 1 { "queue" } else { "queues" };
    let queues = queues.join(", ");
    state.lines.say(&format!("takes runs of {of} {queues} as {worker}, {concurrency} at a time"));
}
