//! The task that keeps the deadlines: it stops each run whose time has passed without an answered
//! heartbeat. It needs no node, and waits for nothing but time.

use std::sync::Arc;
use std::time::Duration;

use super::state::WorkerState;

/// The longest time between two looks. The timers of the runtime stand still while the machine
/// sleeps, the clock of deadlines does not.
const LONGEST_SLEEP: Duration = Duration::from_millis(250);

/// Keeps the deadlines, for as long as the process runs.
pub(super) async fn keep(state: Arc<WorkerState>) {
    loop {
        state.held.some().await;
        let now = state.clock.boot();
        let next = state.held.stop_unanswered(now).map_or(LONGEST_SLEEP, |next| {
            Duration::from_millis(next.saturating_sub(now).max(1)).min(LONGEST_SLEEP)
        });
        tokio::time::sleep(next).await;
    }
}
