//! The signals of a running node. `start` and `dev` wait for [`stop`]; [`ignore`] and, for `start`,
//! [`reload_on_hangup`] take the others.
//!
//! | signal | what happens |
//! |---|---|
//! | SIGTERM, SIGINT, SIGQUIT | a graceful stop; once more ends at once |
//! | SIGHUP | `start`: the configuration is read again, and [`reload`] puts into effect what can be |
//! | SIGHUP | `dev`: a graceful stop, for its terminal is gone |
//! | SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO | nothing; they would end a program |

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

use super::Global;
use crate::config::Config;
use crate::telemetry;

/// Signals that end a program that does not expect them, and mean nothing here.
const IGNORED: [Signal; 6] =
    [Signal::USR1, Signal::USR2, Signal::ALARM, Signal::VTALARM, Signal::PROF, Signal::IO];

/// What SIGHUP means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hangup {
    /// As SIGTERM: the terminal has gone for which the command ran.
    Stops,
    /// Not the end; see [`reload_on_hangup`].
    GoesOn,
}

/// Waits for a signal that asks for the end, and says which.
pub(super) async fn stop(on_hangup: Hangup) -> std::io::Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut quit = signal(SignalKind::quit())?;
    let hangup = async {
        match on_hangup {
            Hangup::Stops => signal(SignalKind::hangup())?.recv().await,
            Hangup::GoesOn => std::future::pending().await,
        };
        std::io::Result::Ok("SIGHUP")
    };
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
        _ = quit.recv() => "SIGQUIT",
        hung_up = hangup => hung_up?,
    })
}

/// Takes the signals that mean nothing. Call it on the runtime, before the node starts.
pub(super) fn ignore() -> std::io::Result<()> {
    for ignored in IGNORED {
        // Once it is listened for, the signal does nothing by itself for the rest of the process.
        drop(signal(SignalKind::from_raw(ignored.as_raw()))?);
    }
    Ok(())
}

/// Reads the configuration again at each SIGHUP. Call it on the runtime, before the node starts.
pub(super) fn reload_on_hangup(global: &Global) -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
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
