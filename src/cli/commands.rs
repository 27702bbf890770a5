//! The command line as clap reads it: the options of all commands and the list of commands. The
//! flags of each command are in the command's own file.

use clap::{Parser, Subcommand};

use super::{
    Global, accounts, audit, backup, bench, cluster, create, credential, explain, init, jobs, list,
    login, next, remove, reset, runs, start, status, templates, ui, worker, workers,
};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed, for a reason that the message gives
  2  wrong usage or configuration
  3  the node refused the request (4xx)
  4  the node, or the provider of a login, cannot be reached
  5  status: the cluster has no quorum, nothing fires

Data goes to stdout, as tables or with --json as JSON. All else goes to stderr.";

/// A Raft-replicated cron cluster in one binary.
#[derive(Debug, Parser)]
#[command(name = "scheduler0", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub struct Cli {
    /// Options of all commands.
    #[command(flatten)]
    pub global: Global,
    /// The command that was given, with its own options.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, in the order in which `--help` lists them.
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
    /// Creates a credential for a client, a project, an executor or a job
    #[command(subcommand)]
    Create(create::CreateCommand),
    /// Lists credentials, projects, executors, jobs or executions
    #[command(subcommand)]
    List(list::ListCommand),
    /// Shows one credential, project, executor, job or async task
    #[command(subcommand)]
    Get(list::GetCommand),
    /// Deletes credentials, projects, executors or jobs
    #[command(subcommand)]
    Delete(remove::DeleteCommand),
    /// Archives a credential: its key stops working at once
    #[command(subcommand)]
    Archive(remove::ArchiveCommand),
    /// Job templates: lists and imports them, and makes jobs of them
    #[command(subcommand)]
    Templates(templates::TemplatesCommand),
    /// Ends one-off jobs before their time, and edits many jobs at once
    #[command(subcommand)]
    Jobs(jobs::JobsCommand),
    /// Runs of workers and receivers: lists, shows and cancels them
    #[command(subcommand)]
    Runs(runs::RunsCommand),
    /// Accounts, the tenants of a cluster: their features, their limits, what they have
    #[command(subcommand)]
    Accounts(accounts::AccountsCommand),
    /// The audit: who did what, its export, and the check of an export
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Begins a session at a node: by a provider of OpenID Connect, or with a key pair
    Login(login::command::Login),
    /// Ends the session, and revokes its tokens
    Logout(login::logout::Logout),
    /// Who the node takes this command line for
    #[command(after_help = "Examples:\n  scheduler0 whoami\n  scheduler0 whoami --operator --json")]
    Whoami,
    /// Leader, members, shards, leases, lag, queues, journals and clocks
    Status(status::Status),
    /// Opens the web UI in a browser, signed in as the operator
    Ui(ui::Ui),
    /// The members of the cluster: add, remove, drain, transfer leadership, recover, compare states
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Writes the whole state of the cluster to a file, while it runs
    Backup(backup::Backup),
    /// Makes a backup the state of this node, whose data folder must be empty: a new cluster
    Restore(backup::Restore),
    /// Takes runs of queues, and runs a command for each
    Worker(worker::WorkerFlags),
    /// Kills the commands of a worker that has died; for `worker` alone
    #[command(name = worker::keeper::COMMAND, hide = true)]
    WorkerKeeper,
    /// Queues: what waits for worker processes, what they have, how many wait for work
    #[command(after_help = "Examples:\n  scheduler0 queues\n  scheduler0 queues --json")]
    Queues(workers::WorkersPage),
    /// Worker processes that were heard within the last minute
    #[command(after_help = "Examples:\n  scheduler0 workers\n  scheduler0 workers --json")]
    Workers(workers::WorkersPage),
    /// Why a job ran, or did not, at an instant
    Explain(explain::Explain),
    /// Computes offline when a schedule fires: a lint for crontabs
    Next(next::Next),
    /// Measures a cluster that it starts itself: rates, lags, and whether every job fired
    Bench(bench::Bench),
    /// Deletes this node's data
    #[command(subcommand)]
    Reset(reset::ResetCommand),
    /// Prints the version
    Version,
}
