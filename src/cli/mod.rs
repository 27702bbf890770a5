//! The command line: what a person or a script says to Scheduler0.
//!
//! ```text
//!   arguments ── clap ──> Command ──> init, credential, reset, restore  (files of this node)
//!                            │
//!                            ├──────> create, list, explain, remove, status ──> client ──HTTP──> a node
//!                            └──────> next                              (no node needed)
//! ```
//!
//! Called by `main` alone. Data goes to stdout (tables for people, JSON for programs), talk to
//! stderr, and the exit code says what went wrong (see [`Failure::code`]). It never touches a
//! node's data except through the API, with three exceptions: `reset raft` and `cluster recover`, which
//! ask first, and `restore`, which wants the folder empty.

mod ask;
mod backup;
mod bench;
mod client;
mod cluster;
mod create;
mod credential;
pub mod dev;
mod explain;
mod hardening;
mod init;
mod list;
mod next;
mod output;
mod probe;
mod recover;
mod remove;
mod reset;
mod signals;
pub mod start;
mod status;
mod unlock;
mod visible;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Config, LoadOptions};
use crate::disk::modes;
use crate::secret::{self, Keys};
use crate::telemetry;
use client::Client;
use output::{Format, Output};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed, for a reason that the message gives
  2  wrong usage or configuration
  3  the node refused the request (4xx)
  4  the node cannot be reached
  5  status: the cluster has no quorum, nothing fires

Data goes to stdout, as tables or with --json as JSON. All else goes to stderr.";

/// A Raft-replicated cron cluster in one binary.
#[derive(Debug, Parser)]
#[command(name = "scheduler0", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub struct Cli {
    /// Options of all commands.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of all commands.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of all commands")]
pub struct Global {
    /// Configuration file [default: ./config.yml, else beside the binary]
    #[arg(long, global = true, value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// Sets a configuration key, over file and environment; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    pub set: Vec<(String, String)>,
    /// The node to talk to [default: the configured Host and Port, else one of Replicas]
    #[arg(long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// Form of the output [default: table; `create credential` in a pipe: json]
    #[arg(short, long, global = true, value_enum)]
    pub output: Option<Format>,
    /// The same as -o json
    #[arg(long, global = true, conflicts_with = "output")]
    pub json: bool,
    /// Takes a .scheduler0 that other users of this machine may read
    #[arg(long, global = true)]
    pub insecure: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs a node for trying things out: no configuration, executions shown as they happen
    Dev(start::StartFlags),
    /// Runs a node until SIGTERM or SIGINT, which stop it gracefully
    Start(start::StartFlags),
    /// The configuration file
    #[command(subcommand)]
    Config(init::ConfigCommand),
    /// The node's own credentials: username, password and secret key
    #[command(subcommand)]
    Credential(credential::CredentialCommand),
    /// Creates a credential for a client, a project or a job
    #[command(subcommand)]
    Create(create::CreateCommand),
    /// Lists credentials, projects, jobs or executions
    #[command(subcommand)]
    List(list::ListCommand),
    /// Shows one credential, project, job or async task
    #[command(subcommand)]
    Get(list::GetCommand),
    /// Deletes credentials, projects or jobs
    #[command(subcommand)]
    Delete(remove::DeleteCommand),
    /// Archives a credential: its key stops working at once
    #[command(subcommand)]
    Archive(remove::ArchiveCommand),
    /// Leader, members, shards, leases, lag, queues, journals and clocks
    Status(status::Status),
    /// Who belongs to the cluster: add, remove, drain, hand on leadership, recover, compare states
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Writes the whole state of the cluster to a file, while it runs
    Backup(backup::Backup),
    /// Makes a backup the state of this node, whose data folder must be empty: a new cluster
    Restore(backup::Restore),
    /// Why a job ran, or did not, at an instant
    Explain(explain::Explain),
    /// When a schedule fires, computed offline: a lint for crontabs
    Next(next::Next),
    /// Measures a cluster that it starts itself: rates, lags, and whether every job fired
    Bench(bench::Bench),
    /// Deletes this node's data
    #[command(subcommand)]
    Reset(reset::ResetCommand),
    /// Prints the version
    Version,
}

/// What a command can fail with when the exit code is not plain 1; found inside the `anyhow::Error`.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// Exit code 3.
    #[error("the node refused: {message} (HTTP {status})")]
    Refused {
        /// The HTTP status, 400-499.
        status: u16,
        /// What the node says.
        message: String,
    },
    /// Exit code 5.
    #[error("the cluster has no quorum, or an election is under way: nothing fires")]
    NoQuorum,
    /// Exit code 1; the reason was logged, and is not said again.
    #[error("the node has ended")]
    Logged,
    /// Exit code 4.
    #[error(
        "cannot reach the node at {url}: {reason}; is it running (`scheduler0 start`), and is this its address (Host, Port, --server)?"
    )]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What the system said.
        reason: String,
    },
}

impl Failure {
    /// The exit code of an error: this type's own; 2 for a configuration that cannot be used; 1.
    pub fn code(error: &anyhow::Error) -> u8 {
        match error.downcast_ref::<Failure>() {
            Some(Failure::Usage(_)) => 2,
            Some(Failure::Refused { .. }) => 3,
            Some(Failure::Unreachable { .. }) => 4,
            Some(Failure::NoQuorum) => 5,
            None if error.is::<config::Error>() || error.is::<secret::Error>() => 2,
            Some(Failure::Logged) | None => 1,
        }
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    hardening::apply();
    modes::set_umask();
    let cli = Cli::parse();
    let _last = telemetry::AtExit;
    // Whoever set a provider before us (nobody, in this binary) keeps it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        // `scheduler0 list jobs | head`: the reader has seen enough.
        Err(e) if output::is_broken_pipe(&e) => ExitCode::SUCCESS,
        Err(e) => {
            if !matches!(e.downcast_ref(), Some(Failure::Logged)) {
                output::say(&format!("error: {e:#}"));
            }
            ExitCode::from(Failure::code(&e))
        }
    }
}

/// Carries out one command.
pub fn run(cli: &Cli) -> anyhow::Result<()> {
    let global = &cli.global;
    let output = Output::new(if global.json { Some(Format::Json) } else { global.output });
    match &cli.command {
        Command::Start(flags) => start::run(flags, global),
        Command::Dev(flags) => start::dev(flags, global, output),
        Command::Config(command) => init::run(command, global, output),
        Command::Credential(command) => credential::run(command, global, output),
        Command::Reset(command) => reset::run(command, global),
        Command::Cluster(cluster::ClusterCommand::Recover(flags)) => {
            recover::run(flags, global, output)
        }
        Command::Next(flags) => next::run(flags, output),
        Command::Bench(flags) => bench::run(flags, global, output),
        Command::Restore(flags) => backup::restore(flags, global, output),
        Command::Version => version(output),
        Command::Status(status::Status { probe: Some(what), .. }) => {
            probe::run(*what, &global.url(&global.load()?))
        }
        command => {
            let client = global.client()?;
            let client = match command {
                // Nodes that are not up yet are what these commands are for.
                Command::Status(flags) if flags.wait.or(flags.watch).is_some() => client.quiet(),
                _ => client,
            };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                match command {
                    Command::Create(command) => create::run(command, &client, output).await,
                    Command::List(command) => list::run(command, &client, output).await,
                    Command::Get(command) => list::get(command, &client, output).await,
                    Command::Delete(command) => remove::delete(command, &client, output).await,
                    Command::Archive(command) => remove::archive(command, &client, output).await,
                    Command::Cluster(command) => cluster::run(command, &client, output).await,
                    Command::Backup(flags) => backup::backup(flags, &client, output).await,
                    Command::Explain(flags) => explain::run(flags, &client, output).await,
                    Command::Status(flags) => status::run(flags, &client, output).await,
                    _ => Ok(()),
                }
            })
        }
    }
}

impl Global {
    fn options(&self) -> LoadOptions {
        LoadOptions::from_process(self.config.clone(), self.set.clone())
    }

    fn load(&self) -> anyhow::Result<Config> {
        Ok(Config::load(&self.options())?)
    }

    /// The configuration of a command that talks to a node or tells of its secrets: those of a node
    /// that `dev` runs from this folder will do, where there are no others.
    fn load_for_client(&self) -> anyhow::Result<Config> {
        let mut config = self.load()?;
        config.places.push(dev::FOLDER.into());
        Ok(config)
    }

    fn keys(&self, config: &Config) -> Result<Keys, secret::Error> {
        Keys::load(config, self.insecure)
    }

    /// The node that is asked first.
    fn url(&self, config: &Config) -> String {
        self.server.clone().unwrap_or_else(|| config.local_url())
    }

    fn client(&self) -> anyhow::Result<Client> {
        let config = self.load_for_client()?;
        let url = self.url(&config);
        let keys = self.keys(&config).map_err(|e| unlock::advice(e, &url))?;
        if self.server.is_some() {
            return Client::new(&url, &[], &keys);
        }
        let others = config.replicas.iter().filter(|r| r.node_id != config.node_id);
        let others: Vec<&str> = others.map(|r| r.address.as_str()).collect();
        Client::new(&url, &others, &keys)
    }
}

/// Whether a text has the form of an execution id, which has its job in it.
fn is_execution(text: &str) -> bool {
    // A date such as 2026-11-20 could be read as one.
    text.find('-') == Some(8) && crate::model::attempt::parse_execution_id(text).is_some()
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

fn version(output: Output) -> anyhow::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let zones = chrono_tz::IANA_TZDB_VERSION;
    match output.format {
        Format::Json => output.json(&serde_json::json!({"version": version, "tzdata": zones})),
        Format::Table | Format::Wide => {
            output::line(&format!("scheduler0 {version} (time zones {zones})"))
        }
    }
}

#[cfg(test)]
mod tests;
