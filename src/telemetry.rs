//! Logging: one subscriber for the process, on stderr, because stdout belongs to the data that
//! commands print. Called once by `cli` before a node or a command runs; never called by libraries
//! or tests, which may run many nodes in one process.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::TryInitError;

use crate::config::{LogFormat, LogLevel};

/// The variable that overrides `LogLevel` with a filter of tracing's own form, such as
/// `scheduler0::raft=debug,warn`.
pub const FILTER_VARIABLE: &str = "RUST_LOG";

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter in [`FILTER_VARIABLE`] cannot be read.
    #[error("{FILTER_VARIABLE} is not a log filter: {0}; write for example scheduler0=debug,warn")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// It was set up before.
    #[error("logging is set up already: {0}")]
    Again(#[from] TryInitError),
}

/// Starts logging. `filter` is the value of [`FILTER_VARIABLE`], if it is set; it wins over `level`.
pub fn init(level: LogLevel, format: LogFormat, filter: Option<&str>) -> Result<(), Error> {
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;

    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(env_filter(level, filter)?);
    match format {
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal();
            registry.with(layer.with_ansi(colours)).try_init()?;
        }
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init()?,
    }
    Ok(())
}

/// Our own events at the level asked for; libraries one step quieter, since their "info" is our
/// "debug". openraft warns of every call to a node that is down, a dozen a second: what is worth
/// knowing of that `cluster` says itself, once.
fn env_filter(level: LogLevel, filter: Option<&str>) -> Result<EnvFilter, Error> {
    if let Some(text) = filter.filter(|text| !text.trim().is_empty()) {
        return Ok(EnvFilter::builder().parse(text)?);
    }
    let (ours, others) = match level {
        LogLevel::Error => (LevelFilter::ERROR, "error"),
        LogLevel::Warn => (LevelFilter::WARN, "error"),
        LogLevel::Info => (LevelFilter::INFO, "warn,openraft=error"),
        LogLevel::Debug => (LevelFilter::DEBUG, "info"),
    };
    Ok(EnvFilter::builder().parse(format!("{others},scheduler0={ours}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_wins_over_the_level() {
        let shown = |level, filter| env_filter(level, filter).unwrap().to_string();
        assert!(shown(LogLevel::Debug, None).contains("scheduler0=debug"));
        let usual = shown(LogLevel::Info, Some(""));
        assert!(usual.contains("scheduler0=info") && usual.contains("openraft=error"), "{usual}");
        assert_eq!(
            shown(LogLevel::Error, Some("scheduler0::raft=trace")),
            "scheduler0::raft=trace"
        );
        let message = env_filter(LogLevel::Info, Some("a=b=c")).unwrap_err().to_string();
        assert!(message.contains("RUST_LOG"), "{message}");
    }
}
