//! The flags of `worker`, and what is checked before anything is claimed.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use clap::{Args, ValueEnum};
use rustix::fs::{Access, access};

use super::state::WorkerOptions;
use crate::cli::Failure;
use crate::model::claim::MAX_CLAIM;
use crate::model::offer::MAX_NAME;
use crate::schedule::parse_duration;

/// The most queues of a worker.
const MAX_QUEUES: usize = 64;

const EXAMPLES: &str = "\
The command gets the job's data on its standard input, and what describes the run in the
variables S0_RUN_ID, S0_EXECUTION_ID, S0_JOB_ID, S0_EXTERNAL_ID, S0_PROJECT_ID, S0_QUEUE,
S0_ATTEMPT, S0_SCHEDULED_AT, S0_DUE_AT and S0_WORKER_ID. Exit code 0 completes the run, with
the first KB of its standard output as the result; with any other the run has failed, and is
tried again as the job says. A line `progress 40 text` on its standard error is shown as the
run's progress.

Without --server the nodes of the configuration are asked. A key pair is read from
SCHEDULER0_API_KEY and SCHEDULER0_API_SECRET, else the session of `scheduler0 login` at the
first node is shown, else the credentials of the node are used.

SIGTERM: claims no more, and waits for what runs. A second one kills it.

Examples:
  scheduler0 worker --queue emails -- ./send-emails
  scheduler0 worker --queue urgent --queue normal --order strict --concurrency 4 -- ./work
  scheduler0 worker --queue nightly --server http://a:9091,http://b:9091 -- sh -c 'jq .shop'
  scheduler0 worker --queue emails --json -- ./send-emails > runs.jsonl";

/// Flags of `worker`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct WorkerFlags {
    /// The name of a queue to take runs from; may be repeated
    #[arg(long = "queue", required = true, value_name = "NAME")]
    queues: Vec<String>,
    /// The most runs at a time
    #[arg(long, default_value_t = 1, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_CLAIM)))]
    concurrency: u32,
    /// Takes from several queues in turns, or always from the first that has something
    #[arg(long, value_enum, default_value = "fair")]
    order: QueueOrder,
    /// The worker's id, which no other process may have at the same time [default: host, process
    /// and a random number]
    #[arg(long, value_name = "NAME")]
    id: Option<String>,
    /// The time between SIGTERM and SIGKILL for the command of a cancelled run
    #[arg(long, default_value = "10s", value_name = "DURATION")]
    grace: String,
    /// Says nothing about runs that begin and end
    #[arg(long, short)]
    pub(super) quiet: bool,
    /// The command and its arguments, after --
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// The order in which a worker takes from several queues.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum QueueOrder {
    /// In turns
    Fair,
    /// From the first that has something
    Strict,
}

impl WorkerFlags {
    /// Checks the flags.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] names the flag. A command that is not there is one: each run would fail.
    pub(super) fn settings(&self) -> Result<WorkerOptions, Failure> {
        let usage = |message: String| Failure::Usage(message);
        if self.queues.len() > MAX_QUEUES {
            return Err(usage(format!("--queue: at most {MAX_QUEUES} queues")));
        }
        if self.queues.iter().any(String::is_empty) {
            return Err(usage("--queue: the name of a queue is empty".to_owned()));
        }
        let worker = self.id.clone().unwrap_or_else(own_id);
        let is_sound =
            (1..=MAX_NAME).contains(&worker.len()) && !worker.chars().any(char::is_control);
        if !is_sound {
            let message = format!("--id: expected 1 to {MAX_NAME} bytes, no control characters");
            return Err(usage(message));
        }
        let grace = parse_duration(&self.grace).map_err(|e| usage(format!("--grace: {e}")))?;
        check_command(&self.command, std::env::var_os("PATH").as_deref()).map_err(usage)?;
        Ok(WorkerOptions {
            worker,
            queues: self.queues.clone(),
            order: match self.order {
                QueueOrder::Fair => "fair",
                QueueOrder::Strict => "strict",
            },
            concurrency: self.concurrency as usize,
            grace: Duration::from_millis(grace.unsigned_abs()),
            command: self.command.clone(),
        })
    }
}

/// An id that no other process has: host, process and a random number.
fn own_id() -> String {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    let host: String = host.chars().filter(|c| !c.is_control()).collect();
    let host = &host[..host.floor_char_boundary(200)];
    format!("{host}-{}-{:08x}", std::process::id(), rand::random::<u32>())
}

/// Returns an error unless a command can be executed.
fn check_command(command: &[OsString], path: Option<&OsStr>) -> Result<(), String> {
    let Some(program) = command.first().filter(|program| !program.is_empty()) else {
        return Err("no command is given after --".to_owned());
    };
    let is_program = |file: &Path| file.is_file() && access(file, Access::EXEC_OK).is_ok();
    let file = Path::new(program);
    let shown = file.display();
    if program.as_encoded_bytes().contains(&b'/') {
        let reason = if file.exists() { "is not executable" } else { "does not exist" };
        return if is_program(file) { Ok(()) } else { Err(format!("{shown} {reason}")) };
    }
    let path = path.unwrap_or(OsStr::new("/usr/bin:/bin"));
    if std::env::split_paths(path).any(|folder| is_program(&folder.join(file))) {
        return Ok(());
    }
    Err(format!("{shown} is in no folder of PATH"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn settings(line: &str) -> Result<WorkerOptions, String> {
        let words = format!("scheduler0 worker {line}");
        let cli = Cli::try_parse_from(words.split_whitespace()).map_err(|e| e.to_string())?;
        match cli.command {
            Command::Worker(flags) => flags.settings().map_err(|e| e.to_string()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_become_settings() {
        let read = settings("--queue a --queue b --concurrency 4 --order strict -- sh -c --id x");
        let read = read.unwrap();
        assert_eq!((read.queues.as_slice(), read.order), (&["a".into(), "b".into()][..], "strict"));
        assert_eq!((read.concurrency, read.grace), (4, Duration::from_secs(10)));
        assert_eq!(read.command, ["sh", "-c", "--id", "x"]);
        assert!(read.worker.contains(&format!("-{}-", std::process::id())), "{}", read.worker);
        let read = settings("--queue a --id w1 --grace 1m -- sh").unwrap();
        assert_eq!((read.worker.as_str(), read.grace), ("w1", Duration::from_mins(1)));
        assert_ne!(own_id(), own_id());
    }

    #[test]
    fn wrong_flags_are_named() {
        let no_program = tempfile::NamedTempFile::new().unwrap();
        let no_program = no_program.path().display();
        let long = "x".repeat(256);
        for (line, named) in [
            ("-- sh", "--queue"),
            ("--queue a", "COMMAND"),
            ("--queue a sh", "sh"),
            ("--queue a --concurrency 0 -- sh", "--concurrency"),
            ("--queue a --concurrency 1001 -- sh", "--concurrency"),
            ("--queue a --order best -- sh", "--order"),
            ("--queue a --grace soon -- sh", "--grace"),
            ("--queue= -- sh", "--queue"),
            (&format!("--queue a --id {long} -- sh"), "--id"),
            (&format!("{}-- sh", "--queue a ".repeat(65)), "--queue"),
            ("--queue a -- no-such-command-here", "no-such-command-here is in no folder of PATH"),
            ("--queue a -- /no/such", "/no/such does not exist"),
            (&format!("--queue a -- {no_program}"), &format!("{no_program} is not executable")),
            ("--queue a -- /etc", "/etc is not executable"),
        ] {
            let error = settings(line).unwrap_err();
            assert!(error.contains(named), "{line}: {error}");
        }
    }
}
