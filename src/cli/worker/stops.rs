//! The stages of a worker's end, and the signals that bring them about.
//!
//! | signal | stage |
//! |---|---|
//! | the first SIGTERM, SIGINT, SIGQUIT or SIGHUP | nothing is claimed, what runs may end |
//! | the second | commands are killed, and their ends are reported |
//! | the third | the process ends |

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// A stage of a worker's life. They come in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LifeStage {
    /// It claims runs.
    Working,
    /// It waits for the runs that it has.
    Stopping,
    /// It kills its commands, and reports.
    Killing,
    /// It ends.
    Leaving,
}

/// The signals that ask for the end. Others keep their effect.
pub(super) struct StopSignals([Signal; 4]);

impl StopSignals {
    /// Takes the signals from now on.
    pub(super) fn take() -> std::io::Result<Self> {
        let kinds = [
            SignalKind::terminate(),
            SignalKind::interrupt(),
            SignalKind::quit(),
            SignalKind::hangup(),
        ];
        let [a, b, c, d] = kinds.map(signal);
        Ok(Self([a?, b?, c?, d?]))
    }

    /// Waits for the next one.
    async fn next(&mut self) {
        let [terminate, interrupt, quit, hangup] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = quit.recv() => {}
            _ = hangup.recv() => {}
        }
    }

    /// Goes on to the next stage at each signal.
    pub(super) async fn advance(mut self, stage: watch::Sender<LifeStage>) {
        for next in [LifeStage::Stopping, LifeStage::Killing, LifeStage::Leaving] {
            self.next().await;
            stage.send_modify(|stage| *stage = next.max(*stage));
        }
    }
}

/// Waits until a stage has come, or a later one.
pub(super) async fn reached(stage: &mut watch::Receiver<LifeStage>, least: LifeStage) {
    if stage.wait_for(|stage| *stage >= least).await.is_err() {
        // Nobody advances the stage any more.
        std::future::pending::<()>().await;
    }
}
