//! Logging: one subscriber for the process, on stderr, because stdout belongs to the data that
//! commands print. `cli` calls [`init`] once before a node or a command runs; libraries and tests,
//! which may run many nodes in one process, never do.
//!
//! Logging never waits for the reader of stderr: lines go through a [`Stream`]. Panics are logged
//! in the same way, and [`AtExit`] makes sure that the last lines are written.

mod limit;
mod stream;

use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::time::Duration;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::TryInitError;
use tracing_subscriber::{EnvFilter, Registry, reload};

pub use limit::{EVERY_MS, LogLimit};
pub use stream::{BOUND, Stream};

/// The level of the log: the least severe lines that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Faults that an operator has to mend.
    Error,
    /// Also conditions that may become one.
    Warn,
    /// Also events that are rare.
    Info,
    /// Also events that are frequent.
    Debug,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// A JSON object on each line.
    Json,
}

/// The variable that overrides `LogLevel` with a filter of tracing's own form, such as
/// `scheduler0::raft=debug,warn`.
pub const FILTER_VARIABLE: &str = "RUST_LOG";

/// The time for which a panic waits until its message is written, which may be the last of the
/// process.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// The stream of the log, once it has begun.
static LOG: OnceLock<Stream> = OnceLock::new();

/// Replaces the filter of the log that has begun.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter in [`FILTER_VARIABLE`] cannot be read.
    #[error("{FILTER_VARIABLE} is not a log filter: {0}; write for example scheduler0=debug,warn")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Logging was set up before.
    #[error("logging is set up already: {0}")]
    Again(#[from] TryInitError),
    /// The level cannot be changed any more.
    #[error("the log's level cannot be changed: {0}")]
    Reload(#[from] reload::Error),
    /// The thread of the log, or its handle to stderr, could not be made.
    #[error("the log cannot be started: {0}")]
    Stream(std::io::Error),
}

/// Starts logging. `filter` is the value of [`FILTER_VARIABLE`], if it is set; it wins over
/// `level`.
pub fn init(level: LogLevel, format: LogFormat, filter: Option<&str>) -> Result<(), Error> {
    use tracing_subscriber::Layer;
    use tracing_subscriber::filter::filter_fn;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::util::SubscriberInitExt;

    let stderr = std::io::stderr();
    let stream = Stream::start(&stderr, "log", BOUND, |_, lines| {
        tracing::error!(lines, "log lines were dropped here: nobody read stderr in time");
    });
    let stream = stream.map_err(Error::Stream)?;
    let writer = stream.clone();
    let layer = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
    let shown = filter_fn(|line| is_shown(line.target()));
    let (filter, handle) = reload::Layer::new(env_filter(level, filter)?);
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => {
            let colours = stderr.is_terminal();
            registry.with(layer.with_ansi(colours).with_filter(shown)).try_init()?;
        }
        LogFormat::Json => {
            registry.with(layer.json().flatten_event(true).with_filter(shown)).try_init()?;
        }
    }
    // Only the first call reaches this line: `try_init` refuses a second one.
    let _ = LOG.set(stream);
    let _ = FILTER.set(handle);
    std::panic::set_hook(Box::new(panicked));
    Ok(())
}

/// Changes the level of the log that has begun; `filter` as for [`init`].
pub fn set_level(level: LogLevel, filter: Option<&str>) -> Result<(), Error> {
    let filter = env_filter(level, filter)?;
    if let Some(handle) = FILTER.get() {
        handle.reload(filter)?;
    }
    Ok(())
}

/// Lines of the log that were dropped since the start of the process.
pub fn dropped_lines() -> u64 {
    LOG.get().map_or(0, Stream::dropped)
}

/// Puts a line into the log's stream as it is; false while there is no log.
pub fn say(line: &str) -> bool {
    let log = LOG.get();
    if let Some(log) = log {
        log.push(format!("{line}\n").as_bytes());
    }
    log.is_some()
}

/// Gives the last lines of the log the time to get out, when dropped: at the end of `main`, also
/// when it panics. A reader of stderr that has stalled is not waited for.
#[derive(Debug)]
pub struct AtExit;

impl Drop for AtExit {
    fn drop(&mut self) {
        if let Some(log) = LOG.get() {
            log.flush(Duration::MAX);
        }
    }
}

/// The default hook writes to stderr by itself, and would wait for its reader.
fn panicked(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let what = panic.payload_as_str().unwrap_or("no message");
    let trace = std::backtrace::Backtrace::capture();
    if trace.status() == std::backtrace::BacktraceStatus::Captured {
        tracing::error!(thread, "panicked at {place}: {what}\n{trace}");
    } else {
        tracing::error!(thread, "panicked at {place}: {what}");
    }
    if let Some(log) = LOG.get() {
        log.flush(LAST_WORDS);
    }
}

/// Whether lines of a target are written at all. The client of AMQP brokers logs whole messages,
/// and at its lowest level the login; what is worth knowing of it `executor` says itself.
fn is_shown(target: &str) -> bool {
    !target.starts_with("lapin")
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
    fn the_client_of_brokers_is_never_shown() {
        assert!(!is_shown("lapin::returned_messages") && !is_shown("lapin"));
        assert!(is_shown("scheduler0::executor::amqp"));
    }

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
