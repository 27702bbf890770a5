//! The signals of a running node. `start` and `dev` wait for [`stop`]. [`ignore`] and, for `start`,
//! [`reload_on_hangup`] handle the others.
//!
//! | signal | effect |
//! |---|---|
//! | SIGTERM, SIGINT, SIGQUIT | a graceful stop; a second one ends the process at once |
//! | SIGHUP | `start`: the configuration is read again, see [`reload`] |
//! | SIGHUP | `dev`: a graceful stop, because its terminal has gone |
//! | SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO | none; they would end a program |

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

use super::Global;
use crate::config::Config;
use crate::telemetry;

/// Signals without a meaning here, which end a program that does not handle them.
const IGNORED: [Signal; 6] =
    [Signal::USR1, Signal::USR2, Signal::ALARM, Signal::VTALARM, Signal::PROF, Signal::IO];

/// The effect of SIGHUP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hangup {
    /// A stop: the terminal that the command ran for has gone.
    Stops,
    /// No stop; see [`reload_on_hangup`].
    GoesOn,
}

/// Waits for a signal that asks for the end, and returns its name.
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
        // Once a handler is installed, the default action is off for the rest of the process.
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
            match global.load_for_node() {
                Ok(config) => reload(&config),
                Err(error) => tracing::error!(
                    "SIGHUP: the configuration cannot be used, and all stays as it was: {error:#}"
                ),
            }
        }
    });
    Ok(())
}

/// Applies the part of a configuration that can change while a node runs: the level of the log.
/// Other parts that learn to change without a restart, such as certificates, belong here.
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
