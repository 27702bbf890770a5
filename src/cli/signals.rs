//! The signals of a running node. `start` and `dev` wait for [`stop`]; [`attend`] takes the others.
//!
//! | signal | what happens |
//! |---|---|
//! | SIGTERM, SIGINT, SIGQUIT | a graceful stop; once more ends at once |
//! | SIGHUP | the configuration is read again, and [`reload`] puts into effect what can be |
//! | SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO | nothing; they would end a program |

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

use super::Global;
use crate::config::Config;
use crate::telemetry;

/// Signals that end a program that does not expect them, and mean nothing here.
const IGNORED: [Signal; 6] =
    [Signal::USR1, Signal::USR2, Signal::ALARM, Signal::VTALARM, Signal::PROF, Signal::IO];

/// Waits for a signal that asks for the end, and says which.
pub(super) async fn stop() -> std::io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        _ = quit.recv() => "SIGQUIT",
    })
}

/// Takes the signals that do not end a node. Call it on the runtime, before the node starts.
pub(super) fn attend(global: &Global) -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    for ignored in IGNORED {
        // Once it is listened for, the signal does nothing by itself for the rest of the process.
        drop(signal(SignalKind::from_raw(ignored.as_raw()))?);
    }
    let global = global.clone();
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            match global.load() {
                Ok(config) => reload(&config),
                Err(error) => tracing::error!(
                    "SIGHUP: the configuration cannot be used, and all stays as it was: {error:#}"
                ),
            }
        }
    });
    Ok(())
}

/// Puts into effect what can change while a node runs: the level of the log. Whatever else learns to
/// change without a restart, such as certificates, is called from here.
fn reload(config: &Config) {
    let filter = std::env::var(telemetry::FILTER_VARIABLE).ok();
    match telemetry::set_level(config.log_level, filter.as_deref()) {
        Ok(()) => tracing::info!(
            level = ?config.log_level,
            "SIGHUP: the configuration was read again; other keys than LogLevel take effect at the \
             next start"
        ),
        Err(error) => tracing::error!(%error, "SIGHUP: the level of the log stays as it was"),
    }
}
