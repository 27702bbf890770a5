//! Runs the command line of the process: hardens the process, parses the arguments, calls the file
//! of the command and turns the outcome into an exit code. Called by `main`.

use std::process::ExitCode;

use clap::Parser;

use super::output::{self, Format, Output};
use super::{
    Cli, Command, Failure, accounts, audit, backup, bench, cluster, create, credential, explain,
    hardening, init, jobs, list, login, next, probe, recover, remove, reset, runs, start, status,
    templates, ui, whoami, worker, workers,
};
use crate::disk::modes;
use crate::telemetry;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    hardening::apply();
    modes::set_umask();
    let cli = Cli::parse();
    let _last = telemetry::AtExit;
    // A provider that is set already (by nothing in this binary) stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        // `scheduler0 list jobs | head`: the reader of the pipe has seen enough.
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
        Command::Ui(flags) => ui::run(flags, global, output),
        Command::Worker(flags) => worker::run(flags, global, output),
        Command::WorkerKeeper => worker::keeper::run(),
        Command::Bench(flags) => bench::run(flags, global, output),
        Command::Restore(flags) => backup::restore(flags, global, output),
        Command::Audit(audit::AuditCommand::Verify { file }) => audit::verify(file, output),
        Command::Version => version(output),
        Command::Login(flags) => runtime()?.block_on(login::command::run(flags, global, output)),
        Command::Logout(flags) => runtime()?.block_on(login::logout::run(flags, global)),
        Command::Status(status::Status { probe: Some(what), .. }) => {
            // It sends no password, and asks the node that starts with these variables.
            probe::run(*what, &global.url(&global.load_for_node()?))
        }
        command => {
            let client = global.client()?;
            let client = match command {
                // These commands wait for nodes that have not started yet.
                Command::Status(flags) if flags.wait.or(flags.watch).is_some() => client.quiet(),
                _ => client,
            };
            runtime()?.block_on(async {
                match command {
                    Command::Create(command) => create::run(command, &client, output).await,
                    Command::List(command) => list::run(command, &client, output).await,
                    Command::Get(command) => list::get(command, &client, output).await,
                    Command::Delete(command) => remove::delete(command, &client, output).await,
                    Command::Archive(command) => remove::archive(command, &client, output).await,
                    Command::Cluster(command) => cluster::run(command, &client, output).await,
                    Command::Backup(flags) => backup::backup(flags, &client, output).await,
                    Command::Queues(page) => workers::queues(page, &client, output).await,
                    Command::Workers(page) => workers::workers(page, &client, output).await,
                    Command::Explain(flags) => explain::run(flags, &client, output).await,
                    Command::Templates(command) => templates::run(command, &client, output).await,
                    Command::Jobs(command) => jobs::run(command, &client, output).await,
                    Command::Accounts(command) => accounts::run(command, &client, output).await,
                    Command::Runs(command) => runs::run(command, &client, output).await,
                    Command::Audit(command) => audit::run(command, &client, output).await,
                    Command::Status(flags) => status::run(flags, &client, output).await,
                    Command::Whoami => whoami::run(&client, output).await,
                    _ => Ok(()),
                }
            })
        }
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
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
